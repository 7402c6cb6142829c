"""`os` and `fcntl` on simulated descriptors; those of real files go to the operating system as ever."""

from __future__ import annotations

import errno
import fcntl
import operator
import os
import struct
import sys
import termios
from collections.abc import Callable, Sequence
from posix import close as close_really  # what it is outside of worlds
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.arguments import INT_MAX, VECTORS, c_int, flat, lone_int, memory, scatter
from catenet.posix.errors import CallNotModelled, os_error
from catenet.posix.file import File
from catenet.posix.ifreq import interface_request
from catenet.posix.kernel import FIRST_DESCRIPTOR
from catenet.posix.pipe import PipeReader, PipeWriter
from catenet.posix.sockets import SocketFile
from catenet.world.engine.current import current
from catenet.world.engine.streams import CLOSED
from catenet.world.patches.file_times import stamping
from catenet.world.patches.patching import Patcher, copy_identity
from catenet.world.patches.standard_streams import STANDARD

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

SIOCOUTQ = 0x5411
SIOCOUTQNSD = 0x894B
SIOCATMARK = 0x8905
F_SETFL_KEPT = os.O_NONBLOCK
F_SETPIPE_SZ: Final = 1031
F_GETPIPE_SZ: Final = 1032
PAGE: Final = 4096
WRITING = ("write", "writev", "sendfile")
LOCK_INTERVAL = 0.01
"""Seconds between two attempts to lock a file."""


DUPLICATE = 'use os.dup, or give the host isolation = "process"'


UNSIGNED_MAX: Final = 2**32 - 1

FIRST_NAMES: Final = ("fd", "out_fd")
"""What `os` calls the first argument of functions that take it by name."""


def _on_descriptor(
    original: Callable[..., Any], simulated: Callable[..., Any], standard: Callable[..., Any] | None
) -> Callable[..., Any]:
    """A function of `os` whose first argument may be a simulated descriptor, or one that leads elsewhere."""

    def function(descriptor: Any = None, *args: Any, **kwargs: Any) -> Any:
        task = current.task
        if task is None or not isinstance(descriptor, int):
            name = next((name for name in FIRST_NAMES if name in kwargs), "") if descriptor is None else ""
            if name:
                return function(kwargs.pop(name), *args, **kwargs)
            if descriptor is None and not args:
                return original(**kwargs)  # which says that it is missing
            return original(descriptor, *args, **kwargs)
        if descriptor < FIRST_DESCRIPTOR:
            leads = task.process.streams.redirected.get(descriptor, descriptor)
            if not task.process.host.kernel.is_open_here(leads):
                if standard is not None and 0 <= leads <= 2:
                    return standard(task.process, leads, *args, **kwargs)
                return original(leads, *args, **kwargs)
            descriptor = leads
        elif descriptor > INT_MAX:
            return original(descriptor, *args, **kwargs)  # which says that it is too large
        return simulated(task.process, descriptor, *args, **kwargs)

    return copy_identity(function, original)


def _timeout(file: File) -> float | None:
    return 0.0 if file.is_nonblocking() else None


def _check(call: Callable[..., Any], *args: Any) -> None:
    """Raise what the interpreter raises for wrong arguments of a call that has no descriptor."""
    try:
        call(-1, *args)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise


def _read(process: Process, descriptor: int, size: int) -> bytes:
    if size.__class__ is not int or not 0 <= size <= INT_MAX:
        _check(os.read, size)
        size = operator.index(size)
    kernel = process.host.kernel
    file = kernel.file(descriptor)
    data = file.read(size)
    return bytes(kernel.retry("read", file, file.read, _timeout(file), size) if data is None else data)


def _write(process: Process, descriptor: int, data: Any) -> int:
    """write(2); to a blocking pipe or socket it writes all."""
    try:
        view = memoryview(data).cast("B")
    except (TypeError, ValueError, BufferError):
        _check(os.write, data)
        view = flat(data)
    kernel = process.host.kernel
    file = kernel.file(descriptor)
    done = file.write(view)
    if done is None:
        done = kernel.retry("write", file, file.write, _timeout(file), view)
    while done < len(view) and not file.is_nonblocking():
        done += kernel.wait("write", file, file.write, None, view[done:])
    return done


def _readv(process: Process, descriptor: int, buffers: Sequence[Any]) -> int:
    views = memory(buffers) if isinstance(buffers, list | tuple) else None
    if views is None:
        _check(os.readv, buffers)
        views = [flat(buffer) for buffer in buffers]
    if len(views) > VECTORS:
        raise os_error(errno.EINVAL)
    data = _read(process, descriptor, sum([len(view) for view in views]))
    scatter(data, views)
    return len(data)


def _writev(process: Process, descriptor: int, buffers: Sequence[Any]) -> int:
    data = None
    if isinstance(buffers, list | tuple):
        try:
            data = b"".join(buffers)
        except (TypeError, ValueError, BufferError):
            pass  # and the interpreter says what is wrong
    if data is None:
        _check(os.writev, buffers)
        data = b"".join([flat(buffer) for buffer in buffers])
    if len(buffers) > VECTORS:
        raise os_error(errno.EINVAL)
    return _write(process, descriptor, data)


def _close(process: Process, descriptor: int) -> None:
    process.host.kernel.close(descriptor)


def _pipe(process: Process, flags: int = 0) -> tuple[int, int]:
    flags = c_int(flags)
    kernel = process.host.kernel
    ends = kernel.pipe()
    if flags & os.O_NONBLOCK:
        for end in ends:
            end.set_nonblocking(True)
    return kernel.install(ends[0]), kernel.install(ends[1])


def _stat(process: Process, descriptor: int) -> os.stat_result:
    file = process.host.kernel.file(descriptor)
    fields = (file.status_mode(), descriptor, 0, 1, os.getuid(), os.getgid(), 0, 0, 0, 0)
    return os.stat_result(fields, {"st_atime_ns": 0, "st_mtime_ns": 0, "st_ctime_ns": 0, "st_blksize": 4096})


def _set_blocking(process: Process, descriptor: int, blocking: bool) -> None:
    process.host.kernel.file(descriptor).set_nonblocking(not blocking)


def _close_range(process: Process, low: int, high: int) -> None:
    """`os.closerange`: closes simulated descriptors; real ones may be the interpreter's and stay open."""
    kernel = process.host.kernel
    low, high = operator.index(low), operator.index(high)
    for descriptor in kernel.numbers():
        if low <= descriptor < high:
            kernel.close(descriptor)


def _known(result: Any) -> Callable[..., Any]:
    """A call that only checks its descriptor."""

    def simulated(process: Process, descriptor: int, *args: Any) -> Any:
        process.host.kernel.file(descriptor)
        return result

    return simulated


def _seek(process: Process, descriptor: int, *args: Any) -> int:
    process.host.kernel.file(descriptor)
    raise os_error(errno.ESPIPE)


def _sendfile(process: Process, target: int, in_fd: int, offset: int | None, count: int, **kwargs: Any) -> int:
    """sendfile(2) from a real file to a simulated socket or pipe."""
    if process.host.kernel.is_open_here(in_fd):
        raise os_error(errno.EINVAL)
    kernel = process.host.kernel
    file = kernel.file(target)
    size = min(count, 1 << 20)
    data = os.read(in_fd, size) if offset is None else os.pread(in_fd, size, offset)
    if not data:
        return 0
    return kernel.wait("sendfile", file, file.write, _timeout(file), data)


# fcntl.


def _fcntl(process: Process, descriptor: int, command: int, argument: Any = 0) -> Any:
    kernel = process.host.kernel
    file = kernel.file(descriptor)
    if command == fcntl.F_GETFL:
        return os.O_RDWR | (os.O_NONBLOCK if file.is_nonblocking() else 0)
    if command == fcntl.F_SETFL:
        file.set_nonblocking(bool(argument & F_SETFL_KEPT))
        return 0
    if command == fcntl.F_GETFD:
        return 0 if kernel.get_inheritable(descriptor) else fcntl.FD_CLOEXEC
    if command == fcntl.F_SETFD:
        kernel.set_inheritable(descriptor, not argument & fcntl.FD_CLOEXEC)
        return 0
    if command in (F_SETPIPE_SZ, F_GETPIPE_SZ) and isinstance(file, PipeReader | PipeWriter):
        if command == F_SETPIPE_SZ:
            size = max(PAGE, 1 << (operator.index(argument) - 1).bit_length())
            if size < file.queue.size:
                raise os_error(errno.EBUSY)
            file.queue.capacity = size
        return file.queue.capacity
    if command in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC):
        number = kernel.duplicate(descriptor)
        if command == fcntl.F_DUPFD:
            kernel.set_inheritable(number, True)
        return number
    raise os_error(errno.EINVAL)


def _ioctl(process: Process, descriptor: int, request: int, argument: Any = 0, mutate: bool = True) -> Any:
    file = process.host.kernel.file(descriptor)
    if request == termios.FIONBIO:
        value = argument if isinstance(argument, int) else struct.unpack("=i", bytes(argument)[:4])[0]
        file.set_nonblocking(bool(value))
        return 0
    if request in (termios.FIONREAD, SIOCOUTQ) and isinstance(file, SocketFile):
        count = file.unread() if request == termios.FIONREAD else file.unsent()
        return _answer(struct.pack("=i", count), argument, mutate)
    if request in (SIOCOUTQNSD, SIOCATMARK) and isinstance(file, SocketFile):
        count = file.never_sent() if request == SIOCOUTQNSD else int(file.is_at_mark())
        return _answer(struct.pack("=i", count), argument, mutate)
    if isinstance(file, SocketFile) and not isinstance(argument, int):
        raw = argument.encode() if isinstance(argument, str) else bytes(argument)
        answer = interface_request(file.kernel, file.family, request, raw.ljust(40, b"\0"))
        if answer is not None:
            return _answer(answer, argument, mutate)
    raise os_error(errno.ENOTTY)


def _answer(data: bytes, argument: Any, mutate: bool) -> Any:
    """Give an ioctl's result back in the way its argument asks for: in place, or as bytes of the argument's length."""
    if isinstance(argument, int | bytes | str) or not mutate:
        return data if isinstance(argument, int) else data[: len(argument)]
    view = memoryview(argument).cast("B")
    size = min(len(view), len(data))
    view[:size] = data[:size]
    return 0


def _descriptor_argument(call: Callable[..., Any]) -> Callable[..., Any]:
    """`fcntl` takes objects with `fileno()` too."""

    def function(descriptor: Any, *args: Any, **kwargs: Any) -> Any:
        task = current.task
        if task is not None:
            number = descriptor if isinstance(descriptor, int) else getattr(descriptor, "fileno", lambda: -1)()
            if not isinstance(number, int) or number > INT_MAX:
                return call(descriptor, *args, **kwargs)
            number = task.process.streams.redirected.get(number, number)
            if task.process.host.kernel.is_open_here(number):
                return simulated(task.process, number, *args, **kwargs)
            if number > 2:
                return call(number, *args, **kwargs)
        return call(descriptor, *args, **kwargs)

    simulated: Callable[..., Any] = _fcntl if call is fcntl.fcntl else _ioctl
    return copy_identity(function, call)


def _lock_file(original: Callable[..., Any]) -> Callable[..., Any]:
    """flock(2) of a real file: waits in virtual time, for another program of the world may hold the lock."""

    def simulated(process: Process, descriptor: Any, operation: int) -> None:
        while True:
            try:
                return original(descriptor, operation | fcntl.LOCK_NB)  # type: ignore[no-any-return]
            except BlockingIOError:
                if operation & fcntl.LOCK_NB:
                    raise
            task = current.task
            assert task is not None
            task.park("flock", (), LOCK_INTERVAL)

    return simulated


# Standard streams.


def _duplicate_to(process: Process, fd: int, fd2: int, inheritable: bool = True) -> int:
    """dup2(2). Numbers that are the machine's otherwise lead elsewhere from then on."""
    descriptor, target = operator.index(fd), operator.index(fd2)
    if descriptor < 0 or target < 0:
        raise os_error(errno.EBADF)
    redirected, kernel = process.streams.redirected, process.host.kernel
    source = redirected.get(descriptor, descriptor)
    if target > 2:
        if kernel.is_open_here(source):
            kernel.file(source)
        if not (process.host.owns_process or (source >= FIRST_DESCRIPTOR and target >= FIRST_DESCRIPTOR)):
            raise CallNotModelled(f"os.dup2 to {target} is not modelled on a host that shares its process; {DUPLICATE}")
        if kernel.is_open_here(source):
            kernel.duplicate_to(source, target)
            if source != target:
                _close_redirected(process, target)
            kernel.set_inheritable(target, inheritable)
            return target
        if target >= FIRST_DESCRIPTOR:
            raise os_error(errno.EBADF)
    if descriptor == target:
        os.fstat(target)
        return target
    if source == CLOSED:
        raise os_error(errno.EBADF)
    number = source if 0 <= source <= 2 else os.dup(source)
    if kernel.is_open_here(target):
        kernel.close(target)
    _close_redirected(process, target)
    if number == target:
        return target
    redirected[target] = number
    if inheritable:
        kernel.inheritable.add(target)
        if number > 2:
            os.set_inheritable(number, True)
    return target


def _event_counter(process: Process, initval: int, flags: int = os.EFD_CLOEXEC) -> int:
    """`os.eventfd`; OverflowError, EINVAL."""
    value, flags = operator.index(initval), operator.index(flags)
    if value < 0:
        raise ValueError("value must be positive")
    if value > UNSIGNED_MAX:
        raise OverflowError("Python int too large to convert to C unsigned int")
    if flags & ~(os.EFD_CLOEXEC | os.EFD_NONBLOCK | os.EFD_SEMAPHORE):
        raise os_error(errno.EINVAL)
    kernel = process.host.kernel
    file = kernel.event_counter(value, bool(flags & os.EFD_SEMAPHORE))
    if flags & os.EFD_NONBLOCK:
        file.set_nonblocking(True)
    number = kernel.install(file)
    if not flags & os.EFD_CLOEXEC:
        kernel.set_inheritable(number, True)
    return number


def _read_counter(fd: int) -> int:
    """`os.eventfd_read`."""
    return int.from_bytes(os.read(fd, 8), sys.byteorder)


def _write_counter(fd: int, value: int) -> None:
    """`os.eventfd_write`."""
    os.write(fd, operator.index(value).to_bytes(8, sys.byteorder))


def _close_redirected(process: Process, descriptor: int) -> None:
    """Close what a descriptor leads to, which leads nowhere else from then on."""
    process.host.kernel.inheritable.discard(descriptor)
    streams = process.streams
    number = streams.redirected.pop(descriptor, -1)
    if number > 2:
        os.close(number)
    if descriptor in streams.set_aside:
        streams.set_aside.discard(descriptor)
        close_really(descriptor)


def _close_any(original: Callable[..., Any]) -> Callable[..., Any]:
    """`os.close`."""

    def close(descriptor: Any) -> None:
        task = current.task
        if task is not None and isinstance(descriptor, int) and descriptor in task.process.streams.redirected:
            closed = task.process.streams.redirected[descriptor] == CLOSED
            _close_redirected(task.process, descriptor)
            if 0 <= descriptor <= 2:
                task.process.streams.redirected[descriptor] = CLOSED
            if closed:
                raise os_error(errno.EBADF)
        elif task is not None and isinstance(descriptor, int) and 0 <= descriptor <= 2:
            task.process.streams.redirected[descriptor] = CLOSED
        elif (
            task is not None or not isinstance(descriptor, int) or descriptor < FIRST_DESCRIPTOR
        ):  # else of an object whose process has ended
            original(descriptor)

    return copy_identity(close, original)


def apply(patcher: Patcher) -> None:
    """Patch `os` and `fcntl`."""
    on_descriptor: dict[str, Callable[..., Any]] = {
        "read": _read,
        "write": _write,
        "readv": _readv,
        "writev": _writev,
        "close": _close,
        "fstat": _stat,
        "dup": lambda process, descriptor: process.host.kernel.duplicate(descriptor),
        "set_blocking": _set_blocking,
        "get_blocking": lambda process, descriptor: not process.host.kernel.file(descriptor).is_nonblocking(),
        "set_inheritable": lambda process, descriptor, inheritable: process.host.kernel.set_inheritable(
            descriptor, bool(lone_int(inheritable))
        ),
        "get_inheritable": lambda process, descriptor: process.host.kernel.get_inheritable(descriptor),
        "isatty": _known(False),
        "fsync": _known(None),
        "lseek": _seek,
        "sendfile": _sendfile,
    }
    for name, simulated in on_descriptor.items():
        if hasattr(os, name):
            real = stamping(getattr(os, name)) if name in WRITING else getattr(os, name)
            patcher.replace(os, name, _on_descriptor(real, simulated, STANDARD.get(name)))
    patcher.attribute(os, "close", _close_any(os.close))
    patcher.function(os, "dup2", _duplicate_to)
    patcher.function(os, "eventfd", _event_counter)
    patcher.function(os, "eventfd_read", lambda process, fd: _read_counter(fd))
    patcher.function(os, "eventfd_write", lambda process, fd, value: _write_counter(fd, value))
    patcher.function(os, "closerange", _close_range)
    patcher.function(os, "pipe", _pipe)
    patcher.function(os, "pipe2", _pipe)
    patcher.function(fcntl, "flock", _lock_file(fcntl.flock))
    for name in ("fcntl", "ioctl"):
        patcher.replace(fcntl, name, _descriptor_argument(getattr(fcntl, name)))
