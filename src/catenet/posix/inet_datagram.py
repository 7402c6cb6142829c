"""Datagram sockets as system calls see them: UDP, ICMP echo, and raw ones."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from catenet.posix.address import show_name
from catenet.posix.control import Ancillary, error_control, fit_control, received_control, sent_control
from catenet.posix.cork import Cork
from catenet.posix.errors import error_of, os_error
from catenet.posix.sockets import (
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    InetSocket,
    Message,
)
from catenet.posix.timestamps import DatagramTimestamps, requested
from catenet.stack.endpoint import Address, Buffer, Readiness, StackError
from catenet.stack.tcp.user.tx_timestamps import TX_FLAGS

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel
    from catenet.stack.datagram.datagram import DatagramEndpoint

__all__ = ["InetDatagram"]

CORKED: Final = (int(socket.IPPROTO_UDP), int(socket.IPPROTO_UDPLITE))
"""Protocols of which several calls may make one datagram."""
LONGEST: Final = 0xFFFF
"""Bytes of one call, whatever the protocol takes."""


class InetDatagram(InetSocket["DatagramEndpoint"]):
    """UDP, ICMP echo ("ping" sockets), and raw IP."""

    __slots__ = ("_cork", "_stamps")

    has_memberships: ClassVar[bool] = True

    def __init__(
        self,
        kernel: Kernel,
        family: int,
        protocol: int,
        endpoint: DatagramEndpoint,
        kind: int = socket.SOCK_DGRAM,
    ) -> None:
        super().__init__(kernel, family, kind, protocol, endpoint)
        self._stamps: DatagramTimestamps | None = None
        self._cork: Cork | None = None

    def connect(self, address: object) -> bool | None:
        """Fix the peer."""
        name = self.name_of(address, "connect")
        try:
            self.endpoint.connect(name)
            if self._cork is not None and self.family == socket.AF_INET:  # IPv6 of Linux goes where it was to go
                self._cork.prepared = self.endpoint.prepare(None, self._cork.prepared[2])
        except StackError as error:
            raise error_of(error) from None
        return True

    def send(self, data: Buffer, flags: int) -> int | None:
        """System call `send`: as `sendmsg`, without control messages and address."""
        if flags or self.kept_options or self._cork is not None:
            return self.send_message(data, (), flags, None)
        try:
            count = self.endpoint.send_to(data)
            if count is None and self.endpoint.settle(self.kernel.runtime.now()):
                count = self.endpoint.send_to(data)
        except StackError as error:
            raise error_of(error) from None
        if self.edges:
            self.notify()
        return count

    def send_message(self, data: Buffer, control: Sequence[Ancillary], flags: int, address: object) -> int | None:
        """System call `sendmsg`."""
        if flags & MSG_OOB and self.family == socket.AF_INET:  # IPv6 of Linux does not look
            raise os_error(errno.EOPNOTSUPP)
        if self.protocol in CORKED and (self._cork or flags & MSG_MORE or self.kept_options.get("UDP_CORK")):
            return self._send_more(data, control, flags, address)
        name = None if address is None else self.name_of(address, "sendto")
        try:
            extra = sent_control(self.family, control)
            count = self.endpoint.send_to(data, name, extra)
            if count is None and self.endpoint.settle(self.kernel.runtime.now()):
                count = self.endpoint.send_to(data, name, extra)
        except StackError as error:
            raise error_of(error) from None
        if count is not None and (self.kept_options or control):
            self._stamp(control)
        if self.edges:  # what has left makes room, which to Linux is an edge even where there was enough
            self.notify()
        return count

    def _send_more(self, data: Buffer, control: Sequence[Ancillary], flags: int, address: object) -> int:
        """Send a part of a datagram; the address and the control messages of the first count."""
        raw = bytes(data)
        if len(raw) > LONGEST:
            raise os_error(errno.EMSGSIZE)
        cork, self._cork = self._cork, None
        try:
            if cork is None:
                name = None if address is None else self.name_of(address, "sendto")
                cork = Cork(self.endpoint.prepare(name, sent_control(self.family, control)))
            cork.append(raw)
            if flags & MSG_MORE or self.kept_options.get("UDP_CORK"):
                self._cork = cork
            else:
                self.endpoint.send_prepared(cork.data, cork.prepared)
        except StackError as error:
            raise error_of(error) from None
        return len(raw)

    def uncork(self) -> None:
        """See `SocketFile`."""
        cork, self._cork = self._cork, None
        if cork is not None:
            try:
                self.endpoint.send_prepared(cork.data, cork.prepared)
            except StackError as error:
                raise error_of(error) from None

    def change_membership(self, joins: bool, group: Address, interface: int, source: Address | None) -> None:
        """Join or leave a multicast group."""
        try:
            (self.endpoint.join if joins else self.endpoint.leave)(group, interface, source)
        except StackError as error:
            raise error_of(error) from None

    def _stamp(self, control: Sequence[Ancillary]) -> None:
        """Note the time of a datagram, if it is wanted."""
        general = self.kept_options.get("SO_TIMESTAMPING", 0)
        assert isinstance(general, int)
        flags = (requested(control) or general) & TX_FLAGS
        if flags:
            if self._stamps is None:
                self._stamps = DatagramTimestamps()
            self._stamps.on_sent(flags, general, self.kernel.runtime.now())
            self.notify()

    def readiness(self) -> int:
        """The endpoint's, and ERR with a timestamp in the error queue."""
        mask = self.endpoint.readiness()
        return mask | Readiness.ERR if self._stamps is not None and self._stamps.ready else mask

    def unsent(self) -> int:
        """SIOCOUTQ."""
        self.endpoint.settle(self.kernel.runtime.now())
        return self.endpoint.unsent()

    def receive(self, size: int, flags: int) -> bytes | None:
        """System call `recv`: as `recvmsg`, without formatting the source's address."""
        if flags:
            return super().receive(size, flags)
        try:
            datagram = self.endpoint.receive_from()
        except StackError as error:
            raise error_of(error) from None
        if datagram is None:
            return b"" if self._has_ended(flags) else None
        data = datagram.data
        return data if len(data) <= size else data[:size]

    def receive_message(self, size: int, control_size: int, flags: int) -> Message | None:
        """System call `recvmsg`; what does not fit is lost, and MSG_TRUNC says so (asked for it, it all comes)."""
        if flags & MSG_ERRQUEUE:
            return self._receive_error(size, control_size)
        try:
            datagram = self.endpoint.receive_from(peek=bool(flags & MSG_PEEK))
        except StackError as error:
            raise error_of(error) from None
        if datagram is None:
            return (b"", [], 0, None) if self._has_ended(flags) else None
        data = datagram.data
        shown = MSG_TRUNC if len(data) > size else 0
        control: list[Ancillary] = []
        if control_size >= 0:
            control, cut = received_control(self, datagram, control_size)
            shown |= MSG_CTRUNC if cut else 0
        return (
            bytes(data if flags & MSG_TRUNC else data[:size]),
            control,
            shown,
            show_name(self.family, datagram.source),
        )

    def _has_ended(self, flags: int) -> bool:
        """Whether a call with nothing to read returns: shut down for reading, it would wait; else EAGAIN (as Linux)."""
        return self.endpoint.shut_read and not (self.nonblocking or flags & MSG_DONTWAIT)

    def _receive_error(self, size: int, control_size: int) -> Message:
        """The next entry of the error queue (IP_RECVERR); EAGAIN when there is none."""
        error = self.endpoint.receive_error()
        if error is None and self._stamps is not None and self._stamps.ready:
            flags = self.kept_options.get("SO_TIMESTAMPING", 0)
            return self.timestamp_message(self._stamps.ready.popleft(), flags, control_size)
        if error is None:
            raise os_error(errno.EAGAIN)
        control, cut = fit_control([error_control(self, error)], control_size)
        shown = MSG_ERRQUEUE | (MSG_CTRUNC if cut else 0) | (MSG_TRUNC if len(error.data) > size else 0)
        return error.data[:size], control, shown, show_name(self.family, error.destination)

    def is_open_to_others(self) -> bool:
        """One with a peer hears nobody else; one that was given any port is known to those it has written to."""
        return self.endpoint.has_chosen_port and self.endpoint.peer() is None

    @property
    def kind(self) -> str:  # type: ignore[override]
        """For reports."""
        if self.type == socket.SOCK_RAW:
            return f"raw {self.protocol}"
        names = {int(socket.IPPROTO_UDP): "udp", socket.IPPROTO_UDPLITE: "udplite"}
        return names.get(self.protocol, "icmp")
