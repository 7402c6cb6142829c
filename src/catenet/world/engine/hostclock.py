"""The clock of one simulated host that is not the world's own: an oscillator, what the kernel makes of it, and timers.

A host without a clock of its own (`ClockProperties`) runs by the world's time, as all did before there were any; it
gets one that is right when one of its programs first adjusts it. Time-outs of programs are measured by the host's
monotonic clock; timers of its protocol stack by the world's time.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from catenet import timex
from catenet.posix.errors import os_error
from catenet.timex import Timex
from catenet.world.engine.hub import NEVER, Hub, Timer
from catenet.world.engine.oscillator import Oscillator
from catenet.world.engine.timekeeper import Timekeeper, check
from catenet.world.scenario.clocks import ClockProperties

if TYPE_CHECKING:
    from random import Random

__all__ = ["HostClock", "check_adjustment", "step_of"]

NUDGE: Final = 2e-10
"""Seconds by which a moment is put off when rounding has brought it before the one that was asked for."""


class HostClock:
    """What the clocks of a host show; in seconds since the world began, which are the host's own seconds."""

    def __init__(self, hub: Hub, properties: ClockProperties, random: Random, slept: float = 0.0) -> None:
        self._hub = hub
        self._begun = hub.now
        self._slept = slept
        """Seconds of its own that the host has slept."""
        self._properties = properties
        self._oscillator = Oscillator(properties.drift, properties.wander, random)
        self._keeper = Timekeeper()
        self._armed: dict[Timer, float] = {}
        """Timers that programs wait for, with what the monotonic clock shows when they are due."""

    @property
    def tai(self) -> int:
        """Seconds by which CLOCK_TAI is ahead of the clock of the day."""
        return self._keeper.tai

    def raw(self) -> float:
        """CLOCK_MONOTONIC_RAW, which nobody adjusts."""
        return self._begun + self._oscillator.raw(self._hub.time() - self._begun) - self._slept

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC."""
        return self.at(self._hub.time())

    def at(self, now: float) -> float:
        """What CLOCK_MONOTONIC shows at a time of the world that is not in the future."""
        return self._counted(now) - self._slept

    def boottime(self) -> float:
        """CLOCK_BOOTTIME, which goes on while the host sleeps."""
        return self._counted(self._hub.time())

    def _counted(self, now: float) -> float:
        return self._begun + self._keeper.monotonic(self._oscillator.raw(now - self._begun))

    def when(self, shown: float) -> float:
        """The world's time at which CLOCK_MONOTONIC will show `shown`, if nobody adjusts it until then."""
        now = self._hub.now
        raw = self._keeper.when(shown + self._slept - self._begun)
        return self._begun + self._oscillator.when(raw, now - self._begun) + NUDGE

    # Timers.

    def arm(self, timer: Timer, seconds: float) -> None:
        """Let a timer happen when `seconds` (more than 0) have passed by this clock, whatever is done to it."""
        due = self.at(self._hub.now) + seconds
        self._armed[timer] = due
        timer.set(self.when(due))

    def adopt(self, timer: Timer) -> None:
        """Take care of a timer that was set by the world's time."""
        if timer.when != NEVER:
            self._armed[timer] = timer.when - self._slept

    def disarm(self, timer: Timer) -> None:
        """Forget a timer."""
        self._armed.pop(timer, None)

    def left(self, timer: Timer) -> float:
        """Seconds until a timer happens."""
        return max(0.0, self._armed.get(timer, 0.0) - self.at(self._hub.now))

    def _set_timers(self) -> None:
        """Put all timers where they belong, after the clock's frequency has changed."""
        for timer, due in self._armed.items():
            if timer.when != NEVER:
                timer.set(self.when(due))

    # What happens to the clock.

    def change(self, drift: float | None, wander: float | None) -> None:
        """Let the oscillator run at another drift, or wander otherwise, from now on; None: as it was."""
        was = self._properties
        self._properties = new = ClockProperties(
            0.0, was.drift if drift is None else drift, was.wander if wander is None else wander
        )
        self._oscillator.change(self._hub.now - self._begun, new.drift, new.wander)
        self._set_timers()

    def woken(self, since: float) -> None:
        """Note that the host has slept since that time of the world, and let its timers go on where they were."""
        self._slept += self._counted(self._hub.now) - self._counted(since)
        self._set_timers()

    def stepped(self) -> None:
        """Note that the clock of the day has been set."""
        self._keeper.stepped(self._now())
        self._set_timers()

    def restarted(self) -> None:
        """Note that the host has booted."""
        self._keeper.restarted(self._now())
        self._armed.clear()

    def adjust(self, request: Timex) -> tuple[int, Timex]:
        """adjtimex(2) for who may, but for stepping the time and showing it."""
        answer = self._keeper.adjust(request, self._now())
        self._set_timers()
        return answer

    def _now(self) -> float:
        return self._oscillator.raw(self._hub.now - self._begun)


def check_adjustment(clock: int, request: Timex, *, permitted: bool) -> None:
    """Check a call of clock_adjtime(2) as Linux does: only the clock of the day can be adjusted."""
    if clock != 0:
        raise os_error(errno.EOPNOTSUPP if 0 < clock < 12 and clock != 10 else errno.EINVAL)
    check(request, permitted=permitted)


def step_of(request: Timex) -> int:
    """Nanoseconds by which ADJ_SETOFFSET steps the clock of the day."""
    return request.seconds * 1_000_000_000 + request.fraction * (1 if request.modes & timex.ADJ_NANO else 1000)
