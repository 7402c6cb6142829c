"""Local sockets (unix(7)): stream, datagram and sequenced packets, with names, pairs and passed descriptors.

What names are is in `local_names.py`.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from catenet.posix.address import SocketAddress
from catenet.posix.control import HEADER, Ancillary, files_of, fit_control, rights_of
from catenet.posix.errors import os_error
from catenet.posix.local_credentials import (
    PASSES,
    credentials_of,
    current_credentials,
    shown_credentials,
    wants_credentials,
)
from catenet.posix.local_inbox import BUFFER_SIZE, MessageInbox, StreamInbox
from catenet.posix.local_names import Key, read_name
from catenet.posix.sockets import (
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    Message,
    SocketFile,
)
from catenet.stack.endpoint import Buffer, Readiness

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["LocalSocket", "join"]

MAXIMUM_DATAGRAMS: Final = 10
"""Default of net.unix.max_dgram_qlen."""
MAXIMUM_BACKLOG: Final = 4096
"""Default of net.core.somaxconn."""

STREAM: Final = int(socket.SOCK_STREAM)
DGRAM: Final = int(socket.SOCK_DGRAM)
SEQPACKET: Final = int(socket.SOCK_SEQPACKET)

CLOSED: Final = 0
LISTENING: Final = 1
CONNECTED: Final = 2
DEAD: Final = 3
"""Closed by all that had it open (SOCK_DEAD)."""

READ: Final = 1
WRITE: Final = 2
BOTH: Final = 3


class LocalSocket(SocketFile):
    """A local socket; `type` is stream, datagram or sequenced packets.

    As in Linux's af_unix.c, a socket is CLOSED, LISTENING or CONNECTED, and apart from that shut down for reading, for
    writing or both; a connection whose peer has gone stays connected, and both ways shut.
    """

    __slots__ = (
        "_backlog",
        "_blocked",
        "_bound_to",
        "_embryonic",
        "_error",
        "_inbox",
        "_incoming",
        "_name",
        "_peer",
        "_pending_at",
        "_shut",
        "_state",
        "credentials",
        "groups",
    )

    kind: ClassVar[str] = "local"

    def __init__(self, kernel: Kernel, kind: int, protocol: int = 0) -> None:
        super().__init__(kernel, socket.AF_UNIX, kind, protocol)
        self._state = CLOSED
        self._shut = 0
        self._error = 0
        self._name: bytes | None = None
        self._bound_to: Key | None = None  # None also of a socket that has its listener's name
        self._peer: LocalSocket | None = None
        self._pending_at: LocalSocket | None = None  # listener that a pending connection waits with
        self._incoming: deque[LocalSocket] = deque()
        self._backlog = 0
        self._embryonic = False  # not accepted yet
        self._blocked: dict[LocalSocket, None] = {}
        self._inbox: StreamInbox | MessageInbox
        if kind == STREAM:
            self._inbox = StreamInbox()
        else:
            self._inbox = MessageInbox(MAXIMUM_DATAGRAMS + 1 if kind == DGRAM else 1 << 30)
        self._note_credentials()

    def _note_credentials(self) -> None:
        """Keep who makes the socket, later who connects it or listens: what its peer sees (unix(7), SO_PEERCRED)."""
        owner = self.kernel.runtime.owner()
        self.credentials = 0 if owner is None else owner.pid, os.geteuid(), os.getegid()
        self.groups = tuple(os.getgroups())

    @property
    def has_connections(self) -> bool:
        """Whether its type connects, listens and accepts."""
        return self.type != DGRAM

    def readiness(self) -> int:
        """Readiness as Linux's unix_poll and unix_dgram_poll show it."""
        mask = Readiness.ERR if self._error else 0
        if self._shut == BOTH or (self.has_connections and self._state == CLOSED):
            mask |= Readiness.HUP
        if self._shut & READ:
            mask |= Readiness.IN | Readiness.RDHUP
        if self._inbox or self._incoming:
            mask |= Readiness.IN
        if self._state != LISTENING and (self._peer is None or self._peer._inbox.has_room):
            mask |= Readiness.OUT | Readiness.WRBAND
        return mask

    # Names and connections.

    def read_address(self, address: object, call: str) -> bytes:
        """See `SocketFile`."""
        return read_name(address)

    def bind(self, address: object) -> None:
        """System call `bind`; the empty name takes an automatic abstract one, unless there is a name."""
        name = read_name(address)
        if self._name is not None:
            if not name:
                return
            raise os_error(errno.EINVAL)
        name = name or self.kernel.local_names.free_abstract_name(self.type)
        self._bound_to = self.kernel.local_names.bind(name, self)
        self._name = name

    def _take_name(self) -> None:
        """Who asks for credentials of others can be answered."""
        if self._name is None and wants_credentials(self):
            self.bind("")

    def listen(self, backlog: int) -> None:
        """System call `listen`."""
        if not self.has_connections:
            raise os_error(errno.EOPNOTSUPP)
        if self._name is None or self._state not in (CLOSED, LISTENING):
            raise os_error(errno.EINVAL)
        backlog = min(backlog if backlog >= 0 else MAXIMUM_BACKLOG, MAXIMUM_BACKLOG)
        grows = backlog > self._backlog
        self._backlog = backlog
        self._state = LISTENING
        self._note_credentials()
        if grows:
            self._unblock()

    def is_listening(self) -> bool:
        """SO_ACCEPTCONN."""
        return self._state == LISTENING

    def connect(self, address: object) -> bool | None:
        """System call `connect`; None while the listener's backlog is full."""
        self._take_name()
        target = self.kernel.local_names.find(read_name(address), self.type)
        if not self.has_connections:
            self._connect_datagrams(target)
            return True
        if self._state == CLOSED:
            self._note_credentials()
        self._pending_at = target
        done = self.finish_connect()
        if done is None and self.nonblocking:
            self._pending_at = None
            raise os_error(errno.EAGAIN)
        return done

    def _connect_datagrams(self, target: LocalSocket) -> None:
        if target._peer is not self and target._peer is not None:
            raise os_error(errno.EPERM)
        former, self._peer = self._peer, target
        if former is not None and former is not target:
            self._disconnect_from(former)

    def _disconnect_from(self, former: LocalSocket) -> None:
        """Drop unread data of a former peer; if it was connected to this socket, it gets an error."""
        if not self._inbox:
            return
        self._inbox.drop_all()
        self._unblock()
        if former._state != DEAD and former._peer is self:
            former._error = errno.ECONNRESET
            former.notify()

    def finish_connect(self) -> bool | None:
        """Enter the listener's queue when there is room."""
        target = self._pending_at
        if target is None:
            return True
        if target._state != LISTENING or target._shut & READ:
            self._pending_at = None
            raise os_error(errno.ECONNREFUSED)
        if len(target._incoming) > target._backlog:
            target._blocked[self] = None
            return None
        self._pending_at = None
        if self._state != CLOSED:
            raise os_error(errno.EISCONN if self._state == CONNECTED else errno.EINVAL)
        server = LocalSocket(target.kernel, self.type, self.protocol)
        server._name = target._name
        server._embryonic = True
        server.credentials, server.groups = target.credentials, target.groups
        join(self, server)
        target._incoming.append(server)
        target.notify()
        return True

    def accept(self) -> tuple[SocketFile, SocketAddress] | None:
        """System call `accept`; shut down for reading, it fails where it would wait (as Linux)."""
        if not self.has_connections:
            raise os_error(errno.EOPNOTSUPP)
        if self._state != LISTENING:
            raise os_error(errno.EINVAL)
        if not self._incoming:
            if self._shut & READ and not self.nonblocking:
                raise os_error(errno.EINVAL)
            return None
        accepted = self._incoming.popleft()
        accepted._embryonic = False
        if wants_credentials(self):
            accepted.kept_options[PASSES] = 1
        self._unblock()
        assert accepted._peer is not None
        return accepted, _show(accepted._peer._name)

    def local_address(self) -> SocketAddress:
        """System call `getsockname`."""
        return _show(self._name)

    def peer_address(self) -> SocketAddress:
        """System call `getpeername`; ENOTCONN. A peer that has closed keeps its name."""
        if self._peer is None:
            raise os_error(errno.ENOTCONN)
        return _show(self._peer._name)

    # Data.

    def send_message(self, data: Buffer, control: Sequence[Ancillary], flags: int, address: object) -> int | None:
        """System call `sendmsg`, with SCM_RIGHTS."""
        if flags & MSG_OOB:
            raise os_error(errno.EOPNOTSUPP)
        credentials = credentials_of(self.kernel, control) if control else None
        if self.type == STREAM:
            target = self._peer
            if address is not None or target is None or self._shut & WRITE or self._error or target._shut & READ:
                self._refuse_stream(data, flags, address)
                return 0
            if not memoryview(data).nbytes:
                return 0
        else:
            self._take_name()
            target = self._message_target(address)
        if credentials is None and (target._embryonic or wants_credentials(self) or wants_credentials(target)):
            credentials = current_credentials(self.kernel)
        files = tuple(files_of(self.kernel, control)) if control else ()
        count = target._inbox.push(data, files, self, credentials)
        if count is None:
            for file in files:
                file.release()
            target._blocked[self] = None
            return None
        target.notify()
        return count

    def _raise_error(self) -> None:
        if self._error:
            raise os_error(self.pending_error())

    def _refuse_stream(self, data: Buffer, flags: int, address: object) -> None:
        """Raise the error of a write to a stream that cannot be written, in Linux's order; empty data never fail."""
        if address is not None:
            raise os_error(errno.EISCONN if self._state == CONNECTED else errno.EOPNOTSUPP)
        if self._peer is None:
            raise os_error(errno.ENOTCONN)
        if not self._shut & WRITE:
            if not memoryview(data).nbytes:
                return
            self._raise_error()
        if not flags & MSG_NOSIGNAL:
            self.kernel.broken_pipe()
        raise os_error(errno.EPIPE)

    def _message_target(self, address: object) -> LocalSocket:
        """Return the receiver of a message: a connection's peer, or for datagrams the address given or the peer."""
        self._raise_error()
        if self.type == SEQPACKET:
            if self._state != CONNECTED:
                raise os_error(errno.ENOTCONN)
            address = None
        if self._shut & WRITE:
            raise os_error(errno.EPIPE)
        if address is not None:
            target = self.kernel.local_names.find(read_name(address), self.type)
        elif self._peer is None:
            raise os_error(errno.ENOTCONN)
        else:
            target = self._peer
        if target._peer is not self and target._peer is not None:
            raise os_error(errno.EPERM)
        if target._state == DEAD:
            self._peer = None
            self._disconnect_from(target)
            raise os_error(errno.ECONNREFUSED)
        if target._shut & READ:
            raise os_error(errno.EPIPE)
        return target

    def receive_message(self, size: int, control_size: int, flags: int) -> Message | None:
        """System call `recvmsg`, with SCM_RIGHTS; descriptors for which there is no room are closed."""
        if flags & MSG_OOB:
            raise os_error(errno.EOPNOTSUPP)
        kind = self.type
        if self._state != CONNECTED and kind != DGRAM:
            raise os_error(errno.EINVAL if kind == STREAM else errno.ENOTCONN)
        if kind != STREAM:
            self._raise_error()
        elif size == 0:
            return b"", [], 0, None
        if not self._inbox:
            return self._nothing(flags)
        peek = bool(flags & MSG_PEEK)
        whole = flags & MSG_TRUNC and not self.is_stream
        asked = wants_credentials(self)
        piece = self._inbox.pull(BUFFER_SIZE if whole else size, peek, asked)
        shown = MSG_TRUNC if piece.size > size else 0
        control: list[Ancillary] = []
        cut = False
        if asked:
            control, cut = fit_control([shown_credentials(piece.credentials)], control_size)
            control_size -= HEADER + 16 if control else 0
        if piece.files:
            if peek:
                for file in piece.files:
                    file.acquire()
            rights, closed = rights_of(self.kernel, piece.files, control_size)
            control += rights
            cut = cut or closed
        if cut:
            shown |= MSG_CTRUNC
        if not peek:
            self._unblock()
        sender = piece.sender or self._peer
        name = None if sender is None else sender._name
        return piece.data, control, shown, _show(name) if name else None

    def _nothing(self, flags: int) -> Message | None:
        """Report an empty queue: an error, the end, or None to wait. Datagrams end only where they would wait."""
        self._raise_error()
        if not self._shut & READ:
            return None
        if self.type == DGRAM and (self.nonblocking or flags & MSG_DONTWAIT):
            return None
        return b"", [], 0, None

    def _unblock(self) -> None:
        """Notify the sockets that wait to send or connect, because there is room again."""
        if self._peer is not None:
            self._peer.notify()
        if self._blocked:
            waiting, self._blocked = self._blocked, {}
            for other in waiting:
                other.notify()

    def unread(self) -> int:
        """FIONREAD; EINVAL for a listener."""
        if self._state == LISTENING:
            raise os_error(errno.EINVAL)
        inbox = self._inbox
        if self.has_connections and isinstance(inbox, MessageInbox):
            return inbox.waiting_in_all()
        return inbox.waiting()

    def pending_error(self) -> int:
        """SO_ERROR."""
        error, self._error = self._error, 0
        return error

    # The end.

    def shutdown(self, how: int) -> None:
        """System call `shutdown`: allowed in any state; it shuts the opposite directions of the connected peer."""
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise os_error(errno.EINVAL)
        bits = how + 1
        self._shut |= bits
        self.notify()
        if self._peer is not None and self.has_connections:
            self._peer._shut |= (bits & READ) << 1 | bits >> 1
            self._peer.notify()

    def close(self) -> None:
        """Disconnect from the peer, which gets ECONNRESET when it sent data that was not read."""
        self._disconnect_peer(embryonic=False)

    def _disconnect_peer(self, embryonic: bool) -> None:
        """`embryonic`: the connection has not been accepted."""
        if self._bound_to is not None:
            self.kernel.local_names.release(self._bound_to, self)
        unread = bool(self._inbox)
        self._state = DEAD
        self._shut = BOTH
        self._inbox.drop_all()
        peer, self._peer = self._peer, None
        if peer is not None and self.has_connections:
            peer._shut = BOTH
            if unread or embryonic:
                peer._error = errno.ECONNRESET
            peer.notify()
        waiting, self._incoming = self._incoming, deque()
        for connection in waiting:
            connection._disconnect_peer(embryonic=True)
        self._unblock()

    def is_open_to_others(self) -> bool:
        """Whether it listens, or is a datagram socket with a name and without a peer."""
        return self.is_listening() if self.has_connections else self._bound_to is not None and self._peer is None

    def describe(self) -> str:
        """Kind and name, for reports."""
        return f"local {_show(self._name)!r}" if self._name else "local socket"


def join(one: LocalSocket, other: LocalSocket) -> None:
    """Connect two sockets to each other."""
    one._peer, other._peer = other, one
    one._state = other._state = CONNECTED


def _show(name: bytes | None) -> str | bytes:
    if not name:
        return ""
    return name if name[:1] == b"\0" else os.fsdecode(name)
