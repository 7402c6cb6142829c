"""Multicast membership of a host: IGMPv3 (RFC 3376, 9776) and MLDv2 (RFC 3810, 9777), which are one protocol.

Sockets hold filters; an interface's state for a group is what they amount to together (RFC 3376 3.2). A change is
reported at once and again within a second; queries are answered after a random part of the time that they allow. While
an older querier is present, its version is used (RFC 3376 7.2.1, RFC 3810 8.2.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.stack.endpoint import Address, Fault, StackError
from catenet.stack.timers import Timer
from catenet.stack.units import Seconds
from catenet.wire import icmp, multicast
from catenet.wire.address import ALL_NODES, ALL_ROUTERS_LINK_LOCAL, ANY, is_multicast, is_unspecified, solicited_node
from catenet.wire.errors import Malformed
from catenet.wire.ip import HOP_BY_HOP, IpPacket
from catenet.wire.multicast import GroupRecord, Leave, Membership, Query, Report

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["ROBUSTNESS", "Filter", "Multicast", "merge", "send_message"]

ROBUSTNESS: Final = 2
_REPEAT_WITHIN: Final = 1.0
"""Unsolicited report interval of version 3 (RFC 3376 8.11)."""
_QUERIER_PRESENT: Final = 260.0
"""Robustness times the query interval and a response time (RFC 3376 8.12)."""
_MAX_RECORDS: Final = 64
_MAX_GROUPS: Final = 1024

_ROUTER_ALERT4: Final = b"\x94\x04\x00\x00"
_ROUTER_ALERT6: Final = ((HOP_BY_HOP, b"\x05\x02\x00\x00\x01\x00"),)
"""Router alert option (RFC 2113; RFC 2711 with value 0: MLD) and two bytes of padding."""
_ALL_ROUTERS4: Final = b"\xe0\x00\x00\x02"


class Filter(NamedTuple):
    """Which sources of a group are wanted: all but some, or some only; sources sorted."""

    exclude: bool
    sources: tuple[Address, ...] = ()

    def allows(self, source: Address) -> bool:
        """Whether packets from `source` pass."""
        return (source in self.sources) is not self.exclude


NOTHING: Final = Filter(False)


def merge(filters: list[Filter]) -> Filter:
    """State of an interface from the filters of its sockets (RFC 3376 3.2)."""
    included = {source for each in filters if not each.exclude for source in each.sources}
    excludes = [set(each.sources) for each in filters if each.exclude]
    if not excludes:
        return Filter(False, tuple(sorted(included)))
    return Filter(True, tuple(sorted(set.intersection(*excludes) - included)))


class _Group:
    """One group on one interface."""

    __slots__ = ("answer", "changes", "filters", "repeat", "repeats", "state")

    def __init__(self) -> None:
        self.filters: dict[int, Filter] = {}
        self.state = NOTHING
        self.changes: list[GroupRecord] = []
        self.repeats = 0
        self.repeat: Timer | None = None
        self.answer: Timer | None = None


class Multicast:
    """Groups that a stack is a member of, by interface."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._groups: dict[tuple[int, Address], _Group] = {}
        self.changed: dict[tuple[int, Address], None] = {}
        self._general: dict[tuple[int, int], Timer] = {}
        self._old_until: dict[tuple[int, int], float] = {}
        self._filters = 0

    def is_member(self, interface: int, group: Address) -> bool:
        """Whether packets to `group` that come in by `interface` are for this host."""
        entry = self._groups.get((interface, group))
        if (entry is not None and entry.filters) or group in _ALWAYS:
            return True
        if self._stack.querier is not None and group in _REPORT_ROUTERS:
            return True
        if len(group) == 4:
            return False
        if group == ALL_ROUTERS_LINK_LOCAL:
            return bool(self._stack.settings.ip_forward)
        if group[:13] != _SOLICITED_PREFIX:
            return False
        addresses = self._stack.interfaces[interface].addresses
        return any(len(each.address) == 16 and solicited_node(each.address) == group for each in addresses)

    def groups(self, interface: int) -> dict[Address, Filter]:
        """Groups joined on an interface, with what is let through."""
        return {group: entry.state for (index, group), entry in self._groups.items() if index == interface}

    def set_filter(self, socket: int, interface: int, group: Address, wanted: Filter | None) -> None:
        """Set the filter of one socket for a group on an interface, None to leave.

        Args:
            socket: number that is the socket's own.
            interface: index.
            group: multicast address.
            wanted: the filter.

        Raises:
            StackError: INVALID when `group` is no multicast address, NO_BUFFERS when there are 1,024 already,
                NETWORK_UNREACHABLE when there is no such interface.
        """
        if not is_multicast(group):
            raise StackError(Fault.INVALID)
        if interface not in self._stack.interfaces:
            raise StackError(Fault.NETWORK_UNREACHABLE)
        key = (interface, group)
        entry = self._groups.get(key)
        if entry is None:
            if wanted is None:
                return
            if len(self._groups) >= _MAX_GROUPS:
                raise StackError(Fault.NO_BUFFERS)
            entry = self._groups[key] = _Group()
        if wanted is None:
            entry.filters.pop(socket, None)
        else:
            entry.filters[socket] = wanted
        self.changed[key] = None
        self._stack.output.mark_dirty()

    def flush(self, now: Seconds) -> None:
        """Report the changes since the last call."""
        changed, self.changed = self.changed, {}
        for key in changed:
            entry = self._groups.get(key)
            if entry is None:
                continue
            before, entry.state = entry.state, merge(list(entry.filters.values()))
            records = _difference(key[1], before, entry.state)
            if records and self._is_reported(*key):
                self._report_change(key, entry, records, now)
            if not entry.filters:
                self._close(key, entry, now)

    def _close(self, key: tuple[int, Address], entry: _Group, now: Seconds) -> None:
        if entry.answer is not None:
            entry.answer.cancel()
        del self._groups[key]

    def _is_reported(self, interface: int, group: Address) -> bool:
        """All-nodes and what stays on this host is never reported (RFC 3376 5, RFC 3810 6)."""
        if self._stack.interfaces[interface].loopback or group in _ALWAYS:
            return False
        return not (len(group) == 16 and group[1] & 0x0F <= 1)

    def _report_change(self, key: tuple[int, Address], entry: _Group, records: list[GroupRecord], now: Seconds) -> None:
        """Send a report of changes now and keep them for the repetition; a change of mode replaces all before."""
        if any(record.kind in (multicast.CHANGE_TO_INCLUDE, multicast.CHANGE_TO_EXCLUDE) for record in records):
            entry.changes = []
        if len(entry.changes) > 8:
            kind = multicast.CHANGE_TO_EXCLUDE if entry.state.exclude else multicast.CHANGE_TO_INCLUDE
            records = [GroupRecord(kind, key[1], entry.state.sources)]
            entry.changes = []
        entry.changes.extend(records)
        self._send_changes(key[0], entry.changes, now)
        entry.repeats = ROBUSTNESS - 1
        if entry.repeat is not None:
            entry.repeat.cancel()
        delay = self._stack.random.uniform(0, _REPEAT_WITHIN)
        entry.repeat = self._stack.timers.call_at(now + delay, self._repeat, key, entry)

    def _repeat(self, key: tuple[int, Address], entry: _Group) -> None:
        stack = self._stack
        self._send_changes(key[0], entry.changes, stack.now)
        entry.repeats -= 1
        if entry.repeats > 0:
            delay = stack.random.uniform(0, _REPEAT_WITHIN)
            entry.repeat = stack.timers.call_at(stack.now + delay, self._repeat, key, entry)
        else:
            entry.changes, entry.repeat = [], None

    def _send_changes(self, interface: int, records: list[GroupRecord], now: Seconds) -> None:
        """Send change records, in the older protocol where an older querier is present."""
        if not records:
            return
        family = 4 if len(records[0].group) == 4 else 6
        version = self._version(interface, family, now)
        if version >= 3:
            self._send(interface, Report(tuple(records)), multicast.ALL_REPORT_ROUTERS[family])
            return
        last = records[-1]
        if last.kind == multicast.CHANGE_TO_INCLUDE and not last.sources:
            if version == 2:
                routers = _ALL_ROUTERS4 if family == 4 else ALL_ROUTERS_LINK_LOCAL
                self._send(interface, Leave(last.group), routers)
        else:
            self._send(interface, Membership(last.group, version), last.group)

    def _version(self, interface: int, family: int, now: Seconds) -> int:
        if self._stack.settings.force_igmp_version == 2:
            return 2
        for version in (1, 2):
            if self._old_until.get((interface, family * 10 + version), 0.0) > now:
                return version
        return 3

    def receive_igmp(self, packet: IpPacket, now: Seconds, interface: int) -> None:
        """Take an IGMP message."""
        try:
            message = multicast.parse_igmp(packet.payload)
        except Malformed:
            self._stack.counters[4].ip.InDiscards += 1
            return
        self._receive(message, packet, now, interface)

    def receive_mld(self, packet: IpPacket, message: icmp.Other, now: Seconds, interface: int) -> bool:
        """Take an ICMPv6 message if it is MLD; it counts only with hop limit 1 (RFC 3810 6.2)."""
        try:
            read = multicast.parse_mld(message)
        except Malformed:
            self._stack.counters[6].icmp.InErrors += 1
            return True
        if read is None:
            return False
        if packet.hop_limit == 1:
            self._receive(read, packet, now, interface)
        return True

    def _receive(self, message: multicast.Message | None, packet: IpPacket, now: Seconds, interface: int) -> None:
        if isinstance(message, Query):
            self._receive_query(message, packet, now, interface)
        elif isinstance(message, Membership):
            # Another host answered for the group in the old protocol: our answer is not needed (RFC 2236 3).
            entry = self._groups.get((interface, message.group))
            if entry is not None and entry.answer is not None and self._version(interface, packet.version, now) < 3:
                entry.answer.cancel()
                entry.answer = None
        if self._stack.querier is not None:
            self._stack.querier.receive(message, packet, now, interface)

    def _receive_query(self, query: Query, packet: IpPacket, now: Seconds, interface: int) -> None:
        family = packet.version
        if query.version < 3:
            self._old_until[interface, family * 10 + query.version] = now + _QUERIER_PRESENT
        stack = self._stack
        delay = stack.random.uniform(0, max(query.response_time, 0.001))
        if is_unspecified(query.group):
            timer = self._general.get((interface, family))
            if timer is None or timer.callback is None or timer.deadline > now + delay:
                if timer is not None:
                    timer.cancel()
                self._general[interface, family] = stack.timers.call_at(
                    now + delay, self._answer_general, interface, family
                )
            return
        entry = self._groups.get((interface, query.group))
        if entry is None or not self._is_reported(interface, query.group):
            return
        if entry.answer is not None:
            if entry.answer.callback is not None and entry.answer.deadline <= now + delay:
                return
            entry.answer.cancel()
        entry.answer = stack.timers.call_at(
            now + delay, self._answer_group, (interface, query.group), query.sources[:_MAX_RECORDS]
        )

    def _answer_general(self, interface: int, family: int) -> None:
        size = 4 if family == 4 else 16
        records = [
            _current(group, entry.state)
            for (index, group), entry in self._groups.items()
            if index == interface and len(group) == size and self._is_reported(index, group)
        ]
        version = self._version(interface, family, self._stack.now)
        if version < 3:
            for record in records:
                self._send(interface, Membership(record.group, version), record.group)
            return
        for start in range(0, len(records), _MAX_RECORDS):
            part = tuple(records[start : start + _MAX_RECORDS])
            self._send(interface, Report(part), multicast.ALL_REPORT_ROUTERS[family])

    def _answer_group(self, key: tuple[int, Address], sources: tuple[Address, ...]) -> None:
        entry = self._groups.get(key)
        if entry is None:
            return
        entry.answer = None
        interface, group = key
        family = 4 if len(group) == 4 else 6
        version = self._version(interface, family, self._stack.now)
        if version < 3:
            self._send(interface, Membership(group, version), group)
            return
        record = _current(group, entry.state)
        if sources:
            wanted = tuple(source for source in sources if entry.state.allows(source))
            if not wanted:
                return
            record = GroupRecord(multicast.MODE_IS_INCLUDE, group, wanted)
        self._send(interface, Report((record,)), multicast.ALL_REPORT_ROUTERS[family])

    def _send(self, interface: int, message: multicast.Message, destination: Address) -> None:
        send_message(self._stack, interface, message, destination)


def send_message(stack: Stack, interface: int, message: multicast.Message, destination: Address) -> None:
    """Send a membership message with hop limit 1 and router alert, as both protocols demand."""
    port = stack.interfaces[interface]
    try:
        if len(destination) == 4:
            usable = port.usable(4)
            source = usable[0].address if usable else ANY[4]
            data = multicast.build_igmp(message)
            stack.output.send(
                source,
                destination,
                multicast.IGMP,
                data,
                1,
                0xC0,
                interface=interface,
                options=_ROUTER_ALERT4,
                loop=False,
            )
        else:
            source = port.link_local() or ANY[6]
            if isinstance(message, Query) and is_unspecified(source):
                source = port.usable(6)[0].address  # on simulated links without link-local addresses
            data = icmp.build(multicast.build_mld(message), source, destination)
            stack.output.send(
                source,
                destination,
                icmp.PROTOCOLS[6],
                data,
                1,
                interface=interface,
                extensions=_ROUTER_ALERT6,
                loop=False,
            )
    except StackError:
        stack.counters[4 if len(destination) == 4 else 6].ip.OutDiscards += 1
        return
    stack.output.mark_dirty()


def _current(group: Address, state: Filter) -> GroupRecord:
    kind = multicast.MODE_IS_EXCLUDE if state.exclude else multicast.MODE_IS_INCLUDE
    return GroupRecord(kind, group, state.sources)


def _difference(group: Address, before: Filter, after: Filter) -> list[GroupRecord]:
    """Records that report a change of state (RFC 3376 5.1)."""
    if before == after:
        return []
    if before.exclude != after.exclude:
        kind = multicast.CHANGE_TO_EXCLUDE if after.exclude else multicast.CHANGE_TO_INCLUDE
        return [GroupRecord(kind, group, after.sources)]
    added = tuple(source for source in after.sources if source not in before.sources)
    removed = tuple(source for source in before.sources if source not in after.sources)
    allowed, blocked = (removed, added) if after.exclude else (added, removed)
    records = [
        GroupRecord(multicast.ALLOW_NEW_SOURCES, group, allowed),
        GroupRecord(multicast.BLOCK_OLD_SOURCES, group, blocked),
    ]
    return [record for record in records if record.sources]


_ALWAYS: Final = frozenset((ALL_NODES[4], ALL_NODES[6], b"\xff\x01" + bytes(13) + b"\x01"))
_REPORT_ROUTERS: Final = (*multicast.ALL_REPORT_ROUTERS.values(), _ALL_ROUTERS4, ALL_ROUTERS_LINK_LOCAL)
_SOLICITED_PREFIX: Final = solicited_node(bytes(16))[:13]
