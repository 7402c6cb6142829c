"""Local ports of datagram endpoints: who has one, who may share it, which are free (RFC 6056)."""

from __future__ import annotations

import random as random_module
from typing import TYPE_CHECKING, Generic, TypeVar

from catenet.stack.endpoint import Address, Fault, StackError
from catenet.stack.settings import Settings
from catenet.wire.address import is_unspecified

if TYPE_CHECKING:
    from catenet.stack.datagram import DatagramEndpoint

__all__ = ["PortTable"]

E = TypeVar("E", bound="DatagramEndpoint")


class PortTable(Generic[E]):
    """Endpoints by local port, the newest first."""

    def __init__(self, settings: Settings, random: random_module.Random) -> None:
        self._settings = settings
        self._random = random
        self.by_port: dict[int, list[E]] = {}

    def claim(self, endpoint: E, address: Address, port: int) -> int:
        """Give `endpoint` the port, or a free one for 0; returns it; StackError(ADDRESS_IN_USE)."""
        if port:
            if any(self._conflict(endpoint, address, other) for other in self.by_port.get(port, ())):
                raise StackError(Fault.ADDRESS_IN_USE)
        else:
            port = self._free_port(endpoint, address)
        self.by_port.setdefault(port, []).insert(0, endpoint)
        return port

    def release(self, endpoint: E) -> None:
        """Take an endpoint's port back."""
        port = endpoint.local().port
        endpoints = self.by_port.get(port, [])
        if endpoint in endpoints:
            endpoints.remove(endpoint)
            if not endpoints:
                del self.by_port[port]

    def _free_port(self, endpoint: E, address: Address) -> int:
        """A random port of the ephemeral range, then the next ones (RFC 6056 3.3.1)."""
        low, high = self._settings.ip_local_port_range
        count = high - low + 1
        start = self._random.randrange(count)
        for step in range(count):
            port = low + (start + step) % count
            if not any(self._conflict(endpoint, address, other, True) for other in self.by_port.get(port, ())):
                return port
        raise StackError(Fault.ADDRESS_IN_USE)

    def _conflict(self, one: E, address: Address, other: E, automatic: bool = False) -> bool:
        """Whether the two cannot have one port (Linux: inet_rcv_saddr_equal, then the reuse flags)."""
        if one is other:
            return False
        device, other_device = one.device(), other.device()
        if device and other_device and device != other_device:
            return False
        if not _overlap(one, address, other):
            return False
        if automatic:
            return True
        if one.option("SO_REUSEADDR") and other.option("SO_REUSEADDR"):
            return False
        return not (one.option("SO_REUSEPORT") and other.option("SO_REUSEPORT"))


def _overlap(one: DatagramEndpoint, address: Address, other: DatagramEndpoint) -> bool:
    """Whether a packet could be for both local addresses, dual-stack endpoints counting for both versions."""
    theirs = other.local().address
    if len(address) == len(theirs):
        return address == theirs or is_unspecified(address) or is_unspecified(theirs)
    wide, endpoint = (address, one) if len(address) == 16 else (theirs, other)
    return is_unspecified(wide) and not endpoint.option("IPV6_V6ONLY")
