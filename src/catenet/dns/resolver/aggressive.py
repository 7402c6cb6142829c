"""Answers made of proofs of denial that are in the cache (RFC 8198): who asks for random names asks us alone.

Secure NSEC records are kept in canonical order by zone, NSEC3 records in the order of hashes
(`catenet.dns.resolver.hashed`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

from catenet.dns.dnssec.nsec import Nsec
from catenet.dns.dnssec.nsec3 import Nsec3
from catenet.dns.resolver.cache import Cache, Entry, Message
from catenet.dns.resolver.hashed import MOST_ITERATIONS, Ring
from catenet.dns.resolver.names import ancestors
from catenet.dns.response import ExtendedError, Security
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, canonical_key, fold, is_below, skip_name
from catenet.wire.dns.numbers import DS, NOERROR, NSEC3, NXDOMAIN, RRSIG, SOA
from catenet.wire.errors import Malformed

__all__ = ["Denials"]

_SYNTHESIZED: Final = 29
"""Extended error (RFC 8914 4.30)."""
_SIGNER: Final = 18
"""Offset of the signer's name in a signature."""
MOST: Final = 100_000
"""Records over all zones; when there are more, the zone that was begun first is forgotten."""
_WILDCARD: Final = b"\1*"


class _Zone:
    """NSEC records of one zone, in canonical order of their owners."""

    __slots__ = ("entries", "keys")

    def __init__(self) -> None:
        self.keys: list[tuple[bytes, ...]] = []
        self.entries: dict[tuple[bytes, ...], tuple[Entry, Nsec]] = {}

    def at_or_before(self, key: tuple[bytes, ...], now: float) -> tuple[Entry, Nsec] | None:
        """The record of the name, or of the last name before it."""
        place = bisect_right(self.keys, key) - 1
        if place < 0:
            return None
        found = self.entries[self.keys[place]]
        if not found[0].alive or found[0].expires < now:
            del self.entries[self.keys[place]]
            del self.keys[place]
            return None
        return found


class Denials:
    """All that is known not to exist, by zones."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._zones: dict[bytes, _Zone] = {}
        self._rings: dict[bytes, Ring] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, entries: Iterable[Entry]) -> None:
        """Keep secure NSEC and NSEC3 sets that are in the cache."""
        for entry in entries:
            if not entry.signatures or len(entry.data) != 1:
                continue
            signature = entry.signatures[0]
            try:
                signer = fold(signature[_SIGNER : skip_name(signature, _SIGNER)])
                if entry.type == NSEC3:
                    self._add_hashed(entry, signer)
                    continue
                nsec = Nsec(entry.name, entry.data[0], signer)
            except (Malformed, ValueError):
                continue
            if signature[3] != _labels(nsec.owner):
                continue  # made from a wildcard: it proves nothing about its neighbours
            zone = self._zones.setdefault(signer, _Zone())
            key = canonical_key(nsec.owner)
            if key not in zone.entries:
                place = bisect_left(zone.keys, key)
                zone.keys.insert(place, key)
                self._count += 1
            zone.entries[key] = entry, nsec
        while self._count > MOST:
            if len(self._rings) > len(self._zones):
                self._count -= len(self._rings.pop(next(iter(self._rings))))
            else:
                self._count -= len(self._zones.pop(next(iter(self._zones))).keys)

    def _add_hashed(self, entry: Entry, signer: bytes) -> None:
        """Keep one; a zone that hashes otherwise now begins anew. Raises Malformed, ValueError."""
        nsec3 = Nsec3(entry.name, entry.data[0], signer)
        if nsec3.iterations > MOST_ITERATIONS or entry.signatures[0][3] != _labels(fold(entry.name)):
            return
        if int.from_bytes(nsec3.next, "big") == int.from_bytes(nsec3.owner, "big") + 1:
            return  # made for one question (RFC 7129 B): it denies no other name, and such servers err in its types
        ring = self._rings.get(signer)
        if ring is None or ring.parameters != (nsec3.salt, nsec3.iterations):
            self._count -= 0 if ring is None else len(ring)
            ring = self._rings[signer] = Ring(nsec3.salt, nsec3.iterations)
        self._count += ring.add(entry, nsec3)

    def find(self, question: Question, now: float) -> Message | None:
        """The denial of a name or type that records in the cache prove; the name is folded."""
        name, kind = question.name, question.type
        if kind == RRSIG:
            return None
        for apex in ancestors(name):
            if kind == DS and apex == name and name != ROOT:
                continue
            zone = self._zones.get(apex)
            if zone is not None:
                return self._find_in(zone, apex, name, kind, now)
            ring = self._rings.get(apex)
            if ring is not None:
                return self._find_hashed(ring, apex, name, kind, now)
        return None

    def _find_hashed(self, ring: Ring, apex: bytes, name: bytes, kind: int, now: float) -> Message | None:
        soa = self._cache.peek(apex, SOA, now)
        if soa is None or soa.security is not Security.SECURE:
            return None
        found = ring.deny(apex, name, kind, now)
        return None if found is None else _message(found[0], [soa, *found[1]])

    def _find_in(self, zone: _Zone, apex: bytes, name: bytes, kind: int, now: float) -> Message | None:
        soa = self._cache.peek(apex, SOA, now)
        found = zone.at_or_before(canonical_key(name), now)
        if found is None:
            return None
        entry, nsec = found
        if soa is None or soa.security is not Security.SECURE:
            # That a zone is unsigned is told without a SOA record (RFC 4035 3.1.4); other denials need one.
            is_proof = kind == DS and nsec.owner == name and nsec.denies_type(DS)
            return _message(NOERROR, [entry]) if is_proof else None
        if nsec.owner == name:
            return _message(NOERROR, [soa, entry]) if nsec.denies_type(kind) else None
        if not nsec.covers(name):
            return None
        if nsec.is_above_next(name):
            return _message(NOERROR, [soa, entry])
        encloser = nsec.closest_encloser(name)
        if not is_below(encloser, apex):
            return None
        wildcard = _WILDCARD + encloser
        other = zone.at_or_before(canonical_key(wildcard), now)
        if other is None:
            return None
        proofs = [soa, entry] if other[0] is entry else [soa, entry, other[0]]
        if other[1].owner == wildcard:
            return _message(NOERROR, proofs) if other[1].denies_type(kind) else None
        return _message(NXDOMAIN, proofs) if other[1].covers(wildcard) else None


def _labels(name: bytes) -> int:
    """Labels as a signature counts them: without the root's, and without a wildcard's (RFC 4034 3.1.3)."""
    return sum(1 for _ in ancestors(name)) - 1 - name.startswith(_WILDCARD)


def _message(rcode: int, proofs: list[Entry]) -> Message:
    expires = min(one.expires for one in proofs)
    message = Message(b"", rcode, ((), tuple(proofs), ()), min(one.ttl for one in proofs), expires)
    message.security, message.errors = Security.SECURE, (ExtendedError(_SYNTHESIZED),)
    return message
