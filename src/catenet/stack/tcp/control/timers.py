"""Deadlines of connections, in one heap of the layer.

A connection has one retransmission timer that stands for four (retransmission, tail loss probe, reordering, window
probe: never two of them at once), a delayed ACK, keepalive (which also ends FIN-WAIT-2) and a pacing or compressed
ACK deadline. Setting one is an assignment; only when it is earlier than the connection's entry in the heap does a new
entry go in. An entry that comes off the heap too early is pushed again for its true time, so moving a timer
later, which nearly every ACK does, costs nothing.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.control.connection import NEVER, NO_TIMER, Connection
from catenet.stack.units import Micros

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from catenet.stack.tcp.control.time_wait import TimeWait
    from catenet.stack.tcp.opening.listener import HalfOpen

    Timed: TypeAlias = Connection | HalfOpen | TimeWait

__all__ = ["TimerHeap", "clear_timer", "clear_timers", "set_deadline", "set_timer"]


_SWEEP_FROM: Final = 256
"""Entries beyond which superseded ones are swept: each may keep a closed connection in memory."""


class TimerHeap:
    """Connections by their earliest deadline; ties in order of entry."""

    __slots__ = ("_heap", "_limit", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timed]] = []
        self._sequence = 0
        self._limit = _SWEEP_FROM

    def push(self, connection: Timed, at: Micros) -> bool:
        """Wake `connection` at `at`, earlier than its entry in the heap; returns whether it is now the first."""
        connection.wake_at = at
        self._sequence += 1
        if len(self._heap) > self._limit:
            self._compact()
        heappush(self._heap, (at, self._sequence, connection))
        return self._heap[0][2] is connection

    def _compact(self) -> None:
        """Drop superseded entries; the limit then grows with what is left, so the cost stays constant per push."""
        self._heap = [entry for entry in self._heap if entry[2].wake_at == entry[0]]
        heapify(self._heap)
        self._limit = max(_SWEEP_FROM, 2 * len(self._heap))

    def next(self) -> int | None:
        """Earliest deadline in microseconds, or None."""
        heap = self._heap
        while heap:
            at, _, connection = heap[0]
            if connection.wake_at != at:
                heappop(heap)
                continue
            due = _earliest(connection)
            if due <= at:
                return at
            heappop(heap)
            connection.wake_at = NEVER
            if due != NEVER:
                self.push(connection, due)
        return None

    def earliest(self) -> int:
        """Time of the first entry, even a superseded one; NEVER without entries."""
        return self._heap[0][0] if self._heap else NEVER

    def expired(self, now: Micros) -> Iterator[Timed]:
        """Connections with a deadline at or before `now`; each is yielded once and pushed again afterwards."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, _, connection = heappop(heap)
            if connection.wake_at != at:
                continue
            connection.wake_at = NEVER
            if _earliest(connection) <= now:
                yield connection
                heap = self._heap
            due = _earliest(connection)
            if due < connection.wake_at:
                self.push(connection, due)
                heap = self._heap


def _earliest(c: Timed) -> int:
    return min(c.timer_at, c.delack_at, c.keepalive_at, c.pace_at, c.compressed_at)


def set_timer(c: Connection, kind: int, delay: Micros) -> None:
    """Start the retransmission timer as `kind`, `delay` microseconds from now, at most the largest RTO."""
    limit = c.layer.rto_max
    at = c.layer.us + (delay if delay < limit else limit)
    c.timer = kind
    c.timer_at = at
    if at < c.wake_at and c.layer.timers.push(c, at):
        c.layer.output.mark_dirty()  # a driver that transmits asks for the next deadline then


def clear_timer(c: Connection) -> None:
    """Stop the retransmission timer."""
    c.timer = NO_TIMER
    c.timer_at = NEVER


def set_deadline(c: Connection, at: Micros) -> None:
    """Wake the connection no later than `at`, to which one of its other deadlines has been set."""
    if at < c.wake_at and c.layer.timers.push(c, at):
        c.layer.output.mark_dirty()


def clear_timers(c: Connection) -> None:
    """Stop all of them; entries that the heap still has of the connection are superseded, and will be swept."""
    c.timer = NO_TIMER
    c.timer_at = c.delack_at = c.keepalive_at = c.pace_at = c.compressed_at = c.wake_at = NEVER
