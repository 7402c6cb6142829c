"""A simulated link: one direction, from packets sent to packets that arrive, later, fewer, more or damaged.

The decision is pure: `transit(packet, now)` returns when which bytes arrive, from the link's own state, its properties
and its random stream; nobody waits in it. A drop-tail queue needs no events of its own, since a packet's departure
follows from those before it; queues that decide when a packet leaves (CoDel and kin) are in `shaped.py`.

The order of what happens to a packet: too large for the link, no room in the queue, serialisation at `rate`, loss on
the wire, duplication, corruption, latency with jitter. A lost packet has used its share of the rate, as on real wires.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from catenet.link.properties import LinkProperties
from catenet.wire.offload import complete, is_unsummed

__all__ = ["Arrivals", "Counters", "SimulatedLink"]

Arrivals: TypeAlias = list[tuple[float, bytes]]
"""(time of arrival, packet), in the order in which they were decided."""

Onward: TypeAlias = Callable[[bytes, float], None]
"""Where a packet goes that has crossed: `onward(packet, now)`."""

LATE = 0.001
"""Seconds by which a reordered packet is held back at most, on a link without latency."""


class Counters:
    """What one direction of a link has seen: packets, bytes, and why packets were lost or changed."""

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
        """Count one packet dropped for `cause`: loss, queue, mtu, partition."""
        self.drops[cause] = self.drops.get(cause, 0) + 1

    @property
    def dropped(self) -> int:
        """Packets dropped for any cause."""
        return sum(self.drops.values())


_COUNTED: Final = ("bytes", "corrupted", "drops", "duplicated", "marked", "packets", "reordered")


class SimulatedLink:
    """One direction of a link. `packets` and `bytes` of its counters are those offered to it."""

    __slots__ = (
        "_busy_until",
        "_departures",
        "_latest",
        "_plain",
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
        self._latest = 0.0
        self._departures: deque[float] = deque()
        self.change(properties)

    def change(self, properties: LinkProperties) -> None:
        """Use other properties from the next packet on; what is under way stays under way."""
        self.properties = properties
        # Whether packets may be offered out of the order of time: then one event carries a packet over two links.
        self.memoryless = properties.rate is None and not properties.jitter
        self.pure = True
        faults = (properties.loss, properties.duplicate, properties.reorder, properties.corrupt)
        self._plain = self.memoryless and not any(faults)
        # Whether every packet that finds room arrives, once, unchanged and in order: then `arrival` says all.
        self.faultless = not properties.jitter and not any(faults)

    def inherit(self, previous: SimulatedLink) -> None:
        """Take the place of another link: go on with its counts."""
        for name in _COUNTED:
            setattr(self.counters, name, getattr(previous.counters, name))

    def transit(self, packet: bytes, now: float) -> Arrivals:
        """Send one packet at `now`; return what arrives and when (nothing, when it is dropped)."""
        counters = self.counters
        size = len(packet)
        counters.packets += 1
        counters.bytes += size
        properties = self.properties
        if size > properties.mtu:
            counters.drop("mtu")
            return []
        if self._plain:
            return [(now + properties.latency, packet)]
        if properties.rate is not None:
            departure = self._queue(size, now)
            if departure < 0.0:
                counters.drop("queue")
                return []
            now = departure
        return self._propagate(packet, now)

    def arrival(self, size: int, now: float) -> float:
        """When a packet of `size` bytes arrives over a faultless link, -1 when it is dropped: the short `transit`."""
        counters = self.counters
        counters.packets += 1
        counters.bytes += size
        properties = self.properties
        if size > properties.mtu:
            counters.drop("mtu")
            return -1.0
        if properties.rate is not None:
            now = self._queue(size, now)
            if now < 0.0:
                counters.drop("queue")
                return -1.0
        return now + properties.latency

    def offer(self, packet: bytes, now: float, schedule: Callable[..., Any], onward: Onward) -> None:
        """Send one packet at `now`; `schedule(when, onward, packet, when)` for each that arrives."""
        for when, data in self.transit(packet, now):
            schedule(when, onward, data, when)

    def _queue(self, size: int, now: float) -> float:
        """Time at which the last bit has left, or -1 when the queue has no room (drop-tail)."""
        rate = self.properties.rate
        assert rate is not None
        queue = self.properties.queue
        start = self._busy_until
        if start <= now:
            start = now
            self._departures.clear()
        else:
            if queue.bytes is not None and (start - now) * rate / 8 + size > queue.bytes:
                return -1.0
            if queue.packets is not None:
                departures = self._departures
                while departures and departures[0] <= now:
                    departures.popleft()
                # The packet on the wire is not in the queue.
                if len(departures) > queue.packets:
                    return -1.0
        self._busy_until = departure = start + size * 8 / rate
        if queue.packets is not None:
            self._departures.append(departure)
        return departure

    def _propagate(self, packet: bytes, departure: float) -> Arrivals:
        """Arrivals of a packet that has left the queue at `departure`."""
        properties = self.properties
        draw = self.random.random
        if properties.loss and draw() < properties.loss:
            self.counters.drop("loss")
            return []
        arrivals = [(self._arrival(departure), packet)]
        if properties.duplicate and draw() < properties.duplicate:
            self.counters.duplicated += 1
            arrivals.append((self._arrival(departure), packet))
        if properties.corrupt:
            for index, (when, copy) in enumerate(arrivals):
                if draw() < properties.corrupt:
                    self.counters.corrupted += 1
                    arrivals[index] = (when, flip_bit(copy, self.random))
        return arrivals

    def _arrival(self, departure: float) -> float:
        """When a packet that departs then arrives: in order, unless it is one of the reordered."""
        properties = self.properties
        when = departure + properties.latency
        if properties.jitter:
            when = max(departure, when + (2 * self.random.random() - 1) * properties.jitter, self._latest)
        if properties.reorder and self.random.random() < properties.reorder:
            self.counters.reordered += 1
            # Held back, and not counted as the latest: later packets pass it.
            return when + self.random.random() * max(properties.latency, properties.jitter, LATE)
        if properties.jitter:
            self._latest = when
        return when


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
