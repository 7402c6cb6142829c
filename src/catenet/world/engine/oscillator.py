"""What the clock of a simulated host is driven by: an oscillator that is off by its drift, which may wander."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

__all__ = ["Oscillator"]

STEP: Final = 16.0
"""Seconds between two changes of a frequency that wanders."""

LARGEST_STEP: Final = 0.125
"""Of its limit, by which the frequency changes at one step."""

HORIZON: Final = 8192
"""Steps ahead for which the frequency is drawn when a moment is sought: a day and a half, longer than event loops
wait. For later moments the last frequency goes on, so that a program that sleeps for years costs no years of steps."""


class Oscillator:
    """Counts `raw` seconds, as a function of true seconds; both begin at 0.

    Its frequency changes every 16 s at most, by steps that are drawn once: only additions and products, so that a
    seed gives the same moments on every machine (sines of the C library would not).
    """

    def __init__(self, drift: float, wander: float, random: Random) -> None:
        self._random = random
        self._wander = wander
        self._drift = drift
        self._begun = 0.0
        self._raws = [0.0]
        """Raw seconds at the beginning of each step."""
        self._rates = [1.0 + drift]
        self._deviation = 0.0

    def change(self, now: float, drift: float, wander: float) -> None:
        """Run at another drift from true time `now` on."""
        raw = self.raw(now)
        self._begun, self._drift, self._wander, self._deviation = now, drift, wander, 0.0
        self._raws, self._rates = [raw], [1.0 + drift]

    def raw(self, now: float) -> float:
        """Raw seconds at true time `now`."""
        elapsed = now - self._begun
        if not self._wander or elapsed < 0:
            return self._raws[0] + elapsed * self._rates[0]
        step = int(elapsed / STEP)
        while len(self._rates) <= step:
            self._draw()
        return self._raws[step] + (elapsed - step * STEP) * self._rates[step]

    def when(self, raw: float, now: float) -> float:
        """The true time, not before `now`, at which the oscillator has counted `raw` seconds."""
        if self._wander:
            last = int((now - self._begun) / STEP) + HORIZON
            while self._raws[-1] < raw and len(self._raws) <= last:
                self._draw()
        step = max(0, bisect_right(self._raws, raw) - 1)
        return max(now, self._begun + step * STEP + (raw - self._raws[step]) / self._rates[step])

    def _draw(self) -> None:
        """Draw the next step: a walk between two walls, from which it is thrown back."""
        limit = self._wander
        deviation = self._deviation + self._random.uniform(-LARGEST_STEP, LARGEST_STEP) * limit
        if abs(deviation) > limit:
            deviation = (2 * limit - abs(deviation)) * (1 if deviation > 0 else -1)
        self._raws.append(self._raws[-1] + STEP * self._rates[-1])
        self._rates.append(1.0 + self._drift + deviation)
        self._deviation = deviation
