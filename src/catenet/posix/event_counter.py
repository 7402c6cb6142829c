"""Counters that wake who waits for them (eventfd(2))."""

from __future__ import annotations

import errno
import stat
import sys
from typing import ClassVar, Final

from catenet.posix.errors import os_error
from catenet.posix.file import File
from catenet.stack.endpoint import Buffer, Readiness

__all__ = ["EventCounter"]

MOST: Final = 2**64 - 2
"""Largest value of a counter."""
SIZE: Final = 8


class EventCounter(File):
    """A counter: reading takes all of it (as a semaphore: 1), and waits while it is 0; writing adds."""

    __slots__ = ("_semaphore", "_value")

    kind: ClassVar[str] = "eventfd"
    mode: ClassVar[int] = stat.S_IRUSR | stat.S_IWUSR

    def __init__(self, value: int, *, semaphore: bool) -> None:
        super().__init__()
        self._value = value
        self._semaphore = semaphore

    def readiness(self) -> int:
        """IN with a value to take, OUT with room to add 1."""
        return (Readiness.IN if self._value else 0) | (Readiness.OUT if self._value < MOST else 0)

    def read(self, size: int) -> Buffer | None:
        """Take the value, or 1 of it, as 8 bytes; EINVAL for fewer."""
        if size < SIZE:
            raise os_error(errno.EINVAL)
        if not self._value:
            return None
        taken = 1 if self._semaphore else self._value
        self._value -= taken
        self.notify()
        return taken.to_bytes(SIZE, sys.byteorder)

    def write(self, data: Buffer) -> int | None:
        """Add a number of 8 bytes; EINVAL for fewer, and for the largest number of 64 bits."""
        raw = bytes(memoryview(data).cast("B")[:SIZE])
        number = int.from_bytes(raw, sys.byteorder)
        if len(raw) < SIZE or number > MOST:
            raise os_error(errno.EINVAL)
        if number > MOST - self._value:
            return None
        self._value += number
        if number:
            self.notify()
        return SIZE
