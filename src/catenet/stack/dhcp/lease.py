"""What DHCP servers give, and the event that tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from catenet.stack.endpoint import Address
from catenet.wire.address import Prefix

__all__ = ["HeldAddress", "Information", "Lease", "Lease6", "LeaseChange"]


@dataclass(frozen=True, slots=True)
class Lease:
    """What a server of DHCPv4 gave; times are absolute seconds."""

    address: Address
    length: int
    server: Address
    routers: tuple[Address, ...]
    routes: tuple[tuple[Prefix, Address], ...]
    dns_servers: tuple[Address, ...]
    search: tuple[bytes, ...]
    """Domains to complete names with, in wire format: option 119 (RFC 3397), else option 15."""
    mtu: int
    renew_at: float
    rebind_at: float
    expires: float


class HeldAddress(NamedTuple):
    """An address of DHCPv6; times are absolute seconds."""

    address: Address
    preferred_until: float
    valid_until: float


@dataclass(frozen=True, slots=True)
class Lease6:
    """What a server of DHCPv6 gave; times are absolute seconds."""

    addresses: tuple[HeldAddress, ...]
    server: bytes
    """Its DUID."""
    dns_servers: tuple[Address, ...]
    search: tuple[bytes, ...]
    renew_at: float
    rebind_at: float

    @property
    def expires(self) -> float:
        """When the last address has had its time."""
        return max((each.valid_until for each in self.addresses), default=0.0)


class Information(NamedTuple):
    """What a server of DHCPv6 tells those who have addresses otherwise (RFC 8415 6.1)."""

    dns_servers: tuple[Address, ...]
    search: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LeaseChange:
    """Event: a lease was gained or renewed (`lease`), or lost (None)."""

    interface: int
    lease: Lease | Lease6 | Information | None
    version: int = 4
