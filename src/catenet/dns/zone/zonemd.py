"""Digests of whole zones (ZONEMD, RFC 8976)."""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from collections.abc import Iterator
from typing import Final

from catenet.dns.rrset import RRset
from catenet.dns.zone.contents import Contents
from catenet.dns.zone.difference import serial_of
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import IN, RRSIG, ZONEMD
from catenet.wire.dns.rdata import canonical

__all__ = ["SHA384", "SHA512", "ZoneDigest", "check_digest", "digest", "digest_set"]

SIMPLE: Final = 1
"""The only scheme (RFC 8976 2.2.2)."""
SHA384: Final = 1
SHA512: Final = 2
_HASHES: Final = {SHA384: "sha384", SHA512: "sha512"}
_HEAD: Final = struct.Struct("!HHIH")


class ZoneDigest(enum.Enum):
    """What the digest of a zone says of it."""

    MATCHES = "matches"
    DIFFERS = "differs"
    ABSENT = "absent"
    """There is none, or none of this version whose scheme and algorithm are known."""


def digest(zone: Contents, algorithm: int = SHA384) -> bytes:
    """The digest over all records but ZONEMD's own (RFC 8976 3.3, 3.4). Raises ValueError for an unknown algorithm."""
    name = _HASHES.get(algorithm)
    if name is None:
        raise ValueError(f"ZONEMD algorithm {algorithm}; there are 1 (SHA-384) and 2 (SHA-512)")
    hashed = hashlib.new(name)
    for record in _records(zone):
        hashed.update(record)
    return hashed.digest()


def _records(zone: Contents) -> Iterator[bytes]:
    """Canonical records in canonical order: by name, type, data."""
    name, sets = zone.apex, list[RRset]()
    for one in zone:
        folded = fold(one.name)
        if folded != name:
            yield from _of_name(zone, name, sets)
            name, sets = folded, []
        sets.append(one)
    yield from _of_name(zone, name, sets)


def _of_name(zone: Contents, name: bytes, sets: list[RRset]) -> Iterator[bytes]:
    kept = [one for one in sets if one.type != ZONEMD or name != zone.apex]
    by_type = [(one.type, [(canonical(data, one.type), one.ttl) for data in one.data]) for one in kept]
    by_type.append((RRSIG, [(canonical(data, RRSIG), one.ttl) for one in kept for data in one.signatures]))
    for kind, records in sorted(by_type):
        for data, ttl in sorted(records):
            yield name + _HEAD.pack(kind, IN, ttl, len(data)) + data


def digest_set(zone: Contents, algorithm: int = SHA384) -> RRset:
    """The ZONEMD set for the zone as it is. Raises ValueError without SOA record."""
    soa = zone.soa
    if soa is None:
        raise ValueError("the zone has no SOA record")
    data = soa.data[0][-20:-16] + bytes((SIMPLE, algorithm)) + digest(zone, algorithm)
    return RRset(soa.name, ZONEMD, soa.ttl, (data,))


def check_digest(zone: Contents) -> ZoneDigest:
    """Compare a zone with the digest that it has (RFC 8976 4)."""
    found, soa = zone.get(zone.apex, ZONEMD), zone.soa
    if found is None or soa is None:
        return ZoneDigest.ABSENT
    heads = [data[4:6] for data in found.data]
    usable = [
        data
        for data in found.data
        if len(data) > 6
        and int.from_bytes(data[:4], "big") == serial_of(soa.data[0])
        and data[4] == SIMPLE
        and data[5] in _HASHES
        and heads.count(data[4:6]) == 1
    ]
    if not usable:
        return ZoneDigest.ABSENT
    matches = any(hmac.compare_digest(data[6:], digest(zone, data[5])) for data in usable)
    return ZoneDigest.MATCHES if matches else ZoneDigest.DIFFERS
