"""Signing zones (RFC 4035 2, RFC 5155 7): DNSKEY, NSEC or NSEC3, and a signature over every set of the zone's own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from catenet.dns.dnssec.nsec3 import hash_to_label, nsec3_hash, pack_nsec3, pack_nsec3param
from catenet.dns.dnssec.private import SigningKey
from catenet.dns.dnssec.rrsig import Signature, label_count, rrsig_head, signed_data
from catenet.dns.dnssec.zonemd import make_zonemd
from catenet.dns.rrset import RRset
from catenet.wire.dns.bitmap import pack_types
from catenet.wire.dns.name import canonical_key, fold, is_below, name_to_text, parent
from catenet.wire.dns.numbers import (
    CDNSKEY,
    CDS,
    DNAME,
    DNSKEY,
    DS,
    NS,
    NSEC,
    NSEC3,
    NSEC3PARAM,
    RRSIG,
    SOA,
    ZONEMD,
)

__all__ = ["Nsec3Settings", "SigningSettings", "sign_set", "sign_zone"]

_MADE: Final = frozenset((RRSIG, NSEC, NSEC3, NSEC3PARAM, ZONEMD))
"""Types that signing makes; what a zone has of them goes first."""
_BY_ENTRY_POINT: Final = frozenset((DNSKEY, CDS, CDNSKEY))
"""Types that key signing keys sign (RFC 7344 4.1)."""


@dataclass(frozen=True, slots=True)
class Nsec3Settings:
    """How names are hashed. RFC 9276 3.1 advises neither iterations nor salt."""

    salt: bytes = b""
    iterations: int = 0
    opt_out: bool = False


@dataclass(frozen=True, slots=True)
class SigningSettings:
    """How a zone is signed.

    Attributes:
        inception, expiration: of signatures, in seconds since 1970.
        jitter: seconds by which expirations are brought forward at random, so that not all are renewed at once.
        rng: draws the jitter.
        nsec3: NSEC3 rather than NSEC.
        key_ttl: TTL of the DNSKEY set, in seconds; None: that of the SOA.
        zonemd: hash algorithm of a digest over the zone (RFC 8976), None for none.
        kept: signatures that a set has and may keep, given the keys that would sign it; None: it is signed anew.
    """

    inception: int
    expiration: int
    jitter: int = 0
    rng: random.Random | None = None
    nsec3: Nsec3Settings | None = None
    key_ttl: int | None = None
    zonemd: int | None = None
    kept: Callable[[RRset, Sequence[SigningKey]], tuple[bytes, ...] | None] | None = None


def sign_set(rrset: RRset, keys: Iterable[SigningKey], inception: int, expiration: int) -> RRset:
    """The set with one signature by each key; times in seconds since 1970."""
    return replace(rrset, signatures=tuple(_sign(rrset, key, inception, expiration) for key in keys))


def _sign(rrset: RRset, key: SigningKey, inception: int, expiration: int) -> bytes:
    labels = label_count(rrset.name)
    public = key.key
    head = rrsig_head(rrset.type, public.algorithm, labels, rrset.ttl, expiration, inception, public.tag, key.zone)
    return head + key.sign(signed_data(rrset, Signature(head)))


def sign_zone(
    sets: Iterable[RRset],
    origin: bytes,
    keys: Sequence[SigningKey],
    settings: SigningSettings,
    published: Sequence[SigningKey] = (),
) -> list[RRset]:
    """Sign a zone.

    Args:
        sets: all of its record sets, glue among them. Signatures, NSEC and the like are made anew.
        origin: its name.
        keys: those that sign. Keys of one algorithm that are all key signing keys, or all zone signing keys, sign
            everything; otherwise DNSKEY, CDS and CDNSKEY are signed by the former, the rest by the latter.
        settings: how.
        published: keys that are in the DNSKEY set without signing.

    Returns:
        The signed zone in canonical order.

    Raises:
        ValueError: no SOA, no key, a key of another zone.
    """
    origin = fold(origin)
    _check_keys(origin, keys)
    zone = _Contents(origin, sets)
    soa = zone.sets.get((origin, SOA))
    if soa is None:
        raise ValueError(f"zone {name_to_text(origin)} has no SOA")
    present = zone.sets.get((origin, DNSKEY))
    known = tuple(dict.fromkeys((*(present.data if present else ()), *(one.key.data for one in (*keys, *published)))))
    ttl = soa.ttl if settings.key_ttl is None else settings.key_ttl
    zone.add(RRset(origin, DNSKEY, ttl, known))
    if settings.zonemd is not None:
        zone.add(RRset(origin, ZONEMD, soa.ttl, (b"",)))  # in the bit map, to be filled in
    minimum = min(soa.ttl, int.from_bytes(soa.data[0][-4:], "big"))  # RFC 9077 3
    if settings.nsec3 is None:
        zone.add_nsecs(minimum)
    else:
        zone.add_nsec3s(minimum, settings.nsec3)
    signers = _Signers(keys)
    signed = []
    for rrset in zone.ordered():
        if zone.is_signed(rrset):
            rrset = _sign_or_keep(rrset, signers.of(rrset.type), settings)
        signed.append(rrset)
    if settings.zonemd is None:
        return signed
    made = make_zonemd(signed, origin, settings.zonemd)
    last = _sign_or_keep(made, signers.of(ZONEMD), settings)
    return [last if one.key == last.key else one for one in signed]


def _sign_or_keep(rrset: RRset, keys: Sequence[SigningKey], settings: SigningSettings) -> RRset:
    kept = None if settings.kept is None else settings.kept(rrset, keys)
    if kept is not None:
        return replace(rrset, signatures=kept)
    expiration = settings.expiration
    if settings.rng is not None and settings.jitter:
        expiration -= settings.rng.randrange(settings.jitter)
    return sign_set(rrset, keys, settings.inception, expiration)


def _check_keys(origin: bytes, keys: Sequence[SigningKey]) -> None:
    if not keys:
        raise ValueError(f"zone {name_to_text(origin)}: no key to sign with")
    for key in keys:
        if key.zone != origin:
            raise ValueError(f"key {key.file_stem} is not of zone {name_to_text(origin)}")


class _Signers:
    """Which keys sign sets of a type: of every algorithm at least one (RFC 4035 2.2)."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._entry_points: list[SigningKey] = []
        self._others: list[SigningKey] = []
        for algorithm in dict.fromkeys(key.key.algorithm for key in keys):
            same = [key for key in keys if key.key.algorithm == algorithm]
            entry_points = [key for key in same if key.key.is_entry_point]
            others = [key for key in same if not key.key.is_entry_point and not key.key.is_revoked]
            self._entry_points += entry_points or others
            self._others += others or [key for key in entry_points if not key.key.is_revoked]

    def of(self, kind: int) -> list[SigningKey]:
        return self._entry_points if kind in _BY_ENTRY_POINT else self._others


class _Contents:
    """A zone by name and type, and which of it is the zone's own."""

    def __init__(self, origin: bytes, sets: Iterable[RRset]) -> None:
        self.origin = origin
        self.sets: dict[tuple[bytes, int], RRset] = {}
        for rrset in sets:
            if rrset.type not in _MADE:
                self.add(replace(rrset, signatures=()))
        self._cuts = {name for name, kind in self.sets if kind == NS and name != origin}
        self._aliased = {name for name, kind in self.sets if kind == DNAME}

    def add(self, rrset: RRset) -> None:
        self.sets[rrset.key] = rrset

    def ordered(self) -> list[RRset]:
        return sorted(self.sets.values(), key=lambda one: (canonical_key(one.name), one.type))

    def is_hidden(self, name: bytes) -> bool:
        """Whether a name is below a cut (glue) or below a DNAME."""
        while name != self.origin:
            name = parent(name)
            if name in self._cuts or name in self._aliased:
                return True
        return False

    def is_signed(self, rrset: RRset) -> bool:
        """Whether a set is authoritative: not glue, and at a cut only what is the parent's (RFC 4035 2.2)."""
        name = fold(rrset.name)
        if self.is_hidden(name):
            return False
        return name not in self._cuts or rrset.type in (DS, NSEC)

    def types(self) -> dict[bytes, set[int]]:
        """Types of the names that are the zone's own, at cuts those of the parent's side."""
        found: dict[bytes, set[int]] = {}
        for name, kind in self.sets:
            if is_below(name, self.origin) and not self.is_hidden(name):
                found.setdefault(name, set())
                if name not in self._cuts or kind in (NS, DS):
                    found[name].add(kind)
        return found

    def add_nsecs(self, ttl: int) -> None:
        """RFC 4035 2.3."""
        types = self.types()
        names = sorted(types, key=canonical_key)
        for name, following in zip(names, names[1:] + names[:1], strict=True):
            bitmap = pack_types({*types[name], NSEC, RRSIG})
            self.add(RRset(name, NSEC, ttl, (following + bitmap,)))

    def add_nsec3s(self, ttl: int, settings: Nsec3Settings) -> None:
        """RFC 5155 7.1."""
        salt, iterations = settings.salt, settings.iterations
        self.add(RRset(self.origin, NSEC3PARAM, 0, (pack_nsec3param(iterations, salt),)))
        types = self.types()
        if settings.opt_out:
            types = {name: kinds for name, kinds in types.items() if name not in self._cuts or DS in kinds}
        for name in list(types):
            while name != self.origin:  # empty non-terminals have records too
                name = parent(name)
                types.setdefault(name, set())
        hashed = {nsec3_hash(name, salt, iterations): kinds for name, kinds in types.items()}
        if len(hashed) < len(types):
            raise ValueError("two names have the same hash; another salt is needed")
        digests = sorted(hashed)
        for digest, following in zip(digests, digests[1:] + digests[:1], strict=True):
            kinds = hashed[digest]
            is_signed = kinds and kinds != {NS}
            bitmap = pack_types({*kinds, RRSIG} if is_signed else kinds)
            data = pack_nsec3(iterations, salt, settings.opt_out, following, bitmap)
            self.add(RRset(hash_to_label(digest) + self.origin, NSEC3, ttl, (data,)))
