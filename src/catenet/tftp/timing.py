"""When to send again, and when to give up. Pure; seconds.

Without the option timeout the time is found out as TCP does (RFC 6298): one second at first, then from round trips.
With it, it is what both ends have agreed on. Who hears nothing new for `patience` gives up, however often it has sent.
"""

from __future__ import annotations

from typing import Final

from catenet.control.rtt import RttEstimator

__all__ = ["PATIENCE", "Timer"]

PATIENCE: Final = 30.0
FIRST: Final = 1.0
LONGEST: Final = 8.0
_FLOOR: Final = 100_000
"""Microseconds: the least that is put on top of the smoothed round trip."""
_QUIET: Final = 0.02
_MICRO: Final = 1_000_000


class Timer:
    """The time-out of one transfer. `deadline`: when it expires, None while nothing is waited for."""

    def __init__(self, now: float, fixed: int | None = None, patience: float = PATIENCE) -> None:
        self.deadline: float | None = None
        self.least_rtt = 0.0
        self._fixed = fixed
        self._patience = patience if fixed is None else max(patience, 4.0 * fixed)
        self._estimate = RttEstimator()
        self._doublings = 0
        self._progress = now

    def agree(self, fixed: int | None) -> None:
        """The option timeout has been granted, or not."""
        self._fixed = fixed
        if fixed is not None:
            self._patience = max(self._patience, 4.0 * fixed)

    def be_patient(self, patience: float) -> None:
        """Give up later than was said before."""
        self._patience = max(self._patience, patience)

    @property
    def timeout(self) -> float:
        """Seconds after which something is sent again."""
        if self._fixed is not None:
            return float(self._fixed)
        base = self._estimate.timeout(int(LONGEST * _MICRO)) / _MICRO if self._estimate.srtt else FIRST
        return float(min(LONGEST, base * 2**self._doublings))

    @property
    def quiet(self) -> float:
        """Seconds without the rest of a window after which the rest is lost."""
        smoothed = (self._estimate.srtt >> 3) / _MICRO
        return min(self.timeout, max(_QUIET, 2 * smoothed)) if smoothed else self.timeout

    def start(self, now: float) -> None:
        """Something that wants an answer has been sent."""
        self.deadline = now + self.timeout

    def stop(self) -> None:
        """Nothing is waited for."""
        self.deadline = None

    def listen(self, now: float) -> None:
        """From now on an answer is waited for; the silence before was ours."""
        self._progress = now

    def progress(self, now: float) -> None:
        """Something new has come."""
        self._progress = now
        self._doublings = 0

    def sample(self, seconds: float, first: int, following: int) -> None:
        """A round trip of what was sent once: blocks `first` to `following` were on their way (RFC 6298 section 3)."""
        if seconds < 0:
            return
        self._estimate.sample(max(1, int(seconds * _MICRO)), first, following, _FLOOR)
        self.least_rtt = min(self.least_rtt, seconds) if self.least_rtt else seconds

    def due(self, now: float) -> bool:
        """Whether it has expired."""
        return self.deadline is not None and self.deadline <= now

    def silent_for(self, now: float) -> float | None:
        """Return the seconds of silence if that is too long, None otherwise."""
        silence = now - self._progress
        return silence if silence >= self._patience else None

    def back_off(self) -> None:
        """It has expired: wait longer the next time (RFC 6298 section 5.5)."""
        self._doublings = min(self._doublings + 1, 10)
