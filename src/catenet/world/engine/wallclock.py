"""A host's clock of the day (CLOCK_REALTIME), which root of the host can set; the machine's own is never set."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from catenet.posix.errors import os_error
from catenet.world.patches.monotonic import BOOTED

if TYPE_CHECKING:
    from catenet.world.engine.hostclock import HostClock
    from catenet.world.engine.hub import Hub

__all__ = ["SECOND", "WallClock"]

SECOND: Final = 1_000_000_000
LATEST: Final = (2**63 // SECOND - 30 * 365 * 24 * 3600) * SECOND
"""Linux sets no clock from here on (TIME_SETTOD_SEC_MAX): it is to run for 30 years more within 64 bits."""


class WallClock:
    """Shows `epoch` (seconds since 1970) at the hub's time 0 and goes on with the hub's time; `step` sets it.

    It goes on with a clock of the host's own once it has one (`follow`).
    """

    def __init__(self, hub: Hub, epoch: float) -> None:
        self._hub = hub
        self.epoch = epoch
        self.origin: int | None = None
        """What it shows at time 0, in nanoseconds, once it has been set."""
        self._clock: HostClock | None = None

    def follow(self, clock: HostClock, ahead: int = 0) -> None:
        """Go on with a clock from now on, `ahead` nanoseconds from what is shown now."""
        shown = self.nanoseconds() + ahead
        self._clock = clock
        self._set(shown)

    def time(self) -> float:
        """Seconds since 1970."""
        return self.epoch + self._hub.time() if self.origin is None else self.nanoseconds() / SECOND

    def nanoseconds(self) -> int:
        """Nanoseconds since 1970."""
        if self.origin is None:
            return round((self.epoch + self._hub.time()) * SECOND)
        return self.origin + round(self._elapsed() * SECOND)

    def check(self, nanoseconds: int) -> None:
        """Check a time as Linux does before it checks permission: EINVAL for one before 1970 or too late."""
        if not 0 <= nanoseconds < LATEST:
            raise os_error(errno.EINVAL)

    def step(self, nanoseconds: int) -> None:
        """Set the clock; EINVAL for a time that `check` refuses or one earlier than the host has been up (Linux)."""
        self.check(nanoseconds)
        if nanoseconds < (BOOTED + self._elapsed()) * SECOND:
            raise os_error(errno.EINVAL)
        self._set(nanoseconds)
        if self._clock is not None:
            self._clock.stepped()

    def _elapsed(self) -> float:
        """Seconds since the world began, as the host measures them."""
        return self._hub.time() if self._clock is None else self._clock.boottime()

    def _set(self, nanoseconds: int) -> None:
        self.origin = nanoseconds - round(self._elapsed() * SECOND)
        self.epoch = self.origin / SECOND
