"""Network interfaces of a host and their addresses."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import Address
from catenet.wire.address import Prefix, is_link_local

if TYPE_CHECKING:
    from catenet.stack.ethernet.ethernet import EthernetPort
    from catenet.stack.ethernet.port import LinkPort

__all__ = ["FOREVER", "LOOPBACK_INDEX", "AddressState", "Interface", "InterfaceAddress"]

LOOPBACK_INDEX: Final = 1
FOREVER: Final = float("inf")


class AddressState(enum.Enum):
    """State of an address (RFC 4862 2)."""

    TENTATIVE = "tentative"
    OPTIMISTIC = "optimistic"
    PREFERRED = "preferred"
    DEPRECATED = "deprecated"
    DUPLICATED = "dadfailed"


@dataclass(slots=True)
class InterfaceAddress:
    """An address on an interface; lifetimes are absolute times in seconds."""

    address: Address
    length: int
    state: AddressState = AddressState.PREFERRED
    temporary: bool = False
    preferred_until: float = FOREVER
    valid_until: float = FOREVER
    origin: str = "static"
    """"static", "slaac", "dhcp" or "link-local"."""

    @property
    def prefix(self) -> Prefix:
        """The network that the address is in."""
        return Prefix.of(self.address, self.length)

    @property
    def is_usable(self) -> bool:
        """Whether packets may carry it as their source."""
        return self.state in (AddressState.PREFERRED, AddressState.DEPRECATED, AddressState.OPTIMISTIC)


class Interface:
    """One interface; made by `Stack.add_interface`.

    An Ethernet interface has a link-layer address and `ethernet`, the link layer that resolves neighbours. All others
    carry bare IP packets and need no neighbours.
    """

    __slots__ = (
        "addresses",
        "broadcasts",
        "ethernet",
        "index",
        "link_address",
        "loopback",
        "mtu",
        "name",
        "port",
        "received_bytes",
        "received_packets",
        "sent_bytes",
        "sent_packets",
        "up",
        "verified",
    )

    def __init__(self, index: int, name: str, mtu: int, link_address: bytes = b"", loopback: bool = False) -> None:
        self.index = index
        self.name = name
        self.mtu = mtu
        self.link_address = link_address
        self.loopback = loopback
        self.up = True
        self.verified = loopback
        """Whether the device below has verified the checksums of TCP segments, as hardware does."""
        self.addresses: list[InterfaceAddress] = []
        self.broadcasts: dict[Address, None] = {}
        self.ethernet: EthernetPort | None = None
        self.port: LinkPort | None = None
        """What configures it or advertises on it, of any kind of link: on Ethernet that is `ethernet`."""
        self.received_packets = self.received_bytes = 0
        self.sent_packets = self.sent_bytes = 0

    def find(self, address: Address) -> InterfaceAddress | None:
        """Return the entry of one of its addresses."""
        for entry in self.addresses:
            if entry.address == address:
                return entry
        return None

    def usable(self, version: int) -> list[InterfaceAddress]:
        """Addresses of one version of IP that packets may carry as their source, in the order of their adding."""
        size = 4 if version == 4 else 16
        return [entry for entry in self.addresses if len(entry.address) == size and entry.is_usable]

    def link_local(self) -> Address | None:
        """Return the IPv6 link-local address, None when there is none yet."""
        for entry in self.addresses:
            if len(entry.address) == 16 and entry.is_usable and is_link_local(entry.address):
                return entry.address
        return None

    def __repr__(self) -> str:
        return f"<Interface {self.index} {self.name}>"
