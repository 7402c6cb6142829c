"""Resource records (RFC 1035 3.2.1): where they lie in a message, and what they say when they are asked."""

from __future__ import annotations

import struct
from typing import Final

from catenet.wire.dns.name import Known, read_name
from catenet.wire.dns.rdata import expand

__all__ = ["HEAD_LENGTH", "Record", "make_record"]

HEAD_LENGTH: Final = 10
"""Bytes between a record's name and its data."""
_HEAD: Final = struct.Struct("!HHIH")
_TOP_BIT: Final = 0x8000_0000


class Record:
    """One record: bytes of a message, and where in them it is."""

    __slots__ = ("at", "end", "head", "known", "source")

    def __init__(self, source: bytes, at: int, head: int, end: int, known: Known | None = None) -> None:
        self.source = source
        """The message, in which names are looked up."""
        self.at = at
        """Offset of its name; 0 for one that is in no message, and so has no pointers."""
        self.head = head
        """Offset of its type."""
        self.end = end
        """Offset behind its data."""
        self.known = known
        """What all records of the message know of its pointers."""

    @property
    def name(self) -> bytes:
        """Owner, in uncompressed wire format."""
        return read_name(self.source, self.at, self.known) if self.at else self.source[: self.head]

    @property
    def type(self) -> int:
        """Number of its type."""
        source, head = self.source, self.head
        return source[head] << 8 | source[head + 1]

    @property
    def rclass(self) -> int:
        """Number of its class."""
        source, head = self.source, self.head
        return source[head + 2] << 8 | source[head + 3]

    @property
    def ttl(self) -> int:
        """Seconds for which it may be kept; 0 for what has the highest bit set (RFC 2181 8)."""
        source, head = self.source, self.head
        if source[head + 4] & 0x80:
            return 0
        return source[head + 4] << 24 | source[head + 5] << 16 | source[head + 6] << 8 | source[head + 7]

    @property
    def data(self) -> bytes:
        """Its data, with the names in it uncompressed."""
        start = self.head + HEAD_LENGTH
        if not self.at:
            return self.source[start:]
        return expand(self.source, self.type, start, self.end - start, self.known)

    def fields(self) -> tuple[bytes, int, int, int, bytes]:
        """Owner, type, class, TTL and data, as the attributes have them, read in one go."""
        source, head = self.source, self.head
        kind, rclass, ttl, size = _HEAD.unpack_from(source, head)
        if ttl & _TOP_BIT:
            ttl = 0
        start = head + HEAD_LENGTH
        if not self.at:
            return source[:head], kind, rclass, ttl, source[start:]
        return (
            read_name(source, self.at, self.known),
            kind,
            rclass,
            ttl,
            expand(source, kind, start, size, self.known),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def _values(self) -> tuple[bytes, int, int, int, bytes]:
        return self.name.lower(), self.type, self.rclass, self.ttl, self.data


def make_record(name: bytes, kind: int, ttl: int, data: bytes, rclass: int = 1) -> Record:
    """A record of its own, from uncompressed names; `ttl` in seconds. Raises ValueError for more than 65,535 bytes."""
    if len(data) > 0xFFFF:
        raise ValueError("record data is longer than 65,535 bytes")
    source = name + _HEAD.pack(kind, rclass, ttl, len(data)) + data
    return Record(source, 0, len(name), len(source))
