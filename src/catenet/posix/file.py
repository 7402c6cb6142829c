"""Open files of a simulated host: what a descriptor stands for, who shares it and who watches it."""

from __future__ import annotations

import errno
import stat
from typing import ClassVar, Final

from catenet.compiled import mypyc_attr
from catenet.posix.errors import os_error
from catenet.stack.endpoint import Buffer, Readiness

__all__ = ["ALWAYS_REPORTED", "FIRST_DESCRIPTOR", "File", "Watcher"]

FIRST_DESCRIPTOR: Final = 1 << 20
"""Simulated descriptors count from here, so that none is ever mistaken for a real one of the interpreter."""

ALWAYS_REPORTED: Final = Readiness.ERR | Readiness.HUP
"""Bits that poll(2) and epoll report without being asked."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Watcher:
    """Base of what is notified when a file may show a new readiness bit: a waiting task, or an item of an epoll."""

    __slots__ = ()

    def file_ready(self, file: File) -> bool:
        """The file's readiness may have risen; whether that has woken anybody. Watches no other files meanwhile."""
        raise NotImplementedError

    def is_exclusive(self) -> bool:
        """Whether it is an epoll's item with EPOLLEXCLUSIVE."""
        return False


class File:
    """An open file description (open(2)): shared by all descriptors that `dup` and SCM_RIGHTS made of the first."""

    __slots__ = ("__weakref__", "edges", "exclusive", "nonblocking", "references", "watchers")

    kind: ClassVar[str] = "file"
    mode: ClassVar[int] = stat.S_IFSOCK | 0o777

    def __init__(self) -> None:
        self.watchers: dict[Watcher, None] = {}
        """In the order in which they came, so that nothing depends on hashes."""
        self.references = 0
        """Descriptors of all processes and messages in flight that stand for it; closed when none is left."""
        self.nonblocking = False
        self.exclusive = 0
        """Number of watchers with EPOLLEXCLUSIVE."""
        self.edges = 0
        """Number of watchers with EPOLLET and EPOLLOUT."""

    def readiness(self) -> int:
        """Mask of `Readiness` bits that hold now."""
        raise NotImplementedError

    def notify(self) -> None:
        """Tell the watchers that readiness may have risen."""
        if not self.watchers:
            return
        if self.exclusive:
            self._notify_exclusively()
            return
        for watcher in self.watchers:
            watcher.file_ready(self)

    def _notify_exclusively(self) -> None:
        """Notify all watchers, but those with exclusive wake-ups only until one of them has woken a task."""
        served = False
        for watcher in self.watchers:
            exclusive = watcher.is_exclusive()
            if not (exclusive and served):
                woke = watcher.file_ready(self)
                served = served or (exclusive and woke)

    def is_nonblocking(self) -> bool:
        """O_NONBLOCK, which all descriptors of the file share."""
        return self.nonblocking

    def set_nonblocking(self, nonblocking: bool) -> None:
        """Set or clear O_NONBLOCK."""
        self.nonblocking = nonblocking

    def status_mode(self) -> int:
        """`st_mode` of fstat(2)."""
        return self.mode

    def read(self, size: int) -> Buffer | None:
        """Read up to `size` bytes; None: would block."""
        raise os_error(errno.EINVAL)

    def write(self, data: Buffer) -> int | None:
        """Write and return how many bytes were taken; None: would block."""
        raise os_error(errno.EINVAL)

    def acquire(self) -> File:
        """One more descriptor (or message) stands for it."""
        self.references += 1
        return self

    def release(self) -> None:
        """One fewer stands for it; the last closes it."""
        self.references -= 1
        if self.references == 0:
            for watcher in tuple(self.watchers):
                forget = getattr(watcher, "file_closed", None)
                if forget is None:
                    watcher.file_ready(self)
                else:
                    forget(self)
            self.watchers.clear()
            self.close()

    def close(self) -> None:
        """Release what the file holds, after its last descriptor is closed."""

    def is_open_to_others(self) -> bool:
        """Whether others can come to it unasked: a listening socket, a datagram socket bound to a port or path."""
        return False

    def describe(self) -> str:
        """A few words for reports."""
        return self.kind
