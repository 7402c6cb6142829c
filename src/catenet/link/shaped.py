"""Links whose queue decides when and whether a packet leaves, and the choice of a link for its properties.

Such a queue looks at a packet when it leaves, not when it comes, so the link needs an event per departure; what happens
after departure (loss, latency and so on) is the plain link's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from catenet.link.properties import LinkProperties
from catenet.link.queues import Item, make_queue
from catenet.link.simulated import Arrivals, Onward, SimulatedLink

__all__ = ["ShapedLink", "make_link"]


class ShapedLink(SimulatedLink):
    """A link of limited rate behind a queue that is more than a FIFO with a limit."""

    __slots__ = ("_busy", "_queue_now")

    def __init__(self, properties: LinkProperties, stream: random.Random) -> None:
        super().__init__(properties, stream)
        self._queue_now = make_queue(properties.queue, self.counters, stream)
        self._busy = False

    def change(self, properties: LinkProperties) -> None:
        """Use other properties from the next packet on, with the same queue."""
        super().change(properties)
        self.memoryless = self.pure = False

    def transit(self, packet: bytes, now: float) -> Arrivals:
        """Not to be had: what arrives is not known before the packet leaves the queue."""
        raise TypeError("a link with queue discipline is offered packets, not asked for their transit")

    def offer(self, packet: bytes, now: float, schedule: Callable[..., Any], onward: Onward) -> None:
        """Queue one packet; `schedule(when, onward, packet, when)` when it has left and for each that arrives."""
        counters = self.counters
        counters.packets += 1
        counters.bytes += len(packet)
        if len(packet) > self.properties.mtu:
            counters.drop("mtu")
            return
        self._queue_now.enqueue(Item(packet, now, onward), now)
        if not self._busy:
            self._serve(now, schedule)

    def _serve(self, now: float, schedule: Callable[..., Any]) -> None:
        """The wire is free: send the next packet."""
        item = self._queue_now.dequeue(now)
        self._busy = item is not None
        if item is None:
            return
        rate = self.properties.rate
        departure = now + len(item.packet) * 8 / rate if rate else now
        for when, data in self._propagate(item.packet, departure):
            schedule(when, item.onward, data, when)
        schedule(departure, self._serve, departure, schedule)


def make_link(
    properties: LinkProperties, stream: random.Random, previous: SimulatedLink | None = None
) -> SimulatedLink:
    """Return a link with these properties; `previous`, when given, is changed or replaced with its counters kept."""
    shaped = properties.rate is not None and properties.queue.discipline != "droptail"
    same_kind = isinstance(previous, ShapedLink) == shaped
    if previous is not None and same_kind and (not shaped or previous.properties.queue == properties.queue):
        previous.change(properties)
        return previous
    link = (ShapedLink if shaped else SimulatedLink)(properties, stream)
    if previous is not None:
        link.inherit(previous)
    return link
