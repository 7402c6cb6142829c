"""Faults of a link in front of a real stream: delayed, slowed, stalled, cut or reset, but never out of order.

A byte stream has no packets to lose: TCP makes up for losses by time. So what a bad link does to a program is that
bytes come late, slowly, in bursts, or not any more. `FaultyDirection` is one direction of a connection as a pure
machine (`catenet.net.core` has the verbs): what comes out is what went in, or the beginning of it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

__all__ = ["HARMLESS", "LEAST_HELD", "MOST_HELD", "After", "Ending", "Faults", "FaultyDirection"]

Ending = Literal["end", "cut", "reset"]
"""Why a direction is over: its stream has ended, it is cut (ended early), or reset."""

SLICE: Final = 0.02
"""Seconds that a piece of a stream takes at most on a slow link: it trickles, it does not come in lumps."""
LARGEST: Final = 64 << 10
MOST_HELD: Final = 4 << 20
LEAST_HELD: Final = 16 << 10
"""Bytes on the way in one direction: twice what rate and latency hold, between these."""
MOST_DATAGRAMS: Final = 1000


@dataclass(frozen=True, slots=True)
class After:
    """A point of a direction: after so many bytes of it, or so many seconds since it began. One of them is None."""

    bytes: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.bytes} bytes" if self.seconds is None else f"{self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Faults:
    """What a link does to each direction. Times in seconds.

    * `latency` and `jitter`: each piece takes `latency`, up to `jitter` more or less; none overtakes another.
    * `rate`: bits per second; None: as fast as it goes.
    * `stall`: at a point, nothing gets through for so long (`math.inf`: ever).
    * `cut`: at a point, the stream ends.
    * `reset`: at a point, the connection is reset.
    """

    latency: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    stall: tuple[After, float] | None = None
    cut: After | None = None
    reset: After | None = None

    @property
    def harmless(self) -> bool:
        """Whether nothing happens at all."""
        return self == HARMLESS


HARMLESS: Final = Faults()
_NEVER: Final = After()


class FaultyDirection:
    """One direction of a connection that begins at `now`; `random` draws the jitter.

    `datagrams`: pieces are datagrams and stay whole; an empty one is no end. Do not `receive` more than `room`.
    """

    def __init__(self, faults: Faults, random: Random, now: float, *, datagrams: bool = False) -> None:
        self._faults = faults
        self._random = random
        self._began = now
        self._datagrams = datagrams
        self._queue: deque[tuple[float, bytes | None]] = deque()
        """What is on the way, and when it is there; None is the end of the stream."""
        self._free = now
        """When the link has sent what it was given."""
        self._last = now
        """When the last of the queue arrives."""
        self._entered = 0
        self._left = 0
        self._ending: Ending | None = None
        self._told = False
        self.queued = 0
        self._most = _capacity(faults)
        ends: list[tuple[Ending, After]] = [("reset", faults.reset or _NEVER), ("cut", faults.cut or _NEVER)]
        self._points = sorted(
            [(ending, after.bytes) for ending, after in ends if after.bytes is not None], key=lambda one: one[1]
        )
        self._moments = sorted(
            [(ending, now + after.seconds) for ending, after in ends if after.seconds is not None],
            key=lambda one: one[1],
        )

    # The verbs.

    @property
    def room(self) -> int:
        """How many bytes may be received now; 0: the sender has to wait."""
        if self._ending is not None or (self._datagrams and len(self._queue) >= MOST_DATAGRAMS):
            return 0
        return max(self._most - self.queued, 0)

    def receive(self, data: bytes, now: float) -> None:
        """Take what the sender sends."""
        if self._ending is None:
            for piece in [data] if self._datagrams else self._cut_up(data):
                self._put(piece, len(piece), now)

    def receive_end(self, now: float) -> None:
        """The sender's stream has ended."""
        if self._ending is None:
            self._put(None, 0, now)

    def transmit(self, now: float) -> bytes | None:
        """Return the next piece that is there, or None."""
        self._look(now)
        if self._ending is not None or not self._queue or self._queue[0][0] > now:
            return None
        piece = self._queue.popleft()[1]
        if piece is None:
            self._finish("end")
            return None
        self.queued -= len(piece)
        left, kept = self._left, piece
        self._left += len(piece)
        # What ends the stream at a byte ends it after this byte; of two such points the first counts.
        for ending, point in self._points:
            if point <= self._left:
                self._finish(ending)
                kept = piece if self._datagrams else piece[: point - left]
                break
        return kept if kept or self._datagrams else None

    def next_event(self) -> Ending | None:
        """Return, once, how the direction has ended."""
        if self._ending is None or self._told:
            return None
        self._told = True
        return self._ending

    def next_deadline(self) -> float | None:
        """Return when `transmit` has something to do, or None."""
        if self._ending is not None:
            return None
        due = [moment for _, moment in self._moments]
        if self._queue and not math.isinf(self._queue[0][0]):
            due.append(self._queue[0][0])
        return min(due, default=None)

    # How long it takes.

    def _cut_up(self, data: bytes) -> list[bytes]:
        faults, size = self._faults, LARGEST
        if faults.rate is not None:
            size = max(min(int(faults.rate / 8 * SLICE), LARGEST), 1)
        pieces = []
        start, stop = 0, len(data)
        barrier = faults.stall[0].bytes if faults.stall is not None else None
        while start < stop:
            end = min(start + size, stop)
            entered = self._entered + start
            if barrier is not None and entered < barrier < self._entered + end:
                end = start + barrier - entered
            pieces.append(data[start:end])
            start = end
        return pieces

    def _put(self, piece: bytes | None, size: int, now: float) -> None:
        faults = self._faults
        if faults.rate is not None:
            self._free = max(self._free, now) + size * 8 / faults.rate
        else:
            self._free = now
        delay = faults.latency
        if faults.jitter:
            delay = max(delay + self._random.uniform(-faults.jitter, faults.jitter), 0.0)
        self._last = max(self._last, self._stalled(self._free + delay, size))
        self._entered += size
        self.queued += size
        self._queue.append((self._last, piece))

    def _stalled(self, due: float, size: int) -> float:
        if self._faults.stall is None:
            return due
        after, length = self._faults.stall
        if after.bytes is not None:
            # Later pieces cannot overtake the first one that has waited.
            return due + length if self._entered <= after.bytes < self._entered + size else due
        begins = self._began + (after.seconds or 0.0)
        return begins + length if begins <= due < begins + length else due

    # How it ends.

    def _look(self, now: float) -> None:
        for ending, moment in self._moments:
            if now >= moment:
                self._finish(ending)
        for ending, point in self._points:
            if point <= self._left:
                self._finish(ending)

    def _finish(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._queue.clear()
            self.queued = 0


def _capacity(faults: Faults) -> int:
    if faults.rate is None:
        return MOST_HELD
    on_the_way = faults.rate / 8 * (faults.latency + faults.jitter)
    return int(max(min(2 * on_the_way, MOST_HELD), LEAST_HELD))
