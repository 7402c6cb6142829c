"""Times of a script: microseconds since its first event, tolerance, and what the stack takes for now."""

from __future__ import annotations

from typing import Final

from catenet.testing.packetdrill.config import Config
from catenet.testing.packetdrill.syntax import Clock, When

__all__ = ["START", "Due", "resolve", "seconds"]

START: Final = 10_000.0003
"""What the stack's clock shows when the script begins: in the middle of a millisecond, so that no timestamp of a
script, which come in whole milliseconds, falls on the edge between two ticks."""


class Due:
    """Interval in which an event must happen, in microseconds of the script, plus or minus `tolerance`."""

    __slots__ = ("anytime", "end", "ranged", "start", "tolerance")

    def __init__(self, start: int, end: int | None, tolerance: float, anytime: bool = False) -> None:
        self.start = start
        self.end = start if end is None else end
        self.ranged = end is not None
        self.tolerance = tolerance
        self.anytime = anytime

    def miss(self, what: str, actual: int) -> str | None:
        """Return the complaint about an event that happened at `actual`; None when that was right."""
        if self.anytime or self.start - self.tolerance <= actual <= self.end + self.tolerance:
            return None
        expected = (
            f"between {seconds(self.start)} and {seconds(self.end)} s" if self.ranged else f"at {seconds(self.start)} s"
        )
        return (
            f"{what} expected {expected} (tolerance {seconds(int(self.tolerance))} s), happened at {seconds(actual)} s"
        )


def resolve(when: When, offset: int, last: int, config: Config) -> Due:
    """Make a time of the script absolute: `offset` is what relative times count from, `last` when the last event was.

    Tolerance is the greater of a fixed time and a part of the time since the last event, since Linux's timers may be
    late by an eighth.
    """
    if when.clock is Clock.ANY:
        return Due(offset, None, 0, anytime=True)
    shift = offset if when.clock is Clock.RELATIVE else 0
    start = when.start + shift
    tolerance = max(float(config.tolerance_usecs), config.tolerance_percent / 100 * (start - last))
    return Due(start, None if when.end is None else when.end + shift, tolerance)


def seconds(usecs: int) -> str:
    """Microseconds as seconds, for people."""
    return f"{usecs / 1e6:.6f}"
