"""Multicast groups of one endpoint (RFC 3678, RFC 3493 5.2): what it joined, from which sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.datagram.options import DatagramOptions
from catenet.stack.endpoint import Address, Fault, StackError
from catenet.stack.group.multicast import Filter
from catenet.wire.address import is_link_local, is_multicast

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["GroupMember", "is_scoped"]


class GroupMember(DatagramOptions):
    """An endpoint that can join groups."""

    __slots__ = ("_memberships",)

    def __init__(self, stack: Stack, version: int) -> None:
        super().__init__(stack, version)
        self._memberships: dict[tuple[Address, int], Filter] = {}

    def wants(self, source: Address, group: Address, interface: int) -> bool:
        """Whether the source filter lets a multicast packet in."""
        membership = self._memberships.get((group, interface))
        if membership is None:
            if any(each == group for each, _ in self._memberships):
                return False
            return bool(self.option("IP_MULTICAST_ALL"))
        return membership.allows(source)

    def leave_all(self) -> None:
        """Leave every group."""
        for group, interface in list(self._memberships):
            self.stack.multicast.set_filter(self.number, interface, group, None)
        self._memberships.clear()

    def join(self, group: Address, interface: int = 0, source: Address | None = None) -> None:
        """Become a member of `group`, of all its sources or of one more (RFC 3678).

        Raises:
            StackError: ADDRESS_IN_USE when a member already, NO_BUFFERS beyond the limits, INVALID for what is no
                multicast address, ADDRESS_NOT_AVAILABLE for a source joined already.
        """
        interface = self._group_interface(group, interface)
        current = self._memberships.get((group, interface))
        if source is None:
            if current is not None:
                raise StackError(Fault.ADDRESS_IN_USE)
            self.set_source_filter(group, interface, Filter(True))
            return
        if current is not None and current.exclude:
            raise StackError(Fault.INVALID)
        sources = current.sources if current is not None else ()
        if source in sources:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        self.set_source_filter(group, interface, Filter(False, tuple(sorted((*sources, source)))))

    def leave(self, group: Address, interface: int = 0, source: Address | None = None) -> None:
        """Undo `join`; StackError(ADDRESS_NOT_AVAILABLE) without membership."""
        interface = self._group_interface(group, interface)
        current = self._memberships.get((group, interface))
        if current is None:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        if source is None:
            self.set_source_filter(group, interface, None)
            return
        if current.exclude or source not in current.sources:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE if not current.exclude else Fault.INVALID)
        rest = tuple(each for each in current.sources if each != source)
        self.set_source_filter(group, interface, Filter(False, rest) if rest else None)

    def block(self, group: Address, interface: int, source: Address, blocked: bool) -> None:
        """Block or unblock one source of a group that is joined for all (IP_BLOCK_SOURCE, IP_UNBLOCK_SOURCE)."""
        interface = self._group_interface(group, interface)
        current = self._memberships.get((group, interface))
        if current is None or not current.exclude:
            raise StackError(Fault.INVALID)
        if (source in current.sources) is blocked:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        others = [each for each in current.sources if each != source]
        sources = sorted([*others, source]) if blocked else others
        self.set_source_filter(group, interface, Filter(True, tuple(sources)))

    def set_source_filter(self, group: Address, interface: int, wanted: Filter | None) -> None:
        """Set the whole filter of a group (MCAST_MSFILTER); None leaves it."""
        settings = self.stack.settings
        key = (group, interface)
        if wanted is not None:
            if key not in self._memberships and len(self._memberships) >= settings.igmp_max_memberships:
                raise StackError(Fault.NO_BUFFERS)
            if len(wanted.sources) > settings.igmp_max_msf:
                raise StackError(Fault.NO_BUFFERS)
        self.stack.multicast.set_filter(self.number, interface, group, wanted)
        if wanted is None:
            self._memberships.pop(key, None)
        else:
            self._memberships[key] = wanted

    def source_filter(self, group: Address, interface: int) -> Filter | None:
        """Filter of a group, None when not a member."""
        return self._memberships.get((group, self._group_interface(group, interface)))

    def _group_interface(self, group: Address, interface: int) -> int:
        if not is_multicast(group):
            raise StackError(Fault.INVALID)
        if len(group) == 16 and self.version == 4:
            raise StackError(Fault.INVALID)
        return interface or self.stack.output.hop(group, self.device()).interface.index


def is_scoped(address: Address) -> bool:
    """Whether an IPv6 address needs a zone (RFC 4007): link-local unicast and multicast."""
    if len(address) == 4:
        return False
    return is_link_local(address) or (address[0] == 0xFF and address[1] & 0x0F in (1, 2))
