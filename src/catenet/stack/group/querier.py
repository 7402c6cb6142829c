"""A multicast querier for simulated networks: asks who listens and remembers the answers (RFC 3376 6, RFC 3810 7).

Enough for a router host that wants to know its listeners and for tests of members; it does not forward. The querier
with the lowest address on a network asks, the others listen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import Address
from catenet.stack.group.multicast import ROBUSTNESS, send_message
from catenet.stack.timers import Timer
from catenet.stack.units import Seconds
from catenet.wire import multicast
from catenet.wire.address import ALL_NODES, ANY
from catenet.wire.ip import IpPacket
from catenet.wire.multicast import GroupRecord, Leave, Membership, Query, Report

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["Querier"]

QUERY_INTERVAL: Final = 125.0
RESPONSE_TIME: Final = 10.0
LAST_MEMBER_TIME: Final = 1.0
_LISTENER_TIME: Final = ROBUSTNESS * QUERY_INTERVAL + RESPONSE_TIME
_OTHER_QUERIER_TIME: Final = ROBUSTNESS * QUERY_INTERVAL + RESPONSE_TIME / 2
_MAX_GROUPS: Final = 4096


class Querier:
    """Queries on one interface of a stack; `listeners` are the groups with members there."""

    def __init__(self, stack: Stack, interface: int) -> None:
        """Begin to query at the next timeout; the stack has one querier."""
        self._stack = stack
        self._interface = interface
        self._until: dict[Address, float] = {}
        self._quiet_until = {4: 0.0, 6: 0.0}
        self._timers: dict[int, Timer] = {}
        stack.querier = self
        for family in (4, 6):
            self._timers[family] = stack.timers.call_at(stack.now, self._ask, family)

    def listeners(self, now: Seconds) -> list[Address]:
        """Groups that are listened to, in the order in which they were first heard of."""
        self._until = {group: until for group, until in self._until.items() if until > now}
        return list(self._until)

    def close(self) -> None:
        """Stop asking."""
        self._stack.querier = None
        for timer in self._timers.values():
            timer.cancel()

    def _ask(self, family: int) -> None:
        now = self._stack.now
        if self._quiet_until[family] <= now and self._stack.interfaces[self._interface].usable(family):
            query = Query(ANY[family], RESPONSE_TIME, 3, False, ROBUSTNESS, QUERY_INTERVAL)
            send_message(self._stack, self._interface, query, ALL_NODES[family])
        self._timers[family] = self._stack.timers.call_at(now + QUERY_INTERVAL, self._ask, family)

    def receive(self, message: multicast.Message | None, packet: IpPacket, now: Seconds, interface: int) -> None:
        """Take a membership message that came in by any interface."""
        if interface != self._interface:
            return
        if isinstance(message, Query):
            own = self._stack.interfaces[interface].usable(packet.version)
            if own and packet.source < own[0].address and any(packet.source):
                self._quiet_until[packet.version] = now + _OTHER_QUERIER_TIME
        elif isinstance(message, Report):
            for record in message.records:
                self._take(record, now)
        elif isinstance(message, Membership):
            self._hear(message.group, now)
        elif isinstance(message, Leave):
            self._last_member(message.group, now)

    def _take(self, record: GroupRecord, now: Seconds) -> None:
        if record.kind == multicast.CHANGE_TO_INCLUDE and not record.sources:
            self._last_member(record.group, now)
        elif record.kind != multicast.BLOCK_OLD_SOURCES and (record.sources or record.kind in _EXCLUDING):
            self._hear(record.group, now)

    def _hear(self, group: Address, now: Seconds) -> None:
        if group in self._until or len(self._until) < _MAX_GROUPS:
            self._until[group] = now + _LISTENER_TIME

    def _last_member(self, group: Address, now: Seconds) -> None:
        """Query a group that a host left; without an answer it has no members."""
        if group not in self._until:
            return
        self._until[group] = min(self._until[group], now + ROBUSTNESS * LAST_MEMBER_TIME)
        query = Query(group, LAST_MEMBER_TIME, 3, False, ROBUSTNESS, QUERY_INTERVAL)
        send_message(self._stack, self._interface, query, group)


_EXCLUDING: Final = (multicast.MODE_IS_EXCLUDE, multicast.CHANGE_TO_EXCLUDE)
