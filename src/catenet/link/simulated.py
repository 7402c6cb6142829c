"""A simulated link: one direction, which delays, drops, duplicates, reorders and damages packets.

The decision is pure: `transit(packet, now)` returns when which bytes arrive, from the link's own state, its properties
and its random stream; nobody waits in it. A drop-tail queue needs no events of its own, since a packet's departure
follows from those before it; queues that decide when a packet leaves (CoDel and kin) are in `shaped.py`. The link keeps
what has not left yet, and takes it back when it turns out otherwise: the host crashes, or the link is changed.

The order of what happens to a packet: too large for the link, no room in the queue, serialisation at `rate`, loss on
the wire, duplication, corruption, latency with jitter. A lost packet has used its share of the rate, as on real wires.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final, TypeAlias

from catenet.link.crossing import Crossing, Onward, Relay, Schedule
from catenet.link.properties import LinkProperties
from catenet.stack.datagram.send_buffer import GONE
from catenet.wire.offload import complete, is_unsummed

__all__ = ["Arrivals", "Counters", "SimulatedLink", "Wander", "flip_bit", "no_schedule"]

Arrivals: TypeAlias = list[tuple[float, bytes]]
"""(time of arrival, packet), in the order in which they were decided."""

Memory: TypeAlias = tuple[Any, tuple[float, float, float], tuple[float, float, bool] | None, int]
"""State of the random stream; of the queue; of the jitter; of the queue's discipline."""

LATE = 0.001
"""Seconds by which a reordered packet is held back at most, on a link without latency."""


class Counters:
    """Counters of one direction of a link: packets, bytes, and why packets were dropped or changed."""

    __slots__ = ("bytes", "corrupted", "drops", "duplicated", "marked", "packets", "reordered")

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self.drops: dict[str, int] = {}
        self.duplicated = 0
        self.reordered = 0
        self.corrupted = 0
        self.marked = 0

    def drop(self, cause: str) -> None:
        """Count one packet dropped for `cause`: loss, queue, aqm, mtu, crash, partition, unreachable."""
        self.drops[cause] = self.drops.get(cause, 0) + 1

    def note(self, what: str, count: int = 1) -> None:
        """Count a fault: loss, duplicated, reordered, corrupted."""
        if what != "loss":
            setattr(self, what, getattr(self, what) + count)
        elif (losses := self.drops.get(what, 0) + count) > 0:
            self.drops[what] = losses
        else:
            self.drops.pop(what, None)

    def undo(self, what: str) -> None:
        """Uncount a fault of a packet that has not left the queue after all."""
        self.note(what, -1)

    @property
    def dropped(self) -> int:
        """Packets dropped for any cause."""
        return sum(self.drops.values())


def no_schedule(when: float, callback: object, *args: object) -> None:
    """Schedule nothing, for links that have no events."""
    raise TypeError("a link with a queue discipline needs events to be scheduled")


_COUNTED: Final = ("bytes", "corrupted", "drops", "duplicated", "marked", "packets", "reordered")


class SimulatedLink:
    """One direction of a link. `packets` and `bytes` of its counters are those offered to it."""

    __slots__ = (
        "_busy_until",
        "_floor",
        "_left",
        "_plain",
        "_waiting",
        "_wander",
        "counters",
        "faultless",
        "memoryless",
        "properties",
        "pure",
        "random",
    )

    def __init__(self, properties: LinkProperties, stream: random.Random) -> None:
        self.random = stream
        self.counters = Counters()
        self._busy_until = 0.0
        self._floor = 0.0
        """Nothing arrives before this time, so that packets do not overtake those sent before a change of the link."""
        self._left = -inf
        """When the last packet has left of those that are known to have left."""
        self._waiting: deque[Crossing] = deque()
        """What has not left, as far as is known, in order: the first is being sent."""
        self._wander: Wander | None = None
        self._take_on(properties)

    def _take_on(self, properties: LinkProperties) -> None:
        """Adopt properties."""
        self.properties = properties
        # Whether packets may be offered out of the order of time: then one event carries a packet over two links.
        self.memoryless = properties.rate is None and not properties.jitter
        self.pure = True
        faults = (properties.loss, properties.duplicate, properties.reorder, properties.corrupt)
        self._plain = self.memoryless and not any(faults)
        # Whether every packet that finds room arrives, once, unchanged and in order: then `arrival` says all.
        self.faultless = not properties.jitter and not any(faults)
        if properties.jitter and (self._wander is None or self._wander.jitter != properties.jitter):
            self._wander = Wander(properties.jitter, self.random)
        elif not properties.jitter:
            self._wander = None

    # Changes.

    def change(self, properties: LinkProperties, now: float = 0.0, schedule: Schedule = no_schedule) -> None:
        """Use other properties, for new packets and for those in the queue; packets that have left are not affected."""
        waiting = self.recall(now)
        self._keep_order(properties, now, bool(waiting))
        self._take_on(properties)
        self.admit(waiting, now, schedule)

    def inherit(self, previous: SimulatedLink, now: float, schedule: Schedule) -> None:
        """Replace another link: take over its counters and the packets in its queue."""
        waiting = previous.recall(now)
        previous._keep_order(self.properties, now, bool(waiting))
        self._floor = previous._floor
        for name in _COUNTED:
            setattr(self.counters, name, getattr(previous.counters, name))
        self.admit(waiting, now, schedule)

    def _keep_order(self, properties: LinkProperties, now: float, recalled: bool) -> None:
        """Let nothing that is sent with `properties` arrive before what has left the queue already."""
        old = self.properties
        same = old.latency == properties.latency and old.jitter == properties.jitter
        # With unchanged jitter, or none, departures in order are arrivals in order.
        if self.memoryless or (same and not (old.jitter and recalled)):
            return
        latest = self._left + old.latency + old.jitter
        if latest > now:
            self._floor = max(self._floor, latest)

    def waiting(self, now: float) -> list[Crossing]:
        """Packets that have not left the queue, in order of departure as far as that is known."""
        self._forget_departed(now)
        return list(self._waiting)

    def recall(self, now: float) -> list[tuple[Crossing, float]]:
        """Empty the queue: what has not left, in order, with the bits that are still to be sent of each."""
        self._forget_departed(now)
        waiting = self._waiting
        recalled = [(crossing, float(len(crossing.packet) * 8)) for crossing in waiting]
        rate = self.properties.rate
        if waiting and rate is not None:
            first = waiting[0]
            recalled[0] = (first, min((first.departure - now) * rate, recalled[0][1]))
        for crossing in reversed(waiting):  # each is then the last of what is under way to the same host
            crossing.recall()
            for what in crossing.notes():
                self.counters.undo(what)
        waiting.clear()
        self._busy_until = now
        return recalled

    def discard(self, now: float, cause: str) -> None:
        """Drop what has not left the queue, as its host has lost power."""
        for crossing, _ in self.recall(now):
            crossing.departure = GONE
            self.counters.drop(cause)

    def admit(self, waiting: list[tuple[Crossing, float]], now: float, schedule: Schedule) -> None:
        """Take recalled packets at the head of the queue, and send what is left of them."""
        for crossing, bits in waiting:
            self._admit(crossing, bits, now, schedule)
        for owner in dict.fromkeys(crossing.owner for crossing, _ in waiting):
            if owner is not None:
                owner.moved()

    def _admit(self, crossing: Crossing, bits: float, now: float, schedule: Schedule) -> None:
        if self.properties.rate is None:
            crossing.departure = self._left = now
        elif not self._queue(crossing, len(crossing.packet), bits, now):
            crossing.departure = GONE
            self.counters.drop("queue")
            return
        for when, data in self._propagate(crossing.packet, crossing.departure, crossing):
            crossing.arrive(data, when)

    # What a link that has no packets is like, for another process.

    def memory(self) -> Memory:
        """What it goes by besides its properties and counters, as plain values."""
        wander = self._wander
        walk = None if wander is None else wander.memory()
        return self.random.getstate(), (self._busy_until, self._floor, self._left), walk, self._salt()

    def remember(self, memory: Memory) -> None:
        """Go on as the link did whose `memory` this is."""
        state, (self._busy_until, self._floor, self._left), walk, salt = memory
        self.random.setstate(state)
        if self._wander is not None and walk is not None:
            self._wander.remember(walk)
        self._use_salt(salt)

    def _salt(self) -> int:
        return 0

    def _use_salt(self, salt: int) -> None:
        """Have the queue, if it sorts flows by a hash, use this salt."""

    # Packets.

    def carry(self, crossing: Crossing, now: float, schedule: Schedule) -> None:
        """Send one packet at `now`; `crossing.arrive` for each that arrives, now or when that is known."""
        if self._refuses(len(crossing.packet)):
            crossing.departure = GONE
        else:
            self._admit(crossing, len(crossing.packet) * 8, now, schedule)

    def offer(self, packet: bytes, now: float, schedule: Schedule, onward: Onward) -> None:
        """Send one packet at `now`; `schedule(when, onward, packet, when)` for each that arrives."""
        self.carry(Relay(packet, schedule, onward), now, schedule)

    def transit(self, packet: bytes, now: float, draws: random.Random | None = None) -> Arrivals:
        """Send one packet at `now`; return what arrives and when (nothing, when it is dropped).

        `draws` decide in place of the link's own stream; for links without memory, which several senders share.
        """
        if self._refuses(len(packet)):
            return []
        if self._plain:
            return [(now + self.properties.latency, packet)]
        if self.properties.rate is not None:
            crossing = Crossing(packet)
            if not self._queue(crossing, len(packet), len(packet) * 8, now):
                self.counters.drop("queue")
                return []
            now = crossing.departure
        else:
            self._left = now
        return self._propagate(packet, now, None, draws)

    def arrival(self, size: int, now: float) -> float:
        """When a packet of `size` bytes arrives over a faultless link, -1 if it is dropped: `transit`'s fast path."""
        properties = self.properties
        if properties.rate is not None:
            return self.enter(Crossing(b""), size, now)
        counters = self.counters
        counters.packets += 1
        counters.bytes += size
        if size > properties.mtu:
            counters.drop("mtu")
            return -1.0
        return now + properties.latency

    def enter(self, crossing: Crossing, size: int, now: float) -> float:
        """When a packet arrives over a faultless link with a rate, -1 when it is dropped: the fast path of `carry`."""
        counters = self.counters
        counters.packets += 1
        counters.bytes += size
        properties = self.properties
        if size > properties.mtu:
            counters.drop("mtu")
            return -1.0
        if not self._queue(crossing, size, size * 8, now):
            counters.drop("queue")
            return -1.0
        when = crossing.departure + properties.latency
        return when if when >= self._floor else self._floor

    def _refuses(self, size: int) -> bool:
        """Count an offered packet; whether it is too large."""
        counters = self.counters
        counters.packets += 1
        counters.bytes += size
        if size > self.properties.mtu:
            counters.drop("mtu")
            return True
        return False

    def _queue(self, crossing: Crossing, size: int, bits: float, now: float) -> bool:
        """Queue a packet, whose departure is known at once; False when the queue has no room (drop-tail)."""
        rate = self.properties.rate
        assert rate is not None
        queue = self.properties.queue
        waiting = self._waiting
        start = self._busy_until
        if start <= now:
            if waiting:
                self._left = waiting[-1].departure
                waiting.clear()
            start = now
        else:
            if queue.bytes is not None and (start - now) * rate / 8 + size > queue.bytes:
                return False
            while waiting[0].departure <= now:
                self._left = waiting.popleft().departure
            # The packet on the wire is not in the queue.
            if queue.packets is not None and len(waiting) > queue.packets:
                return False
        self._busy_until = crossing.departure = start + bits / rate
        waiting.append(crossing)
        return True

    def _forget_departed(self, now: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0].departure <= now:
            self._left = waiting.popleft().departure

    def _propagate(
        self, packet: bytes, departure: float, crossing: Crossing | None, draws: random.Random | None = None
    ) -> Arrivals:
        """Arrivals of a packet that has left the queue at `departure`."""
        properties = self.properties
        stream = self.random if draws is None else draws
        draw = stream.random
        if properties.loss and draw() < properties.loss:
            self._note("loss", crossing)
            return []
        arrivals = [(self._arrival(departure, crossing, draw), packet)]
        if properties.duplicate and draw() < properties.duplicate:
            self._note("duplicated", crossing)
            arrivals.append((self._arrival(departure, crossing, draw), packet))
        if properties.corrupt:
            for index, (when, copy) in enumerate(arrivals):
                if draw() < properties.corrupt:
                    self._note("corrupted", crossing)
                    arrivals[index] = (when, flip_bit(copy, stream))
        return arrivals

    def _arrival(self, departure: float, crossing: Crossing | None, draw: Callable[[], float]) -> float:
        """When a packet that departs then arrives: in order, unless it is one of the reordered."""
        properties = self.properties
        when = departure + properties.latency
        if self._wander is not None:
            when = max(departure, when + self._wander.at(departure))
        if when < self._floor and not self.memoryless:
            when = self._floor
        if properties.reorder and draw() < properties.reorder:
            self._note("reordered", crossing)
            # Held back: later packets pass it.
            return when + draw() * max(properties.latency, properties.jitter, LATE)
        return when

    def _note(self, what: str, crossing: Crossing | None) -> None:
        """Count a fault, and note it so that it can be uncounted if the packet is recalled."""
        self.counters.note(what)
        if crossing is not None:
            crossing.note(what)


class Wander:
    """Jitter: a delay that varies evenly over -jitter to +jitter, slowly enough to keep the order of packets.

    Each packet's part is as likely to be anywhere in that range, so the mean of the latency is the latency, whatever
    the traffic. Rejected: a draw for each packet, with packets held back behind those before them. Of many packets
    that are sent closely one after the other each is then as late as the latest before it: the mean comes near to
    latency + jitter. So packets that are sent within less than twice the jitter see a delay that has moved from one
    to the next at half a second per second, forth or back, and is thrown back at the ends of the range; those further
    apart a delay of their own, which cannot change their order.
    """

    SPEED: Final = 0.5

    __slots__ = ("_forth", "_last", "_place", "_random", "jitter")

    def __init__(self, jitter: float, stream: random.Random) -> None:
        self.jitter = jitter
        self._random = stream
        self._last = -inf
        self._place = 0.0
        self._forth = True

    def memory(self) -> tuple[float, float, bool]:
        """Where it is, when that was, and which way it goes."""
        return self._last, self._place, self._forth

    def remember(self, memory: tuple[float, float, bool]) -> None:
        """Go on from there."""
        self._last, self._place, self._forth = memory

    def at(self, now: float) -> float:
        """The part of the packet that leaves at `now`: -jitter to jitter."""
        jitter, chance = self.jitter, self._random.random()
        gap = max(0.0, now - self._last)  # less than 0: of a packet that leaves earlier than it was going to
        self._last = now
        if gap >= 2 * jitter:
            # One draw for both: where it is, and which way it goes.
            self._forth = chance < 0.5
            self._place = jitter * (4 * (chance if self._forth else chance - 0.5) - 1)
            return self._place
        place = self._place + (self.SPEED if self._forth else -self.SPEED) * gap
        if abs(place) > jitter:
            place = (2 * jitter if place > 0 else -2 * jitter) - place
            self._forth = not self._forth
        if chance < gap / (4 * jitter):
            self._forth = not self._forth
        self._place = place
        return place


def flip_bit(packet: bytes, stream: random.Random) -> bytes:
    """Return the packet with one bit inverted: the damage that every internet checksum detects.

    A checksum that was left to the device is put in first, and the damage never makes it look left out again.
    """
    if not packet:
        return packet
    whole = complete(packet)
    while True:
        damaged = bytearray(whole)
        position = stream.randrange(len(whole) * 8)
        damaged[position >> 3] ^= 1 << (position & 7)
        if not is_unsummed(changed := bytes(damaged)):
            return changed
