"""Neighbour cache of an Ethernet interface, with the states of RFC 4861 7.3 for both versions.

ARP (RFC 826) and neighbour discovery (RFC 4861) differ in how a question is asked and in what an answer is worth, and
that is all the solicitors know; when to ask, what waits and when to give up is the cache's, so that IPv4 has neighbour
unreachability detection too, as on Linux.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from catenet.stack.endpoint import Address
from catenet.stack.timers import Timer
from catenet.stack.units import Seconds
from catenet.wire import ip
from catenet.wire.errors import Malformed
from catenet.wire.icmp import Problem

if TYPE_CHECKING:
    from catenet.stack.ethernet.ethernet import EthernetPort
    from catenet.stack.stack import Stack

__all__ = ["Neighbour", "NeighbourState", "NeighbourTable", "Solicitor"]

_MINIMUM_KEPT: Final = 0.001


class NeighbourState(enum.Enum):
    """States of RFC 4861 7.3.2, and permanent entries."""

    INCOMPLETE = "incomplete"
    REACHABLE = "reachable"
    STALE = "stale"
    DELAY = "delay"
    PROBE = "probe"
    PERMANENT = "permanent"


class Neighbour:
    """One entry of the cache."""

    __slots__ = ("address", "link", "probes", "router", "state", "timer", "waiting")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.link: bytes | None = None
        self.state = NeighbourState.INCOMPLETE
        self.router = False
        self.probes = 0
        self.timer: Timer | None = None
        self.waiting: deque[bytes] = deque()
        """Packets that wait for the link-layer address, the oldest first."""

    def __repr__(self) -> str:
        return f"<Neighbour {self.address.hex()} {self.state.value}>"


class Solicitor(Protocol):
    """How a version of IP asks for a neighbour."""

    def solicit(self, target: Address, link: bytes | None, waiting: bytes | None) -> None:
        """Ask `target`: at its known link-layer address, or everyone when that is None.

        `waiting` is the packet that the question is for; its source is preferred as the question's.
        """


class NeighbourTable:
    """Cache of one interface; at most `neigh_gc_thresh3` entries, those least sure give way."""

    def __init__(self, stack: Stack, port: EthernetPort, solicitors: dict[int, Solicitor]) -> None:
        self._stack = stack
        self._port = port
        self._solicitors = solicitors
        self._entries: dict[Address, Neighbour] = {}
        self.on_unreachable: Callable[[Neighbour], None] | None = None
        self.reachable_time = stack.settings.neigh_base_reachable_time_ms / 1000
        self.retransmission_time = stack.settings.neigh_retrans_time_ms / 1000

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, address: Address) -> Neighbour | None:
        """Return the entry of a neighbour."""
        return self._entries.get(address)

    def entries(self) -> list[Neighbour]:
        """All entries, in the order of their making."""
        return list(self._entries.values())

    def add_permanent(self, address: Address, link: bytes) -> None:
        """Add an entry that is never asked for nor forgotten."""
        entry = self._entries.get(address) or self._make(address)
        entry.link = link
        self._move(entry, NeighbourState.PERMANENT)
        self._send_waiting(entry)

    def remove(self, address: Address) -> None:
        """Forget a neighbour, with what waits for it."""
        entry = self._entries.pop(address, None)
        if entry is not None and entry.timer is not None:
            entry.timer.cancel()

    def clear(self) -> None:
        """Forget all neighbours."""
        for address in list(self._entries):
            self.remove(address)

    # Sending.

    def send_packet(self, packet: bytes, next_hop: Address, now: Seconds) -> None:
        """Send a packet to a neighbour: at once when its address is known, else when it answers."""
        entry = self._entries.get(next_hop)
        if entry is None:
            entry = self._make(next_hop)
            entry.waiting.append(packet)
            entry.probes = 1
            self._solicit(entry)
            self._arm(entry, now + self.retransmission_time)
            return
        if entry.link is None:
            if len(entry.waiting) >= self._stack.settings.neigh_unres_qlen:
                entry.waiting.popleft()
            entry.waiting.append(packet)
            return
        if entry.state is NeighbourState.STALE:
            self._move(entry, NeighbourState.DELAY)
            self._arm(entry, now + self._stack.settings.neigh_delay_first_probe_time)
        self._port.send_packet_to(packet, entry.link)

    def confirm(self, address: Address, now: Seconds) -> None:
        """Confirm that a neighbour is reachable, by progress of a layer above (RFC 4861 7.3.1)."""
        entry = self._entries.get(address)
        if entry is not None and entry.link is not None and entry.state is not NeighbourState.PERMANENT:
            self._reachable(entry, now)

    # Receiving.

    def learn(self, address: Address, link: bytes, now: Seconds) -> Neighbour:
        """Learn the link-layer address in a neighbour's request or advertisement: not confirmed (7.2.3, 6.3.4)."""
        entry = self._entries.get(address) or self._make(address)
        if entry.state is NeighbourState.PERMANENT:
            return entry
        if entry.link != link:
            entry.link = link
            self._stale(entry, now)
            self._send_waiting(entry)
        return entry

    def receive_advertisement(
        self, address: Address, link: bytes | None, now: Seconds, *, solicited: bool, override: bool, router: bool
    ) -> None:
        """Process an advertisement (RFC 4861 7.2.5); it is ignored for neighbours without an entry."""
        entry = self._entries.get(address)
        if entry is None or entry.state is NeighbourState.PERMANENT:
            return
        was_router, entry.router = entry.router, router
        if entry.state is NeighbourState.INCOMPLETE:
            if link is None:
                return
            entry.link = link
            if solicited:
                self._reachable(entry, now)
            else:
                self._stale(entry, now)
            self._send_waiting(entry)
            return
        changed = link is not None and link != entry.link
        if changed and not override:
            if entry.state is NeighbourState.REACHABLE:
                self._stale(entry, now)
            return
        if changed:
            entry.link = link
        if solicited:
            self._reachable(entry, now)
        elif changed:
            self._stale(entry, now)
        if was_router and not router and self.on_unreachable is not None:
            self.on_unreachable(entry)

    # States.

    def _make(self, address: Address) -> Neighbour:
        if len(self._entries) >= self._stack.settings.neigh_gc_thresh3:
            self._evict()
        entry = self._entries[address] = Neighbour(address)
        return entry

    def _evict(self) -> None:
        """Make room: drop the oldest entry of the least certain state."""
        for state in (NeighbourState.INCOMPLETE, NeighbourState.STALE, NeighbourState.PROBE, None):
            for entry in self._entries.values():
                if entry.state is state or (state is None and entry.state is not NeighbourState.PERMANENT):
                    self.remove(entry.address)
                    return

    def _move(self, entry: Neighbour, state: NeighbourState) -> None:
        entry.state = state
        entry.probes = 0
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None

    def _arm(self, entry: Neighbour, deadline: float) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        entry.timer = self._stack.timers.call_at(deadline, self._expire, entry)

    def _reachable(self, entry: Neighbour, now: Seconds) -> None:
        self._move(entry, NeighbourState.REACHABLE)
        # Between half and one and a half of the base, so that neighbours do not ask in step (RFC 4861 6.3.2).
        self._arm(entry, now + self.reachable_time * self._stack.random.uniform(0.5, 1.5))

    def _stale(self, entry: Neighbour, now: Seconds) -> None:
        self._move(entry, NeighbourState.STALE)
        self._arm(entry, now + self._stack.settings.neigh_gc_stale_time)

    def _solicit(self, entry: Neighbour) -> None:
        version = 4 if len(entry.address) == 4 else 6
        waiting = entry.waiting[0] if entry.waiting else None
        link = entry.link if entry.state is NeighbourState.PROBE else None
        self._solicitors[version].solicit(entry.address, link, waiting)

    def _expire(self, entry: Neighbour) -> None:
        now, settings = self._stack.now, self._stack.settings
        state = entry.state
        if state is NeighbourState.REACHABLE:
            self._stale(entry, now)
        elif state is NeighbourState.STALE:
            self.remove(entry.address)
        elif state is NeighbourState.DELAY:
            self._move(entry, NeighbourState.PROBE)
            self._probe(entry, now)
        elif state is NeighbourState.PROBE:
            if entry.probes >= settings.neigh_ucast_solicit:
                self._give_up(entry)
            else:
                self._probe(entry, now)
        elif entry.probes >= settings.neigh_mcast_solicit:
            self._give_up(entry)
        else:
            self._probe(entry, now)

    def _probe(self, entry: Neighbour, now: Seconds) -> None:
        entry.probes += 1
        self._solicit(entry)
        self._arm(entry, now + self.retransmission_time)

    def _give_up(self, entry: Neighbour) -> None:
        """Give up an unanswered neighbour: report to senders of what waits (RFC 1122 2.3.2.2, RFC 4861 7.2.2)."""
        self.remove(entry.address)
        for packet in entry.waiting:
            try:
                parsed = ip.parse(packet)
            except Malformed:
                continue
            self._stack.icmp.send_error(Problem.ADDRESS_UNREACHABLE, parsed)
        if self.on_unreachable is not None:
            self.on_unreachable(entry)

    def _send_waiting(self, entry: Neighbour) -> None:
        waiting, entry.waiting = entry.waiting, deque()
        if entry.link is None:
            return
        for packet in waiting:
            self._port.send_packet_to(packet, entry.link)
        if waiting and entry.state is NeighbourState.STALE:
            self._move(entry, NeighbourState.DELAY)
            delay = max(self._stack.settings.neigh_delay_first_probe_time, _MINIMUM_KEPT)
            self._arm(entry, self._stack.now + delay)
