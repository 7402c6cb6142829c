"""How Linux makes the monotonic clock of an oscillator, as adjtimex(2) tells it to (kernel/time/ntp.c); pure.

`Timekeeper` is a function of raw seconds (`oscillator.py`). Its frequency is the sum of the length of ticks, the
frequency that was set, and what a second carries of an offset (the kernel's phase-locked loop) or of adjtime(3).
Seconds are walked one by one only while there is something of these to carry. Leap seconds are not modelled.
"""

from __future__ import annotations

import errno
from copy import copy
from typing import Final

from catenet import timex
from catenet.posix.errors import os_error
from catenet.timex import Timex

__all__ = ["Timekeeper", "check"]

SECOND: Final = 1_000_000_000
PHASE_LIMIT: Final = 16_000_000
"""Microseconds of `maxerror` from which a clock counts as not synchronised (NTP_PHASE_LIMIT)."""
LARGEST_FREQUENCY: Final = 500_000.0
"""Nanoseconds a second (MAXFREQ)."""
LARGEST_PHASE: Final = 500_000_000
"""Nanoseconds of an offset (MAXPHASE)."""
LARGEST_CONSTANT: Final = 10
SHIFT_PLL: Final = 2
SHIFT_FLL: Final = 2
FLL_FROM: Final = 256
PLL_UNTIL: Final = 2048
"""Seconds between two offsets: from where the frequency-locked loop may be used, until where the other one may."""
ADJTIME_RATE: Final = 500_000
"""Nanoseconds a second by which adjtime(3) slews."""
TICK: Final = 10_000
TICKS: Final = 100
KNOWN: Final = 0x0001
ADJTIME: Final = 0x8000
READ_ONLY: Final = 0x2000
SMALLEST: Final = 1.0
"""Nanoseconds of an offset that are not worth walking another second for."""


class Timekeeper:
    """The kernel's timekeeping of one host: `monotonic(raw)` in seconds, which is 0 at raw second 0."""

    def __init__(self) -> None:
        self._raw = self._shown = 0.0
        """Raw seconds up to which seconds have been walked, and what is shown then."""
        self._reset()

    def _reset(self) -> None:
        """As it is after booting."""
        self.tai = 0
        """Seconds by which CLOCK_TAI is ahead."""
        self._second = 1.0
        """What is left of the second that carries something."""
        self._carried = 0.0
        """Nanoseconds that this second carries."""
        self._tick = TICK
        self._frequency = 0.0
        """Nanoseconds a second."""
        self._offset = 0.0
        """Nanoseconds that are still to be carried."""
        self._adjust = 0
        """Nanoseconds of adjtime(3) that are still to be carried."""
        self._status = timex.STA_UNSYNC
        self._constant = 2
        self._reference = self._error_at = self._shown
        self._max_error = self._estimated_error = PHASE_LIMIT

    # Reading.

    def _rate(self) -> float:
        """Seconds shown for a raw second."""
        return 1.0 + (self._tick - TICK) / TICK + (self._frequency + self._carried) / SECOND

    def monotonic(self, raw: float) -> float:
        """Seconds shown at `raw`; moments that have been passed are shown by the frequency of now."""
        self._walk(raw)
        return self._shown + (raw - self._raw) * self._rate()

    def when(self, shown: float) -> float:
        """Raw seconds at which `shown` will be, if nobody adjusts anything until then."""
        ahead = copy(self) if self._is_carrying() else self
        while ahead._is_carrying() and ahead._shown + ahead._second <= shown:
            ahead._next_second()
        return ahead._raw + (shown - ahead._shown) / ahead._rate()

    def _is_carrying(self) -> bool:
        return bool(self._carried or self._offset or self._adjust)

    def _walk(self, raw: float) -> None:
        """Walk the seconds that have passed, while they carry something."""
        while self._is_carrying() and self._raw + self._second / self._rate() <= raw:
            self._next_second()

    def _next_second(self) -> None:
        """second_overflow(): what the next second carries."""
        self._raw += self._second / self._rate()
        self._shown += self._second
        self._carry()

    def _carry(self) -> None:
        """Begin a second that carries its share of what is left; Linux waits with that for the next whole second."""
        share = self._offset if abs(self._offset) < SMALLEST else self._offset / (1 << (SHIFT_PLL + self._constant))
        self._offset -= share
        slewed = max(-ADJTIME_RATE, min(ADJTIME_RATE, self._adjust))
        self._adjust -= slewed
        self._carried = share + slewed
        self._second = 1.0

    def _settle(self, raw: float) -> None:
        """Note what is shown at `raw`, before the frequency changes."""
        shown = self.monotonic(raw)
        self._second -= min(self._second, shown - self._shown) if self._is_carrying() else 0.0
        self._raw, self._shown = raw, shown

    # Adjusting.

    def stepped(self, raw: float) -> None:
        """The clock of the day was set: what had been carried on is forgotten (ntp_clear())."""
        self._settle(raw)
        self._offset = self._carried = 0.0
        self._adjust = 0
        self._status |= timex.STA_UNSYNC
        self._max_error = self._estimated_error = PHASE_LIMIT

    def restarted(self, raw: float) -> None:
        """The host has booted: nothing is adjusted any more."""
        self._settle(raw)
        self._reset()

    def adjust(self, request: Timex, raw: float) -> tuple[int, Timex]:
        """adjtimex(2), but for ADJ_SETOFFSET and what the time is; returns the state and what is set now."""
        self._settle(raw)
        self._age()
        if request.modes & ADJTIME:
            left = self._adjust // 1000
            if not request.modes & READ_ONLY:
                self._adjust = request.offset * 1000
                self._carry()
            offset = left
        else:
            self._set(request)
            offset = int(self._offset) if self._status & timex.STA_NANO else int(self._offset / 1000)
        state = timex.TIME_OK
        if self._status & (timex.STA_UNSYNC | timex.STA_CLOCKERR):
            state = timex.TIME_ERROR
        return state, Timex(
            modes=request.modes,
            offset=offset,
            freq=round(self._frequency * 65536 / 1000),
            maxerror=self._max_error,
            esterror=self._estimated_error,
            status=self._status,
            constant=self._constant,
            precision=1,
            tolerance=500 << 16,
            tick=self._tick,
            tai=self.tai,
        )

    def _age(self) -> None:
        """The maximum error grows by 500 microseconds a second, until it says nothing any more."""
        passed = int(self._shown - self._error_at)
        self._error_at += passed
        self._max_error = min(PHASE_LIMIT, self._max_error + 500 * passed)
        if self._max_error >= PHASE_LIMIT:
            self._status |= timex.STA_UNSYNC

    def _set(self, request: Timex) -> None:
        """process_adjtimex_modes(), in its order."""
        modes = request.modes
        if modes & timex.ADJ_STATUS:
            self._set_status(request.status)
        if modes & timex.ADJ_NANO:
            self._status |= timex.STA_NANO
        if modes & timex.ADJ_MICRO:
            self._status &= ~timex.STA_NANO
        if modes & timex.ADJ_FREQUENCY:
            self._frequency = _clamp(request.freq * 1000 / 65536, LARGEST_FREQUENCY)
        if modes & timex.ADJ_MAXERROR:
            self._max_error = max(0, min(request.maxerror, PHASE_LIMIT))
        if modes & timex.ADJ_ESTERROR:
            self._estimated_error = max(0, min(request.esterror, PHASE_LIMIT))
        if modes & timex.ADJ_TIMECONST:
            constant = max(0, min(request.constant, LARGEST_CONSTANT))
            self._constant = min(LARGEST_CONSTANT, constant + (0 if self._status & timex.STA_NANO else 4))
        if modes & timex.ADJ_TAI and request.constant >= 0:
            self.tai = request.constant
        if modes & timex.ADJ_OFFSET:
            self._update_offset(request.offset)
        if modes & timex.ADJ_TICK:
            self._tick = request.tick

    def _set_status(self, status: int) -> None:
        if not self._status & timex.STA_PLL and status & timex.STA_PLL:
            self._reference = self._shown
        self._status = self._status & timex.STA_READ_ONLY | status & ~timex.STA_READ_ONLY

    def _update_offset(self, offset: int) -> None:
        """ntp_update_offset(): the loop that turns offsets into a frequency, and carries them."""
        if not self._status & timex.STA_PLL:
            return
        nanoseconds = offset if self._status & timex.STA_NANO else _clamp(offset, 1e6) * 1000
        phase = _clamp(nanoseconds, LARGEST_PHASE)
        passed = 0 if self._status & timex.STA_FREQHOLD else int(self._shown - self._reference)
        self._reference = self._shown
        change = self._frequency_locked(phase, passed)
        passed = min(passed, 1 << (SHIFT_PLL + 1 + self._constant))
        change += phase * passed / 4 ** (SHIFT_PLL + 2 + self._constant)
        self._frequency = _clamp(self._frequency + change, LARGEST_FREQUENCY)
        self._offset = phase
        self._carry()

    def _frequency_locked(self, phase: float, passed: int) -> float:
        """ntp_update_offset_fll()."""
        self._status &= ~timex.STA_MODE
        if passed < FLL_FROM or (not self._status & timex.STA_FLL and passed <= PLL_UNTIL):
            return 0.0
        self._status |= timex.STA_MODE
        return phase / (1 << SHIFT_FLL) / passed


def _clamp(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def check(request: Timex, *, permitted: bool) -> None:
    """timekeeping_validate_timex(): EPERM and EINVAL in Linux's order."""
    modes = request.modes
    if modes & ADJTIME:
        if not modes & KNOWN:
            raise os_error(errno.EINVAL)
        if not modes & READ_ONLY and not permitted:
            raise os_error(errno.EPERM)
    else:
        if modes and not permitted:
            raise os_error(errno.EPERM)
        if modes & timex.ADJ_TICK and not 900_000 // TICKS <= request.tick <= 1_100_000 // TICKS:
            raise os_error(errno.EINVAL)
    if modes & timex.ADJ_SETOFFSET:
        if not permitted:
            raise os_error(errno.EPERM)
        if not 0 <= request.fraction < (SECOND if modes & timex.ADJ_NANO else SECOND // 1000):
            raise os_error(errno.EINVAL)
