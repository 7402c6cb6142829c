"""The interface of transport endpoints to the layer above: never blocking, no errno, no descriptor.

An endpoint is one end of a connection or flow (TCP, UDP, ICMP echo, and in `posix` the local sockets). Calls from above
take no time and no clock: they change state and mark the endpoint dirty; `Stack.transmit(now)` does the rest. Counts
or `None` (would block) come back; a failure is a `StackError` with a `Fault`, which `posix` turns into the errno that
Linux gives. Whenever a readiness bit may have risen, the endpoint calls `on_ready` (set by the layer above, may be
None) with itself already in the new state; the callee must not call back into the endpoint from there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

__all__ = ["ANY4", "ANY6", "Address", "Buffer", "Endpoint", "Fault", "Name", "Readiness", "StackError"]

Address: TypeAlias = bytes
"""4 bytes (IPv4) or 16 bytes (IPv6), network order: the version is the length, never a branch above `wire`."""

Buffer: TypeAlias = bytes | bytearray | memoryview

ANY4: Final = bytes(4)
ANY6: Final = bytes(16)


class Name(tuple[Address, int, int]):
    """Where an endpoint is: (address, port, interface). `interface` is an index, 0 for none (RFC 4007 zone)."""

    __slots__ = ()

    def __new__(cls, address: Address, port: int = 0, interface: int = 0) -> Name:
        """Make a name; no check, `posix` has made them."""
        return tuple.__new__(cls, (address, port, interface))

    @property
    def address(self) -> Address:
        """4 or 16 bytes."""
        return self[0]

    @property
    def port(self) -> int:
        """0 to 65,535."""
        return self[1]

    @property
    def interface(self) -> int:
        """Interface index, 0 for none."""
        return self[2]


class Readiness:
    """Bits of a readiness mask, with the numbers of poll(2)."""

    IN: Final = 0x001
    PRI: Final = 0x002
    OUT: Final = 0x004
    ERR: Final = 0x008
    HUP: Final = 0x010
    WRBAND: Final = 0x200
    """Room to send, of datagram and local sockets; TCP and pipes do not show it."""
    RDHUP: Final = 0x2000


class Fault(enum.Enum):
    """Why an endpoint's call or connection failed; each is one errno of Linux."""

    ACCESS = "permission denied"
    ADDRESS_FAMILY = "address family not supported"
    ADDRESS_IN_USE = "address already in use"
    ADDRESS_NOT_AVAILABLE = "cannot assign requested address"
    ALREADY_CONNECTED = "transport endpoint is already connected"
    ALREADY_IN_PROGRESS = "operation already in progress"
    BROKEN_PIPE = "broken pipe"
    CONNECTION_ABORTED = "software caused connection abort"
    CONNECTION_REFUSED = "connection refused"
    CONNECTION_RESET = "connection reset by peer"
    DESTINATION_REQUIRED = "destination address required"
    HOST_UNREACHABLE = "no route to host"
    INVALID = "invalid argument"
    IN_PROGRESS = "operation now in progress"
    MESSAGE_TOO_LONG = "message too long"
    NETWORK_DOWN = "network is down"
    NETWORK_UNREACHABLE = "network is unreachable"
    NOT_CONNECTED = "transport endpoint is not connected"
    NO_BUFFERS = "no buffer space available"
    NO_PROTOCOL_OPTION = "protocol not available"
    NO_SUCH_ENTRY = "no such file or directory"
    OPERATION_NOT_SUPPORTED = "operation not supported"
    PROTOCOL_ERROR = "protocol error"
    TIMED_OUT = "connection timed out"
    TRY_AGAIN = "resource temporarily unavailable"


class StackError(Exception):
    """A call on an endpoint failed; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Endpoint(Protocol):
    """What every endpoint of a stack offers to the layer above, whatever its transport (`posix/sockets.py`)."""

    on_ready: Callable[[], None] | None

    def readiness(self) -> int:
        """Mask of `Readiness` bits that hold now."""

    def bind(self, name: Name) -> None:
        """Take a local name; port 0 takes a free one."""

    def connect(self, name: Name) -> None:
        """Begin to connect (TCP) or fix the peer (datagrams); TCP's outcome shows as readiness and `take_error`."""

    def local(self) -> Name:
        """Local name; unspecified address and port 0 before bind."""

    def peer(self) -> Name | None:
        """Peer's name, None when not connected."""

    def shutdown(self, read: bool, write: bool) -> None:
        """End one direction or both; StackError(NOT_CONNECTED)."""

    def unread(self) -> int:
        """Bytes that can be read, of datagrams those of the next one (FIONREAD)."""

    def unsent(self) -> int:
        """Bytes that the peer has not acknowledged, of datagrams those that have not left the host (SIOCOUTQ)."""

    def take_error(self) -> Fault | None:
        """Pending error, which this call clears (SO_ERROR)."""

    def close(self) -> None:
        """Close the endpoint; a TCP connection ends by itself."""

    def set_option(self, option: str, value: int | bytes) -> None:
        """Set an option by its Linux name, as `"TCP_NODELAY"`; StackError(NO_PROTOCOL_OPTION) when unknown."""

    def get_option(self, option: str) -> int | bytes:
        """Value of an option by its Linux name."""
