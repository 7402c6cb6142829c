"""Sockets as system calls see them: addresses as Python writes them, errno as Linux gives it, never blocking.

What would block returns None; who waits, and how long, is decided above (`posix/pysocket.py`). `InetStream`
(`posix/inet_stream.py`) and `InetDatagram` (`posix/inet_datagram.py`) put this face on the endpoints of a stack,
`posix/local.py` has the local ones.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from catenet.posix import options
from catenet.posix.address import SocketAddress, parse_inet, show_name
from catenet.posix.control import Ancillary, fit_control
from catenet.posix.errors import error_of, os_error
from catenet.posix.file import File
from catenet.posix.timestamps import SOF_TIMESTAMPING_OPT_TSONLY, timestamp_control
from catenet.stack.endpoint import Address, Buffer, Endpoint, Name, StackError
from catenet.stack.tcp.user.tx_timestamps import TxTimestamp

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel
    from catenet.stack.tcp.user.info import TcpInfo

__all__ = [
    "MSG_CTRUNC",
    "MSG_DONTWAIT",
    "MSG_ERRQUEUE",
    "MSG_MORE",
    "MSG_NOSIGNAL",
    "MSG_OOB",
    "MSG_PEEK",
    "MSG_TRUNC",
    "InetSocket",
    "Message",
    "SocketFile",
]

EndpointType = TypeVar("EndpointType", bound=Endpoint)
Message: TypeAlias = tuple[bytes, list[Ancillary], int, SocketAddress | None]
"""Result of recvmsg(2): data, ancillary data, flags, source address."""

MSG_OOB: Final = int(socket.MSG_OOB)
MSG_PEEK: Final = int(socket.MSG_PEEK)
MSG_TRUNC: Final = int(socket.MSG_TRUNC)
MSG_CTRUNC: Final = int(socket.MSG_CTRUNC)
MSG_DONTWAIT: Final = 0x40
MSG_ERRQUEUE: Final = 0x2000
MSG_NOSIGNAL: Final = 0x4000
MSG_MORE: Final = 0x8000
NO_CONTROL: Final = -1
"""Size of ancillary data of calls that have no place for any, and do not say that some was cut."""


class SocketFile(File):
    """Base of all sockets: options of the socket layer, and the calls that a family may not have."""

    __slots__ = ("family", "kept_options", "kernel", "protocol", "receive_timeout", "send_timeout", "type")

    kind: ClassVar[str] = "socket"
    discards: ClassVar[bool] = False
    """Whether MSG_TRUNC drops what it would have received (tcp(7)), so that only its length counts."""
    has_memberships: ClassVar[bool] = False
    """Whether it can join multicast groups."""

    def __init__(self, kernel: Kernel, family: int, kind: int, protocol: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.family = family
        self.type = kind
        self.protocol = protocol
        self.receive_timeout: float | None = None
        """SO_RCVTIMEO in seconds; None waits without end."""
        self.send_timeout: float | None = None
        self.kept_options: dict[str, int | bytes] = {}
        """Options that are remembered and change nothing."""

    @property
    def is_stream(self) -> bool:
        """Whether it carries bytes without boundaries."""
        return self.type == socket.SOCK_STREAM

    def read(self, size: int) -> Buffer | None:
        """System call `read`."""
        return self.receive(size, 0)

    def write(self, data: Buffer) -> int | None:
        """System call `write`."""
        return self.send(data, 0)

    def receive(self, size: int, flags: int) -> bytes | None:
        """System call `recv`."""
        message = self.receive_message(size, NO_CONTROL, flags)
        return None if message is None else message[0]

    def receive_from(self, size: int, flags: int) -> tuple[bytes, SocketAddress | None] | None:
        """System call `recvfrom`."""
        message = self.receive_message(size, NO_CONTROL, flags)
        return None if message is None else (message[0], message[3])

    def send(self, data: Buffer, flags: int) -> int | None:
        """System call `send`."""
        return self.send_message(data, (), flags, None)

    def uncork(self) -> None:
        """Send what waits for more (option UDP_CORK, set to 0)."""

    def receive_message(self, size: int, control_size: int, flags: int) -> Message | None:
        """System call `recvmsg`; with MSG_TRUNC a datagram comes whole, for its length is the result."""
        raise NotImplementedError

    def send_message(self, data: Buffer, control: Sequence[Ancillary], flags: int, address: object) -> int | None:
        """System call `sendmsg`."""
        raise NotImplementedError

    def read_address(self, address: object, call: str) -> Any:
        """Convert an address that a program gave to `call` to the form that all calls take; raises as CPython."""
        raise NotImplementedError

    def bind(self, address: object) -> None:
        """System call `bind`."""
        raise NotImplementedError

    def connect(self, address: object) -> bool | None:
        """System call `connect`: True when done, None when begun, to be finished by `finish_connect`."""
        raise NotImplementedError

    def finish_connect(self) -> bool | None:
        """True when connected, None when not yet; OSError when it failed: what a blocking connect(2) waits for."""
        return True

    def connect_result(self) -> bool | None:
        """As `finish_connect`, for who polls and then asks for SO_ERROR, as Python does for a timeout."""
        return self.finish_connect()

    def is_connecting(self) -> bool:
        """Whether an earlier `connect` may still have its outcome to tell."""
        return False

    def listen(self, backlog: int) -> None:
        """System call `listen`."""
        raise os_error(errno.EOPNOTSUPP)

    def accept(self) -> tuple[SocketFile, SocketAddress] | None:
        """System call `accept`."""
        raise os_error(errno.EOPNOTSUPP)

    def shutdown(self, how: int) -> None:
        """System call `shutdown`."""
        raise os_error(errno.EOPNOTSUPP)

    def local_address(self) -> SocketAddress:
        """System call `getsockname`."""
        raise NotImplementedError

    def peer_address(self) -> SocketAddress:
        """System call `getpeername`."""
        raise NotImplementedError

    def unread(self) -> int:
        """FIONREAD: bytes that can be read (datagrams: of the next one)."""
        return 0

    def unsent(self) -> int:
        """SIOCOUTQ: bytes not yet acknowledged (streams) or sent."""
        return 0

    def never_sent(self) -> int:
        """SIOCOUTQNSD: bytes that were not sent yet; ENOTTY but for streams."""
        raise os_error(errno.ENOTTY)

    def is_at_mark(self) -> bool:
        """SIOCATMARK: whether the next byte is the urgent one; ENOTTY but for streams."""
        raise os_error(errno.ENOTTY)

    def begin_to_linger(self) -> int:
        """Begin to close ahead of `close`; seconds that it may wait for the peer's answer (SO_LINGER), 0: none."""
        return 0

    def has_lingered(self) -> bool | None:
        """True when there is nothing to wait for any more, None until then."""
        return True

    def set_option(self, level: int, option: int, value: int | bytes | None, length: int = 0) -> None:
        """System call `setsockopt`."""
        options.set_option(self, level, option, value, length)

    def get_option(self, level: int, option: int, size: int) -> int | bytes:
        """System call `getsockopt`: an int when `size` is 0, else up to so many bytes."""
        return options.get_option(self, level, option, size)

    def pending_error(self) -> int:
        """SO_ERROR: errno of the pending error, which this call clears; 0 when there is none."""
        return 0

    def is_listening(self) -> bool:
        """SO_ACCEPTCONN."""
        return False

    def endpoint_option(self, name: str, value: int | bytes) -> None:
        """Set an option of the transport below; StackError when it has none of this name."""
        raise os_error(errno.ENOPROTOOPT)

    def endpoint_value(self, name: str) -> int | bytes:
        """Value of an option of the transport below."""
        raise os_error(errno.ENOPROTOOPT)

    def tcp_info(self) -> TcpInfo:
        """TCP_INFO; ENOPROTOOPT but for TCP."""
        raise os_error(errno.ENOPROTOOPT)

    def change_membership(self, joins: bool, group: Address, interface: int, source: Address | None) -> None:
        """Join or leave a multicast group by interface (0: any), for one source or all; ENOPROTOOPT for streams."""
        raise os_error(errno.ENOPROTOOPT)


class InetSocket(SocketFile, Generic[EndpointType]):
    """A socket of IPv4 or IPv6 on an endpoint of the stack."""

    __slots__ = ("endpoint",)

    def __init__(self, kernel: Kernel, family: int, kind: int, protocol: int, endpoint: EndpointType) -> None:
        super().__init__(kernel, family, kind, protocol)
        self.endpoint = endpoint
        endpoint.on_ready = self.notify

    def readiness(self) -> int:
        """The endpoint's."""
        return self.endpoint.readiness()

    def name_of(self, address: object, call: str) -> Name:
        """The endpoint's name for an address that a program gave, or that was read before."""
        if type(address) is Name:
            name = address
        else:
            name = parse_inet(self.family, address, self.kernel.resolver.resolve, call)
        if self.family == socket.AF_INET6 and len(name[0]) == 4 and self.endpoint.get_option("IPV6_V6ONLY"):
            raise os_error(errno.ENETUNREACH if call != "bind" else errno.EINVAL)
        return name

    def read_address(self, address: object, call: str) -> Name:
        """See `SocketFile`."""
        return parse_inet(self.family, address, self.kernel.resolver.resolve, call)

    def bind(self, address: object) -> None:
        """System call `bind`."""
        name = self.name_of(address, "bind")
        try:
            self.endpoint.bind(name)
        except StackError as error:
            raise error_of(error) from None

    def local_address(self) -> SocketAddress:
        """System call `getsockname`."""
        return show_name(self.family, self.endpoint.local())

    def peer_address(self) -> SocketAddress:
        """System call `getpeername`; ENOTCONN."""
        peer = self.endpoint.peer()
        if peer is None or not peer.port:
            raise os_error(errno.ENOTCONN)
        return show_name(self.family, peer)

    def shutdown(self, how: int) -> None:
        """System call `shutdown`."""
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise os_error(errno.EINVAL)
        try:
            self.endpoint.shutdown(how != socket.SHUT_WR, how != socket.SHUT_RD)
        except StackError as error:
            raise error_of(error) from None

    def unread(self) -> int:
        """FIONREAD."""
        return self.endpoint.unread()

    def unsent(self) -> int:
        """SIOCOUTQ."""
        return self.endpoint.unsent()

    def pending_error(self) -> int:
        """SO_ERROR."""
        fault = self.endpoint.take_error()
        return 0 if fault is None else error_of(fault).errno or 0

    def endpoint_option(self, name: str, value: int | bytes) -> None:
        """Set an option of the endpoint."""
        self.endpoint.set_option(name, value)

    def endpoint_value(self, name: str) -> int | bytes:
        """Value of an option of the endpoint."""
        return self.endpoint.get_option(name)

    def timestamp_message(self, stamp: TxTimestamp, flags: int | bytes, control_size: int) -> Message:
        """What recvmsg(2) tells of a transmit timestamp; the packet itself is not shown."""
        assert isinstance(flags, int)
        control, cut = fit_control(timestamp_control(self.kernel, self.family, flags, stamp), control_size)
        shown = MSG_ERRQUEUE | (MSG_CTRUNC if cut else 0) | (0 if flags & SOF_TIMESTAMPING_OPT_TSONLY else MSG_TRUNC)
        return b"", control, shown, None

    def close(self) -> None:
        """Give the endpoint up."""
        self.endpoint.on_ready = None
        self.endpoint.close()

    def describe(self) -> str:
        """Protocol and addresses, for reports."""
        here, peer = self.endpoint.local(), self.endpoint.peer()
        version = "" if self.family == socket.AF_INET else "6"
        text = f"{self.kind}{version} {_pair(here)}"
        return f"{text} -> {_pair(peer)}" if peer is not None else text


def _pair(name: Name) -> str:
    host, port = show_name(socket.AF_INET if len(name[0]) == 4 else socket.AF_INET6, name)[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
