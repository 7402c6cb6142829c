"""TCP sockets as system calls see them: connecting, urgent data, the error queue, Fast Open, zero copy."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from catenet.posix.address import SocketAddress, show_name
from catenet.posix.control import IP_RECVERR, IPV6_RECVERR, Ancillary, check_socket_control, fit_control
from catenet.posix.errors import error_of, os_error
from catenet.posix.sockets import (
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    InetSocket,
    Message,
    SocketFile,
)
from catenet.posix.timestamps import requested
from catenet.posix.zerocopy import ZeroCopy
from catenet.stack.endpoint import Buffer, Fault, Readiness, StackError
from catenet.stack.tcp.user.endpoint import TcpEndpoint

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel
    from catenet.stack.tcp.user.info import TcpInfo

__all__ = ["InetStream"]

MSG_EOR: Final = 0x80
MSG_FASTOPEN: Final = 0x20000000
MSG_ZEROCOPY: Final = 0x4000000
SENDING: Final = MSG_OOB | MSG_MORE | MSG_EOR
FASTOPEN_CLIENT: Final = 1
"""Bit of tcp_fastopen that lets clients use it."""
TCP_CM_INQ: Final = 36
OUTCOME: Final = Readiness.OUT | Readiness.ERR | Readiness.HUP

SS_UNCONNECTED: Final = 0
SS_CONNECTING: Final = 1
"""connect(2) was called, and no later call has reported the outcome, even if the handshake is over."""
SS_CONNECTED: Final = 2
SS_DISCONNECTING: Final = 3
"""Shut down while connecting; the socket can only be closed."""


class InetStream(InetSocket[TcpEndpoint]):
    """A TCP socket."""

    __slots__ = ("_deferred", "_phase", "_stamped", "_syn_data", "_zero_copy")

    kind: ClassVar[str] = "tcp"
    discards: ClassVar[bool] = True

    def __init__(self, kernel: Kernel, family: int, endpoint: TcpEndpoint) -> None:
        super().__init__(kernel, family, socket.SOCK_STREAM, socket.IPPROTO_TCP, endpoint)
        self._phase = SS_UNCONNECTED
        self._deferred = False
        """Whether the first data may have to go into the SYN (Fast Open)."""
        self._stamped = False
        """Whether there may be transmit timestamps to read."""
        self._zero_copy: ZeroCopy | None = None
        self._syn_data = -1
        """Bytes that a blocking Fast Open call has put into the SYN and not yet returned for; -1: there is none."""

    def connect(self, address: object) -> bool | None:
        """Begin to connect; a further call raises EALREADY, then reports the outcome (inet_stream_connect of Linux)."""
        if self._phase == SS_CONNECTED:
            raise os_error(errno.EISCONN)
        if self._phase == SS_DISCONNECTING:
            raise os_error(errno.EINVAL)
        if self._phase == SS_CONNECTING:
            if self.endpoint.waits_for_data():
                raise os_error(errno.EISCONN)
            done = self.finish_connect()
            if done is None and self.nonblocking:
                raise os_error(errno.EALREADY)
            return done
        name = self.name_of(address, "connect")
        try:
            self.endpoint.connect(name, now=self.kernel.runtime.now())
        except StackError as error:
            raise error_of(error) from None
        self._phase = SS_CONNECTING
        self._deferred = self.endpoint.waits_for_data()
        return True if self._deferred else self.finish_connect()

    def finish_connect(self) -> bool | None:
        """Return the outcome of the handshake, None while it goes on; a failure is raised once."""
        endpoint = self.endpoint
        if endpoint.is_opening():
            return None
        if not endpoint.is_connected():
            fault = endpoint.take_error(soft=False) or Fault.CONNECTION_ABORTED
            self._phase = SS_UNCONNECTED
            endpoint.disconnect()
            raise error_of(fault)
        self._phase = SS_CONNECTED
        return True

    def connect_result(self) -> bool | None:
        """See `SocketFile`."""
        if not self.readiness() & OUTCOME:
            return None
        number = self.pending_error()
        if number:
            raise os_error(number)
        return True

    def is_connecting(self) -> bool:
        """See `SocketFile`."""
        return self._phase == SS_CONNECTING

    def listen(self, backlog: int) -> None:
        """System call `listen`."""
        if self._phase != SS_UNCONNECTED:
            raise os_error(errno.EINVAL)
        try:
            self.endpoint.listen(max(0, backlog))
        except StackError as error:
            raise error_of(error) from None

    def is_listening(self) -> bool:
        """SO_ACCEPTCONN."""
        return self.endpoint.is_listening

    def accept(self) -> tuple[SocketFile, SocketAddress] | None:
        """System call `accept`: the first complete connection, which may have ended since."""
        try:
            endpoint = self.endpoint.accept()
        except StackError as error:
            raise error_of(error) from None
        if endpoint is None:
            return None
        accepted = InetStream(self.kernel, self.family, endpoint)
        accepted._phase = SS_CONNECTED
        accepted.kept_options = dict(self.kept_options)
        accepted._stamped = self._stamped
        return accepted, show_name(self.family, endpoint.origin())

    def shutdown(self, how: int) -> None:
        """System call `shutdown`; a handshake that goes on ends with ECONNRESET."""
        endpoint = self.endpoint
        opening = endpoint.is_opening()
        if self._phase == SS_CONNECTING and how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            self._phase = SS_CONNECTED if endpoint.is_connected() and not opening else SS_DISCONNECTING
        try:
            super().shutdown(how)
        finally:
            if opening and not endpoint.is_connected():
                self._phase = SS_UNCONNECTED

    def never_sent(self) -> int:
        """SIOCOUTQNSD."""
        return self.endpoint.never_sent()

    def is_at_mark(self) -> bool:
        """SIOCATMARK."""
        return self.endpoint.at_mark()

    def begin_to_linger(self) -> int:
        """See `SocketFile`; with unread data `close` sends a reset and does not wait."""
        seconds = self.endpoint.number("SO_LINGER", -1)
        if seconds <= 0 or self.is_listening() or self.endpoint.unread() or not self.endpoint.unsent():
            return 0
        self.endpoint.shutdown(False, True)
        return seconds

    def has_lingered(self) -> bool | None:
        """See `SocketFile`: whether all data and the FIN were acknowledged."""
        return None if self.endpoint.unsent() else True

    def receive(self, size: int, flags: int) -> bytes | None:
        """System call `recv` with MSG_PEEK, MSG_OOB, MSG_TRUNC (zeros instead of the data)."""
        if flags & MSG_ERRQUEUE:
            raise os_error(errno.EAGAIN)
        if size == 0:
            return b""
        endpoint = self.endpoint
        try:
            if flags & MSG_OOB:
                return self._receive_urgent(flags)
            data = endpoint.receive(size, peek=bool(flags & MSG_PEEK))
        except StackError as error:
            raise error_of(error) from None
        if data and flags & MSG_TRUNC:
            return bytes(len(data))
        return data if data is None or type(data) is bytes else bytes(data)

    def receive_into(self, buffer: memoryview, flags: int) -> int | None:
        """System call `recv` into memory; None if it would block."""
        if flags or not len(buffer):
            data = self.receive(len(buffer), flags)
            if data is None:
                return None
            buffer[: len(data)] = data
            return len(data)
        try:
            endpoint = self.endpoint
            count = endpoint.receive_into(buffer)
        except StackError as error:
            raise error_of(error) from None
        return count

    def _receive_urgent(self, flags: int) -> bytes:
        """Receive the urgent byte (RFC 6093); EINVAL without one, EAGAIN when it is announced only."""
        data = self.endpoint.receive_urgent(peek=bool(flags & MSG_PEEK))
        if data is None:
            raise os_error(errno.EAGAIN)
        return bytes(data)

    def receive_message(self, size: int, control_size: int, flags: int) -> Message | None:
        """System call `recvmsg`; a connection has no source address to show."""
        if flags & MSG_ERRQUEUE:
            return self._receive_stamp(control_size) or self._receive_notification(control_size)
        data = self.receive(size, flags)
        if data is None:
            return None
        control: list[Ancillary] = []
        shown = flags & MSG_OOB
        if control_size >= 0 and self.kept_options.get("TCP_INQ"):
            control, cut = fit_control([self._unread_control()], control_size)
            shown |= MSG_CTRUNC if cut else 0
        return data, control, shown, None

    def _receive_stamp(self, control_size: int) -> Message | None:
        """Read a transmit timestamp from the error queue."""
        stamp = self.endpoint.take_stamp() if self._stamped else None
        if stamp is None:
            return None
        return self.timestamp_message(stamp, self.endpoint_value("SO_TIMESTAMPING"), control_size)

    def _receive_notification(self, control_size: int) -> Message:
        """Read a notification of MSG_ZEROCOPY from the error queue; never blocks."""
        notification = self._zero_copy.take() if self._zero_copy is not None else None
        if notification is None:
            raise os_error(errno.EAGAIN)
        wide = self.family == socket.AF_INET6
        message = (
            socket.IPPROTO_IPV6 if wide else socket.IPPROTO_IP,
            IPV6_RECVERR if wide else IP_RECVERR,
            notification,
        )
        control, cut = fit_control([message], control_size)
        return b"", control, MSG_ERRQUEUE | (MSG_CTRUNC if cut else 0), None

    def readiness(self) -> int:
        """The endpoint's readiness, and ERR with a notification in the error queue."""
        endpoint = self.endpoint
        mask = endpoint.readiness()
        if self._zero_copy is not None and self._zero_copy.is_ready():
            mask |= Readiness.ERR
        if self._stamped and endpoint.take_stamp(peek=True) is not None:
            mask |= Readiness.ERR
        return mask

    def tcp_info(self) -> TcpInfo:
        """TCP_INFO."""
        return self.endpoint.info()

    def endpoint_option(self, name: str, value: int | bytes) -> None:
        """Set an option of the endpoint."""
        self.endpoint.set_option(name, value)
        if name == "SO_TIMESTAMPING":
            self._stamped = True

    def _unread_control(self) -> Ancillary:
        """Return TCP_INQ: how many bytes can be read; the end of the stream counts as one, as in Linux."""
        left = self.endpoint.unread()
        if not left and self.readiness() & Readiness.RDHUP:
            left = 1
        return socket.IPPROTO_TCP, TCP_CM_INQ, struct.pack("=i", left)

    def send(self, data: Buffer, flags: int) -> int | None:
        """System call `send` with MSG_OOB, MSG_MORE and MSG_EOR."""
        if self._deferred:
            if self._syn_data >= 0 or self.endpoint.waits_for_data():
                return self._send_with_syn(data, flags)
            self._deferred = False
        endpoint = self.endpoint
        try:
            if flags & SENDING:
                count = endpoint.send(
                    data,
                    urgent=bool(flags & MSG_OOB),
                    more=bool(flags & MSG_MORE),
                    end_of_record=bool(flags & MSG_EOR),
                )
            else:
                count = endpoint.send(data)
        except StackError as error:
            raise self._failed_to_send(error, flags) from None
        if self._zero_copy is not None or flags & MSG_ZEROCOPY:
            self._note_zero_copy(count or 0, flags)
        kernel = self.kernel
        if kernel.real_time and not flags & MSG_MORE and self.endpoint.sends_now():
            kernel.runtime.transmit_now()
        return count

    def _failed_to_send(self, error: StackError, flags: int) -> OSError:
        if error.fault is Fault.BROKEN_PIPE and not flags & MSG_NOSIGNAL:
            self.kernel.broken_pipe()
        return error_of(error)

    def _note_zero_copy(self, count: int, flags: int) -> None:
        wanted = bool(flags & MSG_ZEROCOPY and self.kept_options.get("SO_ZEROCOPY"))
        if wanted and count and self._zero_copy is None:
            self._zero_copy = ZeroCopy(self.endpoint, count)
        if self._zero_copy is not None:
            self._zero_copy.on_write(count, wanted)

    def send_message(self, data: Buffer, control: Sequence[Ancillary], flags: int, address: object) -> int | None:
        """System call `sendmsg`; an address is ignored but for MSG_FASTOPEN, which connects and sends (RFC 7413)."""
        if control:
            check_socket_control(control)
            if wanted := requested(control):
                self._stamped = True
                self.endpoint.stamp_next(wanted)
        if flags & MSG_FASTOPEN and address is not None:
            if self._phase == SS_UNCONNECTED:
                return self._connect_with_data(data, flags, address)
            waits = self._syn_data >= 0 or not (self.nonblocking or flags & MSG_DONTWAIT)
            if self._phase == SS_CONNECTING and not waits and not self.endpoint.readiness() & OUTCOME:
                raise os_error(errno.EALREADY)
        return self.send(data, flags)

    def _connect_with_data(self, data: Buffer, flags: int, address: object) -> int | None:
        """Connect with data for the SYN; without a cookie the data wait for the handshake."""
        if not self.kernel.stack.settings.tcp_fastopen & FASTOPEN_CLIENT:
            raise os_error(errno.EOPNOTSUPP)
        name = self.name_of(address, "sendto")
        try:
            self.endpoint.connect(name, fast_open=True, now=self.kernel.runtime.now())
        except StackError as error:
            raise error_of(error) from None
        self._phase = SS_CONNECTING
        self._deferred = True
        return self._send_with_syn(data, flags)

    def _send_with_syn(self, data: Buffer, flags: int) -> int | None:
        """Put data into the SYN; a call that blocks returns when the handshake is over, with its error if it failed."""
        if self._syn_data < 0:
            try:
                count: int = self.endpoint.send(data) or 0
            except StackError as error:
                raise self._failed_to_send(error, flags) from None
            if count and flags & MSG_ZEROCOPY:
                self._note_zero_copy(count, flags)
            if self.nonblocking or flags & MSG_DONTWAIT:
                if not count:
                    raise os_error(errno.EINPROGRESS)
                return count
            self._syn_data = count
            if count < len(data):
                self.endpoint.expect_data()
            return None
        count, self._syn_data = self._syn_data, -1
        if self.finish_connect() is None:
            self._syn_data = count
            return None
        return count or self.send(data, flags)

    def unread(self) -> int:
        """FIONREAD."""
        if self.is_listening():
            raise os_error(errno.EINVAL)
        return super().unread()

    def unsent(self) -> int:
        """SIOCOUTQ."""
        if self.is_listening():
            raise os_error(errno.EINVAL)
        return super().unsent()

    def is_open_to_others(self) -> bool:
        """Whether it listens."""
        return self.is_listening()

    def describe(self) -> str:
        """Describe addresses and state, for reports."""
        return f"{super().describe()} {self.endpoint.state}"
