"""Arguments of the socket calls, checked before anything is done, with the exceptions of the interpreter.

A socket of the interpreter without a descriptor tells what is wrong: called with wrong arguments, a method raises what
the running version of Python raises for them; with right ones it comes as far as the operating system, which knows no
descriptor -1 (EBADF). So `check` is exact, but costs a system call: callers look for the common cases themselves and
come here with the others.
"""

from __future__ import annotations

import _socket
import errno
import os
from collections.abc import Callable, Iterable
from math import ceil
from operator import index
from pickle import PickleBuffer
from typing import Any, Final, NoReturn

from catenet.posix.control import Ancillary
from catenet.posix.errors import os_error
from catenet.stack.endpoint import Buffer

__all__ = [
    "INT_MAX",
    "LONG_TIMEOUT",
    "VECTORS",
    "c_int",
    "c_long",
    "check",
    "check_function",
    "flat",
    "integers",
    "is_plain_text",
    "lone_int",
    "memory",
    "option",
    "outgoing",
    "plain_text",
    "readable",
    "scatter",
    "seconds_of",
    "vector",
    "waiting_time",
    "writable",
]

INT_MAX: Final = (1 << 31) - 1
NOTHING: Final = ()
"""The object that a call without ancillary data passes."""
VECTORS: Final = 1024
"""Buffers of one call (IOV_MAX, UIO_MAXIOV)."""
LONG_TIMEOUT: Final = 1_000_000
"""Timeouts up to this need no further check."""


def _blank() -> _socket.socket:
    """A closed socket, which keeps its family and never waits for anything."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    sock.settimeout(None)
    sock.close()
    return sock


_BLANK: Final = _blank()


def check(call: str, *args: Any) -> None:
    """Raise what the interpreter raises for wrong arguments of a method of its socket."""
    try:
        getattr(_BLANK, call)(*args)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise


def check_function(function: Callable[..., Any], *args: Any) -> None:
    """Raise what a function of the interpreter raises for wrong arguments; ignore its result for right ones."""
    try:
        function(*args)
    except OSError:
        pass


def is_plain_text(thing: object) -> bool:
    """Whether an object is an ASCII str without null characters, which every C function takes."""
    return isinstance(thing, str) and thing.isascii() and "\0" not in thing


def c_int(value: Any) -> int:
    """An argument that is a C int, where the interpreter reads all at once (format "i"); TypeError, OverflowError."""
    number = c_long(value)
    if not -INT_MAX - 1 <= number <= INT_MAX:
        raise OverflowError(f"signed integer is {'greater than maximum' if number > 0 else 'less than minimum'}")
    return number


def lone_int(value: Any) -> int:
    """An argument that is a C int, where the interpreter reads it by itself; TypeError, OverflowError."""
    number = index(value)
    if not -INT_MAX - 1 <= number <= INT_MAX:
        raise OverflowError("Python int too large to convert to C int")
    return number


def plain_text(value: Any) -> str:
    """A string, bytes or a path for C; TypeError, and ValueError with a null byte."""
    text = os.fsdecode(value)
    if "\0" in text:
        raise ValueError("embedded null byte")
    return text


def c_long(value: Any) -> int:
    """An argument that is a C long; TypeError, OverflowError."""
    number = index(value)
    if not -1 << 63 <= number < 1 << 63:
        raise OverflowError("Python int too large to convert to C long")
    return number


def integers(call: str, *numbers: Any) -> tuple[int, ...]:
    """Return sizes and flags of a call as int; numbers out of the common range are checked."""
    for number in numbers:
        if number.__class__ is not int or not 0 <= number <= INT_MAX:
            check(call, *numbers)
            return tuple([index(each) for each in numbers])
    return numbers


def flat(buffer: Any) -> memoryview:
    """Return a view of the contiguous bytes of an object, whatever its format."""
    try:
        return memoryview(buffer).cast("B")
    except TypeError:
        return PickleBuffer(buffer).raw()


def readable(call: str, data: Any, flags: Any) -> tuple[Buffer, int]:
    """Return the data to send, as contiguous bytes, and the flags."""
    kind = type(data)
    try:
        plain = (data.nbytes == len(data) and data.c_contiguous) if kind is memoryview else kind in (bytes, bytearray)
    except (ValueError, TypeError):  # a view that was released, or of no dimension
        plain = False
    if not plain or type(flags) is not int or not 0 <= flags <= INT_MAX:
        check(call, data, flags)
        return (data if plain else flat(data)), index(flags)
    return data, flags


def writable(call: str, buffer: Any, size: Any, flags: Any) -> tuple[memoryview, int]:
    """Memory to receive into, cut to `size` bytes if that is not 0, and flags."""
    try:
        view = memoryview(buffer).cast("B")
    except (TypeError, ValueError, BufferError):
        check(call, buffer, size, flags)
        view = flat(buffer)
    plain = size.__class__ is int and flags.__class__ is int and 0 <= flags <= INT_MAX
    if not plain or view.readonly or not 0 <= size <= len(view):
        check(call, buffer, size, flags)
        size, flags = index(size), index(flags)
    return (view[:size] if size else view), flags


def memory(buffers: Iterable[Any]) -> list[memoryview] | None:
    """Return writable buffers as views of bytes; None when any object is not one."""
    try:
        views = [memoryview(buffer).cast("B") for buffer in buffers]
    except (TypeError, ValueError, BufferError):
        return None
    return None if any(view.readonly for view in views) else views


def vector(buffers: Any, control_size: Any, flags: Any) -> tuple[list[memoryview], int, int]:
    """Memory to receive into piece by piece, size of ancillary data and flags (recvmsg_into); EMSGSIZE."""
    buffers = _listed(buffers, "recvmsg_into", buffers, control_size, flags)
    views = memory(buffers)
    plain = control_size.__class__ is int and flags.__class__ is int
    if views is None or not plain or not (0 <= control_size <= INT_MAX and 0 <= flags <= INT_MAX):
        check("recvmsg_into", buffers, control_size, flags)
        views = [flat(buffer) for buffer in buffers]
    if len(views) > VECTORS:
        raise os_error(errno.EMSGSIZE)
    return views, index(control_size), index(flags)


def scatter(data: bytes, views: Iterable[memoryview]) -> None:
    """Copy data into one buffer after the other."""
    position = 0
    for view in views:
        part = data[position : position + len(view)]
        if not part:
            return
        view[: len(part)] = part
        position += len(part)


def outgoing(buffers: Any, ancillary: Any, flags: Any) -> tuple[bytes, list[Ancillary], int]:
    """Data, ancillary data and flags of a message to be sent (sendmsg); EMSGSIZE."""
    if type(buffers) is not list:
        buffers = _listed(buffers, "sendmsg", buffers, ancillary, flags)
    if ancillary is not NOTHING:
        ancillary = _listed(ancillary, "sendmsg", buffers, ancillary, flags)
    data, odd = b"", bool(ancillary)
    try:
        data = b"".join(buffers)
    except (TypeError, ValueError, BufferError):
        odd = True
    if odd or type(flags) is not int or not 0 <= flags <= INT_MAX:
        check("sendmsg", buffers, ancillary, flags)
        data = b"".join([flat(buffer) for buffer in buffers])
    if len(buffers) > VECTORS:
        raise os_error(errno.EMSGSIZE)
    if not ancillary:
        return data, [], index(flags)
    control = [(index(level), index(kind), bytes(flat(value))) for level, kind, value in ancillary]
    return data, control, index(flags)


def option(level: Any, number: Any, value: Any, *length: Any) -> tuple[int, int, int | bytes | None, int]:
    """Return level, number and value of an option to set, and the length given instead of a value."""
    plain = type(level) is int and type(number) is int and type(value) is int and not length
    if plain and 0 <= level | number | value <= INT_MAX:
        return level, number, value, 0
    check("setsockopt", level, number, value, *length)
    if value is None:
        return index(level), index(number), None, index(length[0]) & 0xFFFFFFFF
    value = index(value) if hasattr(value, "__index__") else bytes(flat(value))
    return index(level), index(number), value, 0


def _listed(things: Any, call: str, *args: Any) -> Any:
    """Return objects as a list or tuple; raise the interpreter's error when they are no sequence."""
    kind = things.__class__
    if kind is list or kind is tuple:
        return things
    try:
        return list(things)
    except TypeError:
        check(call, *args)
        raise


def waiting_time(timeout: Any, refusal: str, scale: int = 0) -> float | None:
    """A timeout of select, poll or epoll as a number; None or negative: without end.

    Args:
        timeout: what the program gave.
        refusal: what is wrong with a thing that is no number.
        scale: milliseconds in its unit, which have to fit into an int; 0: seconds of which any number will do.

    Raises:
        TypeError: with `refusal`.
        ValueError: for NaN.
        OverflowError: for what is too long for an int of milliseconds, or for a clock.
    """
    kind = timeout.__class__
    if timeout is None or ((kind is float or kind is int) and 0 <= timeout <= LONG_TIMEOUT):
        return timeout  # type: ignore[no-any-return]
    if not isinstance(timeout, float):
        try:
            timeout = index(timeout)
        except TypeError:
            raise TypeError(refusal) from None
    if scale == 1 and abs(timeout) <= INT_MAX + 1:
        return float(timeout) if -INT_MAX - 1 <= timeout <= INT_MAX else _too_large()
    try:
        seconds_of(timeout)
    except ValueError:
        if timeout != timeout:
            raise
    if scale and not -INT_MAX - 1 <= timeout * scale <= INT_MAX:
        _too_large()
    return float(timeout)


def _too_large() -> NoReturn:
    raise OverflowError("timeout is too large")


def seconds_of(timeout: Any) -> float | None:
    """A timeout as `settimeout` takes it, in whole nanoseconds; TypeError, ValueError, OverflowError."""
    if timeout is None:
        return None
    if (timeout.__class__ is float or timeout.__class__ is int) and 0 <= timeout <= LONG_TIMEOUT:
        return ceil(timeout * 1e9) / 1e9
    blank = _socket.socket.__new__(_socket.socket)
    try:
        blank.settimeout(timeout)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    return blank.gettimeout()
