"""Options of datagram endpoints, by their Linux names; both families' names of one option are one option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import ANY4, ANY6, Fault, Name, StackError
from catenet.stack.ports import checked_range

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["PMTUDISC_DO", "PMTUDISC_DONT", "PMTUDISC_PROBE", "PMTUDISC_WANT", "DatagramOptions"]

_MIN_BUFFER: Final = 2304
_MIN_SEND_BUFFER: Final = 4608

_FLAG_OPTIONS: Final = (
    "SO_REUSEADDR",
    "SO_REUSEPORT",
    "SO_BROADCAST",
    "SO_NO_CHECK",
    "IP_RECVERR",
    "IP_FREEBIND",
    "IP_TRANSPARENT",
    "IP_MULTICAST_ALL",
    "IP_MULTICAST_LOOP",
)
# Both families' names of one option, with what it holds at first; None: the host's default.
_ALIASES: Final = {
    "IPV6_UNICAST_HOPS": "IP_TTL",
    "IPV6_TCLASS": "IP_TOS",
    "IPV6_MULTICAST_HOPS": "IP_MULTICAST_TTL",
    "IPV6_MULTICAST_LOOP": "IP_MULTICAST_LOOP",
    "IPV6_MULTICAST_IF": "IP_MULTICAST_IF",
    "IPV6_MULTICAST_ALL": "IP_MULTICAST_ALL",
    "IPV6_MTU_DISCOVER": "IP_MTU_DISCOVER",
    "IPV6_RECVERR": "IP_RECVERR",
    "IPV6_FREEBIND": "IP_FREEBIND",
    "IPV6_TRANSPARENT": "IP_TRANSPARENT",
    "IPV6_MTU": "IP_MTU",
}
_DEFAULTS: Final[dict[str, int]] = {
    "SO_REUSEADDR": 0,
    "SO_REUSEPORT": 0,
    "SO_BROADCAST": 0,
    "SO_NO_CHECK": 0,
    "SO_BINDTODEVICE": 0,
    "SO_PRIORITY": 0,
    "SO_MARK": 0,
    "SO_RCVLOWAT": 1,
    "IP_TTL": -1,
    "IP_TOS": 0,
    "IP_MULTICAST_TTL": 1,
    "IP_MULTICAST_LOOP": 1,
    "IP_MULTICAST_IF": 0,
    "IP_MULTICAST_ALL": 1,
    "IP_MTU_DISCOVER": 1,
    "IP_RECVERR": 0,
    "IP_FREEBIND": 0,
    "IP_TRANSPARENT": 0,
    "IP_PKTINFO": 0,
    "IP_RECVTTL": 0,
    "IP_RECVTOS": 0,
    "IP_RECVORIGDSTADDR": 0,
    "IP_LOCAL_PORT_RANGE": 0,
    "IPV6_V6ONLY": 0,
    "IPV6_RECVPKTINFO": 0,
    "IPV6_RECVHOPLIMIT": 0,
    "IPV6_RECVTCLASS": 0,
    "IPV6_AUTOFLOWLABEL": 1,
}
_RANGES: Final[dict[str, tuple[int, int]]] = {
    "IP_TTL": (-1, 255),
    "IP_TOS": (0, 255),
    "IP_MULTICAST_TTL": (-1, 255),
    "IP_MTU_DISCOVER": (0, 5),
    "IP_MULTICAST_LOOP": (0, 1),
    "SO_RCVLOWAT": (0, 1 << 30),
}

# Values of IP_MTU_DISCOVER.
PMTUDISC_DONT: Final = 0
PMTUDISC_WANT: Final = 1
PMTUDISC_DO: Final = 2
PMTUDISC_PROBE: Final = 3


class DatagramOptions:
    """The option table of one endpoint, and what its options are about: names and buffers."""

    __slots__ = ("_local", "_peer", "number", "options", "receive_buffer", "send_buffer", "stack", "version")

    def __init__(self, stack: Stack, version: int) -> None:
        self.stack = stack
        self.version = version
        self.number = stack.next_number()
        self.options: dict[str, int] = {}
        self.receive_buffer = stack.settings.rmem_default
        self.send_buffer = stack.settings.wmem_default
        self._local = Name(ANY4 if version == 4 else ANY6)
        self._peer: Name | None = None

    def local(self) -> Name:
        """Local name; unspecified address and port 0 before bind."""
        return self._local

    def peer(self) -> Name | None:
        """Peer's name, None when not connected."""
        return self._peer

    def option(self, name: str) -> int:
        """Return an option that is known to exist."""
        return self.options.get(name, _DEFAULTS[name])

    def device(self) -> int:
        """Interface that it is bound to, 0 for any."""
        return self.options.get("SO_BINDTODEVICE", 0) or self._local.interface

    def set_option(self, option: str, value: int | bytes) -> None:
        """Set an option by its Linux name; StackError(NO_PROTOCOL_OPTION) when unknown, INVALID when out of range."""
        option = _ALIASES.get(option, option)
        settings = self.stack.settings
        if option == "SO_BINDTODEVICE":
            self._bind_to_device(value)
            return
        if not isinstance(value, int):
            raise StackError(Fault.INVALID)
        if option in ("SO_RCVBUF", "SO_RCVBUFFORCE"):
            limit = value if option == "SO_RCVBUFFORCE" else min(value & 0xFFFFFFFF, settings.rmem_max)
            self.receive_buffer = max(2 * limit, _MIN_BUFFER)
        elif option in ("SO_SNDBUF", "SO_SNDBUFFORCE"):
            limit = value if option == "SO_SNDBUFFORCE" else min(value & 0xFFFFFFFF, settings.wmem_max)
            self.send_buffer = max(2 * limit, _MIN_SEND_BUFFER)
        elif option not in _DEFAULTS:
            raise StackError(Fault.NO_PROTOCOL_OPTION)
        else:
            self._set_plain(option, value)

    def _set_plain(self, option: str, value: int) -> None:
        low, high = _RANGES.get(option, (-(1 << 31), (1 << 32) - 1))
        if not low <= value <= high or (option == "IP_TTL" and value == 0):
            raise StackError(Fault.INVALID)
        if option == "IPV6_V6ONLY" and self._local.port:
            raise StackError(Fault.INVALID)
        if option == "IP_LOCAL_PORT_RANGE":
            value = checked_range(value)
        if option == "IP_MULTICAST_IF" and value and value not in self.stack.interfaces:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        self.options[option] = int(value != 0) if option in _FLAG_OPTIONS else value

    def _bind_to_device(self, value: int | bytes) -> None:
        if isinstance(value, bytes):
            name = value.rstrip(b"\0").decode(errors="replace")
            interface = self.stack.address_table.by_name(name) if name else None
            if name and interface is None:
                raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
            value = interface.index if interface is not None else 0
        elif value and value not in self.stack.interfaces:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        self.options["SO_BINDTODEVICE"] = value

    def get_option(self, option: str) -> int | bytes:
        """Value of an option by its Linux name; StackError(NO_PROTOCOL_OPTION) when unknown."""
        option = _ALIASES.get(option, option)
        if option == "SO_RCVBUF":
            return self.receive_buffer
        if option == "SO_SNDBUF":
            return self.send_buffer
        if option == "IP_MTU":
            if self._peer is None:
                raise StackError(Fault.NOT_CONNECTED)
            return self.stack.output.path_mtu(self._peer.address, self.device())
        if option not in _DEFAULTS:
            raise StackError(Fault.NO_PROTOCOL_OPTION)
        value = self.option(option)
        return self.stack.settings.ip_default_ttl if option == "IP_TTL" and value < 0 else value
