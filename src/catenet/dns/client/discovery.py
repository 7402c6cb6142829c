"""From a resolver that is known by its address to the encrypted one that it designates (DDR, RFC 9462)."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from catenet.dns.client.asking import Client
from catenet.dns.client.query import Query
from catenet.dns.client.schemes import SCHEMES
from catenet.dns.designation import DESIGNATION, Designation, read_designations
from catenet.net import parse_target
from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.numbers import AAAA, A
from catenet.wire.errors import Malformed

__all__ = ["Designated", "discover"]

MOST_ADDRESSES: Final = 4

_Ask = Callable[[str, Question], Awaitable[Sequence[bytes]]]


@dataclass(frozen=True, slots=True)
class Designated:
    """An encrypted resolver that has answered.

    Attributes:
        url: to ask, with its address.
        server_name: what its certificate names: the address of the resolver that designates it (RFC 9462 4.2).
        name: its own.
        verified: the certificate has been checked. If not, it has the address of the resolver that designates it, which
            is not a public one: opportunistic (RFC 9462 4.3), safe from who listens but not from who interferes.
    """

    url: str
    server_name: str
    name: str
    verified: bool


async def discover(
    client: Client, url: str, *, unverified: Client | None = None, attempt_timeout: float = 5.0, attempts: int = 3
) -> Designated:
    """Find the best encrypted resolver that a resolver designates, can be reached, and is what it says.

    Args:
        client: to ask with; its context of TLS says which authorities are trusted.
        url: `udp://` or `tcp://`, with the address of the resolver.
        unverified: a client that takes any certificate, for what RFC 9462 4.3 allows; without it nothing is allowed.
        attempt_timeout: as of `Client.ask`.
        attempts: as of `Client.ask`.

    Raises:
        OSError: the resolver does not answer, or designates none; the text says why each is not to be trusted.
        ValueError: the URL names no address.
    """
    here = parse_target(url, schemes=SCHEMES, default="udp")
    address = here.host
    try:
        parse_address(address.partition("%")[0])
    except ValueError:
        raise ValueError(f"{url}: designation needs a resolver that is named by its address") from None

    async def ask(where: str, question: Question, by: Client = client, name: str | None = None) -> Sequence[bytes]:
        query = Query(question, edns=Edns())
        reply = await by.ask(where, query, attempt_timeout=attempt_timeout, attempts=attempts, server_name=name)
        return [one.data for one in reply.message.answer if one.type == question.type]

    query = Query(DESIGNATION, edns=Edns())
    reply = await client.ask(url, query, attempt_timeout=attempt_timeout, attempts=attempts)
    try:
        found = read_designations(reply.message)
    except Malformed as error:
        raise ConnectionError(f"{url}: {error}") from None
    failures = []
    for one in found:
        if one.scheme == "quic" and find_spec("aioquic") is None:
            continue  # an extra that is not installed
        for host in await _addresses(one, here.url, address, ask):
            where, name = one.url(host), name_to_text(one.name)
            try:
                await ask(where, DESIGNATION, client, address)
            except OSError as error:
                failures.append(str(error))
            else:
                return Designated(where, address, name, True)
            if unverified is not None and host == address and is_local(address):
                try:
                    await ask(where, DESIGNATION, unverified)
                except OSError:
                    continue
                return Designated(where, address, name, False)
    raise ConnectionError("\n".join(dict.fromkeys(failures)) or f"{url} designates no encrypted resolver")


async def _addresses(one: Designation, url: str, address: str, ask: _Ask) -> list[str]:
    """Where to try a designated resolver: its hints, or what its name has; at the same address without any."""
    hosts = list(one.hints)
    if not hosts:
        for kind in (AAAA, A):
            try:
                hosts += [format_address(data) for data in await ask(url, Question(one.name, kind))]
            except (OSError, Malformed):
                continue
    # The address that can be verified by itself first.
    return sorted(dict.fromkeys(hosts or [address]), key=lambda host: host != address)[:MOST_ADDRESSES]


def is_local(address: str) -> bool:
    """Whether it is no address of the public network, at which others could claim to be a resolver."""
    value = ipaddress.ip_address(address)
    return value.is_private or value.is_loopback or value.is_link_local
