"""Which requests to repeat, when, and how many: idempotent ones, after a growing delay, out of a budget."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from catenet.http.headers import Headers
from catenet.http.policy.dates import parse_date

__all__ = ["IDEMPOTENT", "RetryBudget", "RetryPolicy", "retry_after"]

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"))
"""Methods whose repetition has the effect of one (RFC 9110 section 9.2.2)."""


def retry_after(headers: Headers, now: float) -> float | None:
    """Return the seconds that the server asks to wait (RFC 9110 section 10.2.3, both forms), None if it does not."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(int(value[:12]))
    date = parse_date(value, now)
    return None if date is None else max(0.0, date - now)


@dataclass(slots=True)
class RetryBudget:
    """Repetitions that all requests of a client together may cost, so that an outage is not multiplied.

    Each request earns `ratio` of one; `reserve` are there from the beginning, and the most that is kept.
    """

    ratio: float = 0.2
    reserve: float = 10.0
    left: float = 10.0

    def earn(self) -> None:
        """A request was made that is no repetition."""
        self.left = min(self.reserve, self.left + self.ratio)

    def spend(self) -> bool:
        """Take one repetition, if there is one."""
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` in all; delays grow from `first` to `longest` seconds, of which half is random.

    A Retry-After over `longest_wait` seconds is taken for a refusal.
    """

    attempts: int = 3
    methods: frozenset[str] = IDEMPOTENT
    statuses: frozenset[int] = frozenset((429, 502, 503, 504))
    first: float = 0.2
    longest: float = 10.0
    longest_wait: float = 60.0

    def delay_after_failure(
        self, method: str, attempt: int, random: Random, *, unprocessed: bool = False, replayable: bool = True
    ) -> float | None:
        """Return the seconds to wait before the next attempt after a connection broke, None to give up.

        `attempt` counts from 1. `unprocessed`: the server is known not to have acted, so that any method may be
        repeated (RFC 9113 section 8.7, or no connection at all). `replayable`: the body can be sent again.
        """
        if attempt >= self.attempts or not replayable or not (unprocessed or method in self.methods):
            return None
        return self._backoff(attempt, random)

    def delay_after_response(
        self,
        method: str,
        attempt: int,
        status: int,
        headers: Headers,
        now: float,
        random: Random,
        *,
        replayable: bool = True,
    ) -> float | None:
        """Return the seconds to wait before a request is repeated for its status, None to take the response."""
        if attempt >= self.attempts or not replayable or status not in self.statuses or method not in self.methods:
            return None
        asked = retry_after(headers, now)
        if asked is None:
            return self._backoff(attempt, random)
        return None if asked > self.longest_wait else asked

    def _backoff(self, attempt: int, random: Random) -> float:
        most: float = min(self.longest, self.first * 2.0 ** (attempt - 1))
        return most / 2 + random.random() * most / 2
