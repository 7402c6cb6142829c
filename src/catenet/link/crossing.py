"""A packet on its way over a link that has a rate: in its queue, being sent, or sent.

Until its `departure` a packet has not left its sender: a crash of the host takes it away, a change of the link moves
it. Whoever offers it derives from these classes: they are told what is to arrive (`arrive`), and that it is not after
all (`recall`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, TypeAlias

from catenet.stack.datagram.send_buffer import GONE, Queued

__all__ = ["Crossing", "Item", "Onward", "Relay", "Schedule"]

Onward: TypeAlias = Callable[[bytes, float], None]
"""Where a packet goes that has crossed: `onward(packet, now)`."""

Schedule: TypeAlias = Callable[..., Any]
"""`schedule(when, callback, *args)`."""


class Crossing(Queued):
    """One packet that is offered to a link."""

    __slots__ = ("packet",)

    def __init__(self, packet: bytes) -> None:
        self.departure = inf
        self.owner = None
        self.packet = packet

    def arrive(self, packet: bytes, when: float) -> None:
        """It, or a copy of it, will arrive at `when`, unless it is recalled."""

    def recall(self) -> None:
        """It has not left the queue: nothing of what was said to arrive will."""

    def note(self, what: str) -> None:
        """A fault of the link has been counted for it."""

    def notes(self) -> list[str]:
        """The faults that have been noted since it was asked last."""
        return []


class Item(Crossing):
    """A packet that may meet faults, or wait in a queue that decides when it leaves."""

    __slots__ = ("_notes", "arrived")

    def __init__(self, packet: bytes) -> None:
        super().__init__(packet)
        self.arrived = 0.0
        """When it came to the queue."""
        self._notes: list[str] | None = None

    def note(self, what: str) -> None:
        """Keep it."""
        if self._notes is None:
            self._notes = []
        self._notes.append(what)

    def notes(self) -> list[str]:
        """Give them back, and forget them."""
        notes, self._notes = self._notes, None
        return notes or []

    def leave(self, departure: float = GONE) -> None:
        """It leaves the queue at `departure`, or was dropped: whoever is charged for it wants to know."""
        self.departure = departure
        if self.owner is not None:
            self.owner.moved()


class Relay(Item):
    """A packet that goes on to a callable, for links that are driven without a world."""

    __slots__ = ("_onward", "_schedule")

    def __init__(self, packet: bytes, schedule: Schedule, onward: Onward) -> None:
        super().__init__(packet)
        self._schedule = schedule
        self._onward = onward

    def arrive(self, packet: bytes, when: float) -> None:
        """Have it go on then."""
        self._schedule(when, self._onward, packet, when)
