"""Record sets: the records of one name and type together, with the signatures over them (RFC 2181 5, RFC 4034 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import IN, OPT, RRSIG
from catenet.wire.dns.record import Record, make_record

__all__ = ["MOST_TTL", "RRset", "records_of", "rrsets_from_records"]

MOST_TTL: Final = 0x7FFF_FFFF
"""Seconds; the highest bit of the field must not be set (RFC 2181 8)."""


_Gathered = tuple[bytes, int, list[bytes]]
"""The first owner, the least TTL, and the data."""


@dataclass(slots=True, unsafe_hash=True)
class RRset:
    """Records of one name, type and class. It is never changed; to be told so by `frozen` would double its price.

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
    sets: dict[tuple[bytes, int, int], _Gathered] = {}
    signatures: dict[tuple[bytes, int, int], _Gathered] = {}
    for record in records:
        if record.type == OPT:
            continue
        name, kind, rclass, ttl, value = record.fields()
        is_signature = kind == RRSIG and len(value) >= 2
        table = signatures if is_signature else sets
        key = name.lower(), value[0] << 8 | value[1] if is_signature else kind, rclass
        before = table.get(key)
        if before is None:
            table[key] = name, ttl, [value]
        else:
            before[2].append(value)
            if ttl < before[1]:
                table[key] = before[0], ttl, before[2]
    found = []
    for key, (name, ttl, data) in sets.items():
        signed = signatures.pop(key, None) if signatures else None
        found.append(RRset(name, key[1], ttl, _distinct(data), () if signed is None else _distinct(signed[2]), key[2]))
    for key, (name, ttl, data) in signatures.items():
        found.append(RRset(name, RRSIG, ttl, _distinct(data), (), key[2]))
    return found


def _distinct(values: list[bytes]) -> tuple[bytes, ...]:
    return tuple(values) if len(values) == 1 else tuple(dict.fromkeys(values))


def records_of(sets: Iterable[RRset], with_signatures: bool = False) -> list[Record]:
    """The records of these sets in turn; `with_signatures`: each set's signatures behind it."""
    records = []
    for one in sets:
        records += [make_record(one.name, one.type, one.ttl, data, one.rclass) for data in one.data]
        if with_signatures:
            records += [make_record(one.name, RRSIG, one.ttl, data, one.rclass) for data in one.signatures]
    return records
