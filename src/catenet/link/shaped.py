"""Links with active queue management, and the choice of a link by its properties.

Such a queue looks at a packet when it leaves, not when it comes, so the link needs an event per departure; what happens
after departure (loss, latency and so on) is the plain link's.
"""

from __future__ import annotations

import random
from math import inf

from catenet.link.crossing import Crossing, Item, Schedule
from catenet.link.properties import LinkProperties
from catenet.link.queues import FqCoDelQueue, make_queue
from catenet.link.simulated import Arrivals, SimulatedLink, no_schedule

__all__ = ["ShapedLink", "make_link"]


class ShapedLink(SimulatedLink):
    """A link of limited rate behind a queue that is more than a FIFO with a limit."""

    __slots__ = ("_discipline",)

    def __init__(self, properties: LinkProperties, stream: random.Random) -> None:
        super().__init__(properties, stream)
        self._discipline = make_queue(properties.queue, self.counters, stream)

    def _take_on(self, properties: LinkProperties) -> None:
        super()._take_on(properties)
        self.memoryless = self.pure = False

    def change(self, properties: LinkProperties, now: float = 0.0, schedule: Schedule = no_schedule) -> None:
        """Use other properties with the same queue, whose packets go on waiting."""
        sent = super().recall(now)
        self._keep_order(properties, now, bool(sent))
        self._take_on(properties)
        self.admit(sent, now, schedule)

    def discard(self, now: float, cause: str) -> None:
        """Drop what has not left the queue, which forgets all else as well."""
        super().discard(now, cause)
        self._use_salt(self._salt())

    def _salt(self) -> int:
        return self._discipline.salt if isinstance(self._discipline, FqCoDelQueue) else 0

    def _use_salt(self, salt: int) -> None:
        queue = self.properties.queue
        if queue.discipline == "fq_codel":
            self._discipline = FqCoDelQueue(queue, self.counters, salt)
        else:
            self._discipline = make_queue(queue, self.counters, self.random)

    def waiting(self, now: float) -> list[Crossing]:
        """The packet being sent, and those that wait."""
        return [*super().waiting(now), *self._discipline.items()]

    def recall(self, now: float) -> list[tuple[Crossing, float]]:
        """Empty the queue; returns the packet being sent, and those that waited in order of arrival."""
        recalled = super().recall(now)
        for item in self._discipline.items():
            recalled.append((item, float(len(item.packet) * 8)))
        self._discipline.clear()
        return recalled

    def admit(self, waiting: list[tuple[Crossing, float]], now: float, schedule: Schedule) -> None:
        """Take recalled packets: the rest of the first is sent at once, the others wait behind it."""
        for crossing, bits in waiting:
            assert isinstance(crossing, Item)
            if self._waiting:
                self._admit(crossing, bits, now, schedule)
            else:
                self._send(crossing, bits, now, schedule)

    def transit(self, packet: bytes, now: float, draws: random.Random | None = None) -> Arrivals:
        """Not available: what arrives is not known before the packet leaves the queue."""
        raise TypeError("a link with queue discipline is offered packets, not asked for their transit")

    def _admit(self, crossing: Crossing, bits: float, now: float, schedule: Schedule) -> None:
        """Queue one packet, and send the next if the wire is free."""
        assert isinstance(crossing, Item)
        crossing.arrived, crossing.departure = now, inf
        self._discipline.enqueue(crossing, now)
        if not self._waiting:
            self._serve(now, schedule)

    def _serve(self, now: float, schedule: Schedule) -> None:
        """Send the next packet, as the wire is free."""
        self._forget_departed(now)
        item = None if self._waiting else self._discipline.dequeue(now)
        if item is not None:
            self._send(item, len(item.packet) * 8, now, schedule)

    def _send(self, item: Item, bits: float, now: float, schedule: Schedule) -> None:
        """Put one packet on the wire, and schedule the next for when it has left."""
        rate = self.properties.rate
        departure = now + bits / rate if rate else now
        self._waiting.append(item)
        item.leave(departure)
        for when, data in self._propagate(item.packet, departure, item):
            item.arrive(data, when)
        schedule(departure, self._serve, departure, schedule)


def make_link(
    properties: LinkProperties,
    stream: random.Random,
    previous: SimulatedLink | None = None,
    now: float = 0.0,
    schedule: Schedule = no_schedule,
) -> SimulatedLink:
    """Return a link with these properties; `previous`, when given, is changed or replaced with its counters kept.

    What waits in its queue at `now` then leaves as the new properties have it.
    """
    shaped = properties.rate is not None and properties.queue.discipline != "droptail"
    same_kind = isinstance(previous, ShapedLink) == shaped
    if previous is not None and same_kind and (not shaped or previous.properties.queue == properties.queue):
        previous.change(properties, now, schedule)
        return previous
    link = (ShapedLink if shaped else SimulatedLink)(properties, stream)
    if previous is not None:
        link.inherit(previous, now, schedule)
    return link
