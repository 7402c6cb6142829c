"""Records, one after another, to record sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from catenet.dns.master.tokens import ZoneError
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import fold, name_to_text
from catenet.wire.dns.numbers import CNAME, DNAME, RRSIG, SOA, type_to_text

__all__ = ["Gathering", "LooseSets", "Place", "Store"]

_ALONE: Final = frozenset((SOA, CNAME, DNAME))
"""Types of which a name has one record at most (RFC 2181 10.1, RFC 6672 2.4)."""


class Store(Protocol):
    """Where sets go."""

    def get(self, name: bytes, kind: int) -> RRset | None:
        """The set of a name (in any case) and type."""

    def put(self, rrset: RRset) -> None:
        """Add a set, or replace that of the same name and type."""


class LooseSets:
    """Sets that are no zone, in the order in which they come."""

    def __init__(self) -> None:
        self._sets: dict[tuple[bytes, int], RRset] = {}

    def __iter__(self) -> Iterator[RRset]:
        return iter(self._sets.values())

    def get(self, name: bytes, kind: int) -> RRset | None:
        """The set of a name (in any case) and type."""
        return self._sets.get((fold(name), kind))

    def put(self, rrset: RRset) -> None:
        """Add a set, or replace that of the same name and type."""
        self._sets[rrset.key] = rrset


class Place(Protocol):
    """Where in which file reading is."""

    file: str
    line: int


class Gathering:
    """Makes sets of records and puts them into a store.

    Records of a set mostly stand together: they are gathered until another one comes. Those that come later, and
    signatures, are kept until `finish`. What the store does not take (ValueError) becomes a ZoneError with the line of
    the first record.
    """

    def __init__(self, store: Store, place: Place, warn: Callable[[str], None]) -> None:
        self._store = store
        self._place = place
        self._warn = warn
        self._file = ""
        self._line = 0
        self._name = b""
        self._type = 0
        self._ttl = 0
        self._data: list[bytes] = []
        self._late: dict[tuple[bytes, int], tuple[RRset, dict[bytes, None]]] = {}
        self._signatures: dict[tuple[bytes, int], tuple[bytes, dict[bytes, None]]] = {}

    def add(self, name: bytes, kind: int, ttl: int, data: bytes) -> None:
        """One record; `ttl` in seconds. Raises ZoneError."""
        if kind == self._type and name == self._name:
            self._check_ttl(ttl)
            self._data.append(data)
            return
        self._flush()
        if kind == RRSIG:
            covered = fold(name), data[0] << 8 | data[1]
            self._signatures.setdefault(covered, (name, {}))[1][data] = None
            return
        self._name, self._type, self._ttl = name, kind, ttl
        self._file, self._line = self._place.file, self._place.line
        self._data.append(data)

    def _check_ttl(self, ttl: int) -> None:
        """The first TTL of a set is that of all (RFC 2181 5.2)."""
        if ttl != self._ttl:
            self._warn(
                f"TTL {ttl} of a record of {name_to_text(self._name)} {type_to_text(self._type)}, "
                f"whose set has {self._ttl}; it gets that"
            )

    def _flush(self) -> None:
        data = self._data
        if not data:
            return
        name, kind = self._name, self._type
        before = self._store.get(name, kind)
        values = (data[0],) if len(data) == 1 else tuple(dict.fromkeys(data))
        try:
            if before is None:
                self._check_alone(name, kind, len(values))
                self._store.put(RRset(name, kind, self._ttl, values))
            else:
                self._add_late(before, values)
        except ValueError as error:
            raise ZoneError(self._file, self._line, str(error)) from None
        self._type = 0
        self._data = []

    def _add_late(self, before: RRset, values: tuple[bytes, ...]) -> None:
        """Records of a set that is there already."""
        if before.ttl != self._ttl:
            ttl, self._ttl = self._ttl, before.ttl
            self._check_ttl(ttl)
        late = self._late.setdefault((fold(self._name), self._type), (before, dict.fromkeys(before.data)))[1]
        late.update(dict.fromkeys(values))
        self._check_alone(self._name, self._type, len(late))

    @staticmethod
    def _check_alone(name: bytes, kind: int, count: int) -> None:
        if count > 1 and kind in _ALONE:
            raise ValueError(f"{name_to_text(name)} has several {type_to_text(kind)} records; there can be only one")

    def finish(self) -> None:
        """No more records follow: late ones and signatures join their sets."""
        self._flush()
        store = self._store
        for first, data in self._late.values():
            store.put(RRset(first.name, first.type, first.ttl, tuple(data)))
        for (folded, covered), (name, signatures) in self._signatures.items():
            signed = store.get(folded, covered)
            if signed is None:
                self._warn(
                    f"signature over {name_to_text(name)} {type_to_text(covered)}, which is not there; it is left out"
                )
            else:
                store.put(RRset(signed.name, covered, signed.ttl, signed.data, tuple(signatures)))
        self._late.clear()
        self._signatures.clear()
