"""Asking the questions of a command line, one behind another on one event loop, with what connections there are."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.resolve.multicast import MDNS, ask_multicast
from catenet.cli.resolve.servers import Address, NameServer, addresses

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.cli.resolve.switches import Options
    from catenet.dns.client import Client, Query, Reply
    from catenet.dns.client.discovery import Designated
    from catenet.dns.client.query import Signature
    from catenet.wire.dns.edns import Edns
    from catenet.wire.dns.record import Record

__all__ = ["Answer", "Session", "make_client", "make_query", "reason", "unverified_client", "with_dnssec"]

RESERVED: Final = 0x0040
"""The last bit of the header without a meaning (RFC 6895 2.1)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question.

    Attributes:
        reply: the answer.
        address: who gave it.
        failures: of servers that had been asked in vain before.
        links: aliases from other answers that led to this one.
    """

    reply: Reply
    address: Address
    failures: Sequence[str] = ()
    links: Sequence[Record] = ()


@dataclass(slots=True)
class Session:
    """One call of the command: its connections, and the addresses of its servers that are known by name."""

    client: Client
    version: int | None = None
    signature: Callable[[], Signature] | None = None
    unverified: Client | None = None
    """What takes any certificate; it is there if designated resolvers are to be asked (RFC 9462)."""
    designated: Callable[[str, Designated], None] | None = None
    """Called with each that is found, and the server that designates it."""
    _addresses: dict[str, Sequence[Address]] = field(default_factory=dict)

    async def ask(self, ask: Ask, query: Query | None = None) -> Answer:
        """Ask the servers in their order, each at all of its addresses, until one answers.

        Raises:
            OSError: none has; the text has a line for each.
        """
        from catenet.wire.dns.numbers import SERVFAIL

        failures: list[str] = []
        failed: Answer | None = None
        for server in ask.servers:
            if server.target.scheme == MDNS:
                return Answer(await ask_multicast(ask), Address(MDNS))
            try:
                places = await self.places(server)
            except OSError as error:
                failures.append(reason(error))
                continue
            for address in places:
                try:
                    reply = await self.ask_at(address, query or make_query(ask.options, ask), ask.options)
                except OSError as error:
                    failures.append(reason(error))
                    continue
                answer = Answer(reply, address, tuple(failures))
                if reply.message.rcode != SERVFAIL or ask.options.fail:
                    return answer
                failed = failed or answer
        if failed is not None:
            return failed
        raise OSError("\n".join(dict.fromkeys(failures)) or "no server")

    async def ask_at(self, address: Address, query: Query, options: Options) -> Reply:
        """Ask at one address; once more with the server's version of EDNS where it does not know ours (RFC 6891 6.1.3).

        Raises OSError.
        """
        from catenet.wire.dns.numbers import BADVERS

        reply = await self._ask_at(address, query, options)
        theirs = reply.message.edns
        if reply.message.rcode != BADVERS or theirs is None or query.edns is None or not options.ednsnegotiation:
            return reply
        if theirs.version >= query.edns.version:
            return reply
        return await self._ask_at(address, replace(query, edns=query.edns._replace(version=theirs.version)), options)

    async def _ask_at(self, address: Address, query: Query, options: Options) -> Reply:
        client = self.unverified if address.unverified and self.unverified is not None else self.client
        return await client.ask(
            address.url,
            self.signed(query),
            attempt_timeout=options.time,
            attempts=options.tries,
            server_name=address.name,
        )

    def signed(self, query: Query) -> Query:
        """The query, which is to be signed if the call has a key."""
        return query if self.signature is None else replace(query, signature=self.signature)

    async def places(self, server: NameServer) -> Sequence[Address]:
        """The addresses of a server, looked up once. Raises OSError."""
        url = server.target.url
        found = self._addresses.get(url)
        if found is None:
            found = await addresses(server, self.version)
            if self.unverified is not None:
                found = [await self._designated(one, self.unverified) for one in found]
            self._addresses[url] = found
        return found

    async def _designated(self, address: Address, unverified: Client) -> Address:
        """The encrypted resolver that a server designates."""
        from catenet.dns.client.discovery import discover

        found = await discover(self.client, address.url, unverified=unverified)
        if self.designated is not None:
            self.designated(address.url, found)
        return Address(found.url, found.server_name if found.verified else None, not found.verified)


def make_client(args: argparse.Namespace, asks: Sequence[Ask]) -> Client:
    """The client for a call. Raises UsageError for a file of certificates that is none."""
    from catenet.dns.client import Client
    from catenet.net import TlsError, client_context

    context = None
    named = asks[0].options
    ca = args.ca or named.tls_ca
    if ca:
        try:
            context = client_context(ca)
        except TlsError as error:
            raise UsageError(f"{'--ca' if args.ca else '+tls-ca'} {error}") from None
    return Client(
        tls=context,
        server_name=args.tls_host or named.tls_hostname,
        http_get=any(ask.options.get for ask in asks),
        keep=all(ask.options.keepopen for ask in asks),
        source=args.source,
    )


def unverified_client() -> Client:
    """A client that takes any certificate."""
    from catenet.dns.client import Client
    from catenet.net import client_context

    return Client(tls=client_context(verify=False))


def make_query(options: Options, ask: Ask) -> Query:
    """The message that the options describe."""
    from catenet.dns.client import Query
    from catenet.wire.dns.numbers import AA, AD, CD, RD, SOA
    from catenet.wire.dns.record import make_record

    flags = options.opcode << 11
    wanted = {
        RD: options.recurse,
        AD: options.adflag,
        CD: options.cdflag,
        AA: options.aaflag,
        RESERVED: options.zflag,
    }
    flags |= sum(bit for bit, on in wanted.items() if on)
    authority: tuple[Record, ...] = ()
    if ask.serial is not None:
        data = b"\0\0" + ask.serial.to_bytes(4, "big") + bytes(16)  # RFC 1995 3: all but the serial may be anything
        authority = (make_record(ask.question.name, SOA, 0, data, ask.question.rclass),)
    edns = _edns(options)
    return Query(
        None if options.header_only else ask.question,
        flags,
        edns,
        authority,
        cookies=edns is not None and options.cookie in (None, True),
        padding=options.padding,
        take_cut=options.ignore,
        number=options.qid,
    )


def with_dnssec(query: Query) -> Query:
    """The query that asks for signatures too."""
    from catenet.wire.dns.edns import DNSSEC_OK

    edns = query.edns
    return query if edns is None else replace(query, edns=edns._replace(flags=edns.flags | DNSSEC_OK))


def _edns(options: Options) -> Edns | None:
    from catenet.dns import options as codes
    from catenet.wire.dns.edns import DNSSEC_OK, Edns

    if options.edns is None:
        return None
    extra: list[tuple[int, bytes]] = []
    if options.nsid:
        extra.append((codes.NSID, b""))
    if options.subnet is not None:
        extra.append((codes.SUBNET, options.subnet))
    if options.expire:
        extra.append((codes.EXPIRE, b""))
    if options.keepalive:
        extra.append((codes.KEEPALIVE, b""))
    if isinstance(options.cookie, bytes):
        extra.append((codes.COOKIE, options.cookie))
    flags = options.ednsflags | (DNSSEC_OK if options.dnssec else 0)
    return Edns(options.bufsize, flags, (*extra, *options.ednsopt), version=options.edns)


def reason(error: OSError) -> str:
    """What went wrong, in one line."""
    return (error.strerror or str(error)) if error.errno is not None else str(error)
