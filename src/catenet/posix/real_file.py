"""Files of the machine among a host's: passed over local sockets, and asked for readiness beside sockets."""

from __future__ import annotations

import os
import select
import stat
from typing import ClassVar, Final

from catenet.posix.file import File
from catenet.stack.endpoint import Buffer, Readiness

__all__ = ["RealFile", "is_open"]

_POLLED: Final = Readiness.IN | Readiness.PRI | Readiness.OUT | Readiness.ERR | Readiness.HUP
_read, _write, _close, _dup, _fstat = os.read, os.write, os.close, os.dup, os.fstat
_poll: Final = select.poll
"""The machine's own calls, as they are before any of them is patched."""


def is_open(descriptor: int) -> bool:
    """Whether a descriptor stands for a file of the machine."""
    try:
        _fstat(descriptor)
    except OSError:
        return False
    return True


class RealFile(File):
    """A file of the machine, held by a descriptor of our own (`held`), or only looked at."""

    __slots__ = ("_held", "_number")

    kind: ClassVar[str] = "file of the machine"

    def __init__(self, descriptor: int, *, held: bool) -> None:
        """`held`: keep the file open by a duplicate of the descriptor; OSError(EBADF) when there is none."""
        super().__init__()
        self._held = held
        self._number = _dup(descriptor) if held else descriptor
        if not held:
            _fstat(descriptor)

    def descriptor(self) -> int:
        """Return a new descriptor of the machine for the file."""
        return _dup(self._number)

    def readiness(self) -> int:
        """What the machine's kernel says; of what only looks nothing ever rises while a program waits."""
        if self._number <= 2:  # the streams of a host, which are there at once, unlike those of the interpreter
            return Readiness.OUT if self._number else Readiness.IN
        poll = _poll()
        poll.register(self._number, _POLLED)
        found = poll.poll(0)
        return found[0][1] & _POLLED if found else 0

    def status_mode(self) -> int:
        """See `File`."""
        return _fstat(self._number).st_mode

    def is_regular(self) -> bool:
        """Whether it is a file or a directory, which epoll does not take."""
        return stat.S_IFMT(self.status_mode()) in (stat.S_IFREG, stat.S_IFDIR)

    def read(self, size: int) -> Buffer | None:
        """See `File`."""
        return _read(self._number, size)

    def write(self, data: Buffer) -> int | None:
        """See `File`."""
        return _write(self._number, data)

    def close(self) -> None:
        """See `File`."""
        if self._held:
            _close(self._number)
