"""Local ports: which addresses conflict on one, and which datagram endpoints have and share which (RFC 6056)."""

from __future__ import annotations

import random as random_module
from typing import TYPE_CHECKING, Generic, TypeVar

from catenet.stack.endpoint import Address, Fault, StackError
from catenet.wire.address import is_unspecified

if TYPE_CHECKING:
    from catenet.stack.datagram.datagram import DatagramEndpoint
    from catenet.stack.settings import Settings

__all__ = ["PortTable", "addresses_meet", "checked_range", "ephemeral_ports"]

E = TypeVar("E", bound="DatagramEndpoint")


class PortTable(Generic[E]):
    """Endpoints by local port, the newest first."""

    def __init__(self, settings: Settings, random: random_module.Random) -> None:
        self._settings = settings
        self._random = random
        self.by_port: dict[int, list[E]] = {}

    def claim(self, endpoint: E, address: Address, port: int) -> int:
        """Bind `endpoint` to the port, for 0 to a free one or one that may be shared; StackError(ADDRESS_IN_USE)."""
        if port:
            if any(self._conflict(endpoint, address, other) for other in self.by_port.get(port, ())):
                raise StackError(Fault.ADDRESS_IN_USE)
        else:
            port = self._free_port(endpoint, address)
        self.by_port.setdefault(port, []).insert(0, endpoint)
        return port

    def release(self, endpoint: E) -> None:
        """Release an endpoint's port."""
        port = endpoint.local().port
        endpoints = self.by_port.get(port, [])
        if endpoint in endpoints:
            endpoints.remove(endpoint)
            if not endpoints:
                del self.by_port[port]

    def _free_port(self, endpoint: E, address: Address) -> int:
        """A random port of the ephemeral range, then the next ones (RFC 6056 3.3.1)."""
        low, high = ephemeral_ports(self._settings, endpoint.option("IP_LOCAL_PORT_RANGE"))
        count = high - low + 1
        start = self._random.randrange(count)
        for shares in (False, True):
            for step in range(count):
                port = low + (start + step) % count
                others = self.by_port.get(port, ())
                if not any(self._conflict(endpoint, address, other, not shares) for other in others):
                    return port
        raise StackError(Fault.ADDRESS_IN_USE)

    def _conflict(self, one: E, address: Address, other: E, automatic: bool = False) -> bool:
        """Whether the two cannot have one port (Linux: inet_rcv_saddr_equal, then the reuse flags)."""
        if one is other:
            return False
        device, other_device = one.device(), other.device()
        if device and other_device and device != other_device:
            return False
        theirs = other.local().address
        if not addresses_meet(address, bool(one.option("IPV6_V6ONLY")), theirs, bool(other.option("IPV6_V6ONLY"))):
            return False
        if automatic:
            return True
        if one.option("SO_REUSEADDR") and other.option("SO_REUSEADDR"):
            return False
        return not (one.option("SO_REUSEPORT") and other.option("SO_REUSEPORT"))


def addresses_meet(one: Address, only: bool, other: Address, other_only: bool) -> bool:
    """Whether a packet could be for both local addresses; `only`: of IPv6, and not for IPv4 (IPV6_V6ONLY)."""
    if len(one) == len(other):
        return one == other or is_unspecified(one) or is_unspecified(other)
    return is_unspecified(one) and not only if len(one) == 16 else is_unspecified(other) and not other_only


def ephemeral_ports(settings: Settings, own: int) -> tuple[int, int]:
    """Ephemeral ports of the host, narrowed by `own` (IP_LOCAL_PORT_RANGE) as far as the two meet."""
    low, high = settings.ip_local_port_range
    least, most = max(low, own & 0xFFFF), min(high, own >> 16 or high)
    return (least, most) if least <= most else (low, high)


def checked_range(value: int | bytes) -> int:
    """Value of IP_LOCAL_PORT_RANGE: the least port in its low 16 bits, the largest in the high ones, 0: the host's.

    Raises:
        StackError: INVALID when there is none between them.
    """
    if isinstance(value, bytes):
        raise StackError(Fault.INVALID)
    low, high = value & 0xFFFF, value >> 16 & 0xFFFF
    if low and high and low > high:
        raise StackError(Fault.INVALID)
    return high << 16 | low
