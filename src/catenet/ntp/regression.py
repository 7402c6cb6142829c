"""The samples of one server as a line: how far our clock is off, how fast that changes, and how sure both are. Pure.

A sample that waited in a queue may be wrong by half of what it waited, so it weighs less. Older samples are used as
long as a line fits them: when residuals of one sign follow each other more than chance lets them, the frequency has
changed, and the oldest go. Times are those of our clock as it will be once all that was corrected has been carried out
(`correct` moves the samples there); so samples of an hour stay good when the clock is corrected every minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

__all__ = ["Estimate", "Point", "Regression"]

MOST: Final = 64
"""Samples kept."""
LEAST: Final = 4
"""Samples below which none is dropped for the sake of the line."""
FLOOR: Final = 20e-6
"""Seconds by which a sample is wrong at least."""
QUEUED_SHARE: Final = 0.1
"""Of what samples waited on average, by which each may be wrong besides."""
RUNS: Final = 2.0
"""Standard deviations below the expected number of runs from where on the line is bent."""
GATE: Final = 8.0
"""Deviations beyond which a sample is a spike, or the server has stepped."""
SPIKES: Final = 3
"""Spikes in a row after which it has."""


@dataclass(frozen=True, slots=True)
class Point:
    """One sample: our time, the offset to be added to it, the delay (seconds)."""

    time: float
    offset: float
    delay: float

    def corrected(self, now: float, offset: float, frequency: float) -> Point:
        """Return what it is after our clock was set ahead at `now`, and runs faster by `frequency` from then on."""
        moved = offset - frequency * (now - self.time)
        return Point(self.time + moved, self.offset - moved, self.delay)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a line says of now.

    Attributes:
        offset: to be added to our clock, in seconds.
        frequency: seconds per second by which the offset grows: our clock is slow by so much.
        offset_error: standard deviation of the offset.
        frequency_error: that of the frequency.
        samples: how many the line has.
    """

    offset: float
    frequency: float
    offset_error: float
    frequency_error: float
    samples: int


class Regression:
    """The samples of one server."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._spikes = 0

    def __len__(self) -> int:
        return len(self._points)

    @property
    def latest(self) -> float | None:
        """Time of the latest sample."""
        return self._points[-1].time if self._points else None

    def clear(self) -> None:
        """Forget everything."""
        self._points.clear()
        self._spikes = 0

    def add(self, point: Point, frequency: float, deviation: float) -> bool:
        """Take a sample, with what is known of the frequency as `estimate`; False for one that is taken for a spike."""
        if self._points and point.time <= self._points[-1].time:
            return False
        if len(self._points) >= LEAST and self._is_spike(point, frequency, deviation):
            self._spikes += 1
            if self._spikes < SPIKES:
                return False
            self.clear()
        self._spikes = 0
        self._points = [*self._points, point][-MOST:]
        return True

    def _is_spike(self, point: Point, frequency: float, deviation: float) -> bool:
        """Whether a sample is farther from the line than queues explain."""
        line = self.estimate(point.time, frequency, deviation)
        assert line is not None
        queued = max(0.0, point.delay - min(one.delay for one in self._points)) / 2
        spread = math.sqrt(sum(weight_error**2 for weight_error in _errors(self._points)) / len(self._points))
        elapsed = point.time - self._points[-1].time
        return abs(point.offset - line.offset) > queued + GATE * (
            spread + line.offset_error + line.frequency_error * elapsed
        )

    def estimate(self, now: float, frequency: float, deviation: float) -> Estimate | None:
        """The line at `now`; None without samples.

        `frequency` is what the slope is expected to be, and `deviation` how sure that is (one standard deviation): with
        few samples, or samples of a few seconds, it is better known from before than from them.
        """
        if not self._points:
            return None
        points = self._points
        while True:
            line, residuals = _fit(points, now, frequency, deviation)
            if len(points) <= LEAST or not _is_bent(residuals):
                break
            points = points[1:]
        if len(points) < len(self._points):
            self._points = points
        return line

    def correct(self, now: float, offset: float, frequency: float) -> None:
        """Our clock has been set ahead by `offset` seconds at `now`, and runs faster by `frequency` from now on."""
        self._points = [point.corrected(now, offset, frequency) for point in self._points]


def _errors(points: list[Point]) -> list[float]:
    """By how much each sample may be wrong."""
    least = min(point.delay for point in points)
    queued = [(point.delay - least) / 2 for point in points]
    floor = FLOOR + QUEUED_SHARE * sum(queued) / len(queued)
    return [floor + each for each in queued]


def _fit(points: list[Point], now: float, frequency: float, deviation: float) -> tuple[Estimate, list[float]]:
    """Weighted least squares around `now`, with the expected slope as one more observation; and the residuals."""
    total = first = offsets = 0.0
    second, products = deviation**-2, frequency * deviation**-2
    weights = [error**-2 for error in _errors(points)]
    for weight, point in zip(weights, points, strict=True):
        time = point.time - now
        total += weight
        first += weight * time
        second += weight * time * time
        offsets += weight * point.offset
        products += weight * time * point.offset
    determinant = total * second - first * first
    offset = (second * offsets - first * products) / determinant
    slope = (total * products - first * offsets) / determinant
    residuals = [point.offset - offset - slope * (point.time - now) for point in points]
    # What the samples scatter by, where that is more or less than their weights say.
    scatter = sum(weight * residual**2 for weight, residual in zip(weights, residuals, strict=True)) / len(points)
    scale = math.sqrt(max(scatter, 0.01)) if len(points) > LEAST else 1.0
    return (
        Estimate(
            offset,
            slope,
            scale * math.sqrt(second / determinant),
            min(deviation, scale * math.sqrt(total / determinant)),
            len(points),
        ),
        residuals,
    )


def _is_bent(residuals: list[float]) -> bool:
    """Whether signs of residuals change too seldom for a line (the runs test)."""
    count = len(residuals)
    runs = 1 + sum((one > 0) != (other > 0) for one, other in pairwise(residuals))
    return runs < (count + 1) / 2 - RUNS * math.sqrt(count - 1) / 2
