"""Active queue management, which decides what leaves next, is marked or dropped: CoDel, FQ-CoDel, DualPI2.

All have one interface, without clock or events: `enqueue(item, now)`, `dequeue(now)`. They count what they drop and
mark in the link's counters. A queue never holds more than its limits, whatever arrives.
"""

from __future__ import annotations

import random
import zlib
from collections import deque
from math import sqrt
from typing import Final, Protocol

from catenet.link.crossing import Item
from catenet.link.properties import QueueProperties
from catenet.link.simulated import Counters
from catenet.wire.ecn import CE, ECT1, NOT_ECT, codepoint, mark

__all__ = [
    "CoDel",
    "CoDelQueue",
    "DualPi2Queue",
    "FqCoDelQueue",
    "Queue",
    "flow_key",
    "make_queue",
]

LARGEST_SEGMENT: Final = 1514
"""Bytes below which a backlog is no standing queue (RFC 8289 section 4.4: one maximum-size packet)."""


class Queue(Protocol):
    """Interface of the queue of a link of limited rate."""

    def enqueue(self, item: Item, now: float) -> None:
        """Take a packet, or drop one."""

    def dequeue(self, now: float) -> Item | None:
        """The packet that leaves now; None when the queue is empty."""

    def items(self) -> list[Item]:
        """Packets that wait, in order of arrival."""

    def clear(self) -> None:
        """Empty the queue."""


def _drop(item: Item, counters: Counters, cause: str) -> None:
    """Drop a packet."""
    counters.drop(cause)
    item.leave()


def _by_arrival(*fifos: _Fifo) -> list[Item]:
    """Packets of several queues by time of arrival, those of one time in the order of queues."""
    return sorted((item for fifo in fifos for item in fifo.items), key=lambda item: item.arrived)


class _Fifo:
    """Items in order with their bytes."""

    __slots__ = ("bytes", "items")

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.bytes = 0

    def push(self, item: Item) -> None:
        self.items.append(item)
        self.bytes += len(item.packet)

    def pop(self) -> Item | None:
        if not self.items:
            return None
        item = self.items.popleft()
        self.bytes -= len(item.packet)
        return item

    def clear(self) -> None:
        self.items.clear()
        self.bytes = 0

    def delay(self, now: float) -> float:
        """How long the first packet has waited."""
        return now - self.items[0].arrived if self.items else 0.0


class _Limits:
    """Whether one more packet fits."""

    __slots__ = ("bytes", "packets")

    def __init__(self, properties: QueueProperties) -> None:
        self.packets = properties.packets
        self.bytes = properties.bytes

    def exceeded(self, packets: int, size: int) -> bool:
        return (self.packets is not None and packets > self.packets) or (self.bytes is not None and size > self.bytes)


class CoDel:
    """The control law over one FIFO (RFC 8289 section 5): drop or mark when the delay stays over a target."""

    TARGET: Final = 0.005
    INTERVAL: Final = 0.100

    __slots__ = ("_count", "_counters", "_drop_next", "_dropping", "_fifo", "_first_above", "_last_count")

    def __init__(self, fifo: _Fifo, counters: Counters) -> None:
        self._fifo = fifo
        self._counters = counters
        self._first_above = 0.0
        self._drop_next = 0.0
        self._count = 0
        self._last_count = 0
        self._dropping = False

    def dequeue(self, now: float) -> Item | None:
        """The next packet that the law lets pass, marked if it was to be dropped and is ECN-capable."""
        item, may_drop = self._take(now)
        if item is None:
            self._dropping = False
            return None
        if self._dropping:
            return self._go_on_dropping(item, may_drop, now)
        if may_drop:
            item = self._start_dropping(item, now)
        return item

    def _go_on_dropping(self, item: Item | None, may_drop: bool, now: float) -> Item | None:
        if not may_drop:
            self._dropping = False
        while item is not None and self._dropping and now >= self._drop_next:
            self._count += 1
            if self._mark(item):
                self._drop_next = self._law(self._drop_next)
                return item
            _drop(item, self._counters, "aqm")
            item, may_drop = self._take(now)
            if may_drop:
                self._drop_next = self._law(self._drop_next)
            else:
                self._dropping = False
        return item

    def _start_dropping(self, item: Item, now: float) -> Item | None:
        result: Item | None = item
        if not self._mark(item):
            _drop(item, self._counters, "aqm")
            result, _ = self._take(now)
        self._dropping = True
        # Soon after the last dropping state, start from its rate (section 5.4).
        recent = now - self._drop_next < 16 * self.INTERVAL
        grown = self._count - self._last_count
        self._count = grown if grown > 1 and recent else 1
        self._drop_next = self._law(now)
        self._last_count = self._count
        return result

    def _take(self, now: float) -> tuple[Item | None, bool]:
        """The head of the FIFO, and whether the delay has been over the target for an interval."""
        item = self._fifo.pop()
        if item is None or now - item.arrived < self.TARGET or self._fifo.bytes <= LARGEST_SEGMENT:
            self._first_above = 0.0
            return item, False
        if self._first_above == 0.0:
            self._first_above = now + self.INTERVAL
            return item, False
        return item, now >= self._first_above

    def _law(self, when: float) -> float:
        return when + self.INTERVAL / sqrt(self._count)

    def _mark(self, item: Item) -> bool:
        marked = mark(item.packet)
        if marked is None:
            return False
        item.packet = marked
        self._counters.marked += 1
        return True


class CoDelQueue:
    """One FIFO under CoDel (RFC 8289)."""

    __slots__ = ("_codel", "_counters", "_fifo", "_limits")

    def __init__(self, properties: QueueProperties, counters: Counters) -> None:
        self._fifo = _Fifo()
        self._limits = _Limits(properties)
        self._counters = counters
        self._codel = CoDel(self._fifo, counters)

    def enqueue(self, item: Item, now: float) -> None:
        """Take a packet unless the queue is full."""
        fifo = self._fifo
        if self._limits.exceeded(len(fifo.items) + 1, fifo.bytes + len(item.packet)):
            _drop(item, self._counters, "queue")
        else:
            fifo.push(item)

    def dequeue(self, now: float) -> Item | None:
        """The packet that leaves now."""
        return self._codel.dequeue(now)

    def items(self) -> list[Item]:
        """Packets that wait."""
        return list(self._fifo.items)

    def clear(self) -> None:
        """Empty the queue."""
        self._fifo.clear()


class _Flow(_Fifo):
    """One of FQ-CoDel's queues, with its deficit in bytes."""

    __slots__ = ("codel", "deficit", "number")

    def __init__(self, number: int, counters: Counters) -> None:
        super().__init__()
        self.number = number
        self.deficit = 0
        self.codel = CoDel(self, counters)


class FqCoDelQueue:
    """Flows served by deficit round robin, each under CoDel (RFC 8290)."""

    FLOWS: Final = 1024
    QUANTUM: Final = 1514

    __slots__ = ("_bytes", "_counters", "_flows", "_limits", "_new", "_old", "_packets", "salt")

    def __init__(self, properties: QueueProperties, counters: Counters, salt: int) -> None:
        self._limits = _Limits(properties)
        self._counters = counters
        self.salt = salt
        self._flows: dict[int, _Flow] = {}
        """Flows that hold packets or a turn, by number."""
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()
        self._packets = 0
        self._bytes = 0

    def enqueue(self, item: Item, now: float) -> None:
        """Take a packet; over the limit the head of the longest flow goes (RFC 8290 section 4.1)."""
        number = zlib.crc32(flow_key(item.packet), self.salt) % self.FLOWS
        flow = self._flows.get(number)
        if flow is None:
            flow = self._flows[number] = _Flow(number, self._counters)
            flow.deficit = self.QUANTUM
            self._new.append(flow)
        flow.push(item)
        self._packets += 1
        self._bytes += len(item.packet)
        while self._limits.exceeded(self._packets, self._bytes):
            longest = max(self._flows.values(), key=lambda one: one.bytes)
            dropped = longest.pop()
            assert dropped is not None
            self._forget(dropped)
            _drop(dropped, self._counters, "queue")

    def dequeue(self, now: float) -> Item | None:
        """The packet that leaves now: new flows first, each flow a quantum in turn (RFC 8290 section 4.2)."""
        while self._new or self._old:
            turn = self._new or self._old
            flow = turn[0]
            if flow.deficit <= 0:
                flow.deficit += self.QUANTUM
                self._old.append(turn.popleft())
                continue
            before, held = len(flow.items), flow.bytes
            item = flow.codel.dequeue(now)
            self._packets -= before - len(flow.items)
            self._bytes -= held - flow.bytes
            if item is not None:
                flow.deficit -= len(item.packet)
                return item
            self._end_turn(flow, turn)
        return None

    def items(self) -> list[Item]:
        """Packets that wait, in order of arrival."""
        return _by_arrival(*self._flows.values())

    def clear(self) -> None:
        """Empty the queue."""
        self._flows.clear()
        self._new.clear()
        self._old.clear()
        self._packets = self._bytes = 0

    def _end_turn(self, flow: _Flow, turn: deque[_Flow]) -> None:
        """Remove an empty flow; a new one waits behind the old ones once, so that it cannot stay new endlessly."""
        turn.popleft()
        if turn is self._new and self._old:
            self._old.append(flow)
        else:
            del self._flows[flow.number]

    def _forget(self, item: Item) -> None:
        self._packets -= 1
        self._bytes -= len(item.packet)


class DualPi2Queue:
    """Two queues coupled by one controller: scalable flows (L4S) beside classic ones (RFC 9332, appendix A).

    The parameters are the RFC's for the internet: target 15 ms, maximum round trip 100 ms.
    """

    TARGET: Final = 0.015
    UPDATE: Final = 0.016
    ALPHA: Final = 0.16
    BETA: Final = 3.2
    COUPLING: Final = 2.0
    CLASSIC_LIMIT: Final = 0.25
    """Largest probability of classic marking; above it, overload: drop (1 / COUPLING ** 2)."""
    RAMP: Final = (0.0008, 0.0012)
    """Delays of the L4S queue between which its own marking rises from 0 to 1."""
    TIME_SHIFT: Final = 0.050
    """How much longer than an L4S packet a classic one has to wait to go first (time-shifted FIFO)."""

    __slots__ = ("_base", "_classic", "_counters", "_limits", "_low", "_next_update", "_previous", "_random")

    def __init__(self, properties: QueueProperties, counters: Counters, stream: random.Random) -> None:
        self._limits = _Limits(properties)
        self._counters = counters
        self._random = stream
        self._low = _Fifo()
        self._classic = _Fifo()
        self._base = 0.0
        self._previous = 0.0
        self._next_update = 0.0

    def enqueue(self, item: Item, now: float) -> None:
        """Sort a packet by its ECN bits: ECT(1) and CE to the L4S queue, the rest to the classic one."""
        low, classic = self._low, self._classic
        packets = len(low.items) + len(classic.items) + 1
        if self._limits.exceeded(packets, low.bytes + classic.bytes + len(item.packet)):
            _drop(item, self._counters, "queue")
            return
        self._update(now)
        (low if codepoint(item.packet) in (ECT1, CE) else classic).push(item)

    def dequeue(self, now: float) -> Item | None:
        """The packet that leaves now."""
        self._update(now)
        low, classic = self._low, self._classic
        while low.items or classic.items:
            if low.items and low.delay(now) + self.TIME_SHIFT >= classic.delay(now):
                item = self._dequeue_low(now)
            else:
                item = self._dequeue_classic()
            if item is not None:
                return item
        return None

    def items(self) -> list[Item]:
        """Packets that wait, in order of arrival."""
        return _by_arrival(self._low, self._classic)

    def clear(self) -> None:
        """Empty the queue."""
        self._low.clear()
        self._classic.clear()

    def _dequeue_low(self, now: float) -> Item | None:
        coupled = self._base * self.COUPLING
        delay = self._low.delay(now)
        item = self._low.pop()
        assert item is not None
        if coupled > 1.0 and self._chance(self._base**2):
            _drop(item, self._counters, "aqm")
            return None
        bottom, top = self.RAMP
        native = min(1.0, max(0.0, (delay - bottom) / (top - bottom)))
        if self._chance(max(native, coupled)):
            self._mark(item)
        return item

    def _dequeue_classic(self) -> Item | None:
        item = self._classic.pop()
        assert item is not None
        probability = self._base**2
        if self._chance(probability):
            if codepoint(item.packet) == NOT_ECT or probability > self.CLASSIC_LIMIT:
                _drop(item, self._counters, "aqm")
                return None
            self._mark(item)
        return item

    def _update(self, now: float) -> None:
        """Update the base probability once per interval; an idle time counts as so many equal updates."""
        if now < self._next_update:
            return
        times = int((now - self._next_update) / self.UPDATE) + 1
        delay = max(self._classic.delay(now), self._low.delay(now))
        step = times * self.ALPHA * (delay - self.TARGET) + self.BETA * (delay - self._previous)
        self._base = min(1.0, max(0.0, self._base + step))
        self._previous = delay
        self._next_update += times * self.UPDATE

    def _chance(self, probability: float) -> bool:
        return probability > 0.0 and self._random.random() < probability

    def _mark(self, item: Item) -> None:
        marked = mark(item.packet)
        if marked is not None:
            item.packet = marked
            self._counters.marked += 1


def flow_key(packet: bytes) -> bytes:
    """Addresses, protocol and, where the packet shows them, ports."""
    if packet[0] >= 0x60:
        protocol = packet[6:7]
        return packet[8:44] + protocol if protocol in _WITH_PORTS else packet[8:40] + protocol
    protocol = packet[9:10]
    start = (packet[0] & 0xF) * 4
    fragment = (packet[6] << 8 | packet[7]) & 0x3FFF
    ports = packet[start : start + 4] if protocol in _WITH_PORTS and not fragment else b""
    return packet[12:20] + ports + protocol


_WITH_PORTS: Final = (b"\x06", b"\x11", b"\x84")
"""TCP, UDP, SCTP."""


def make_queue(properties: QueueProperties, counters: Counters, stream: random.Random) -> Queue:
    """The queue of a discipline other than drop-tail."""
    if properties.discipline == "codel":
        return CoDelQueue(properties, counters)
    if properties.discipline == "fq_codel":
        return FqCoDelQueue(properties, counters, stream.getrandbits(32))
    assert properties.discipline == "dualpi2"
    return DualPi2Queue(properties, counters, stream)
