"""Whether a connection is still alive, asked as rarely as its path permits. Pure.

While something is unacknowledged, silence is suspicious after a few round trips. While nothing is, only the path
decides how long may be silent: a NAT that forgets a connection says nothing. So the interval grows while PINGs after
silence are answered, and falls to half the silence after which one was not.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["MOST_INTERVAL", "Action", "Heartbeat", "Path"]

FIRST_INTERVAL: Final = 15.0
LEAST_INTERVAL: Final = 5.0
MOST_INTERVAL: Final = 120.0
GROWTH: Final = 1.5
SUSPECT_AFTER: Final = 1.0
DEAD_AFTER: Final = 6.0
"""Seconds for which a PING may be unanswered at least, before another connection is made beside, or instead."""


class Action(enum.Enum):
    """What is due."""

    PING = "ask whether anybody is there"
    SUSPECT = "begin to connect again"
    DEAD = "give the connection up"


class Path:
    """What is known of the way to the peer, over all connections of a session. Seconds.

    `fixed`: the interval that was asked for, instead of one that is found.
    """

    __slots__ = ("_ceiling", "fixed", "interval", "rtt")

    def __init__(self, fixed: float | None = None) -> None:
        self.fixed = fixed
        self.interval = FIRST_INTERVAL if fixed is None else fixed
        self.rtt: float | None = None
        self._ceiling = MOST_INTERVAL

    @property
    def most(self) -> float:
        """The longest interval that may come of it."""
        return MOST_INTERVAL if self.fixed is None else self.fixed

    def measured(self, rtt: float) -> None:
        """An answer has taken so long (smoothed as in RFC 6298)."""
        self.rtt = rtt if self.rtt is None else self.rtt * 0.875 + rtt * 0.125

    def answered(self, silence: float) -> None:
        """The path has borne so long a silence."""
        if self.fixed is None and silence >= self.interval:
            self.interval = min(self.interval * GROWTH, self._ceiling)

    def broke(self, silence: float) -> None:
        """It has not: whatever forgets connections there does it earlier."""
        if self.fixed is None and silence >= LEAST_INTERVAL:
            self._ceiling = max(min(self._ceiling, silence * 0.8), LEAST_INTERVAL)
            self.interval = max(min(self.interval, silence / 2), LEAST_INTERVAL)

    def patience(self, least: float, round_trips: float) -> float:
        """So many round trips, and not less than `least`."""
        return max(least, (self.rtt or 0.0) * round_trips)


class Heartbeat:
    """Of one connection. A server only listens (`silence`: what it bears); a client asks."""

    __slots__ = ("_asked", "_asked_after", "_heard", "_path", "_silence", "_suspected", "_told_since")

    def __init__(self, path: Path, now: float, silence: float | None = None) -> None:
        self._path = path
        self._silence = silence
        self._heard = now
        self._asked: float | None = None
        self._asked_after = 0.0
        self._suspected = False
        self._told_since: float | None = None

    def heard(self, now: float) -> None:
        """Something has come."""
        if self._asked is not None:
            self._path.answered(self._asked_after)
            self._asked, self._suspected = None, False
        self._heard = now
        self._told_since = None

    def answered(self, now: float, sent: float) -> None:
        """The answer to what was sent then."""
        self._path.measured(max(now - sent, 0.0))

    def ask_now(self, now: float) -> None:
        """There is reason to doubt: let a PING be due at once."""
        if self._asked is None:
            self._heard = min(self._heard, now - self._path.interval)

    def sent(self, now: float) -> None:
        """Something was sent that will be acknowledged."""
        if self._told_since is None:
            self._told_since = now

    def next_deadline(self, outstanding: bool) -> float:
        """Return when `due` has something."""
        if self._silence is not None:
            return self._heard + self._silence
        if self._asked is not None:
            if not self._suspected:
                return self._asked + self._path.patience(SUSPECT_AFTER, 3)
            return self._asked + self._path.patience(DEAD_AFTER, 8)
        idle = self._heard + self._path.interval
        if not outstanding:
            return idle
        # What is unacknowledged may have been sent a moment ago, after a silence that was none of its own.
        since = self._heard if self._told_since is None else max(self._heard, self._told_since)
        return min(since + self._path.patience(SUSPECT_AFTER, 3), idle)

    def due(self, now: float, outstanding: bool) -> Action | None:
        """Return what is due, once."""
        if now < self.next_deadline(outstanding):
            return None
        if self._silence is not None:
            return Action.DEAD
        if self._asked is None:
            self._asked, self._asked_after = now, now - self._heard
            return Action.PING
        if not self._suspected:
            self._suspected = True
            return Action.SUSPECT
        self._path.broke(self._asked_after)
        return Action.DEAD
