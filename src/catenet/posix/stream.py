"""A bounded queue of bytes between two ends, of which pipes and local stream sockets are made."""

from __future__ import annotations

from collections import deque
from typing import Final

from catenet.stack.endpoint import Buffer

__all__ = ["ByteQueue"]

CAPACITY: Final = 65_536
"""Default of pipe(7)."""


class ByteQueue:
    """Bytes in order, at most `capacity`, kept in the chunks in which they came."""

    __slots__ = ("_chunks", "capacity", "size")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.size = 0
        self._chunks: deque[bytes] = deque()

    @property
    def room(self) -> int:
        """Number of bytes that fit."""
        return max(0, self.capacity - self.size)

    def push(self, data: Buffer) -> int:
        """Append what fits and return how much that is."""
        view = memoryview(data).cast("B")
        count = min(len(view), self.room)
        if count:
            self._chunks.append(bytes(view[:count]))
            self.size += count
        return count

    def pull(self, limit: int, *, peek: bool = False) -> bytes:
        """Take (or look at) up to `limit` bytes."""
        taken: list[bytes] = []
        rest = limit
        for chunk in self._chunks:
            if rest <= 0:
                break
            taken.append(chunk[:rest] if len(chunk) > rest else chunk)
            rest -= len(chunk)
        data = b"".join(taken)
        if not peek:
            self._drop(len(data))
        return data

    def _drop(self, count: int) -> None:
        self.size -= count
        while count:
            chunk = self._chunks[0]
            if len(chunk) <= count:
                self._chunks.popleft()
                count -= len(chunk)
            else:
                self._chunks[0] = chunk[count:]
                return
