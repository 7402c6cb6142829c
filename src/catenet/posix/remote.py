"""System calls of a process whose kernel is another process: open files and the kernel as the caller sees them.

`RemoteKernel` and the files that it makes have the faces of `Kernel` and `File`, so that all above them (`pysocket`,
`pyselect`, the patched functions of `os`) runs as it is. Behind them everything is one request on a `Channel`: the name
of what is asked and plain values. Nothing here blocks: what would block returns None, and who waits does so in
`Runtime.park`, which the owner of the channel turns into a request of its own.

A file is known by a number of its process's descriptors; the kernel has the table. What is here is a copy of what has
been asked for: a descriptor that came by fork(2) or SCM_RIGHTS is described when it is first used.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from os import chmod, umask
from typing import Any, ClassVar, Final, TypeAlias

from catenet.compiled import mypyc_attr
from catenet.posix.address import SocketAddress
from catenet.posix.control import Ancillary
from catenet.posix.epoll import Epoll
from catenet.posix.file import File
from catenet.posix.kernel import FIRST_DESCRIPTOR, Kernel
from catenet.posix.local_names import ALL_MAY, read_name
from catenet.posix.names import Resolver
from catenet.posix.runtime import Owner
from catenet.posix.sockets import Message, SocketFile
from catenet.stack.endpoint import Buffer, Name

__all__ = ["EPOLL", "PLAIN", "SOCKET", "Channel", "Description", "RemoteKernel"]

LARGEST_WRITE: Final = 1 << 20
"""Bytes that one request writes at most to a stream or pipe; the caller goes on with the rest."""

PLAIN: Final = 0
SOCKET: Final = 1
EPOLL: Final = 2
"""Kinds of files: what is only read and written (pipes), sockets, epolls."""

Description: TypeAlias = "tuple[int, int, int, int, int, int, float | None, float | None]"
"""(descriptor, kind, mode, family, type, protocol, SO_RCVTIMEO, SO_SNDTIMEO); zeros for what is no socket."""

NAME: Final = "name"
"""Key under which an address that was read once travels, apart from those that programs give."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Channel:
    """The way to the kernel. The owner of the channel derives from it."""

    def call(self, *request: Any) -> Any:
        """Ask, and return the answer; raises the error that the kernel answers with."""
        raise NotImplementedError

    def tell(self, *request: Any) -> None:
        """As `call`, for what has no answer and cannot fail."""
        raise NotImplementedError


class _Handle:
    """The way to one open file: its descriptors here, the first of which stands for it."""

    __slots__ = ("channel", "fresh", "numbers")

    def __init__(self, channel: Channel, number: int) -> None:
        self.channel = channel
        self.numbers = [number]
        self.fresh = False
        """Whether it was made by a call that has not yet asked for its descriptor."""

    def call(self, method: str, *args: Any) -> Any:
        return self.channel.call("file", self.numbers[0] if self.numbers else -1, method, args)


def _chunk(data: Buffer) -> bytes:
    return bytes(memoryview(data).cast("B")[:LARGEST_WRITE])


class _RemoteFile(File):
    """A pipe's end, or anything else that is only read and written."""

    __slots__ = ("file_mode", "handle")

    kind: ClassVar[str] = "remote file"

    def __init__(self, handle: _Handle, file_mode: int) -> None:
        super().__init__()
        self.handle = handle
        self.file_mode = file_mode

    def readiness(self) -> int:
        return int(self.handle.call("readiness"))

    def read(self, size: int) -> Buffer | None:
        data: bytes | None = self.handle.call("read", size)
        return data

    def write(self, data: Buffer) -> int | None:
        count: int | None = self.handle.call("write", _chunk(data))
        return count

    def is_nonblocking(self) -> bool:
        return bool(self.handle.call("is_nonblocking"))

    def set_nonblocking(self, nonblocking: bool) -> None:
        self.handle.call("set_nonblocking", nonblocking)

    def status_mode(self) -> int:
        return self.file_mode


class _RemoteEpoll(Epoll):
    """An epoll; what is ready is known where the files are."""

    __slots__ = ("handle",)

    def __init__(self, handle: _Handle) -> None:
        super().__init__()
        self.handle = handle

    def readiness(self) -> int:
        return int(self.handle.call("readiness"))

    def add(self, descriptor: int, file: File, events: int) -> None:
        self.handle.call("add", descriptor, events)

    def modify(self, descriptor: int, file: File, events: int) -> None:
        self.handle.call("modify", descriptor, events)

    def remove(self, descriptor: int, file: File) -> None:
        self.handle.call("remove", descriptor)

    def collect(self, limit: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = self.handle.call("collect", limit)
        return found


class _RemoteSocket(SocketFile):
    """A socket of any family."""

    __slots__ = ("handle",)

    kind: ClassVar[str] = "remote socket"

    def __init__(self, kernel: Kernel, handle: _Handle, family: int, kind: int, protocol: int) -> None:
        super().__init__(kernel, family, kind, protocol)
        self.handle = handle

    def readiness(self) -> int:
        return int(self.handle.call("readiness"))

    def is_nonblocking(self) -> bool:
        return bool(self.handle.call("is_nonblocking"))

    def set_nonblocking(self, nonblocking: bool) -> None:
        self.handle.channel.tell("nonblocking", self.handle.numbers[0], nonblocking)

    def receive(self, size: int, flags: int) -> bytes | None:
        data: bytes | None = self.handle.call("receive", size, flags)
        return data

    def receive_from(self, size: int, flags: int) -> tuple[bytes, SocketAddress | None] | None:
        found: tuple[bytes, SocketAddress | None] | None = self.handle.call("receive_from", size, flags)
        return found

    def receive_message(self, size: int, control_size: int, flags: int) -> Message | None:
        message: Message | None = self.handle.call("receive_message", size, control_size, flags)
        return message

    def send(self, data: Buffer, flags: int) -> int | None:
        count: int | None = self.handle.call("send", self._part(data), flags)
        return count

    def send_message(self, data: Buffer, control: Sequence[Ancillary], flags: int, address: object) -> int | None:
        plain = [(level, kind, bytes(value)) for level, kind, value in control]
        count: int | None = self.handle.call("send_message", self._part(data), plain, flags, self._packed(address))
        return count

    def _part(self, data: Buffer) -> bytes:
        """What one request carries: messages go whole."""
        return _chunk(data) if self.is_stream else bytes(memoryview(data).cast("B"))

    def _packed(self, address: object) -> object:
        """An address as it travels: paths are this process's, whose working directory may be another."""
        if self.family != socket.AF_UNIX or address is None:
            return _packed(address)
        name = read_name(address)
        return os.path.abspath(name) if name and name[:1] != b"\0" else name

    def read_address(self, address: object, call: str) -> Any:
        found = self.handle.call("read_address", self._packed(address), call)
        return Name(*found[NAME]) if isinstance(found, dict) else found

    def bind(self, address: object) -> None:
        place = self._packed(address)
        self.handle.call("bind", place)
        if self.family == socket.AF_UNIX and isinstance(place, bytes) and place and place[:1] != b"\0":
            # The file was made by the process with the kernel, whose file mode mask is its own.
            mask = umask(0)
            umask(mask)
            chmod(place, ALL_MAY & ~mask)

    def connect(self, address: object) -> bool | None:
        done: bool | None = self.handle.call("connect", self._packed(address))
        return done

    def finish_connect(self) -> bool | None:
        done: bool | None = self.handle.call("finish_connect")
        return done

    def connect_result(self) -> bool | None:
        done: bool | None = self.handle.call("connect_result")
        return done

    def is_connecting(self) -> bool:
        return bool(self.handle.call("is_connecting"))

    def listen(self, backlog: int) -> None:
        self.handle.call("listen", backlog)

    def accept(self) -> tuple[SocketFile, SocketAddress] | None:
        found = self.handle.call("accept")
        if found is None:
            return None
        kernel = self.kernel
        assert isinstance(kernel, RemoteKernel)
        file = kernel.known(found[0])
        assert isinstance(file, SocketFile)
        return file, found[1]

    def shutdown(self, how: int) -> None:
        self.handle.call("shutdown", how)

    def local_address(self) -> SocketAddress:
        address: SocketAddress = self.handle.call("local_address")
        return address

    def peer_address(self) -> SocketAddress:
        address: SocketAddress = self.handle.call("peer_address")
        return address

    def unread(self) -> int:
        return int(self.handle.call("unread"))

    def unsent(self) -> int:
        return int(self.handle.call("unsent"))

    def never_sent(self) -> int:
        return int(self.handle.call("never_sent"))

    def is_at_mark(self) -> bool:
        return bool(self.handle.call("is_at_mark"))

    def begin_to_linger(self) -> int:
        return int(self.handle.call("begin_to_linger"))

    def has_lingered(self) -> bool | None:
        done: bool | None = self.handle.call("has_lingered")
        return done

    def set_option(self, level: int, option: int, value: int | bytes | None, length: int = 0) -> None:
        self.receive_timeout, self.send_timeout = self.handle.call("set_option", level, option, value, length)

    def get_option(self, level: int, option: int, size: int) -> int | bytes:
        value: int | bytes = self.handle.call("get_option", level, option, size)
        return value

    def pending_error(self) -> int:
        return int(self.handle.call("pending_error"))

    def is_listening(self) -> bool:
        return bool(self.handle.call("is_listening"))


def _packed(address: object) -> object:
    """An address as it travels: one that was read once is marked."""
    return {NAME: tuple(address)} if isinstance(address, Name) else address


class _RemoteResolver(Resolver):
    """Names, as the kernel's process finds them."""

    def __init__(self, kernel: RemoteKernel) -> None:
        super().__init__(kernel)
        self._channel = kernel.channel

    def _ask(self, method: str, args: Sequence[Any]) -> Any:
        return self._channel.call("resolver", method, tuple(args))

    def getaddrinfo(
        self, host: object, port: object, family: Any = 0, kind: Any = 0, protocol: Any = 0, flags: Any = 0
    ) -> Any:
        found = self._ask("getaddrinfo", (host, port, family, kind, protocol, flags))
        return [(socket.AddressFamily(each[0]), _kind(each[1]), each[2], each[3], each[4]) for each in found]

    def gethostbyname(self, *args: Any) -> str:
        return str(self._ask("gethostbyname", args))

    def gethostbyname_ex(self, *args: Any) -> tuple[str, list[str], list[str]]:
        found: tuple[str, list[str], list[str]] = self._ask("gethostbyname_ex", args)
        return found

    def getnameinfo(self, *args: Any) -> tuple[str, str]:
        found: tuple[str, str] = self._ask("getnameinfo", args)
        return found

    def gethostbyaddr(self, *args: Any) -> tuple[str, list[str], list[str]]:
        found: tuple[str, list[str], list[str]] = self._ask("gethostbyaddr", args)
        return found

    def getfqdn(self, name: str = "") -> str:
        return str(self._ask("getfqdn", (name,)))

    def interface_index(self, name: Any) -> int:
        return int(self._ask("interface_index", (name,)))

    def interface_name(self, index: Any) -> str:
        return str(self._ask("interface_name", (index,)))


def _kind(number: int) -> Any:
    """The member of an enumeration that a number is; the number itself when it is none."""
    try:
        return socket.SocketKind(number)
    except ValueError:
        return number


def _handle_of(file: File) -> _Handle:
    if isinstance(file, _RemoteSocket):
        return file.handle
    if isinstance(file, _RemoteEpoll):
        return file.handle
    assert isinstance(file, _RemoteFile)
    return file.handle


class RemoteKernel(Kernel):
    """The kernel of a process that is not the kernel's own."""

    def __init__(self, original: Kernel, channel: Channel) -> None:
        """`original` is a copy of the kernel as it was when the process began: its settings are taken over."""
        self.channel = channel
        super().__init__(original.stack, original.hostname, original.names, original.runtime, epoch=original.epoch)
        self.resolver = _RemoteResolver(self)
        self.inheritable = set(original.inheritable)
        self.low = set(original.low)

    def known(self, description: Description, *, fresh: bool = True) -> File:
        """The file that the kernel describes; if it is `fresh`, `install` is yet to ask for its descriptor."""
        number, kind, mode, family, type_, protocol, receive_timeout, send_timeout = description
        handle = _Handle(self.channel, number)
        handle.fresh = fresh
        file: File
        if kind == SOCKET:
            made = _RemoteSocket(self, handle, family, type_, protocol)
            made.receive_timeout, made.send_timeout = receive_timeout, send_timeout
            file = made
        elif kind == EPOLL:
            file = _RemoteEpoll(handle)
        else:
            file = _RemoteFile(handle, mode)
        self._table[number] = (file.acquire(), None)
        return file

    def _known_socket(self, description: Description) -> SocketFile:
        file = self.known(description)
        assert isinstance(file, SocketFile)
        return file

    # Descriptors.

    def install(self, file: File) -> int:
        """Return the descriptor of a file that has just been made, else a new one."""
        handle = _handle_of(file)
        if handle.fresh:
            handle.fresh = False
            return handle.numbers[0]
        number = int(self.channel.call("dup", handle.numbers[0])[0])
        handle.numbers.append(number)
        self._table[number] = (file.acquire(), None)
        return number

    def file(self, descriptor: int) -> File:
        """See `Kernel`."""
        entry = self._table.get(descriptor)
        return self.known(self.channel.call("describe", descriptor), fresh=False) if entry is None else entry[0]

    def duplicate_to(self, descriptor: int, target: int) -> None:
        """See `Kernel`."""
        file = self.file(descriptor)
        self.channel.call("dup2", descriptor, target)
        if descriptor == target:
            return
        replaced = self._table.pop(target, None)
        if replaced is not None:
            _handle_of(replaced[0]).numbers.remove(target)
        _handle_of(file).numbers.append(target)
        self._table[target] = (file.acquire(), None)
        if replaced is not None:
            replaced[0].release()
        if target < FIRST_DESCRIPTOR:
            self.low.add(target)

    def close(self, descriptor: int) -> None:
        """See `Kernel`."""
        entry = self._table.pop(descriptor, None)
        self.inheritable.discard(descriptor)
        self.low.discard(descriptor)
        if entry is None:
            self.channel.call("close", descriptor)
            return
        file = entry[0]
        _handle_of(file).numbers.remove(descriptor)
        file.release()
        self.channel.tell("closed", descriptor)

    def close_of(self, owner: Owner, descriptors: Iterable[int]) -> None:
        """See `Kernel`; all here are of one process."""
        for descriptor in descriptors:
            if descriptor in self._table:
                self.close(descriptor)

    def keep(self, owner: Owner, kept: Iterable[int]) -> None:
        """See `Kernel`; the other side has been asked to."""
        wanted = set(kept)
        self.inheritable &= wanted
        self.low &= wanted
        for number in [number for number in self._table if number not in wanted]:
            file = self._table.pop(number)[0]
            _handle_of(file).numbers.remove(number)
            file.release()

    def numbers(self) -> list[int]:
        """Descriptors that the process has open."""
        return list(self.channel.call("numbers"))

    # Making files.

    def socket(self, family: int, kind: int, protocol: int = 0) -> SocketFile:
        """See `Kernel`."""
        return self._known_socket(self.channel.call("socket", family, kind, protocol))

    def socketpair(self, family: int, kind: int, protocol: int = 0) -> tuple[SocketFile, SocketFile]:
        """See `Kernel`."""
        one, other = self.channel.call("socketpair", family, kind, protocol)
        return self._known_socket(one), self._known_socket(other)

    def pipe(self) -> tuple[File, File]:
        """See `Kernel`."""
        reader, writer = self.channel.call("pipe")
        return self.known(reader), self.known(writer)

    def event_counter(self, value: int, semaphore: bool) -> File:
        """See `Kernel`."""
        return self.known(self.channel.call("event_counter", value, semaphore))

    def epoll(self) -> Epoll:
        """See `Kernel`."""
        file = self.known(self.channel.call("epoll"))
        assert isinstance(file, Epoll)
        return file

    def semaphore(self, name: str, value: int, maximum: int, unnamed: bool) -> File:
        """See `Kernel`."""
        return self.known(self.channel.call("semaphore", name, value, maximum, unnamed))

    def named_semaphore(self, name: str) -> File:
        """See `Kernel`."""
        return self.known(self.channel.call("named_semaphore", name))

    def unlink_semaphore(self, name: str) -> bool:
        """See `Kernel`."""
        return bool(self.channel.call("unlink_semaphore", name))
