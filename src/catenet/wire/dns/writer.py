"""Writing names and records with compression (RFC 1035 4.1.4)."""

from __future__ import annotations

from typing import Final

from catenet.wire.dns.rdata import COMPRESSED, split
from catenet.wire.dns.record import HEAD_LENGTH, Record

__all__ = ["Writer"]

_FARTHEST: Final = 0x3FFF
"""Offset up to which a pointer reaches."""


class Writer:
    """A message that grows. Names are compared with their case, so that each comes out as it went in."""

    __slots__ = ("_pieces", "_places", "size")

    def __init__(self, size: int) -> None:
        self._pieces: list[bytes] = []
        self._places: dict[bytes, int] = {}
        """Where in the message each name and each end of a name begins."""
        self.size = size
        """Bytes of the message so far, the header (of which nothing is kept here) included."""

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._pieces.append(data)
        self.size += len(data)

    def name(self, name: bytes) -> None:
        """Write a name, or the first labels of it and a pointer."""
        places, start, at = self._places, self.size, 0
        while name[at]:
            rest = name[at:]
            place = places.get(rest)
            if place is not None:
                self.raw(name[:at] + (0xC000 | place).to_bytes(2, "big"))
                return
            if start + at <= _FARTHEST:
                places[rest] = start + at
            at += 1 + name[at]
        self.raw(name)

    def record(self, record: Record) -> None:
        """Write a record."""
        kind, data = record.type, record.data
        self.name(record.name)
        fixed = record.source[record.head : record.head + HEAD_LENGTH - 2]
        if kind not in COMPRESSED:
            self.raw(fixed + len(data).to_bytes(2, "big") + data)
            return
        self.raw(fixed)
        place = len(self._pieces)
        self.raw(b"\0\0")
        start = self.size
        for is_name, piece in split(data, kind):
            if is_name:
                self.name(piece)
            else:
                self.raw(piece)
        self._pieces[place] = (self.size - start).to_bytes(2, "big")

    def cut(self, size: int) -> None:
        """Take back whole pieces, down to `size` bytes."""
        while self.size > size:
            self.size -= len(self._pieces.pop())
        self._places = {name: place for name, place in self._places.items() if place < size}

    def bytes(self) -> bytes:
        """All that was written."""
        return b"".join(self._pieces)
