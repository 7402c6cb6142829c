"""Digests over whole zones (RFC 8976)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

from catenet.dns.rrset import RRset
from catenet.wire.dns.name import canonical_key, fold, is_below
from catenet.wire.dns.numbers import RRSIG, SOA, ZONEMD
from catenet.wire.dns.rdata import canonical

__all__ = ["check_zonemd", "make_zonemd"]

SIMPLE: Final = 1
SHA384: Final = 1
SHA512: Final = 2
_HASHES: Final = {SHA384: hashlib.sha384, SHA512: hashlib.sha512}
_RECORD: Final = struct.Struct("!HHIH")


def zone_digest(sets: Iterable[RRset], origin: bytes, algorithm: int = SHA384) -> bytes:
    """Digest of a zone by the simple scheme (RFC 8976 3): all records but the apex's ZONEMD, in canonical form.

    Raises:
        ValueError: the hash algorithm is not known.
        Malformed: data that is not of its type.
    """
    make = _HASHES.get(algorithm)
    if make is None:
        raise ValueError(f"ZONEMD hash algorithm {algorithm}: known are 1 (SHA-384) and 2 (SHA-512)")
    origin = fold(origin)
    records: set[tuple[tuple[bytes, ...], int, bytes, bytes]] = set()
    for one in sets:
        owner = fold(one.name)
        if not is_below(owner, origin):
            continue
        is_digest = owner == origin and one.type == ZONEMD
        for kind, values in ((one.type, one.data), (RRSIG, one.signatures)):
            if is_digest and kind == ZONEMD:
                continue
            for value in values:
                if is_digest:
                    continue  # nor the signature over the digest (RFC 8976 3.3.1)
                data = canonical(value, kind)
                head = owner + _RECORD.pack(kind, one.rclass, one.ttl, len(data))
                records.add((canonical_key(owner), kind, data, head))
    digest = make()
    for _, _, data, head in sorted(records):
        digest.update(head + data)
    return digest.digest()


def make_zonemd(sets: Iterable[RRset], origin: bytes, algorithm: int = SHA384) -> RRset:
    """The ZONEMD set of a zone, unsigned. Raises ValueError without a SOA, and as `zone_digest`."""
    sets = list(sets)
    soa = next((one for one in sets if one.key == (fold(origin), SOA)), None)
    if soa is None:
        raise ValueError("the zone has no SOA")
    data = soa.data[0][-20:-16] + bytes((SIMPLE, algorithm)) + zone_digest(sets, origin, algorithm)
    return RRset(origin, ZONEMD, soa.ttl, (data,))


def check_zonemd(sets: Iterable[RRset], origin: bytes) -> bool | None:
    """Whether a zone is as its ZONEMD records say (RFC 8976 4); None when none is of a kind that we know.

    Whether those are to be there, and are secure, is for who knows the zone's DS to say.
    """
    sets = list(sets)
    apex = fold(origin)
    soa = next((one for one in sets if one.key == (apex, SOA)), None)
    found = next((one for one in sets if one.key == (apex, ZONEMD)), None)
    if soa is None or found is None:
        return None
    serial, verdict = soa.data[0][-20:-16], None
    kinds = [data[4:6] for data in found.data]
    for data in found.data:
        if len(data) < 18 or data[4] != SIMPLE or data[5] not in _HASHES or kinds.count(data[4:6]) > 1:
            continue  # RFC 8976 4: several of one kind count for nothing
        if data[:4] == serial and zone_digest(sets, origin, data[5]) == data[6:]:
            return True
        verdict = False
    return verdict
