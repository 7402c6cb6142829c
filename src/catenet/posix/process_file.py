"""Descriptors of processes (pidfd_open(2)): readable once the process has ended."""

from __future__ import annotations

import stat
from typing import ClassVar

from catenet.posix.file import File
from catenet.posix.runtime import Owner
from catenet.stack.endpoint import Readiness

__all__ = ["ProcessFile"]


class ProcessFile(File):
    """A process, by something that no other process can get after its end, as its number can."""

    __slots__ = ("_ended", "process")

    kind: ClassVar[str] = "pidfd"
    mode: ClassVar[int] = stat.S_IRUSR | stat.S_IWUSR

    def __init__(self, process: Owner, *, ended: bool) -> None:
        super().__init__()
        self.process = process
        self._ended = ended

    def readiness(self) -> int:
        """IN once the process has ended."""
        return Readiness.IN if self._ended else 0

    def end(self) -> None:
        """The process has ended."""
        self._ended = True
        self.notify()
