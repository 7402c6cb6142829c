"""Which servers to ask about a name: the closest zone whose servers are known (RFC 1034 5.3.3, step 2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from catenet.dns.resolver.cache import Entry
from catenet.dns.resolver.config import AuthZone, ForwardZone, StubZone
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.names import ancestors
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import ROOT, fold, is_below
from catenet.wire.dns.numbers import AAAA, NS, A
from catenet.wire.dns.stub import Server

__all__ = ["Delegation", "cached_delegation", "configured_zone", "from_referral", "from_settings", "hints"]


@dataclass(slots=True)
class Delegation:
    """The servers of a zone.

    Attributes:
        zone: folded.
        names: of its servers, folded.
        servers: their addresses, as far as they are known.
        expires: when the parent's word ends, None for settings.
        recursive: they are asked to recurse.
        settings: what they come from, if from settings.
        is_fresh: whether the parent has named them just now.
        located: names with known addresses.
        sought: of these, what is looked for before it is needed.
        resolved: (name, type) of addresses that were looked for, with or without success.
    """

    zone: bytes
    names: list[bytes] = field(default_factory=list)
    servers: dict[Server, None] = field(default_factory=dict)
    expires: float | None = None
    recursive: bool = False
    settings: ForwardZone | StubZone | AuthZone | None = None
    is_fresh: bool = False
    resolved: set[tuple[bytes, int]] = field(default_factory=set)
    sought: set[tuple[bytes, int]] = field(default_factory=set)
    located: set[bytes] = field(default_factory=set)
    failed_names: int = 0

    def add(self, context: Context, name: bytes, addresses: Iterable[bytes]) -> None:
        """Add addresses of a server."""
        for address in addresses:
            if context.may_ask(address):
                self.servers.setdefault(context.server(address))
                self.located.add(name)

    def look(self, context: Context) -> None:
        """Take addresses from the cache that have come to be known."""
        for name in self.names:
            for kind in (A, AAAA):
                if (name, kind) in self.resolved:
                    continue
                entry = context.cache.peek(name, kind, context.now)
                if entry is not None:
                    self.resolved.add((name, kind))
                    self.add(context, name, entry.data)

    def add_parent_side(self, context: Context) -> bool:
        """Add glue that differs from what the servers' own zones say; returns whether that are new addresses."""
        before = len(self.servers)
        for name in self.names:
            for kind in (A, AAAA):
                entry = context.cache.peek_parent_side(name, kind, context.now)
                if entry is not None:
                    self.add(context, name, entry.data)
        return len(self.servers) > before

    def missing(self, context: Context) -> list[tuple[bytes, list[int]]]:
        """Names whose addresses are not all known, with the types that are missing."""
        kinds = [kind for kind, wanted in ((A, context.config.ipv4), (AAAA, context.config.ipv6)) if wanted]
        found = [(name, [kind for kind in kinds if (name, kind) not in self.resolved]) for name in self.names]
        return [(name, left) for name, left in found if left]


def configured_zone(context: Context, name: bytes, ignored: set[bytes]) -> ForwardZone | StubZone | AuthZone | None:
    """The closest zone of the settings that the name is in; those in `ignored` have failed."""
    config = context.config
    best: ForwardZone | StubZone | AuthZone | None = None
    copies = [zone for zone in config.auth_zones if zone.for_upstream]
    zones: list[ForwardZone | StubZone | AuthZone] = [*copies, *config.forwards, *config.stubs]
    for zone in zones:
        if zone.name not in ignored and is_below(name, zone.name) and (best is None or len(zone.name) > len(best.name)):
            best = zone
    return best


def from_settings(context: Context, zone: ForwardZone | StubZone | AuthZone) -> Delegation:
    """The servers that the settings name for a zone."""
    if isinstance(zone, AuthZone):
        return Delegation(zone.name, settings=zone)
    found = Delegation(zone.name, recursive=isinstance(zone, ForwardZone), settings=zone)
    found.servers = dict.fromkeys(zone.servers)
    if isinstance(zone, StubZone):
        found.names = list(zone.hosts)
    return found


def hints(context: Context) -> Delegation:
    """The servers of the root that we are told of."""
    for stub in context.config.stubs:
        if stub.name == ROOT:
            return Delegation(ROOT, list(stub.hosts), dict.fromkeys(stub.servers))
    found = Delegation(ROOT, list(context.config.hints))
    for name, addresses in context.config.hints.items():
        found.add(context, name, addresses)
    found.resolved = {(name, kind) for name in found.names for kind in (A, AAAA)}
    return found


def cached_delegation(context: Context, name: bytes, ahead: float = 0.0) -> Delegation | None:
    """The servers of the closest zone that the cache will know `ahead` seconds from now, and that can be asked."""
    for zone in ancestors(name):
        entry = context.cache.peek(zone, NS, context.now + ahead)
        if entry is None:
            continue
        found = _from_entry(context, zone, entry)
        if found.servers or any(not is_below(server, zone) for server in found.names):
            return found
    return None


def _from_entry(context: Context, zone: bytes, entry: Entry) -> Delegation:
    found = Delegation(zone, _names(context, entry.data), expires=entry.expires)
    found.look(context)
    if zone == ROOT:
        _add_hints(context, found)
        if not found.servers:
            found.servers = hints(context).servers
    return found


def _add_hints(context: Context, found: Delegation) -> None:
    """A server of the root without known addresses has those of the hints."""
    known = {name for name, _ in found.resolved}
    for name, addresses in context.config.hints.items():
        if name in found.names and name not in known:
            found.add(context, name, addresses)


def _names(context: Context, data: tuple[bytes, ...]) -> list[bytes]:
    names = list(dict.fromkeys(map(fold, data)))
    most = context.config.max_server_names
    return names if len(names) <= most else context.rng.sample(names, most)


def from_referral(context: Context, servers: RRset, expires: float, glue: Iterable[RRset]) -> Delegation:
    """The servers that a referral names, with the addresses that came with it."""
    found = Delegation(fold(servers.name), _names(context, servers.data), expires=expires, is_fresh=True)
    for one in glue:
        name = fold(one.name)
        if name in found.names:
            found.resolved.add((name, one.type))
            found.add(context, name, one.data)
    found.look(context)
    return found
