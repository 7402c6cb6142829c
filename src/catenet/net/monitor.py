"""Whether the peer of an accepted connection keeps up with what it has begun, and reads what it has asked for.

The peer is under the clock while it owes us something: from accept until what a connection begins with is complete;
from the first byte of a later unit that has a deadline (a request head) until its last; and, at a rate, while it has
begun anything else. It owes nothing between two units, and nothing that our windows or our pauses hold back. And it
is to read, at a rate, the responses that wait for it; what else waits (a tunnel's bytes) it may leave unread.
`PeerMonitor.watch` is called every second or so.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol

from catenet.net.accept import Slot
from catenet.net.budget import Budget
from catenet.net.closing import unsent
from catenet.net.deadlines import Deadlines, Entry
from catenet.net.driver import LINGER
from catenet.net.limits import ServerLimits
from catenet.net.notice import Notice
from catenet.net.pace import Pace

__all__ = ["Holder", "Late", "Monitored", "PeerMonitor", "Shared"]

PATIENCE = 1.0
"""Seconds without progress after which a connection is the first to go when the budget is exceeded."""


class Late(enum.Enum):
    """What took too long."""

    BEGINNING = "what a connection begins with"
    UNIT = "a unit with a deadline"
    REST = "the rest of what has begun"
    READING = "reading a response"


class Monitored(Protocol):
    """The driver of an accepted connection, as its monitor sees it."""

    now: float
    received: int
    charged: int
    draining: bool
    lingers: bool
    transport: asyncio.Transport | None

    @property
    def begun(self) -> bool:
        """Whether what a connection begins with is complete."""

    @property
    def busy(self) -> bool:
        """Whether anything is going on that an end would break off."""

    @property
    def failed(self) -> bool:
        """Whether the connection has been given up already."""

    @property
    def ending(self) -> bool:
        """Whether nothing follows what is still to be sent."""

    @property
    def unit_since(self) -> float | None:
        """When the first byte came of a unit that must be complete in time; None: there is none."""

    @property
    def queued(self) -> int:
        """Bytes that wait in the core for the peer to take more."""

    @property
    def flowed(self) -> int:
        """Bytes that have ever waited there and do not any more."""

    def was_active(self) -> bool:
        """Whether anything was going on since this was last asked."""

    def owes(self) -> bool:
        """Whether the peer has begun something, not finished it, and is free to go on."""

    def must_read(self, full: bool) -> bool:
        """Whether the peer is to read what waits: it has asked for it; `full`: some of it waits in the transport."""

    def on_late(self, what: Late) -> None:
        """Give up the connection, or of READING, what waits."""

    def charge(self, amount: int) -> None:
        """Tell the budget that `amount` bytes wait."""

    def drain(self) -> None:
        """Take nothing new, and close when nothing is left."""

    def abort(self) -> None:
        """Close at once."""


class Holder(Protocol):
    """A connection that can be closed for what it holds."""

    monitor: PeerMonitor

    def __hash__(self) -> int:
        """Identity will do."""

    def abort(self) -> None:
        """Close at once."""


class Shared:
    """What the connections of one server have in common. Made on its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: ServerLimits) -> None:
        self.loop = loop
        self.limits = limits
        self.deadlines = Deadlines(loop)
        self.budget: Budget[Holder] = Budget(limits.max_queued_total)
        self._given_up = Notice()
        self.count_late = 0
        """Connections that were closed because their peers were too slow,"""
        self.count_shed = 0
        """and those that were closed because too much was queued for them."""

    def relieve(self) -> None:
        """While the budget is tight: close what has stalled, so that the others need not wait for ever."""
        if self.budget.tight:
            self._shed(self.limits.max_queued_total // 2, self.limits.handshake_timeout, only_stalled=True)

    def shed(self) -> None:
        """Close those that hold most, stalled ones first, until the rest is within the budget."""
        self._shed(self.limits.max_queued_total, PATIENCE)

    def _shed(self, target: int, patience: float, only_stalled: bool = False) -> None:
        now = self.loop.time()
        for victim in self.budget.victims(target, lambda one: one.monitor.has_stalled(now, patience), only_stalled):
            self._given_up.warn(now, "a peer does not read, closing: %d bytes are queued in all", self.budget.used)
            self.count_shed += 1
            victim.abort()
            if not self.budget.shedding:
                self.budget.shedding = True
                self.loop.call_soon(self._end_shedding)

    def _end_shedding(self) -> None:
        self.budget.shedding = False


class PeerMonitor:
    """The clock of one accepted connection. `opened`: when it was accepted; `idle_since`: when it was last busy."""

    __slots__ = (
        "_closing", "_driver", "_entry", "_flowed", "_left", "_moved", "_pace", "_reading", "_shared", "_slot",
        "_taken", "idle_since", "opened",
    )  # fmt: skip

    def __init__(self, driver: Monitored, shared: Shared, slot: Slot) -> None:
        self._driver = driver
        self._shared = shared
        self._slot = slot
        self.opened = self.idle_since = self._moved = slot.accepted
        self._pace: Pace | None = None
        self._entry: Entry | None = None
        self._closing = False
        self._flowed = self._left = self._taken = 0
        self._reading: Pace | None = None

    def start(self) -> None:
        """The connection is made: what it begins with is due."""
        self._slot.made = True
        due = self.opened + self._shared.limits.handshake_timeout
        self._entry = self._shared.deadlines.add(due, self._expire)

    def stop(self) -> None:
        """The connection is lost: its place is free for another."""
        self._slot.release()
        if self._entry is not None:
            self._shared.deadlines.remove(self._entry)
            self._entry = None

    def rest(self) -> Slot:
        """The connection is parked: it keeps its place, which another monitor will get."""
        if self._entry is not None:
            self._shared.deadlines.remove(self._entry)
            self._entry = None
        return self._slot

    def leave(self) -> None:
        """The connection is parked: both know each other, and would wait for the collector."""
        del self._driver

    def resume(self, idle_since: float) -> None:
        """The connection has been parked: nothing is due."""
        self.idle_since = self._moved = idle_since

    def _expire(self) -> None:
        """The time for the handshake is over."""
        self._entry = None
        driver = self._driver
        if driver.transport is not None and not driver.begun:
            self._late(Late.BEGINNING)

    def _late(self, what: Late) -> None:
        self._shared.count_late += 1
        self._driver.on_late(what)

    def watch(self, now: float) -> None:
        """Look whether the peer keeps up, and whether the connection is too old or idle."""
        driver, transport = self._driver, self._driver.transport
        if transport is None:
            return
        if driver.was_active():
            self.idle_since = now
        self._watch_output(now, transport)
        if self._closing:
            if driver.lingers:
                return  # it has a clock of its own
            limits = self._shared.limits
            patience = LINGER
            if self._left:
                patience = limits.send_timeout if driver.must_read(True) else limits.handshake_timeout
            if self.has_stalled(now, patience):
                driver.abort()  # what is left will not be read, or the end of TLS not answered
        elif driver.begun and not driver.failed:
            self._watch_input(now)

    def watch_age(self, now: float) -> None:
        """End a connection that has been idle for too long, or is too old."""
        driver, limits = self._driver, self._shared.limits
        # Who still reads what it got is not idle.
        quiet = now - (max(driver.now, self._moved) if self._left else driver.now)
        if limits.max_idle is not None and quiet > limits.max_idle and not driver.busy and not driver.draining:
            driver.drain()
        if limits.max_age is not None and now - self.opened > limits.max_age:
            if not driver.draining:
                driver.drain()
            elif now - self.opened > limits.max_age + limits.max_age_grace:
                driver.abort()

    def has_stalled(self, now: float, patience: float) -> bool:
        """Whether the peer has taken nothing for `patience` seconds of what waits for it."""
        return now - self._moved > patience

    def _watch_input(self, now: float) -> None:
        driver, limits = self._driver, self._shared.limits
        since = driver.unit_since
        if since is not None:
            if now - since > limits.handshake_timeout:
                self._late(Late.UNIT)
            return
        if not driver.owes():
            self._pace = None
            return
        pace = self._pace
        if pace is None:
            pace = self._pace = Pace(limits.handshake_timeout, limits.min_rate)
        if pace.is_late(True, driver.received, now):
            self._late(Late.REST)

    def _watch_output(self, now: float, transport: asyncio.Transport) -> None:
        """Note when the peer has last taken something, or had nothing to take."""
        driver = self._driver
        buffered = transport.get_write_buffer_size()
        queued, flowed = driver.queued, driver.flowed
        # A full send buffer takes more in large steps: on a slow line only the kernel knows that the peer reads on.
        left = unsent(transport) if buffered or self._closing else 0
        if self._closing:
            moved = left != self._left or flowed != self._flowed
        else:
            moved = not (left or queued) or flowed != self._flowed or left < self._left
            if driver.ending or transport.is_closing():
                moved = self._closing = True
        if moved:
            self._moved = now
        self._watch_reading(now, left, queued, flowed)
        self._flowed, self._left = flowed, left
        if driver.charged or buffered:
            driver.charge(queued + buffered)

    def _watch_reading(self, now: float, left: int, queued: int, flowed: int) -> None:
        """See whether the peer takes a response that waits for it, at a rate."""
        if not (left or queued) or not self._driver.must_read(left > 0):
            self._reading = None
            return
        # What is written while the transport has room adds to `left` alone: no progress, but no step back either.
        self._taken += max(flowed - self._flowed + self._left - left, 0)
        reading = self._reading
        if reading is None:
            limits = self._shared.limits
            reading = self._reading = Pace(limits.send_timeout, limits.min_rate, limits.send_timeout)
        if reading.is_late(True, self._taken, now):
            self._reading = None
            self._late(Late.READING)
