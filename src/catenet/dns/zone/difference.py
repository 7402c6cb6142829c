"""What differs between two versions of a zone, record by record (RFC 1995 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from catenet.dns.rrset import RRset
from catenet.dns.zone.contents import Contents
from catenet.wire.dns.name import fold, name_to_text
from catenet.wire.dns.numbers import RRSIG, SOA, type_to_text
from catenet.wire.dns.rdata import canonical

__all__ = [
    "Difference",
    "Entry",
    "apply",
    "combined",
    "difference",
    "entries_of",
    "is_newer",
    "serial_of",
]


class Entry(NamedTuple):
    """One record."""

    name: bytes
    type: int
    ttl: int
    data: bytes


class Difference(NamedTuple):
    """From one version to a later one; SOA records of both first in their list."""

    removed: tuple[Entry, ...]
    added: tuple[Entry, ...]

    @property
    def before(self) -> int:
        """Serial of the version to which it applies."""
        return serial_of(self.removed[0].data)

    @property
    def after(self) -> int:
        """Serial of the version to which it leads."""
        return serial_of(self.added[0].data)

    @property
    def size(self) -> int:
        """Bytes that its records take, about."""
        return sum(len(one.name) + len(one.data) + 10 for one in (*self.removed, *self.added))


def serial_of(soa: bytes) -> int:
    """The serial in the data of an SOA record."""
    return int.from_bytes(soa[-20:-16], "big")


def is_newer(first: int, second: int) -> bool:
    """Whether the first serial comes after the second (RFC 1982 3.2)."""
    return 0 < (first - second) & 0xFFFF_FFFF < 0x8000_0000


def entries_of(one: RRset) -> Iterator[Entry]:
    """The records of a set, its signatures behind them."""
    for data in one.data:
        yield Entry(one.name, one.type, one.ttl, data)
    for data in one.signatures:
        yield Entry(one.name, RRSIG, one.ttl, data)


def difference(before: Contents, after: Contents) -> Difference:
    """What leads from one version of a zone to another. Raises ValueError if one has no SOA record."""
    old, new = before.soa, after.soa
    if old is None or new is None:
        raise ValueError("a zone without SOA record")
    removed, added = [*entries_of(old)], [*entries_of(new)]
    for one in before.sets():
        other = after.get(one.name, one.type)
        if one.type != SOA and one != other:
            theirs = set() if other is None else {(each.type, each.ttl, each.data) for each in entries_of(other)}
            removed += [each for each in entries_of(one) if (each.type, each.ttl, each.data) not in theirs]
    for one in after.sets():
        other = before.get(one.name, one.type)
        if one.type != SOA and one != other:
            theirs = set() if other is None else {(each.type, each.ttl, each.data) for each in entries_of(other)}
            added += [each for each in entries_of(one) if (each.type, each.ttl, each.data) not in theirs]
    return Difference(tuple(removed), tuple(added))


def combined(first: Difference, second: Difference) -> Difference:
    """Both in one, the second beginning where the first ends: what it takes back of the first is in neither list."""
    made, taken = set(first.added), set(second.removed)
    removed = [*first.removed, *(one for one in second.removed if one not in made)]
    added = [*(one for one in first.added if one not in taken), *second.added]
    both = set(removed).intersection(added)
    head_before, head_after = first.removed[0], second.added[0]
    return Difference(
        (head_before, *(one for one in removed if one not in both and one != head_before)),
        (head_after, *(one for one in added if one not in both and one != head_after)),
    )


def apply(zone: Contents, change: Difference) -> None:
    """Bring a zone to the version to which a difference leads: all of it, or nothing.

    Raises:
        ValueError: the zone is of another version, lacks a record that is removed, or a name is not in it.
    """
    soa = zone.soa
    if soa is None or serial_of(soa.data[0]) != change.before:
        raise ValueError(f"the zone is not of version {change.before}")
    sets: dict[tuple[bytes, int], _Draft] = {}
    for entry in change.removed:
        _draft(zone, sets, entry).remove(entry)
    for entry in change.added:
        _draft(zone, sets, entry).add(entry)
    for (name, kind), draft in sets.items():
        made = draft.made(kind)
        if made is None:
            zone.discard(name, kind)
        else:
            zone.put(made)


class _Draft:
    """A set while it changes."""

    __slots__ = ("data", "name", "signatures", "ttl")

    def __init__(self, name: bytes, before: RRset | None) -> None:
        self.name = name if before is None else before.name
        self.ttl: int | None = None if before is None else before.ttl
        self.data = {} if before is None else dict.fromkeys(before.data)
        self.signatures = {} if before is None else dict.fromkeys(before.signatures)

    def remove(self, entry: Entry) -> None:
        where = self.signatures if entry.type == RRSIG else self.data
        if entry.data in where:
            del where[entry.data]
            return
        # The same record, the names in it in another case.
        wanted = canonical(entry.data, entry.type)
        same = next((data for data in where if canonical(data, entry.type) == wanted), None)
        if same is None:
            raise ValueError(f"there is no such {type_to_text(entry.type)} record of {name_to_text(entry.name)}")
        del where[same]

    def add(self, entry: Entry) -> None:
        if entry.type == RRSIG:
            self.signatures[entry.data] = None
        else:
            if not self.data:
                self.name = entry.name
            self.data[entry.data] = None
            self.ttl = entry.ttl
        if self.ttl is None:
            self.ttl = entry.ttl

    def made(self, kind: int) -> RRset | None:
        """The set; of signatures over nothing a set of their own."""
        if self.data:
            return RRset(self.name, kind, self.ttl or 0, tuple(self.data), tuple(self.signatures))
        return None


def _draft(zone: Contents, sets: dict[tuple[bytes, int], _Draft], entry: Entry) -> _Draft:
    kind = entry.type
    if kind == RRSIG and len(entry.data) > 2:
        kind = entry.data[0] << 8 | entry.data[1]
    key = fold(entry.name), kind
    draft = sets.get(key)
    if draft is None:
        zone.check_name(key[0])
        draft = sets[key] = _Draft(entry.name, zone.get(key[0], kind))
    return draft
