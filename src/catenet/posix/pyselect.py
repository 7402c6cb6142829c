"""`select.epoll` and `select.poll` objects as programs use them, on a simulated host."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from catenet.posix import poll as readiness
from catenet.posix.epoll import Epoll
from catenet.posix.poll import descriptor_of
from catenet.posix.pysocket import Socket

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["EpollObject", "PollObject", "select"]

DEFAULT_EVENTS = 0x001 | 0x002 | 0x004
FD_SETSIZE = 1024
EPOLLIN: Final = 0x001
EPOLLOUT: Final = 0x004
EVENT_READ: Final = 1
EVENT_WRITE: Final = 2
KEY_EVENTS: Final = 2
"""Place of `events` in a `selectors.SelectorKey`."""


class EpollObject:
    """`select.epoll`."""

    def __init__(self, sizehint: int = -1, flags: int = 0, descriptor: int = -1) -> None:
        self._descriptor = -1
        if sizehint != -1 and sizehint <= 0:
            raise ValueError("sizehint must be positive or -1")
        self._kernel: Kernel = Socket.current_kernel()
        if descriptor < 0:
            self._epoll = Epoll()
            self._descriptor = self._kernel.install(self._epoll)
            return
        file = self._kernel.file(descriptor)
        if not isinstance(file, Epoll):
            raise ValueError("the descriptor is no epoll")
        self._epoll = file
        self._descriptor = descriptor

    @classmethod
    def fromfd(cls, descriptor: int) -> EpollObject:
        """An object for a descriptor of an epoll."""
        return cls(-1, 0, descriptor)

    def _open(self) -> Epoll:
        if self._descriptor < 0 or not self._epoll.references:
            self._kernel.owner()
            raise ValueError("I/O operation on closed epoll object")
        return self._epoll

    def register(self, fd: Any, eventmask: int = DEFAULT_EVENTS) -> None:
        """Watch a descriptor."""
        epoll, number = self._open(), descriptor_of(fd)
        epoll.add(number, self._kernel.file(number), eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        """Watch for other events."""
        epoll, number = self._open(), descriptor_of(fd)
        epoll.modify(number, self._kernel.file(number), eventmask)

    def unregister(self, fd: Any) -> None:
        """Watch no longer."""
        if not self._epoll.references and self._kernel.unwinding():
            return
        epoll, number = self._open(), descriptor_of(fd)
        epoll.remove(number, self._kernel.file(number))

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """Wait up to `timeout` seconds (None or negative: without end) for events."""
        if timeout is not None and timeout < 0:
            timeout = None
        if timeout == 0 and not self._epoll.references and self._kernel.unwinding():
            return []
        epoll = self._open()
        if maxevents == -1:
            maxevents = FD_SETSIZE
        elif maxevents <= 0:
            raise ValueError(f"maxevents must be greater than 0, got {maxevents}")
        return readiness.epoll_wait(self._kernel, epoll, maxevents, _milliseconds(timeout))

    def select(self, keys: dict[int, Any], timeout: float | None) -> list[tuple[Any, int]]:
        """What `selectors.EpollSelector.select` returns that has these keys by descriptor; no step more than needed."""
        epoll = self._epoll
        limit = len(keys) or 1
        found = epoll.collect(limit) if self._descriptor >= 0 and epoll.references else self.poll(0.0, limit)
        if not found:
            if timeout is not None:
                if timeout <= 0:
                    self._kernel.spin()
                    return []
                timeout = math.ceil(timeout * 1e3) * 1e-3
            found = readiness.wait_on_epoll(self._kernel, self._open(), limit, timeout)
        ready: list[tuple[Any, int]] = []
        for descriptor, bits in found:
            key: tuple[Any, ...] | None = keys.get(descriptor)
            if key is not None:
                wanted: int = key[KEY_EVENTS]
                events = (EVENT_WRITE if bits & ~EPOLLIN else 0) | (EVENT_READ if bits & ~EPOLLOUT else 0)
                ready.append((key, events & wanted))
        return ready

    def fileno(self) -> int:
        """The epoll's own descriptor."""
        self._open()
        return self._descriptor

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._descriptor < 0

    def close(self) -> None:
        """Give the descriptor back; harmless to repeat."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0 and self._epoll.references:
            self._kernel.close(descriptor)

    def __enter__(self) -> EpollObject:
        self._open()
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._descriptor >= 0:
            try:
                self.close()
            except OSError:
                pass


def _milliseconds(timeout: float | None) -> float | None:
    """Round a timeout up to the millisecond that epoll_wait(2) counts in."""
    return None if timeout is None else math.ceil(timeout * 1e3 - 1e-6) * 1e-3


class PollObject:
    """`select.poll`."""

    def __init__(self) -> None:
        self._wanted: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = DEFAULT_EVENTS, /) -> None:
        """Watch a descriptor; again: for other events."""
        self._wanted[descriptor_of(fd)] = _mask(eventmask)

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """Watch for other events."""
        number = descriptor_of(fd)
        if number not in self._wanted:
            raise FileNotFoundError(2, "No such file or directory")
        self._wanted[number] = _mask(eventmask)

    def unregister(self, fd: Any, /) -> None:
        """Watch no longer; KeyError when it was not watched."""
        del self._wanted[descriptor_of(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Wait up to `timeout` milliseconds (None or negative: without end)."""
        seconds = None if timeout is None or timeout < 0 else math.ceil(timeout) / 1e3
        return readiness.poll(Socket.current_kernel(), dict(self._wanted), seconds)


def _mask(events: int) -> int:
    if not 0 <= events <= 0xFFFF:
        raise OverflowError("Python int too large to convert to C unsigned short")
    return events


def select(
    rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /
) -> tuple[list[Any], list[Any], list[Any]]:
    """`select.select`."""
    if timeout is not None:
        if not isinstance(timeout, int | float):
            raise TypeError("timeout must be a float or None")
        if timeout < 0:
            raise ValueError("timeout must be non-negative")
    kernel = Socket.current_kernel()
    return readiness.select(kernel, list(rlist), list(wlist), list(xlist), timeout)
