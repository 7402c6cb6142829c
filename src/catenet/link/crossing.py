"""A packet that crosses a link with a rate: in its queue, being sent, or sent.

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
        """Cancel all arrivals that were announced: the packet has not left the queue."""

    def note(self, what: str) -> None:
        """Note a fault of the link that was counted for it."""

    def notes(self) -> list[str]:
        """The faults noted since the last call."""
        return []


class Item(Crossing):
    """A crossing that may meet faults, or wait in a queue that decides when the packet leaves."""

    __slots__ = ("_notes", "arrived")

    def __init__(self, packet: bytes) -> None:
        super().__init__(packet)
        self.arrived = 0.0
        """When it entered the queue."""
        self._notes: list[str] | None = None

    def note(self, what: str) -> None:
        """Note a fault."""
        if self._notes is None:
            self._notes = []
        self._notes.append(what)

    def notes(self) -> list[str]:
        """Return the noted faults, and forget them."""
        notes, self._notes = self._notes, None
        return notes or []

    def leave(self, departure: float = GONE) -> None:
        """Note that it leaves the queue at `departure`, or was dropped, for the socket that is charged for it."""
        self.departure = departure
        if self.owner is not None:
            self.owner.moved()


class Relay(Item):
    """A crossing that delivers to a callable, for links that are driven without a world."""

    __slots__ = ("_onward", "_schedule")

    def __init__(self, packet: bytes, schedule: Schedule, onward: Onward) -> None:
        super().__init__(packet)
        self._schedule = schedule
        self._onward = onward

    def arrive(self, packet: bytes, when: float) -> None:
        """Schedule the delivery."""
        self._schedule(when, self._onward, packet, when)
