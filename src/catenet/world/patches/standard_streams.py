"""Descriptors 0, 1 and 2 of a simulated process: its own streams, never those of the interpreter."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from posix import open as open_really  # what it is outside of worlds
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import os_error

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["STANDARD"]


def _read(process: Process, descriptor: int, size: int) -> bytes:
    """read(2) from standard input; EBADF from the others, which are open for writing only."""
    if descriptor:
        raise os_error(errno.EBADF)
    return process.streams.read_input(size)


def _write(process: Process, descriptor: int, data: Any) -> int:
    """write(2) to standard output or standard error; EBADF to standard input."""
    if not descriptor:
        raise os_error(errno.EBADF)
    return process.streams.write_output(descriptor, bytes(data))


def _write_vector(process: Process, descriptor: int, buffers: Any) -> int:
    return _write(process, descriptor, b"".join(buffers))


def _read_vector(process: Process, descriptor: int, buffers: Any) -> int:
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    data = _read(process, descriptor, sum(map(len, views)))
    rest = data
    for view in views:
        part, rest = rest[: len(view)], rest[len(view) :]
        view[: len(part)] = part
    return len(data)


def _duplicate(process: Process, descriptor: int) -> int:
    """dup(2): a number of the machine is set aside, which leads to the stream."""
    number = open_really(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    process.streams.set_aside.add(number)
    process.streams.redirected[number] = descriptor
    return number


def _seek(process: Process, descriptor: int, *args: Any) -> int:
    raise os_error(errno.ESPIPE)


def _answer(result: Any) -> Callable[..., Any]:
    """A call that has no effect on a standard stream."""
    return lambda process, descriptor, *args, **kwargs: result


STANDARD: Final[dict[str, Callable[..., Any]]] = {
    "read": _read,
    "readv": _read_vector,
    "write": _write,
    "writev": _write_vector,
    "close": _answer(None),
    "dup": _duplicate,
    "set_blocking": _answer(None),
    "get_blocking": _answer(True),
    "set_inheritable": _answer(None),
    "get_inheritable": _answer(True),
    "isatty": _answer(False),
    "fsync": _answer(None),
    "lseek": _seek,
}
"""Functions of `os` on these descriptors, by name, as `function(process, descriptor, …)`."""
