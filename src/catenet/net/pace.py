"""Whether a peer delivers what it has begun, or makes us wait (Slowloris, RUDY).

Silence between two things is the peer's right: an idle connection, a stream whose next message has no hurry. Silence in
the midst of one is not. nginx allows 60 s between two reads, Apache (`mod_reqtimeout`) an initial time that bytes
extend, Kestrel an average of 240 B/s. Here time is bought with bytes: `grace` seconds are granted, and every `rate`
bytes buy one more, up to `ahead` seconds in advance, so that neither a burst nor an outage that TCP recovers from ends
an honest transfer, and a burst does not buy an hour. A peer that reads has the same clock, with what it has taken.
"""

from __future__ import annotations

__all__ = ["AHEAD", "Pace"]

AHEAD = 60.0
"""Seconds of silence that a peer may have bought at most, unless another limit says otherwise."""


class Pace:
    """The clock of one connection. Ask `is_late` now and then: more often than each `grace` seconds."""

    __slots__ = ("_ahead", "_grace", "_left", "_rate", "_received", "_then")

    def __init__(self, grace: float, rate: float, ahead: float = AHEAD) -> None:
        self._grace = grace
        self._ahead = max(ahead, grace)
        self._rate = rate
        self._left = grace
        self._then: float | None = None
        self._received = 0

    def is_late(self, owes: bool, received: int, now: float) -> bool:
        """Whether the time that was granted is over.

        `owes`: the peer has begun something, not finished it, and is free to go on (no window or pause of ours holds
        it back). `received`: bytes that have ever come from it, or that it has taken.
        """
        if not owes:
            self._then = None
            return False
        if self._then is None:
            self._left = self._grace
        else:
            bought = (received - self._received) / self._rate if self._rate else self._ahead
            self._left = min(self._left + bought, self._ahead) - (now - self._then)
        self._then, self._received = now, received
        return self._left < 0
