"""What the C part of `socket.socket` does, on a simulated host: arguments, blocking, timeouts.

A `Socket` is no socket object but what stands behind one: `world/patches/sockets.py` lets the methods of the
interpreter's C type hand their calls over to it. What the Python part of the standard class does on top of them
(`accept`, `dup`, `makefile`, `sendfile`, the context manager) runs as it is.
"""

from __future__ import annotations

import errno
import socket
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from catenet.posix.address import SocketAddress
from catenet.posix.arguments import (
    LONG_TIMEOUT,
    c_int,
    c_long,
    check,
    integers,
    lone_int,
    option,
    outgoing,
    readable,
    scatter,
    seconds_of,
    vector,
    writable,
)
from catenet.posix.errors import os_error
from catenet.posix.inet_stream import InetStream
from catenet.posix.poll import READABLE
from catenet.posix.sockets import MSG_DONTWAIT, MSG_OOB, MSG_PEEK, MSG_TRUNC, Message, SocketFile
from catenet.stack.endpoint import Readiness

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["Socket", "create_pair", "kernel_after_fork"]

SOCK_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0o4000)
SOCK_CLOEXEC = getattr(socket, "SOCK_CLOEXEC", 0o2000000)
MSG_WAITALL = int(socket.MSG_WAITALL)
OUT_OF_LINE: Final = MSG_OOB | int(getattr(socket, "MSG_ERRQUEUE", 0x2000))
"""Flags of reads of something else than what makes a socket readable."""
NO_FLAGS: Final = 0
"""The very object that a call without flags has."""
LARGE: Final = 1 << 30
"""Sizes up to here are taken without a closer look."""
NO_SIZE: Final = 0
LONGEST_OPTION: Final = 1024

Result = TypeVar("Result")


class Socket:
    """A socket of the host whose program makes it."""

    __slots__ = ("_descriptor", "_file", "_kernel", "_kinds", "_timeout", "closed", "owner")

    current_kernel: ClassVar[Callable[[], Kernel]]
    """Kernel of the host whose program runs; set by the runner of programs."""
    default_timeout: ClassVar[Callable[[], float | None]] = staticmethod(lambda: None)
    child_kernel: ClassVar[Kernel | None] = None
    """The one kernel of a process that came by fork; sockets of before find it when they are used."""

    _file: SocketFile | None
    _kinds: tuple[int, int, int]
    closed: object
    """What the Python part of the class keeps: whether the program has closed it, though a file made of it be open."""
    owner: type
    """Class of the socket object that it stands behind."""

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        self._file = None
        self._kernel = kernel = Socket.current_kernel()
        self.closed = False
        self.owner = socket.socket
        self._descriptor = -1
        self._timeout = Socket.default_timeout()
        family, kind, proto = lone_int(family), lone_int(type), lone_int(proto)
        if fileno is not None:
            number = c_long(fileno)
            if number < 0:
                raise ValueError("negative file descriptor")
            file = kernel.socket_file(number)
            if self._timeout is not None:
                file.set_nonblocking(True)
            self._adopt(file, number, proto)
            if family != -1:
                self._kinds = (family, *self._kinds[1:])
            if kind != -1:
                self._kinds = (self._kinds[0], kind & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), self._kinds[2])
                if kind & SOCK_NONBLOCK:
                    self._timeout = 0.0
            return
        family = int(socket.AF_INET) if family == -1 else family
        kind = int(socket.SOCK_STREAM) if kind == -1 else kind
        proto = 0 if proto == -1 else proto
        plain = kind & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)
        file = kernel.socket(family, plain, proto)
        self._adopt(file, kernel.install(file))
        self._kinds = (family, plain, proto)
        if kind & SOCK_NONBLOCK:
            self._timeout = 0.0
        file.set_nonblocking(self._timeout is not None)

    def _adopt(self, file: SocketFile, descriptor: int, protocol: int = -1) -> None:
        self._file = file
        self._kinds = (file.family, file.type, file.protocol if protocol == -1 else protocol)
        self._descriptor = descriptor
        if self._timeout is None and file.is_nonblocking():
            self._timeout = 0.0

    @classmethod
    def of(cls, kernel: Kernel, file: SocketFile, timeout: float | None = None, protocol: int = -1) -> Socket:
        """A socket with a new descriptor for `file`."""
        new = cls.__new__(cls)
        new._kernel = kernel
        new.closed = False
        new.owner = socket.socket
        new._timeout = timeout
        file.set_nonblocking(timeout is not None)
        new._adopt(file, kernel.install(file), protocol)
        return new

    def _open(self) -> SocketFile:
        """The file; OSError(EBADF) when closed."""
        file = self._file
        if file is None or not file.references:
            file = self._file_after_fork()
        return file

    def _file_after_fork(self) -> SocketFile:
        """The file in a child process, whose kernel is another; OSError(EBADF) when closed, or not in a child."""
        kernel = kernel_after_fork(self._kernel)
        if self._descriptor < 0 or kernel is None:
            self._kernel.runtime.owner()
            raise os_error(errno.EBADF)
        self._file = file = kernel.socket_file(self._descriptor)
        self._kernel = kernel
        return file

    def _read(self, call: str, flags: int, attempt: Callable[..., Result | None], *args: Any) -> Result:
        """Wait for something to receive, as the socket's timeout and SO_RCVTIMEO say."""
        if flags & OUT_OF_LINE and self._timeout:
            return self._once_readable(call, attempt, *args)
        result = attempt(*args)
        if result is not None:
            return result
        file = self._open()
        return self._call_blocking(call, file, flags, file.receive_timeout, attempt, *args)

    def _once_readable(self, call: str, attempt: Callable[..., Result | None], *args: Any) -> Result:
        """What CPython does with a timeout: wait for POLLIN, then try; EAGAIN waits on, other errors come only then.

        Ordinary reads need no such look: they succeed or fail just when the file is readable.
        """
        file = self._open()

        def try_once() -> Result | None:
            if not file.readiness() & READABLE:
                return None
            try:
                return attempt(*args)
            except BlockingIOError:
                return None

        return self._kernel.wait(call, file, try_once, self._timeout)

    def _write(self, call: str, flags: int, attempt: Callable[..., Result | None], *args: Any) -> Result:
        """Wait for room to send, as the socket's timeout and SO_SNDTIMEO say."""
        result = attempt(*args)
        if result is not None:
            return result
        file = self._open()
        return self._call_blocking(call, file, flags, file.send_timeout, attempt, *args)

    def _call_blocking(
        self,
        call: str,
        file: SocketFile,
        flags: int,
        limit: float | None,
        attempt: Callable[..., Result | None],
        *args: Any,
    ) -> Result:
        """Go on with a call whose first attempt would have blocked."""
        timeout = self._timeout
        # With a timeout CPython tries again for so long; without one O_NONBLOCK is for who has set it by fcntl(2).
        if timeout is None and (flags & MSG_DONTWAIT or file.is_nonblocking()):
            timeout = 0.0
        if timeout is not None or limit is None:
            return self._kernel.retry(call, file, attempt, timeout, *args)
        try:
            return self._kernel.retry(call, file, attempt, limit, *args)
        except TimeoutError as error:
            if error.errno is not None:  # the connection's own
                raise
            raise os_error(errno.EAGAIN) from None

    # Names and connections.

    def bind(self, address: Any, /) -> None:
        """As `socket.socket.bind`."""
        self._open().bind(address)

    def listen(self, backlog: int = 128, /) -> None:
        """As `socket.socket.listen`."""
        self._open().listen(c_int(backlog))

    def accept(self) -> tuple[int, Any]:
        """As `socket.socket._accept`: a descriptor and the peer's address."""
        file, address = self._accepted()
        return self._kernel.install(file), address

    def _accepted(self) -> tuple[SocketFile, SocketAddress]:
        file = self._open()
        if self._timeout and not file.is_listening():
            return self._once_readable("accept", file.accept)
        return self._read("accept", 0, file.accept)

    def connect(self, address: Any, /) -> None:
        """As `socket.socket.connect`."""
        file = self._open()
        again = file.is_connecting()
        if file.connect(address):
            return
        if self._timeout == 0 or (self._timeout is None and file.is_nonblocking()):
            self._kernel.runtime.spin()
            raise os_error(errno.EINPROGRESS)
        if self._timeout is not None:
            self._kernel.retry("connect", file, file.connect_result, self._timeout)
            return
        try:
            self._kernel.retry("connect", file, file.finish_connect, file.send_timeout)
        except TimeoutError as error:
            if error.errno is not None:
                raise
            late = errno.EAGAIN if file.family == socket.AF_UNIX else errno.EALREADY if again else errno.EINPROGRESS
            raise os_error(late) from None

    def connect_ex(self, address: Any, /) -> int:
        """As `socket.socket.connect_ex`."""
        try:
            Socket.connect(self, self._open().read_address(address, "connect_ex"))
        except TimeoutError as error:
            return error.errno or errno.EAGAIN
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno is None:
                raise
            return error.errno
        return 0

    def getsockname(self) -> Any:
        """As `socket.socket.getsockname`."""
        return self._open().local_address()

    def getpeername(self) -> Any:
        """As `socket.socket.getpeername`."""
        return self._open().peer_address()

    def shutdown(self, how: int, /) -> None:
        """As `socket.socket.shutdown`."""
        self._open().shutdown(lone_int(how))

    # Receiving.

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As `socket.socket.recv`."""
        if type(bufsize) is not int or flags is not NO_FLAGS or not 0 < bufsize <= LARGE:
            bufsize, flags = integers("recv", bufsize, flags)
            data = self._receive(bufsize, flags) if bufsize else b""
            return _shown(data, bufsize)
        file = self._file
        if file is None or not file.references:
            file = self._open()
        received = file.receive(bufsize, 0)
        if received is None:
            if file.receive_timeout is not None:
                return self._call_blocking("recv", file, 0, file.receive_timeout, file.receive, bufsize, 0)
            timeout = self._timeout
            if timeout is None and file.is_nonblocking():
                timeout = 0.0
            return self._kernel.receive(file, bufsize, 0, timeout)
        return received

    def _receive(self, size: int, flags: int) -> bytes:
        """Data for a call with flags: with MSG_TRUNC a datagram comes whole."""
        file = self._open()
        data = self._read("recv", flags, file.receive, size, flags)
        return self._receive_all(file, data, size, flags) if flags & MSG_WAITALL else data

    def _receive_all(self, file: SocketFile, data: bytes, size: int, flags: int) -> bytes:
        """MSG_WAITALL: the whole of it, unless the stream ends or breaks; a socket with a timeout does not block."""
        if not file.is_stream or self._timeout is not None or flags & MSG_DONTWAIT or not data:
            return data
        if flags & MSG_PEEK:
            return self._peek_all(file, data, size, flags) if isinstance(file, InetStream) else data
        parts = [data]
        missing = size - len(data)
        while missing > 0 and parts[-1]:
            try:
                parts.append(self._read("recv", flags, file.receive, missing, flags))
            except OSError:
                break
            missing -= len(parts[-1])
        return b"".join(parts)

    def _peek_all(self, file: SocketFile, data: bytes, size: int, flags: int) -> bytes:
        """As `_receive_all`, from the same beginning every time."""

        def attempt() -> bytes | None:
            found = file.receive(size, flags)
            ended = file.readiness() & (Readiness.RDHUP | Readiness.ERR | Readiness.HUP)
            return found if ended or (found is not None and len(found) >= size) else None

        try:
            return self._read("recv", flags, attempt)
        except OSError:
            return file.receive(size, flags) or data

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, SocketAddress | None]:
        """As `socket.socket.recvfrom`."""
        if type(bufsize) is not int or flags is not NO_FLAGS or not 0 <= bufsize <= LARGE:
            bufsize, flags = integers("recvfrom", bufsize, flags)
            data, address = self._receive_from(bufsize, flags)
            return _shown(data, bufsize), address
        return self._read("recvfrom", 0, self._open().receive_from, bufsize, 0)

    def _receive_from(self, size: int, flags: int) -> tuple[bytes, SocketAddress | None]:
        """As `_receive`, with the source's address."""
        file = self._open()
        data, address = self._read("recvfrom", flags, file.receive_from, size, flags)
        return (self._receive_all(file, data, size, flags) if flags & MSG_WAITALL else data), address

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `socket.socket.recv_into`."""
        if nbytes is NO_FLAGS and flags is NO_FLAGS and type(buffer) is bytearray:
            view = memoryview(buffer)
        else:
            view, flags = writable("recv_into", buffer, nbytes, flags)
        if not view:
            return 0
        file = self._file
        if file is None or not file.references:
            file = self._open()
        if not flags and isinstance(file, InetStream):
            count = file.receive_into(view, 0)
            if count is None:
                count = self._call_blocking("recv_into", file, 0, file.receive_timeout, file.receive_into, view, 0)
            return count
        if flags:
            return _fill(file, flags, [view], self._receive(len(view), flags))
        data = self.recv(len(view))
        view[: len(data)] = data
        return len(data)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As `socket.socket.recvfrom_into`."""
        view, flags = writable("recvfrom_into", buffer, nbytes, flags)
        data, address = self._receive_from(len(view), flags)
        return _fill(self._open(), flags, [view], data), address

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """As `socket.socket.recvmsg`."""
        if type(bufsize) is not int or flags is not NO_FLAGS or not 0 <= bufsize <= LARGE or ancbufsize is not NO_SIZE:
            bufsize, ancbufsize, flags = integers("recvmsg", bufsize, ancbufsize, flags)
        message = self._receive_message("recvmsg", bufsize, ancbufsize, flags)
        return message if len(message[0]) <= bufsize else (message[0][:bufsize], *message[1:])

    def _receive_message(self, call: str, size: int, control_size: int, flags: int) -> Message:
        file = self._open()
        message = self._read(call, flags, file.receive_message, size, control_size, flags)
        if flags & MSG_WAITALL:
            return (self._receive_all(file, message[0], size, flags), *message[1:])
        return message

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        """As `socket.socket.recvmsg_into`."""
        views, ancbufsize, flags = vector(buffers, ancbufsize, flags)
        size = sum([len(view) for view in views])
        data, control, shown, address = self._receive_message("recvmsg_into", size, ancbufsize, flags)
        return _fill(self._open(), flags, views, data), control, shown, address

    # Sending.

    def send(self, data: Any, flags: int = 0, /) -> int:
        """As `socket.socket.send`."""
        if type(data) is not bytes or flags is not NO_FLAGS:
            data, flags = readable("send", data, flags)
        file = self._file
        if file is None or not file.references:
            file = self._open()
        count = file.send(data, flags)
        if count is None:
            count = self._call_blocking("send", file, flags, file.send_timeout, file.send, data, flags)
        return count

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As `socket.socket.sendall`."""
        if type(data) is not bytes or flags is not NO_FLAGS:
            data, flags = readable("sendall", data, flags)
        size = len(data)
        position = self.send(data, flags)
        if position >= size:
            return
        view = memoryview(data)
        kernel, timeout = self._kernel, self._timeout
        deadline = kernel.runtime.monotonic() + timeout if timeout else None
        while position < size:
            left = timeout if deadline is None else max(0.0, deadline - kernel.runtime.monotonic())
            if deadline is not None and not left:
                raise TimeoutError("timed out")
            file = self._open()
            if timeout is None:
                position += self._write("send", flags, file.send, view[position:], flags)
            else:
                position += kernel.wait("send", file, file.send, left, view[position:], flags)

    def sendto(self, data: Any, *rest: Any) -> int:
        """As `socket.socket.sendto`."""
        if not 1 <= len(rest) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(rest) + 1} given)")
        flags = rest[0] if len(rest) == 2 else 0
        if type(data) is not bytes or flags is not NO_FLAGS:
            data, flags = readable("send", data, flags)
        file, address = self._open(), rest[-1]
        if address is None or file.is_stream:
            address = file.read_address(address, "sendto")
        return self._write("sendto", flags, file.send_message, data, (), flags, address)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """As `socket.socket.sendmsg`."""
        data, control, flags = outgoing(buffers, ancdata, flags)
        file = self._open()
        if address is not None:
            address = file.read_address(address, "sendmsg")
        return self._write("sendmsg", flags, file.send_message, data, control, flags, address)

    def sendmsg_afalg(self, *args: Any, **kwargs: Any) -> int:
        """As `socket.socket.sendmsg_afalg`."""
        raise os_error(errno.EAFNOSUPPORT)

    # Options and modes.

    def setsockopt(self, level: int, optname: int, value: Any, /, *optlen: int) -> None:
        """As `socket.socket.setsockopt`."""
        self._open().set_option(*option(level, optname, value, *optlen))

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        """As `socket.socket.getsockopt`."""
        level, optname, buflen = integers("getsockopt", level, optname, buflen)
        if not 0 <= buflen <= LONGEST_OPTION:
            check("getsockopt", level, optname, buflen)
        return self._open().get_option(level, optname, buflen)

    def settimeout(self, value: float | None, /) -> None:
        """As `socket.socket.settimeout`."""
        if value is not None and (type(value) is not float or not 0.0 <= value <= LONG_TIMEOUT):
            value = seconds_of(value)
        self._timeout = value
        self._open().set_nonblocking(value is not None)

    def gettimeout(self) -> float | None:
        """As `socket.socket.gettimeout`; the interpreter has whole nanoseconds."""
        return seconds_of(self._timeout)

    @property
    def timeout(self) -> float | None:
        """The timeout in seconds; None waits without end."""
        return seconds_of(self._timeout)

    def setblocking(self, flag: bool, /) -> None:
        """As `socket.socket.setblocking`."""
        self.settimeout(None if c_long(flag) else 0.0)

    def getblocking(self) -> bool:
        """As `socket.socket.getblocking`."""
        return self._timeout != 0

    @property
    def family(self) -> int:
        """As that of the C type: a plain number."""
        return self._kinds[0]

    @property
    def type(self) -> int:
        """As that of the C type: a plain number."""
        return self._kinds[1]

    @property
    def proto(self) -> int:
        """As `socket.socket.proto`."""
        return self._kinds[2]

    def ioctl(self, control: int, option: Any, /) -> None:
        """As `socket.socket.ioctl`."""
        raise os_error(errno.EINVAL)

    # Descriptors.

    def fileno(self) -> int:
        """As `socket.socket.fileno`."""
        return self._descriptor

    def detach(self) -> int:
        """As `socket.socket.detach`."""
        descriptor, self._descriptor = self._descriptor, -1
        self._file = None
        return descriptor

    def close(self) -> None:
        """As `socket.socket.close`, once nothing is open that was made of the socket."""
        self._give_up(linger=True)

    def _give_up(self, linger: bool) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        file, self._file = self._file, None
        if file is not None and not file.references and (kernel := kernel_after_fork(self._kernel)) is not None:
            kernel.close(descriptor)
            return
        if file is not None and file.references:
            if self._kernel.close_found(descriptor):
                return
            if linger and file.references == 1 and (seconds := file.begin_to_linger()):
                try:
                    self._kernel.wait("close", file, file.has_lingered, seconds)
                except OSError:
                    pass  # timed out; the connection goes on closing by itself
            self._kernel.close(descriptor)
        elif linger:  # closed by its number, or with its process
            self._kernel.close(descriptor)

    def __repr__(self) -> str:
        """As that of the socket object."""
        family, kind, protocol = self._kinds
        name = f"{self.owner.__module__}.{self.owner.__qualname__}"
        text = f"<{name} fd={self._descriptor}, family={family}, type={kind}, proto={protocol}"
        for label, ask in (("laddr", self.getsockname), ("raddr", self.getpeername)):
            try:
                address = ask()
            except OSError:
                continue
            if address:
                text += f", {label}={address}"
        return f"{text}>"

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            if self._file is not None and self._file.references:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            try:
                self._give_up(linger=False)  # nobody waits in a destructor
            except OSError:
                pass


def kernel_after_fork(before: Kernel) -> Kernel | None:
    """The kernel of a child process, if this is one and its object of before fork(2) is to have another."""
    kernel = Socket.child_kernel
    return None if kernel is before else kernel


def _shown(data: bytes, size: int) -> bytes:
    """What a call shows of a datagram that MSG_TRUNC brought whole: `size` bytes of it, but as long as it is.

    CPython has uninitialised memory there.
    """
    return data[:size] + bytes(len(data) - size) if len(data) > size else data


def _fill(file: SocketFile, flags: int, views: list[memoryview], data: bytes) -> int:
    """Put what was received where the program wants it, and return how much it was."""
    if not (flags & MSG_TRUNC and file.discards):
        scatter(data, views)
    return len(data)


def create_pair(family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> tuple[Socket, Socket]:
    """`socket.socketpair` on the current host."""
    kernel = Socket.current_kernel()
    family, kind, proto = int(socket.AF_UNIX) if family is None else c_int(family), c_int(type), c_int(proto)
    plain = kind & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)
    one, other = kernel.socketpair(family, plain, proto)
    timeout = 0.0 if kind & SOCK_NONBLOCK else Socket.default_timeout()
    return Socket.of(kernel, one, timeout), Socket.of(kernel, other, timeout)
