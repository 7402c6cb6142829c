"""The clock filter: of the last eight samples of a server the best one (RFC 5905 section 10).

A packet that waited in a queue was delayed in one direction only, and so its offset is wrong by half of that. The
sample with the least delay is therefore nearest to the truth, and the spread of the others around it says how far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["FREQUENCY_TOLERANCE", "MAX_DISPERSION", "ClockFilter", "Filtered", "Sample"]

STAGES: Final = 8
MAX_DISPERSION: Final = 16.0
"""Seconds: what is said of a stage without a sample."""
FREQUENCY_TOLERANCE: Final = 15e-6
"""Seconds per second by which a clock may drift (PHI)."""
_SPIKE_GATE: Final = 3.0
_SPIKE_SAMPLES: Final = 4
"""Samples of which the jitter says something."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one exchange with a server says. All in seconds.

    Attributes:
        offset: of the server's clock to ours: what is to be added to ours.
        delay: there and back.
        dispersion: how far offset and delay may be wrong by the precision of both clocks and their drift meanwhile.
        time: of our clock when the answer came.
    """

    offset: float
    delay: float
    dispersion: float
    time: float


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the filter has: the best sample, its dispersion with that of the others, and their jitter (seconds)."""

    offset: float
    delay: float
    dispersion: float
    jitter: float
    time: float


class ClockFilter:
    """The shift register of one server.

    `unfilled`: the dispersion of a stage that has no sample yet. With that of RFC 5905, 16 s, a server counts from
    its fourth sample on; who asks once and leaves takes 0.
    """

    def __init__(self, *, stages: int = STAGES, unfilled: float = MAX_DISPERSION) -> None:
        self._stages = stages
        self._unfilled = unfilled
        self._samples: list[Sample] = []
        self.current: Filtered | None = None

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples that it has, the oldest first."""
        return tuple(self._samples)

    def clear(self) -> None:
        """Forget everything, as when the clock has been stepped."""
        self._samples.clear()
        self.current = None

    def add(self, sample: Sample, precision: float, interval: float) -> Filtered | None:
        """Take a sample; return what the filter says if that is newer than what it said before, else None.

        Args:
            sample: the newest.
            precision: of our clock, in seconds; no jitter is less.
            interval: seconds between samples, by which a spike is told from a change.
        """
        now = sample.time
        self._samples = [*self._samples, sample][-self._stages :]
        order = sorted(self._samples, key=lambda one: one.delay / 2 + _aged(one, now))
        best = order[0]
        dispersion = sum(
            _aged(order[i], now) / 2 ** (i + 1) if i < len(order) else self._unfilled / 2 ** (i + 1)
            for i in range(self._stages)
        )
        jitter = math.sqrt(sum((one.offset - best.offset) ** 2 for one in order[1:]) / max(1, len(order) - 1))
        before = self.current
        found = Filtered(best.offset, best.delay, dispersion, max(jitter, precision), best.time)
        if before is not None and self._is_spike(found, before, interval):
            return None
        self.current = found
        if before is not None and best.time <= before.time:
            return None  # a sample is used once, and none that is older than the last one
        return found

    def _is_spike(self, found: Filtered, before: Filtered, interval: float) -> bool:
        """Whether an offset jumps too far to be believed at once (the popcorn spike suppressor)."""
        jump = abs(found.offset - before.offset)
        if len(self._samples) < _SPIKE_SAMPLES or jump <= _SPIKE_GATE * before.jitter:
            return False
        return found.time - before.time < 2 * interval


def _aged(sample: Sample, now: float) -> float:
    """The dispersion of a sample, which grows while the clocks drift."""
    return min(sample.dispersion + FREQUENCY_TOLERANCE * max(0.0, now - sample.time), MAX_DISPERSION)
