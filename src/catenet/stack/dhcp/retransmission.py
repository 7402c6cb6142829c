"""When a DHCPv6 client repeats itself (RFC 8415 15)."""

from __future__ import annotations

import random as random_module
from typing import Final, NamedTuple

__all__ = ["Retransmission", "Schedule"]

_RAND: Final = 0.1
"""Each wait is longer or shorter by up to a tenth, so that clients that began together do not stay together."""


class Schedule(NamedTuple):
    """Parameters of an exchange (RFC 8415 7.6); seconds. 0: no limit."""

    delay: float
    """The first message waits for up to so long."""
    first: float
    """Initial retransmission time, IRT."""
    most: float
    """Maximum retransmission time, MRT."""
    attempts: int = 0
    """Maximum of transmissions, MRC."""
    duration: float = 0.0
    """Maximum duration from the first transmission on, MRD."""


class Retransmission:
    """One exchange: how often it was sent, and how long to wait for an answer."""

    __slots__ = ("_random", "_schedule", "_wait", "begun", "end", "sent")

    def __init__(self, schedule: Schedule, random: random_module.Random, end: float = float("inf")) -> None:
        """Begin an exchange that is over at `end`, or by its schedule."""
        self._schedule = schedule
        self._random = random
        self._wait = 0.0
        self.begun = 0.0
        """When it was sent first."""
        self.end = end
        self.sent = 0

    def can_send(self, now: float) -> bool:
        """Whether another transmission is allowed."""
        return now < self.end and not (self._schedule.attempts and self.sent >= self._schedule.attempts)

    def note_sent(self, now: float, *, longer: bool = False) -> float:
        """Note a transmission; when the next one is due, or the exchange is over. `longer`: not before IRT."""
        schedule = self._schedule
        if not self.sent:
            self.begun = now
            if schedule.duration:
                self.end = min(self.end, now + schedule.duration)
        rand = self._random.uniform(-_RAND, _RAND)
        if not self.sent:
            self._wait = schedule.first * (1 + (abs(rand) if longer else rand))
        else:
            self._wait = 2 * self._wait + rand * self._wait
        if schedule.most and self._wait > schedule.most:
            self._wait = schedule.most * (1 + rand)
        self.sent += 1
        return min(now + self._wait, self.end)
