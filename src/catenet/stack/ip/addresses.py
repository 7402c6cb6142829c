"""The interfaces of a host and their addresses, with the routes and broadcast addresses that follow from these."""

from __future__ import annotations

from collections.abc import Callable

from catenet.stack.endpoint import Address, Fault, StackError
from catenet.stack.interface import FOREVER, LOOPBACK_INDEX, AddressState, Interface, InterfaceAddress
from catenet.stack.ip.routes import RouteEntry, RouteTable
from catenet.wire.address import BROADCAST, LOOPBACK, Prefix

__all__ = ["AddressTable"]

_LOOPBACK_MTU = 65536
_LOOPBACK_BROADCAST = b"\x7f\xff\xff\xff"


class AddressTable:
    """Interfaces and addresses; keeps the connected routes up to date.

    `local` maps every address of the host to its interface: packets to it are the host's own, whichever interface they
    come in by (the weak host model of RFC 1122 3.3.4.2, which Linux follows too).
    """

    def __init__(self, routes: RouteTable, on_change: Callable[[], None]) -> None:
        self._routes = routes
        self._on_change = on_change
        self.watch: Callable[[], None] | None = None
        """Called after each change, for whoever keeps account of a host's addresses."""
        self._connected: dict[tuple[int, Address, int], RouteEntry] = {}
        self.interfaces: dict[int, Interface] = {}
        self.local: dict[Address, Interface] = {}
        self.never_sources: dict[Address, None] = {}
        """This host's addresses and the broadcast addresses of its networks: no packet from a link comes from them."""
        loopback = self.add_interface("lo", _LOOPBACK_MTU, loopback=True)
        self.add(loopback.index, LOOPBACK[4], 8)
        self.add(loopback.index, LOOPBACK[6], 128)

    def add_interface(self, name: str, mtu: int, link_address: bytes = b"", loopback: bool = False) -> Interface:
        """Add an interface, numbered on from 1, the loopback; ValueError when the name is taken or the MTU below 68."""
        if any(interface.name == name for interface in self.interfaces.values()):
            raise ValueError(f"interface {name!r} is there already")
        if not 68 <= mtu <= _LOOPBACK_MTU:
            raise ValueError(f"mtu {mtu} is not between 68 and {_LOOPBACK_MTU}")
        index = max(self.interfaces, default=LOOPBACK_INDEX - 1) + 1
        interface = Interface(index, name, mtu, link_address, loopback)
        self.interfaces[index] = interface
        self._changed()
        return interface

    def add(
        self,
        index: int,
        address: Address,
        length: int,
        state: AddressState = AddressState.PREFERRED,
        origin: str = "static",
        *,
        temporary: bool = False,
        preferred_until: float = FOREVER,
        valid_until: float = FOREVER,
        on_link: bool = True,
    ) -> InterfaceAddress:
        """Give an interface an address; `on_link` says whether its prefix is reached without a router.

        Raises:
            StackError: ADDRESS_IN_USE when the interface has the address already.
            ValueError: a prefix length that does not fit.
        """
        interface = self.interfaces[index]
        if interface.find(address) is not None:
            raise StackError(Fault.ADDRESS_IN_USE)
        prefix = Prefix.of(address, length)
        entry = InterfaceAddress(address, length, state, temporary, preferred_until, valid_until, origin)
        interface.addresses.append(entry)
        if entry.is_usable:
            self.local.setdefault(address, interface)
        broadcast = prefix.broadcast()
        if broadcast is not None:
            interface.broadcasts[broadcast] = None
        key = (index, prefix.address, prefix.length)
        if on_link and length < len(address) * 8 and key not in self._connected:
            route = self._connected[key] = RouteEntry(prefix, index)
            self._routes.add(route)
        self._changed()
        return entry

    def set_state(self, index: int, address: Address, state: AddressState) -> None:
        """Change the state of an address, as from tentative to preferred."""
        interface = self.interfaces[index]
        entry = interface.find(address)
        if entry is None:
            return
        entry.state = state
        if entry.is_usable:
            self.local.setdefault(address, interface)
        elif self.local.get(address) is interface:
            del self.local[address]
        self._changed()

    def remove(self, index: int, address: Address) -> None:
        """Take an address away, with its connected route and broadcast address when no other address needs them.

        Raises:
            StackError: ADDRESS_NOT_AVAILABLE when the interface does not have it.
        """
        interface = self.interfaces[index]
        entry = interface.find(address)
        if entry is None:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        interface.addresses.remove(entry)
        if self.local.get(address) is interface:
            del self.local[address]
            for other in self.interfaces.values():
                twin = other.find(address)
                if twin is not None and twin.is_usable:
                    self.local[address] = other
        prefixes = [other.prefix for other in interface.addresses]
        if entry.prefix not in prefixes:
            broadcast = entry.prefix.broadcast()
            if broadcast is not None:
                interface.broadcasts.pop(broadcast, None)
            route = self._connected.pop((index, entry.prefix.address, entry.prefix.length), None)
            if route is not None:
                self._routes.remove(route)
        self._changed()

    def _changed(self) -> None:
        self.never_sources.clear()
        self.never_sources.update(dict.fromkeys(self.local))
        for interface in self.interfaces.values():
            self.never_sources.update(interface.broadcasts)
        self._on_change()
        if self.watch is not None:
            self.watch()

    def is_local(self, address: Address) -> bool:
        """Whether packets to this unicast address are for this host; all of 127.0.0.0/8 is (RFC 1122 3.2.1.3)."""
        return address in self.local or (len(address) == 4 and address[0] == 127 and address != _LOOPBACK_BROADCAST)

    def is_broadcast(self, address: Address) -> bool:
        """Whether the address is a broadcast address on any interface."""
        return address == BROADCAST or any(address in each.broadcasts for each in self.interfaces.values())

    def by_name(self, name: str) -> Interface | None:
        """Return the interface of that name."""
        return next((interface for interface in self.interfaces.values() if interface.name == name), None)
