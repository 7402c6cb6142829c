"""System call `select` and poll(2): ask every file, and wait for any of them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from catenet.posix.arguments import INT_MAX, lone_int
from catenet.posix.errors import os_error
from catenet.posix.file import ALWAYS_REPORTED
from catenet.stack.endpoint import Readiness

if TYPE_CHECKING:
    from catenet.posix.epoll import Epoll
    from catenet.posix.file import File
    from catenet.posix.kernel import Kernel

__all__ = ["READABLE", "descriptor_of", "epoll_wait", "poll", "select", "wait_on_epoll"]

POLLNVAL: Final = 0x020
POLLRDNORM: Final = 0x040
POLLWRNORM: Final = 0x100

READABLE: Final = Readiness.IN | Readiness.HUP | Readiness.ERR
WRITABLE: Final = Readiness.OUT | Readiness.ERR

Found = TypeVar("Found")


def descriptor_of(thing: Any) -> int:
    """Descriptor of an int or of an object with `fileno()`; TypeError, ValueError as CPython has them."""
    if isinstance(thing, int):
        number = thing
    else:
        fileno = getattr(thing, "fileno", None)
        if fileno is None:
            raise TypeError("argument must be an int, or have a fileno() method.")
        answer: Any = fileno()
        if not isinstance(answer, int):
            raise TypeError("fileno() returned a non-integer")
        number = answer
    if not 0 <= number <= INT_MAX:
        raise ValueError(f"file descriptor cannot be a negative integer ({lone_int(number)})")
    return number


def _wait(kernel: Kernel, call: str, files: Sequence[File], look: Callable[[], Found], timeout: float | None) -> Found:
    """Poll the files until one is ready or the timeout has passed."""
    found = look()
    if found:
        kernel.runtime.served()
        return found
    if timeout == 0:
        kernel.runtime.spin()
        return found
    deadline = None if timeout is None else kernel.runtime.monotonic() + timeout
    remaining = timeout
    while True:
        in_time = kernel.runtime.park(call, files, remaining)
        found = look()
        if found or not in_time:
            return found
        if deadline is not None:
            remaining = max(0.0, deadline - kernel.runtime.monotonic())


def poll(kernel: Kernel, wanted: dict[int, int], timeout: float | None) -> list[tuple[int, int]]:
    """System call `poll`: `wanted` is events by descriptor; (descriptor, bits) of those that show any."""
    files: dict[int, File | None] = {}
    for descriptor in wanted:
        try:
            files[descriptor] = kernel.any_file(descriptor)
        except OSError:
            files[descriptor] = None

    def look() -> list[tuple[int, int]]:
        found = []
        for descriptor, events in wanted.items():
            file = files[descriptor]
            bits = POLLNVAL if file is None or not file.references else _bits(file, events)
            if bits:
                found.append((descriptor, bits))
        return found

    return _wait(kernel, "poll", [file for file in files.values() if file is not None], look, timeout)


def _bits(file: File, events: int) -> int:
    held = file.readiness()
    if events & (POLLRDNORM | POLLWRNORM):
        held |= (POLLRDNORM if held & Readiness.IN else 0) | (POLLWRNORM if held & Readiness.OUT else 0)
    return held & (events | ALWAYS_REPORTED)


def _each(things: Any) -> Iterator[Any]:
    """The things of a sequence, which may change while their descriptors are asked for, as CPython walks it."""
    things = things if isinstance(things, list | tuple) else list(things)
    at = 0
    while at < len(things):
        yield things[at]
        at += 1


def select(
    kernel: Kernel, readers: Sequence[Any], writers: Sequence[Any], exceptional: Sequence[Any], timeout: float | None
) -> tuple[list[Any], list[Any], list[Any]]:
    """System call `select` with any number of descriptors; OSError(EBADF) for one that is not open."""
    sets = [
        [(thing, kernel.any_file(descriptor_of(thing)), mask) for thing in _each(things)]
        for things, mask in ((readers, READABLE), (writers, WRITABLE), (exceptional, Readiness.PRI))
    ]

    def look() -> list[list[Any]] | None:
        found = [[thing for thing, file, mask in group if file.readiness() & mask] for group in sets]
        return found if any(found) else None

    found = _wait(kernel, "select", [file for group in sets for _, file, _ in group], look, timeout)
    ready, writable, special = found or ([], [], [])
    return ready, writable, special


def epoll_wait(kernel: Kernel, epoll: Epoll, limit: int, timeout: float | None) -> list[tuple[int, int]]:
    """System call `epoll_wait`: up to `limit` (descriptor, bits)."""
    if limit <= 0:
        raise os_error(errno.EINVAL)
    found = epoll.collect(limit)
    if found:
        kernel.runtime.served()
        return found
    if timeout == 0:
        kernel.runtime.spin()
        return found
    return wait_on_epoll(kernel, epoll, limit, timeout)


def wait_on_epoll(kernel: Kernel, epoll: Epoll, limit: int, timeout: float | None) -> list[tuple[int, int]]:
    """As `epoll_wait`, when nothing was ready at first; not by `_wait`, as event loops wait here at every turn."""
    files: tuple[File, ...] = (epoll,)
    deadline = None if timeout is None else kernel.runtime.monotonic() + timeout
    while True:
        in_time = kernel.runtime.park("epoll_wait", files, timeout)
        found = epoll.collect(limit)
        if found or not in_time:
            return found
        if deadline is not None:
            timeout = max(0.0, deadline - kernel.runtime.monotonic())
