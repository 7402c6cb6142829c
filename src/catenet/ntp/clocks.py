"""Clocks that can be disciplined: that of the system, by adjtimex(2), and one that only says what would be done.

Inside of a simulated world the first is the clock of the program's host (`catenet.timex`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from catenet import timex
from catenet.timex import Timex, clock_adjtime

__all__ = ["Clock", "ReportingClock", "SystemClock"]

MICROSECONDS: Final = 1_000_000
NANOSECONDS: Final = 1_000_000_000
SCALED_PPM: Final = 65_536
SLEW_RATE: Final = 500e-6
"""Seconds per second by which adjtime(3) slews."""


class Clock(Protocol):
    """What a discipline needs of a clock. Seconds; frequencies in parts per million."""

    def now(self) -> float:
        """Seconds since 1970."""

    def frequency(self) -> float:
        """The correction of the frequency that is in force."""

    def step(self, seconds: float) -> None:
        """Set it ahead at once."""

    def slew(self, seconds: float) -> None:
        """Set it ahead bit by bit, by 500 microseconds a second, instead of what was left of the last slew."""

    def adjust_frequency(self, ppm: float) -> None:
        """Let it run faster by `ppm` than it does by itself."""

    def note_error(self, estimated: float, bound: float) -> None:
        """Say how far it may be off: one standard deviation, and at most."""


class SystemClock:
    """The clock of the day of this host. All but reading raises PermissionError without CAP_SYS_TIME."""

    def now(self) -> float:
        """See `Clock`."""
        return time.time()

    def frequency(self) -> float:
        """See `Clock`."""
        return clock_adjtime(0, Timex())[1].freq / SCALED_PPM

    def step(self, seconds: float) -> None:
        """See `Clock`. One call: nothing is lost between reading and setting."""
        whole, fraction = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
        clock_adjtime(0, Timex(modes=timex.ADJ_SETOFFSET | timex.ADJ_NANO, seconds=whole, fraction=fraction))

    def slew(self, seconds: float) -> None:
        """See `Clock`."""
        clock_adjtime(0, Timex(modes=timex.ADJ_OFFSET_SINGLESHOT, offset=round(seconds * MICROSECONDS)))

    def adjust_frequency(self, ppm: float) -> None:
        """See `Clock`."""
        clock_adjtime(0, Timex(modes=timex.ADJ_FREQUENCY, freq=round(ppm * SCALED_PPM)))

    def note_error(self, estimated: float, bound: float) -> None:
        """See `Clock`. The kernel lets the bound grow until it is told again, and calls the clock synchronised."""
        modes = timex.ADJ_STATUS | timex.ADJ_MAXERROR | timex.ADJ_ESTERROR
        error, largest = round(estimated * MICROSECONDS), round(bound * MICROSECONDS)
        clock_adjtime(0, Timex(modes=modes, status=0, esterror=error, maxerror=largest))


class ReportingClock:
    """Shows what the system's clock would if it were corrected, and never touches it.

    `report` gets a line for all that would be done.
    """

    def __init__(self, report: Callable[[str], object]) -> None:
        self._report = report
        self._since = time.time()
        self._ahead = self._slew = self._frequency = 0.0

    def now(self) -> float:
        """See `Clock`."""
        system = time.time()
        return system + self._ahead + self._frequency * (system - self._since) + self._slewed(system)

    def _slewed(self, system: float) -> float:
        """What has been carried out of the slew."""
        most = SLEW_RATE * max(0.0, system - self._since)
        return max(-most, min(most, self._slew))

    def _settle(self) -> None:
        """Begin anew from now on, before anything changes."""
        system = time.time()
        slewed = self._slewed(system)
        self._ahead += self._frequency * (system - self._since) + slewed
        self._slew -= slewed
        self._since = system

    def frequency(self) -> float:
        """See `Clock`."""
        return self._frequency * MICROSECONDS

    def step(self, seconds: float) -> None:
        """See `Clock`."""
        self._settle()
        self._ahead, self._slew = self._ahead + seconds, 0.0
        self._report(f"would step by {seconds:+.6f} s")

    def slew(self, seconds: float) -> None:
        """See `Clock`."""
        self._settle()
        self._slew = seconds
        self._report(f"would slew by {seconds:+.6f} s")

    def adjust_frequency(self, ppm: float) -> None:
        """See `Clock`."""
        self._settle()
        self._frequency = ppm / MICROSECONDS
        self._report(f"would run at {ppm:+.3f} ppm")

    def note_error(self, estimated: float, bound: float) -> None:
        """See `Clock`."""
