"""What all questions of one resolver share."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from catenet.dns.dnssec import KeyCache, Policy, TrustAnchors, check_zonemd
from catenet.dns.resolver.aggressive import Denials
from catenet.dns.resolver.cache import Cache, CacheLimits
from catenet.dns.resolver.config import Answering, AuthZone, Network, ResolverConfig
from catenet.dns.resolver.local import LocalZones
from catenet.dns.resolver.rpz import Policies
from catenet.dns.resolver.servers import Servers
from catenet.dns.resolver.steps import Failure
from catenet.dns.response import ExtendedError
from catenet.dns.rrset import RRset
from catenet.dns.zone import Zone
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, is_below
from catenet.wire.dns.numbers import AAAA, A
from catenet.wire.dns.stub import Server

__all__ = ["Context", "Failures"]

MOST_FAILURES: Final = 10_000
MOST_SOURCES: Final = 2_000
CACHED_ERROR: Final = 13
"""Extended error (RFC 8914 4.14)."""


@dataclass(slots=True)
class _Failed:
    until: float
    seconds: float
    errors: tuple[ExtendedError, ...]
    reason: str


class Failures:
    """Questions that could not be answered, which are not asked again at once (RFC 9520)."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._table: OrderedDict[Question, _Failed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def note(self, question: Question, failure: Failure, now: float) -> None:
        """It has failed: the next one waits twice as long."""
        before = self._table.pop(question, None)
        seconds = self._first
        if before is not None and now < before.until + before.seconds:
            seconds = min(2 * before.seconds, self._most)
        self._table[question] = _Failed(now + seconds, seconds, failure.errors, failure.reason)
        if len(self._table) > MOST_FAILURES:
            self._table.popitem(last=False)

    def find(self, question: Question, now: float) -> Failure | None:
        """What to say to whoever asks before it is time."""
        found = self._table.get(question)
        if found is None or found.until < now:
            return None
        return Failure(found.reason, (*found.errors, ExtendedError(CACHED_ERROR)), keep=False)

    def clear(self, question: Question) -> None:
        """It has been answered."""
        self._table.pop(question, None)


class Context:
    """Settings, what is known, the time, chance."""

    def __init__(
        self,
        config: ResolverConfig,
        rng: random.Random,
        wall: Callable[[float], float],
        cache: Cache | None = None,
        anchors: TrustAnchors | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.config = config
        self.rng = rng
        self.wall = wall
        self.now = 0.0
        stale = float(config.serve_expired_ttl or config.max_ttl) if config.serve_expired else 0.0
        limits = CacheLimits(config.cache_bytes, config.min_ttl, config.max_ttl, config.max_negative_ttl, stale)
        self.cache = Cache(limits) if cache is None else cache
        self.policies = Policies(config.policies)
        self.denials = Denials(self.cache)
        self.servers = Servers(rng, config.max_servers, config.server_memory)
        self.failures = Failures(config.failure_ttl, config.max_failure_ttl)
        self.secret = rng.randbytes(16)
        """Of our cookies (RFC 9018 3)."""
        self.counts: Counter[str] = Counter()
        self.copies: dict[bytes, Answering | None] = {}
        """Zones that are asked instead of their authorities; None while there is no copy."""
        self.vetted: dict[bytes, Zone] = {}
        """The newest copies of zones whose digests are to be validated, whether or not they are used."""
        self.turns = 0
        """Answers whose records were turned around."""
        self.local = LocalZones(config.local_zones, config.special_names, config.unblocked)
        self.anchors = anchors
        self.policy = Policy() if policy is None else policy
        self.keys = KeyCache()
        self.sources: OrderedDict[Question, Server] = OrderedDict()
        """Who gave the last answers, so that another is asked when one does not validate."""

    def note_source(self, question: Question, server: Server) -> None:
        """Note who has answered a question."""
        self.sources[question] = server
        self.sources.move_to_end(question)
        if len(self.sources) > MOST_SOURCES:
            self.sources.popitem(last=False)

    @property
    def validates(self) -> bool:
        """Whether answers are validated."""
        return self.anchors is not None

    def may_ask(self, address: bytes) -> bool:
        """Whether there can be an authority at this address, and we use its IP version."""
        config = self.config
        if not (config.ipv4 if len(address) == 4 else config.ipv6):
            return False
        return not is_in(address, config.do_not_query)

    def server(self, address: bytes) -> Server:
        """The name server at an address."""
        return Server(address, self.config.upstream_port)

    def without_private(self, rrset: RRset) -> RRset | None:
        """The set without addresses that no public name should have; None if nothing is left."""
        config = self.config
        if rrset.type not in (A, AAAA) or not config.private_addresses:
            return rrset
        name = fold(rrset.name)
        if any(is_below(name, domain) for domain in config.private_domains):
            return rrset
        data = tuple(one for one in rrset.data if not is_in(one, config.private_addresses))
        return replace(rrset, data=data) if data else None

    def take_copy(self, settings: AuthZone, zone: Answering | None) -> Zone | None:
        """Use a copy of a zone; returned is one that is to be vetted first, and until then the one before is used."""
        self.vetted.pop(settings.name, None)
        if settings.digest and self.validates and isinstance(zone, Zone):
            self.vetted[settings.name] = zone
            if self.copies.get(settings.name) is None:
                # Where nobody else is to be asked, one with a right digest is better than no answer for a moment.
                self.copies[settings.name] = None if settings.fallback else acceptable(settings, zone)
            return zone
        self.copies[settings.name] = acceptable(settings, zone)
        return None


def acceptable(settings: AuthZone, zone: Answering | None) -> Answering | None:
    """The copy, unless the settings want a digest that it does not have (RFC 8976 4)."""
    if not settings.digest or not isinstance(zone, Zone):
        return zone
    matches = check_zonemd(zone, zone.apex)
    is_wrong = matches is False or (matches is None and settings.digest == "require")
    return None if is_wrong else zone


def is_in(address: bytes, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of these networks."""
    for prefix, bits in networks:
        if len(prefix) == len(address):
            shift = 8 * len(address) - bits
            if int.from_bytes(address, "big") >> shift == int.from_bytes(prefix, "big") >> shift:
                return True
    return False
