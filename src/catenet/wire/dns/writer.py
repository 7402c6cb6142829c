"""Writing names and records with compression (RFC 1035 4.1.4)."""

from __future__ import annotations

from typing import Final

from catenet.wire.dns.name import skip_name
from catenet.wire.dns.rdata import COMPRESSED, IS_NAME, split
from catenet.wire.dns.record import HEAD_LENGTH, Record
from catenet.wire.errors import Malformed

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
        self.raw(self._compressed(name, self.size))

    def _compressed(self, name: bytes, start: int) -> bytes:
        """A name as it is written at `start`."""
        places = self._places
        place = places.get(name)
        if place is not None:  # as of all records of a set but its first
            return (0xC000 | place).to_bytes(2, "big")
        at, length = 0, name[0]
        while length:
            rest = name[at:]
            place = places.get(rest)
            if place is not None:
                return name[:at] + (0xC000 | place).to_bytes(2, "big")
            if start + at <= _FARTHEST:
                places[rest] = start + at
            at += 1 + length
            length = name[at]
        return name

    def record(self, record: Record, name: bytes, kind: int) -> None:
        """Write a record of this owner and type, as one piece."""
        data = record.data
        head = record.head
        fixed = self._compressed(name, self.size) + record.source[head : head + HEAD_LENGTH - 2]
        if kind in COMPRESSED:
            data = self._compressed_data(data, kind, self.size + len(fixed) + 2)
        self.raw(fixed + len(data).to_bytes(2, "big") + data)

    def _compressed_data(self, data: bytes, kind: int, start: int) -> bytes:
        """The data of a record, written at `start`."""
        if kind in IS_NAME:
            if skip_name(data, 0) != len(data):
                raise Malformed("dns: record data is too long")
            return self._compressed(data, start)
        out = b""
        for is_name, piece in split(data, kind):
            out += self._compressed(piece, start + len(out)) if is_name else piece
        return out

    def cut(self, size: int) -> None:
        """Take back whole pieces, down to `size` bytes."""
        while self.size > size:
            self.size -= len(self._pieces.pop())
        self._places = {name: place for name, place in self._places.items() if place < size}

    def bytes(self) -> bytes:
        """All that was written."""
        return b"".join(self._pieces)
