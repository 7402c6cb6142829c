"""Local sockets (unix(7)): stream, datagram and sequenced packets, with names, pairs and passed descriptors.

Names live in a table of the host, not in the file system: `bind` makes no file, and a name is free again when its
socket closes (Linux leaves the file behind). Everything else is as Linux has it.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from catenet.posix.control import Ancillary, files_of, rights_of
from catenet.posix.errors import os_error
from catenet.posix.file import File
from catenet.posix.sockets import MSG_CTRUNC, MSG_OOB, MSG_PEEK, MSG_TRUNC, Message, SocketFile
from catenet.posix.stream import ByteQueue
from catenet.stack.endpoint import Buffer, Readiness

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["LocalNames", "LocalSocket", "make_pair"]

BUFFER: Final = 212_992
"""Default of net.core.wmem_default."""
DATAGRAMS: Final = 10
"""Default of net.unix.max_dgram_qlen."""
MAXIMUM_BACKLOG: Final = 4096
NAME_LIMIT: Final = 108

Files = tuple[File, ...]


class LocalNames:
    """Who listens where on one host; names are bytes, abstract ones begin with a zero."""

    def __init__(self) -> None:
        self._holders: dict[bytes, LocalSocket] = {}
        self._automatic = 0

    def take(self, name: bytes, holder: LocalSocket) -> None:
        """Bind; EADDRINUSE."""
        if name in self._holders:
            raise os_error(errno.EADDRINUSE)
        self._holders[name] = holder

    def automatic(self) -> bytes:
        """An abstract name of five hexadecimal digits that nobody has."""
        while True:
            self._automatic += 1
            name = b"\0%05x" % self._automatic
            if name not in self._holders:
                return name

    def find(self, name: bytes) -> LocalSocket:
        """Holder of a name; ENOENT for a path, ECONNREFUSED for an abstract name that nobody has."""
        holder = self._holders.get(name)
        if holder is None:
            raise os_error(errno.ECONNREFUSED if name[:1] == b"\0" else errno.ENOENT)
        return holder

    def drop(self, name: bytes, holder: LocalSocket | None = None) -> bool:
        """Free a name (unlink(2) too); False when nobody, or somebody else, has it."""
        if name not in self._holders or (holder is not None and self._holders[name] is not holder):
            return False
        del self._holders[name]
        return True


class _Piece(NamedTuple):
    """What one receive takes: `size` is the whole length of a message of which `data` may be the beginning."""

    data: bytes
    size: int
    files: Files
    source: Any


class _StreamInbox:
    """Bytes without boundaries, but descriptors stay with the byte that they came with."""

    def __init__(self) -> None:
        self._bytes = ByteQueue(BUFFER)
        self._rights: deque[tuple[int, int, Files]] = deque()
        """(first byte, byte after the last, descriptors) of what was sent with descriptors, counted from the start."""
        self._pulled = 0

    def __bool__(self) -> bool:
        return self._bytes.size > 0

    @property
    def has_room(self) -> bool:
        return self._bytes.room >= BUFFER // 4

    def push(self, data: Buffer, files: Files, source: Any) -> int | None:
        position = self._pulled + self._bytes.size
        count = self._bytes.push(data)
        if count and files:
            self._rights.append((position, position + count, files))
        return count or None

    def pull(self, size: int, peek: bool) -> _Piece:
        files: Files = ()
        if self._rights:
            first, end, passed = self._rights[0]
            if first == self._pulled:
                files = passed
            size = min(size, (end if files else first) - self._pulled)
        data = self._bytes.pull(size, peek=peek)
        if not peek:
            self._pulled += len(data)
            if files:
                self._rights.popleft()
        return _Piece(data, len(data), files, None)

    def waiting(self) -> int:
        return self._bytes.size

    def held(self) -> list[Files]:
        return [files for _, _, files in self._rights]


class _MessageInbox:
    """Messages with boundaries."""

    def __init__(self, limit: int) -> None:
        self._messages: deque[_Piece] = deque()
        self._limit = limit
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def has_room(self) -> bool:
        return len(self._messages) < self._limit and self._size < BUFFER

    def push(self, data: Buffer, files: Files, source: Any) -> int | None:
        if not self.has_room:
            return None
        raw = bytes(data)
        if len(raw) > BUFFER:
            raise os_error(errno.EMSGSIZE)
        self._messages.append(_Piece(raw, len(raw), files, source))
        self._size += len(raw)
        return len(raw)

    def pull(self, size: int, peek: bool) -> _Piece:
        piece = self._messages[0] if peek else self._messages.popleft()
        if not peek:
            self._size -= piece.size
        return piece._replace(data=piece.data[:size])

    def waiting(self) -> int:
        return self._messages[0].size if self._messages else 0

    def held(self) -> list[Files]:
        return [piece.files for piece in self._messages]


class LocalSocket(SocketFile):
    """One end of local communication; `type` decides which kind."""

    __slots__ = (
        "_backlog",
        "_blocked",
        "_error",
        "_inbox",
        "_incoming",
        "_linked",
        "_listener",
        "_name",
        "_peer",
        "_shut",
        "_was_connected",
        "credentials",
    )

    kind: ClassVar[str] = "local"

    def __init__(self, kernel: Kernel, kind: int, protocol: int = 0) -> None:
        super().__init__(kernel, socket.AF_UNIX, kind, protocol)
        self._name: bytes | None = None
        self._peer: LocalSocket | None = None
        self._linked: LocalSocket | None = None  # listener that a pending connection waits with
        self._listener: bytes | None = None  # name under which an accepted socket's listener was reached
        self._incoming: deque[LocalSocket] | None = None
        self._backlog = 0
        self._shut = 0
        self._error = 0
        self._was_connected = False
        self._blocked: dict[LocalSocket, None] = {}
        self._inbox: _StreamInbox | _MessageInbox
        if kind == socket.SOCK_STREAM:
            self._inbox = _StreamInbox()
        else:
            self._inbox = _MessageInbox(DATAGRAMS + 1 if kind == socket.SOCK_DGRAM else 1 << 30)
        self.credentials = _credentials(kernel)

    @property
    def has_connections(self) -> bool:
        """Whether it is of a kind that connects, listens and accepts."""
        return self.type != socket.SOCK_DGRAM

    def readiness(self) -> int:
        """As unix_poll and unix_dgram_poll of Linux show it."""
        mask = Readiness.ERR if self._error else 0
        if self._incoming is not None:
            return mask | (Readiness.IN if self._incoming else 0)
        peer = self._peer
        ended = self.has_connections and self._was_connected and peer is None
        if self._inbox or self._shut & 1 or ended:
            mask |= Readiness.IN
        if self._shut & 1 or ended:
            mask |= Readiness.RDHUP
        if self._shut == 3 or ended or (self.has_connections and not self._was_connected):
            mask |= Readiness.HUP
        if peer is None or peer._inbox.has_room or self._shut & 2:
            mask |= Readiness.OUT
        return mask

    # Names and connections.

    def bind(self, address: Any) -> None:
        """System call `bind`; the empty name takes an automatic abstract one."""
        name = _name(address, "bind")
        if self._name is not None:
            raise os_error(errno.EINVAL)
        name = name or self.kernel.local_names.automatic()
        self.kernel.local_names.take(name, self)
        self._name = name

    def listen(self, backlog: int) -> None:
        """System call `listen`."""
        if not self.has_connections:
            raise os_error(errno.EOPNOTSUPP)
        if self._name is None or self._was_connected:
            raise os_error(errno.EINVAL)
        self._backlog = min(max(0, backlog), MAXIMUM_BACKLOG)
        if self._incoming is None:
            self._incoming = deque()

    def is_listening(self) -> bool:
        """SO_ACCEPTCONN."""
        return self._incoming is not None

    def connect(self, address: Any) -> bool | None:
        """System call `connect`; None while the listener's backlog is full."""
        name = _name(address, "connect")
        if self.has_connections and self._was_connected:
            raise os_error(errno.EISCONN)
        if self._incoming is not None:
            raise os_error(errno.EINVAL)
        target = self.kernel.local_names.find(name)
        if target.type != self.type:
            raise os_error(errno.ECONNREFUSED if name[:1] == b"\0" else errno.EPROTOTYPE)
        if not self.has_connections:
            self._peer = target
            return True
        if target._incoming is None:
            raise os_error(errno.ECONNREFUSED)
        self._linked = target
        return self.finish_connect()

    def finish_connect(self) -> bool | None:
        """Enter the listener's queue when there is room."""
        target = self._linked
        if target is None:
            return True
        if target._incoming is None or target.references == 0:
            self._linked = None
            raise os_error(errno.ECONNREFUSED)
        if len(target._incoming) > target._backlog:
            target._blocked[self] = None
            return None
        self._linked = None
        server = LocalSocket(target.kernel, self.type, self.protocol)
        server._listener = target._name
        server.credentials = target.credentials
        _join(self, server)
        target._incoming.append(server)
        target.notify()
        return True

    def accept(self) -> tuple[SocketFile, Any] | None:
        """System call `accept`."""
        if self._incoming is None:
            raise os_error(errno.EINVAL if self.has_connections else errno.EOPNOTSUPP)
        if not self._incoming:
            return None
        accepted = self._incoming.popleft()
        self._unblock()
        return accepted, accepted.peer_address() if accepted._peer is not None else ""

    def local_address(self) -> Any:
        """System call `getsockname`."""
        return _show(self._name or self._listener)

    def peer_address(self) -> Any:
        """System call `getpeername`; ENOTCONN."""
        if self._peer is None:
            raise os_error(errno.ENOTCONN)
        return _show(self._peer._name or self._peer._listener)

    # Data.

    def send_message(self, data: Buffer, control: Sequence[Ancillary], flags: int, address: Any) -> int | None:
        """System call `sendmsg`, with SCM_RIGHTS."""
        if flags & MSG_OOB:
            raise os_error(errno.EOPNOTSUPP)
        if self._error:
            raise os_error(self.pending_error())
        target = self._target(address)
        if self._shut & 2 or target._shut & 1:
            raise os_error(errno.EPIPE)
        if self.is_stream and not memoryview(data).nbytes:
            return 0
        files = tuple(files_of(self.kernel, control)) if control else ()
        count = target._inbox.push(data, files, _show(self._name))
        if count is None:
            for file in files:
                file.release()
            target._blocked[self] = None
            return None
        target.notify()
        return count

    def _target(self, address: Any) -> LocalSocket:
        """Who gets what is sent; a connection ignores an address, or refuses it as Linux does."""
        if self.has_connections:
            if self._peer is None:
                raise os_error(errno.EPIPE if self._was_connected else errno.ENOTCONN)
            if address is not None:
                raise os_error(errno.EISCONN)
            return self._peer
        if address is not None:
            target = self.kernel.local_names.find(_name(address, "sendto"))
            if target.type != self.type:
                raise os_error(errno.EPROTOTYPE)
            if target._peer is not None and target._peer is not self:
                raise os_error(errno.EPERM)
            return target
        if self._peer is None:
            raise os_error(errno.ENOTCONN)
        if self._peer.references == 0:
            self._peer = None
            raise os_error(errno.ECONNREFUSED)
        return self._peer

    def receive_message(self, size: int, control_size: int, flags: int) -> Message | None:
        """System call `recvmsg`, with SCM_RIGHTS; descriptors for which there is no room are closed."""
        if flags & MSG_OOB:
            raise os_error(errno.EOPNOTSUPP)
        if self._error:
            raise os_error(self.pending_error())
        if self.is_stream and size == 0:
            return b"", [], 0, None
        if not self._inbox:
            if self._shut & 1 or (self.has_connections and self._was_connected and self._peer is None):
                return b"", [], 0, None
            if self.has_connections and not self._was_connected:
                raise os_error(errno.EINVAL if self.is_stream else errno.ENOTCONN)
            return None
        peek = bool(flags & MSG_PEEK)
        piece = self._inbox.pull(size, peek)
        shown = MSG_TRUNC if piece.size > len(piece.data) else 0
        control: list[Ancillary] = []
        if piece.files:
            if peek:
                for file in piece.files:
                    file.acquire()
            control, cut = rights_of(self.kernel, piece.files, control_size)
            shown |= MSG_CTRUNC if cut else 0
        if not peek:
            self._unblock()
        return piece.data, control, shown, piece.source or None

    def _unblock(self) -> None:
        """There is room again: tell those who wait to send or connect."""
        if self._peer is not None:
            self._peer.notify()
        if self._blocked:
            waiting, self._blocked = self._blocked, {}
            for other in waiting:
                other.notify()

    def unread(self) -> int:
        """FIONREAD."""
        return self._inbox.waiting()

    def pending_error(self) -> int:
        """SO_ERROR."""
        error, self._error = self._error, 0
        return error

    # The end.

    def shutdown(self, how: int) -> None:
        """System call `shutdown`."""
        if how not in (0, 1, 2):
            raise os_error(errno.EINVAL)
        if self.has_connections and self._peer is None:
            raise os_error(errno.ENOTCONN)
        bits = how + 1
        self._shut |= bits
        if self._peer is not None and self.has_connections:
            self._peer._shut |= (bits & 1) << 1 | bits >> 1
            self._peer.notify()
        self.notify()

    def close(self) -> None:
        """Part from the peer, who gets ECONNRESET when it sent what nobody has read."""
        if self._name is not None:
            self.kernel.local_names.drop(self._name, self)
        for files in self._inbox.held():
            for file in files:
                file.release()
        peer, self._peer = self._peer, None
        if peer is not None and self.has_connections:
            peer._peer = None
            if self._inbox:
                peer._error = errno.ECONNRESET
            peer.notify()
        for waiting in self._incoming or ():
            waiting._error_to_peer()
        self._incoming = None
        self._unblock()

    def _error_to_peer(self) -> None:
        """A connection that was never accepted ends with its listener."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer._peer = None
            peer._error = errno.ECONNRESET
            peer.notify()

    def describe(self) -> str:
        """Kind and name, for reports."""
        name = self._name or self._listener
        return f"local {_show(name)!r}" if name else "local socket"


def make_pair(kernel: Kernel, kind: int, protocol: int = 0) -> tuple[LocalSocket, LocalSocket]:
    """System call `socketpair`."""
    one, other = LocalSocket(kernel, kind, protocol), LocalSocket(kernel, kind, protocol)
    _join(one, other)
    return one, other


def _join(one: LocalSocket, other: LocalSocket) -> None:
    one._peer, other._peer = other, one
    one._was_connected = other._was_connected = True


def _name(address: Any, call: str) -> bytes:
    if isinstance(address, str):
        name = os.fsencode(address)
    elif isinstance(address, bytes | bytearray | memoryview):
        name = bytes(address)
    elif hasattr(address, "__fspath__"):
        name = os.fsencode(address)
    else:
        raise TypeError(f"{call}(): a bytes-like object is required, not {type(address).__name__!r}")
    if len(name) >= NAME_LIMIT + (name[:1] == b"\0"):
        raise OSError("AF_UNIX path too long")
    if name and name[:1] != b"\0":
        name = os.path.abspath(name)
    return name


def _show(name: bytes | None) -> str | bytes:
    if not name:
        return ""
    return name if name[:1] == b"\0" else os.fsdecode(name)


def _credentials(kernel: Kernel) -> tuple[int, int, int]:
    """(pid, user, group) of who made the socket, for SO_PEERCRED."""
    return getattr(kernel.owner(), "pid", 0), os.getuid(), os.getgid()
