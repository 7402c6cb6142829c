"""Bytes of a stream that wait, in the pieces in which they came; small ones are put together."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Chunks"]

SMALL: Final = 4096
"""Pieces are put together up to here, so that a byte that waits does not cost a hundred."""


class Chunks:
    """The bytes of a stream from `start` on, until `end`."""

    __slots__ = ("_first", "_index", "_pieces", "_position", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self._pieces: deque[bytes] = deque()
        self._first = start  # where the first piece begins, of which a part may have been dropped
        self._index = 0  # a piece, and where it begins: the place that was read last
        self._position = start

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, data: bytes) -> None:
        """Add to the end."""
        if not data:
            return
        pieces = self._pieces
        if pieces and len(pieces[-1]) + len(data) <= SMALL:
            pieces[-1] += data
        else:
            pieces.append(data)
        self.end += len(data)

    def take(self) -> bytes:
        """Return everything, and hold nothing any more."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        skip = self.start - self._first
        pieces.clear()
        self._index = 0
        self.start = self._first = self._position = self.end
        return data[skip:] if skip else data

    def drop(self, upto: int) -> None:
        """Forget what is before `upto`, which is not beyond the end."""
        pieces = self._pieces
        while pieces and self._first + len(pieces[0]) <= upto:
            self._first += len(pieces.popleft())
            self._index -= 1
        self.start = upto
        if self._index <= 0:
            self._index, self._position = 0, self._first

    def between(self, start: int, end: int) -> bytes:
        """Return the bytes from one offset to another, of those that are held."""
        found = []
        while start < end and (piece := self.peek(start, end - start)):
            found.append(piece)
            start += len(piece)
        return b"".join(found)

    def peek(self, offset: int, most: int) -> bytes:
        """Return bytes from `offset` on, at most so many, at least one if there are any."""
        if not self.start <= offset < self.end:
            return b""
        self._seek(offset)
        piece = self._pieces[self._index]
        skip = offset - self._position
        if not skip and len(piece) <= most:
            return self._gather(piece, most)
        return piece[skip : skip + most]

    def _gather(self, first: bytes, most: int) -> bytes:
        """Whole pieces together, as many as fit."""
        pieces, index, size = self._pieces, self._index + 1, len(first)
        found = [first]
        while index < len(pieces) and size + len(pieces[index]) <= most:
            found.append(pieces[index])
            size += len(pieces[index])
            index += 1
        return first if len(found) == 1 else b"".join(found)

    def _seek(self, offset: int) -> None:
        if offset < self._position:
            self._index, self._position = 0, self._first
        pieces = self._pieces
        while self._position + len(pieces[self._index]) <= offset:
            self._position += len(pieces[self._index])
            self._index += 1
