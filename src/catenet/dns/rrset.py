"""Record sets: the records of one name and type together, with the signatures over them (RFC 2181 5, RFC 4034 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import IN, OPT, RRSIG
from catenet.wire.dns.record import Record, make_record

__all__ = ["MOST_TTL", "RRset", "records_of", "rrsets_from_records"]

MOST_TTL: Final = 0x7FFF_FFFF
"""Seconds; the highest bit of the field must not be set (RFC 2181 8)."""


@dataclass(frozen=True, slots=True)
class RRset:
    """Records of one name, type and class.

    Attributes:
        name: the owner in uncompressed wire format, its case as it came.
        type: number of the type.
        ttl: seconds; of records that differ, the least (RFC 2181 5.2).
        data: data of each record, names in it uncompressed, without duplicates.
        signatures: data of the RRSIG records that cover it.
        rclass: number of the class.
    """

    name: bytes
    type: int
    ttl: int
    data: tuple[bytes, ...]
    signatures: tuple[bytes, ...] = ()
    rclass: int = IN

    @property
    def key(self) -> tuple[bytes, int]:
        """What it is found by: folded owner, and type."""
        return fold(self.name), self.type


def rrsets_from_records(records: Iterable[Record]) -> list[RRset]:
    """Gather the records of a section, in the order in which sets begin.

    Signatures join the set that they cover; those that cover nothing in the section are a set of type RRSIG. OPT
    records are left out. Raises Malformed for records whose names or data cannot be read.
    """
    heads: dict[tuple[bytes, int, int], tuple[bytes, int]] = {}
    data: dict[tuple[bytes, int, int], dict[bytes, None]] = {}
    signatures: dict[tuple[bytes, int, int], list[tuple[bytes, bytes, int]]] = {}
    for record in records:
        kind, name = record.type, record.name
        if kind == OPT:
            continue
        value, ttl, rclass = record.data, record.ttl, record.rclass
        if kind == RRSIG and len(value) >= 2:
            covered = fold(name), value[0] << 8 | value[1], rclass
            signatures.setdefault(covered, []).append((name, value, ttl))
            continue
        key = fold(name), kind, rclass
        before = heads.get(key)
        heads[key] = (name, ttl) if before is None else (before[0], min(before[1], ttl))
        data.setdefault(key, {})[value] = None
    sets = [
        RRset(name, key[1], ttl, tuple(data[key]), _distinct(signatures.pop(key, ())), key[2])
        for key, (name, ttl) in heads.items()
    ]
    return sets + [
        RRset(found[0][0], RRSIG, min(ttl for _, _, ttl in found), _distinct(found), (), key[2])
        for key, found in signatures.items()
    ]


def _distinct(found: Sequence[tuple[bytes, bytes, int]]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(value for _, value, _ in found))


def records_of(sets: Iterable[RRset], with_signatures: bool = False) -> list[Record]:
    """The records of these sets in turn; `with_signatures`: each set's signatures behind it."""
    records = []
    for one in sets:
        records += [make_record(one.name, one.type, one.ttl, data, one.rclass) for data in one.data]
        if with_signatures:
            records += [make_record(one.name, RRSIG, one.ttl, data, one.rclass) for data in one.signatures]
    return records
