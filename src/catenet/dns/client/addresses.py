"""The addresses of a name and how long they hold, by our own stub, from name servers of this machine or another one."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

from catenet.dns.client.lookup import lookup
from catenet.dns.config import system_config
from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.numbers import AAAA, A
from catenet.wire.dns.stub import Outcome, Server, StubConfig

__all__ = ["HostAddresses", "find_addresses"]

_PORT = 53


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """What was found: addresses as text, those of IPv6 first; `ttl` in seconds, that of the record that ends first."""

    addresses: tuple[str, ...]
    ttl: float


async def find_addresses(name: str, server: str = "") -> HostAddresses:
    """Ask for the addresses of both versions of IP.

    Args:
        name: as a user writes it; with a dot at its end it is complete.
        server: address of a name server, with a port if it is not 53; those of resolv.conf(5) if it is left out.

    Raises:
        OSError: there is no such name or address, or nobody has answered.
    """
    try:
        answer = await lookup(name, [A, AAAA], _config(server))
    except ValueError:
        raise OSError(f"{name!r} is no name of a host") from None
    if answer.outcome is not Outcome.ANSWER:
        raise OSError(f"{name}: {answer.outcome.value}")
    found = {kind: [record for record in answer.records if record.type == kind] for kind in (AAAA, A)}
    records = [*found[AAAA], *found[A]]
    if not records:
        raise OSError(f"{name} has no address")
    ttl = min(record.ttl for record in answer.records)
    return HostAddresses(tuple(dict.fromkeys(format_address(record.data) for record in records)), float(ttl))


def _config(server: str) -> StubConfig:
    settings = system_config()
    if not server:
        return settings
    return replace(settings, servers=(_server(server),), search=())


def _server(text: str) -> Server:
    """Read `address`, `address:port` or `[address]:port`. Raises `OSError`."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    host, _, zone = host.partition("%")
    try:
        return Server(parse_address(host), int(port or _PORT), socket.if_nametoindex(zone) if zone else 0)
    except (ValueError, OSError):
        raise OSError(f"{text!r} is no address of a name server") from None
