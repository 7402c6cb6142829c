"""`select.epoll` and `select.poll` objects as programs use them, on a simulated host."""

from __future__ import annotations

import errno
import math
import select as plain
from operator import index
from typing import TYPE_CHECKING, Any, Final

from catenet.compiled import mypyc_attr
from catenet.posix import poll as readiness
from catenet.posix.arguments import INT_MAX, LONG_TIMEOUT, lone_int, waiting_time
from catenet.posix.epoll import Epoll
from catenet.posix.errors import os_error
from catenet.posix.poll import descriptor_of
from catenet.posix.pysocket import Socket, kernel_after_fork
from catenet.posix.real_file import RealFile

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["EpollObject", "PollObject", "select"]

DEFAULT_EVENTS = 0x001 | 0x002 | 0x004
FD_SETSIZE = 1024
WRONG_TIMEOUT: Final = "timeout must be an integer or None"
ALL_EVENTS: Final = 0xFFFFFFFF
EPOLL_CLOEXEC: Final = 0o2000000
EPOLLIN: Final = 0x001
EPOLLOUT: Final = 0x004
EVENT_READ: Final = 1
EVENT_WRITE: Final = 2
KEY_EVENTS: Final = 2
"""Place of `events` in a `selectors.SelectorKey`."""

_plain_poll = plain.poll
"""The function of the module before it is patched."""


class _Given:
    """A descriptor that an epoll object is made for."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor


class EpollObject:
    """`select.epoll`. Its arguments are of any type: compiled methods would speak of others in words of their own."""

    _descriptor: int = -1

    def __init__(self, sizehint: Any = -1, flags: Any = 0, *given: Any) -> None:
        if len(given) != 1 or given[0].__class__ is not _Given:
            if given:
                raise TypeError(f"epoll expected at most 2 arguments, got {len(given) + 2}")
            descriptor = -1
        else:
            descriptor = given[0].descriptor
        sizehint, flags = lone_int(sizehint), lone_int(flags)
        if sizehint != -1 and sizehint <= 0:
            raise ValueError("negative sizehint")
        if flags and flags != EPOLL_CLOEXEC:
            raise OSError("invalid flags")
        self._kernel: Kernel = Socket.current_kernel()
        if descriptor < 0:
            self._epoll = self._kernel.epoll()
            self._descriptor = self._kernel.install(self._epoll)
            return
        file = self._kernel.file(descriptor)
        if not isinstance(file, Epoll):
            raise ValueError("the descriptor is no epoll")
        self._epoll = file
        self._descriptor = descriptor

    @classmethod
    def fromfd(cls, descriptor: Any) -> EpollObject:
        """An object for a descriptor of an epoll."""
        return cls(-1, 0, _Given(lone_int(descriptor)))

    @property
    def closed_with_process(self) -> bool:
        """Whether its descriptor was closed by the end of its process."""
        return self._descriptor >= 0 and not self._epoll.references

    def _open(self) -> Epoll:
        if self._descriptor < 0 or not self._epoll.references:
            self._find_after_fork()
        return self._epoll

    def _find_after_fork(self) -> None:
        """Find the epoll in a child process, whose kernel is another; ValueError when closed, or not in a child."""
        kernel = kernel_after_fork(self._kernel)
        if self._descriptor < 0 or kernel is None:
            self._kernel.runtime.owner()
            if self._descriptor >= 0:  # closed by its number
                raise os_error(errno.EBADF)
            raise ValueError("I/O operation on closed epoll object")
        file = kernel.file(self._descriptor)
        assert isinstance(file, Epoll)
        self._epoll, self._kernel = file, kernel

    def register(self, fd: Any, eventmask: Any = DEFAULT_EVENTS) -> None:
        """Watch a descriptor."""
        number, events = descriptor_of(fd), eventmask
        if type(events) is not int or not 0 <= events <= ALL_EVENTS:
            events = index(events) & ALL_EVENTS
        epoll = self._open()
        file = self._kernel.any_file(number)
        if isinstance(file, RealFile):  # as Linux for files and directories; of others it could not be told
            raise os_error(errno.EPERM)
        epoll.add(number, file, events)

    def modify(self, fd: Any, eventmask: Any) -> None:
        """Watch for other events."""
        number, events = descriptor_of(fd), eventmask
        if type(events) is not int or not 0 <= events <= ALL_EVENTS:
            events = index(events) & ALL_EVENTS
        self._open().modify(number, self._kernel.file(number), events)

    def unregister(self, fd: Any) -> None:
        """Watch no longer."""
        if not self._epoll.references and self._kernel.runtime.may_unwind():
            return
        number = descriptor_of(fd)
        self._open().remove(number, self._kernel.file(number))

    def poll(self, timeout: Any = None, maxevents: Any = -1) -> list[tuple[int, int]]:
        """Wait up to `timeout` seconds (None or negative: without end) for events."""
        if maxevents.__class__ is not int or not -1 <= maxevents <= INT_MAX:
            maxevents = lone_int(maxevents)
        if timeout == 0 and not self._epoll.references and self._kernel.runtime.may_unwind():
            return []
        epoll = self._open()
        timeout = waiting_time(timeout, WRONG_TIMEOUT, 1000)
        if timeout is not None and timeout < 0:
            timeout = None
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
                    self._kernel.runtime.spin()
                    return []
                timeout = math.ceil(timeout * 1e3) * 1e-3
            found = readiness.wait_on_epoll(self._kernel, self._open(), limit, timeout)
        else:
            self._kernel.runtime.served()
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
        if descriptor < 0:
            return
        if not self._epoll.references and (kernel := kernel_after_fork(self._kernel)) is not None:
            kernel.close(descriptor)
        elif self._epoll.references and not self._kernel.close_found(descriptor):
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


@mypyc_attr(allow_interpreted_subclasses=True)
class PollObject:
    """`select.poll`."""

    def __init__(self) -> None:
        self._wanted: dict[int, int] = {}
        self._polls = False

    def register(self, fd: Any, eventmask: Any = DEFAULT_EVENTS, /) -> None:
        """Watch a descriptor; again: for other events."""
        number = descriptor_of(fd)
        self._wanted[number] = _mask(eventmask)

    def modify(self, fd: Any, eventmask: Any, /) -> None:
        """Watch for other events."""
        number, events = descriptor_of(fd), _mask(eventmask)
        if number not in self._wanted:
            raise FileNotFoundError(2, "No such file or directory")
        self._wanted[number] = events

    def unregister(self, fd: Any, /) -> None:
        """Watch no longer; KeyError when it was not watched."""
        del self._wanted[descriptor_of(fd)]

    def poll(self, timeout: Any = None, /) -> list[tuple[int, int]]:
        """Wait up to `timeout` milliseconds (None or negative: without end)."""
        if type(timeout) is int and 0 <= timeout <= LONG_TIMEOUT:
            seconds: float | None = timeout / 1e3
        else:
            timeout = waiting_time(timeout, WRONG_TIMEOUT, 1)
            seconds = None if timeout is None or timeout < 0 else math.ceil(timeout) / 1e3
        if self._polls:
            raise RuntimeError("concurrent poll() invocation")
        self._polls = True
        try:
            return readiness.poll(Socket.current_kernel(), dict(self._wanted), seconds)
        finally:
            self._polls = False


def _mask(events: Any) -> int:
    """Events of a poll object; the interpreter's own one says what is wrong with them."""
    if events.__class__ is not int or not 0 <= events <= 0xFFFF:
        _plain_poll().register(0, events)
    return int(events)


def select(rlist: Any, wlist: Any, xlist: Any, timeout: Any = None, /) -> tuple[list[Any], list[Any], list[Any]]:
    """`select.select`."""
    timeout = waiting_time(timeout, "timeout must be a float or None")
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    kernel = Socket.current_kernel()
    for things in (rlist, wlist, xlist):
        try:
            iter(things)
        except TypeError:
            raise TypeError("arguments 1-3 must be sequences") from None
    return readiness.select(kernel, rlist, wlist, xlist, timeout)
