"""What to do to a clock that is off: step it, slew it, change its frequency, or wait. Pure.

`Discipline` is the state machine of RFC 5905 section 12 for the offset: small ones are slewed; one above the step
threshold is stepped at the beginning, and later only if it has lasted for the stepout interval, for until then it is
more likely a mistake of the network. The frequency is not learnt by RFC 5905's loop (section 11.3), which takes hours,
but from the lines of `regression.py`; docs/design/ntp-clock.md compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Action", "Discipline", "Slew"]

STEP_THRESHOLD: Final = 0.128
"""Seconds above which an offset is stepped (STEPT)."""
STEPOUT: Final = 300.0
"""Seconds for which it must last (WATCH)."""
PANIC_THRESHOLD: Final = 1000.0
"""Seconds above which nobody but an administrator should believe an offset, except at the beginning (PANICT)."""
LARGEST_FREQUENCY: Final = 500e-6
"""What a clock can be corrected by (MAXFREQ)."""
SLEW_RATE: Final = 500e-6
"""Seconds per second by which adjtime(3) slews."""
FIRST_DEVIATION: Final = 100e-6
"""How sure the frequency is at the beginning: ordinary quartz is right within so much."""
WANDER: Final = 1e-10
"""Fraction per second by which the frequency of a clock may wander away from what has been learnt."""
LEAST_DEVIATION: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done now. `step` and `slew` are seconds, `frequency` is the whole correction, a fraction.

    At most one of `step` and `slew` is not 0; a slew replaces what is left of the last one.
    """

    step: float = 0.0
    slew: float = 0.0
    frequency: float = 0.0


@dataclass(frozen=True, slots=True)
class Slew:
    """A slew of so many seconds that has begun at some time."""

    seconds: float = 0.0
    begun: float = 0.0

    def pending(self, now: float) -> float:
        """Seconds that have not been carried out at `now`."""
        done = SLEW_RATE * max(0.0, now - self.begun)
        return max(0.0, self.seconds - done) if self.seconds > 0 else min(0.0, self.seconds + done)


class Discipline:
    """The state of one disciplined clock.

    Args:
        frequency: the correction that the clock has already, from a drift file or from the kernel; a fraction.
        deviation: how sure that is.
        step_threshold: seconds from which on it steps; infinite never.
        panic_threshold: seconds beyond which later offsets are not believed.
    """

    def __init__(
        self,
        frequency: float = 0.0,
        *,
        deviation: float = FIRST_DEVIATION,
        step_threshold: float = STEP_THRESHOLD,
        panic_threshold: float = PANIC_THRESHOLD,
    ) -> None:
        self.frequency = frequency
        self._prior = frequency
        self._deviation = deviation
        self._step_threshold = step_threshold
        self._panic_threshold = panic_threshold
        self._synchronized = False
        self._large_since: float | None = None
        self.slew = Slew()
        """The last one."""
        self._updated: float | None = None
        self.panicked = False
        """Whether an offset was beyond what is believed."""

    @property
    def synchronized(self) -> bool:
        """Whether an offset has been corrected at all."""
        return self._synchronized

    @property
    def slope(self) -> float:
        """The slope that offsets are expected to have: what the frequency is off from what was learnt before."""
        return self._prior - self.frequency

    @property
    def deviation(self) -> float:
        """How sure that is."""
        return self._deviation

    def pending(self, now: float) -> float:
        """Seconds of the last slew that have not been carried out at `now`."""
        return self.slew.pending(now)

    def update(self, offset: float, frequency: float, now: float) -> Action | None:
        """Take the offset of a clock that has carried out all slews, and the slope of offsets; None: wait.

        The caller then does what is returned to the clock, and tells each `Regression.correct`.
        """
        if self._synchronized and abs(offset) > self._panic_threshold:
            self.panicked = True
            return None
        corrected = max(-LARGEST_FREQUENCY, min(LARGEST_FREQUENCY, self.frequency + frequency))
        if abs(offset) <= self._step_threshold:
            self._large_since = None
            slew = self.pending(now) + offset
            self.slew = Slew(slew, now)
            action = Action(slew=slew, frequency=corrected)
        else:
            if self._synchronized and not self._has_lasted(now):
                return None
            self._large_since = None
            # The step contains what was still to be slewed, and ends it.
            action = Action(step=self.pending(now) + offset, frequency=corrected)
            self.slew = Slew()
        self._synchronized = True
        self.frequency = corrected
        self._updated = now + action.step
        return action

    def _has_lasted(self, now: float) -> bool:
        if self._large_since is None:
            self._large_since = now
        return now - self._large_since >= STEPOUT

    def learn(self, deviation: float, elapsed: float) -> None:
        """Remember the frequency of now as known to `deviation`; it gets less sure as the clock wanders."""
        self._prior = self.frequency
        self._deviation = max(LEAST_DEVIATION, min(FIRST_DEVIATION, deviation + WANDER * elapsed))

    def held_error(self, now: float) -> float:
        """Seconds by which the clock may have gone off since the last update, while no server is reached (holdover)."""
        elapsed = 0.0 if self._updated is None else max(0.0, now - self._updated)
        return 2 * self._deviation * elapsed + WANDER * elapsed**2 / 2
