"""A tree of zones in memory and in virtual time, for the resolver's core: no sockets, no clock.

`Hierarchy({"192.0.2.1": [zone, …], …})` answers as authorities do, after `delay` seconds; `Play` runs a resolver on it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from catenet.dns.exchange import Exchange
from catenet.dns.resolver import Answered, Resolver, ResolverConfig
from catenet.dns.response import Response, pack_response
from catenet.dns.rrset import RRset
from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.message import Message, Question, parse
from catenet.wire.dns.name import ROOT, fold, is_below, name_from_text, parent
from catenet.wire.dns.numbers import (
    AAAA,
    CNAME,
    DNAME,
    DS,
    NS,
    NXDOMAIN,
    REFUSED,
    SOA,
    A,
    type_from_text,
)

ROOT_ADDRESS = "198.51.100.1"
HINTS = {name_from_text("a.root."): (parse_address(ROOT_ADDRESS),)}


def rrset(line: str) -> RRset:
    """A set of `name ttl type data | data …`."""
    name, ttl, kind, data = line.split(maxsplit=3)
    values = [
        dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), one.strip()).to_wire() or b""
        for one in data.split("|")
    ]
    return RRset(name_from_text(name), type_from_text(kind), int(ttl), tuple(values))


class TinyZone:
    """A zone that answers as RFC 1034 4.3.2 says, without wildcards."""

    def __init__(self, origin: str, text: str) -> None:
        self.origin = fold(name_from_text(origin))
        lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
        if not any(f"{origin} " in line and " SOA " in line for line in lines):
            lines.insert(0, f"{origin} 300 SOA ns.{origin.lstrip('.')} host.{origin.lstrip('.')} 1 3600 600 86400 60")
        self.sets = {one.key: one for one in map(rrset, lines)}
        self.names = {name for key, _ in self.sets for name in _up(key, self.origin)}

    def answer(self, question: Question, dnssec_ok: bool, links: int = 0) -> Response:
        name = fold(question.name)
        for cut in reversed(list(_up(name, self.origin))):
            if cut != self.origin and (cut, NS) in self.sets and not (cut == name and question.type == DS):
                return self._referral(self.sets[cut, NS])
            if cut != name and (cut, DNAME) in self.sets:
                return Response(answer=[self.sets[cut, DNAME]], authoritative=True)
        found = self.sets.get((name, question.type))
        if found is not None:
            authority = [self.sets[self.origin, NS]] if (self.origin, NS) in self.sets and found.type != NS else []
            return Response(answer=[found], authority=authority, additional=self._glue(authority), authoritative=True)
        alias = self.sets.get((name, CNAME))
        if alias is not None:
            target = fold(alias.data[0])
            within = is_below(target, self.origin) and links < 4
            rest = self.answer(Question(target, question.type), dnssec_ok, links + 1) if within else Response()
            return replace(rest, answer=[alias, *rest.answer], authoritative=True)
        rcode = 0 if name in self.names else NXDOMAIN
        return Response(rcode, authority=[self.sets[self.origin, SOA]], authoritative=True)

    def _referral(self, servers: RRset) -> Response:
        return Response(authority=[servers], additional=self._glue([servers]))

    def _glue(self, sets: Sequence[RRset]) -> list[RRset]:
        names = [fold(data) for one in sets for data in one.data]
        return [self.sets[name, kind] for name in names for kind in (A, AAAA) if (name, kind) in self.sets]


def _up(name: bytes, origin: bytes) -> list[bytes]:
    found = [name]
    while found[-1] not in (origin, ROOT):
        found.append(parent(found[-1]))
    return found


Habit = Callable[[Exchange, bytes], "list[bytes] | None"]
"""What a server says instead to a query, beside its usual answer; None for the usual one."""


class Hierarchy:
    """Servers by address, each with its zones."""

    def __init__(self, servers: Mapping[str, Sequence[TinyZone]], delay: float = 0.02) -> None:
        self.servers = {parse_address(address): list(zones) for address, zones in servers.items()}
        self.delay = delay
        self.habits: dict[bytes, Habit] = {}
        self.queries: list[tuple[str, str, int, str]] = []
        """(address, name, type, transport) of all that were asked."""

    def habit(self, address: str, habit: Habit) -> None:
        self.habits[parse_address(address)] = habit

    def respond(self, exchange: Exchange) -> list[bytes]:
        query = parse(exchange.data)
        assert query.question is not None
        address = exchange.server.address
        name = fold(query.question.name)
        self.queries.append(
            (
                format_address(address),
                ".".join(map(bytes.decode, _labels(name))) + ".",
                query.question.type,
                exchange.transport,
            )
        )
        usual = self.usual(exchange, query)
        habit = self.habits.get(address)
        said = None if habit is None else habit(exchange, usual)
        return [usual] if said is None else said

    def usual(self, exchange: Exchange, query: Message) -> bytes:
        assert query.question is not None
        name = fold(query.question.name)
        zones = [zone for zone in self.servers.get(exchange.server.address, []) if is_below(name, zone.origin)]
        limit = 1232 if exchange.transport == "udp" else 65_535
        if not zones:
            return pack_response(Response(REFUSED), query, query.edns, limit)
        zone = max(zones, key=lambda one: len(one.origin))
        if query.question.type == DS and zone.origin == name and len(zones) > 1:
            zone = sorted(zones, key=lambda one: -len(one.origin))[1]
        return pack_response(zone.answer(query.question, True), query, query.edns, limit)


def _labels(name: bytes) -> list[bytes]:
    found, at = [], 0
    while name[at]:
        found.append(name[at + 1 : at + 1 + name[at]])
        at += 1 + name[at]
    return found


class Play:
    """A resolver on a hierarchy."""

    def __init__(self, hierarchy: Hierarchy, config: ResolverConfig | None = None, seed: int = 1) -> None:
        self.hierarchy = hierarchy
        self.now = 1000.0
        settings = ResolverConfig(hints=HINTS) if config is None else config
        self.resolver = Resolver(settings, random.Random(seed), lambda now: 1_700_000_000 + now)
        self.answers: dict[int, Response] = {}
        self._wire: list[tuple[float, int, int, bytes]] = []
        self._order = 0
        self.unreachable: set[bytes] = set()
        self.open: set[int] = set()

    def ask(self, name: str, kind: str = "A", *, dnssec_ok: bool = False) -> int:
        question = Question(name_from_text(name), type_from_text(kind))
        ticket = self.resolver.ask(question, self.now, dnssec_ok=dnssec_ok)
        self._pump()
        return ticket

    def resolve(self, name: str, kind: str = "A", *, dnssec_ok: bool = False) -> Response:
        """Ask, and let time pass until there is an answer."""
        ticket = self.ask(name, kind, dnssec_ok=dnssec_ok)
        self.run(lambda: ticket in self.answers)
        return self.answers.pop(ticket)

    def run(self, until: Callable[[], bool] = lambda: False, most: float = 600.0) -> None:
        end = self.now + most
        while not until():
            due = self.resolver.next_deadline()
            arrival = self._wire[0][0] if self._wire else None
            times = [one for one in (due, arrival) if one is not None]
            if not times or min(times) > end:
                self.now = end
                assert not until.__code__.co_freevars or until(), "no answer"
                return
            self.now = max(self.now, min(times))
            if arrival is not None and arrival <= self.now:
                _, _, token, data = heapq.heappop(self._wire)
                self.resolver.receive(token, data, self.now)
            else:
                self.resolver.handle_timeout(self.now)
            self._pump()

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        self.run(lambda: False, most=seconds)
        self.now = end

    def _pump(self) -> None:
        for exchange in self.resolver.transmit(self.now):
            self.open.add(exchange.token)
            if exchange.server.address in self.unreachable:
                self.resolver.fail(exchange.token, self.now)
                self._pump()
                continue
            for data in self.hierarchy.respond(exchange):
                self._order += 1
                heapq.heappush(self._wire, (self.now + self.hierarchy.delay, self._order, exchange.token, data))
        while (event := self.resolver.next_event()) is not None:
            assert isinstance(event, Answered)
            self.answers[event.ticket] = event.response
        self.open -= set(self.resolver.finished())


ROOT_ZONE = TinyZone(
    ".",
    """
    . 300 SOA a.root. host.root. 1 3600 600 86400 60
    . 518400 NS a.root.
    a.root. 518400 A 198.51.100.1
    com. 172800 NS ns.com.
    ns.com. 172800 A 198.51.100.2
    net. 172800 NS ns.net.
    ns.net. 172800 A 198.51.100.3
    """,
)
COM = TinyZone(
    "com.",
    """
    com. 172800 NS ns.com.
    ns.com. 172800 A 198.51.100.2
    example.com. 3600 NS ns1.example.com. | ns.outside.net.
    ns1.example.com. 3600 A 192.0.2.1
    far.com. 3600 NS ns.outside.net.
    """,
)
NET = TinyZone(
    "net.",
    """
    net. 172800 NS ns.net.
    ns.net. 172800 A 198.51.100.3
    outside.net. 3600 NS ns.outside.net.
    ns.outside.net. 3600 A 192.0.2.2
    """,
)
EXAMPLE = TinyZone(
    "example.com.",
    """
    example.com. 3600 NS ns1.example.com. | ns.outside.net.
    ns1.example.com. 3600 A 192.0.2.1
    www.example.com. 60 A 203.0.113.1
    alias.example.com. 60 CNAME www.example.com.
    away.example.com. 60 CNAME www.far.com.
    loop.example.com. 60 CNAME pool.example.com.
    pool.example.com. 60 CNAME loop.example.com.
    a.b.c.example.com. 60 TXT "deep"
    example.com. 60 MX 10 www.example.com.
    old.example.com. 60 DNAME far.com.
    """,
)
OUTSIDE = TinyZone(
    "outside.net.",
    """
    outside.net. 3600 NS ns.outside.net.
    ns.outside.net. 3600 A 192.0.2.2
    """,
)
FAR = TinyZone(
    "far.com.",
    """
    far.com. 3600 NS ns.outside.net.
    www.far.com. 60 A 203.0.113.9
    """,
)


def tree() -> Hierarchy:
    """A root, two top levels, three zones."""
    return Hierarchy(
        {
            ROOT_ADDRESS: [ROOT_ZONE],
            "198.51.100.2": [COM],
            "198.51.100.3": [NET],
            "192.0.2.1": [EXAMPLE],
            "192.0.2.2": [EXAMPLE, OUTSIDE, FAR],
        }
    )
