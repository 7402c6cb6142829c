"""Semaphores that processes share (sem_overview(7)), as open files: inherited by fork, waited for as any file."""

from __future__ import annotations

import errno
import stat
from typing import ClassVar

from catenet.posix.errors import os_error
from catenet.posix.file import File
from catenet.stack.endpoint import Buffer, Readiness

__all__ = ["Semaphore"]


class Semaphore(File):
    """A counter. A byte read takes one, a byte written gives one back, and to read none tells how many there are."""

    __slots__ = ("maximum", "value")

    kind: ClassVar[str] = "semaphore"
    mode: ClassVar[int] = stat.S_IRUSR | stat.S_IWUSR

    def __init__(self, value: int, maximum: int) -> None:
        super().__init__()
        self.value = value
        self.maximum = maximum

    def readiness(self) -> int:
        """IN when one can be taken."""
        return Readiness.OUT | (Readiness.IN if self.value else 0)

    def read(self, size: int) -> Buffer | None:
        """sem_wait(3), or sem_getvalue(3) as four bytes."""
        if not size:
            return self.value.to_bytes(4, "little")
        if not self.value:
            return None
        self.value -= 1
        return b"\0"

    def write(self, data: Buffer) -> int | None:
        """sem_post(3); EOVERFLOW beyond the maximum."""
        if self.value >= self.maximum:
            raise os_error(errno.EOVERFLOW)
        self.value += 1
        self.notify()
        return 1
