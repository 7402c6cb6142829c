"""Token buckets that limit what others can make this host send (RFC 1812 4.3.2.8, RFC 4443 2.4 f)."""

from __future__ import annotations

from typing import Final

from catenet.stack.endpoint import Address
from catenet.stack.units import Seconds

__all__ = ["DestinationLimiter", "TokenBucket"]

_BURST: Final = 6
_MAX_DESTINATIONS: Final = 1024


class TokenBucket:
    """`rate` tokens a second, at most `burst` saved."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._updated = 0.0

    def take(self, now: Seconds) -> bool:
        """Take a token; False when there is none."""
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate)
        self._updated = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class DestinationLimiter:
    """One message per `interval` seconds and destination after a burst of six, for at most 1,024 destinations."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[Address, TokenBucket] = {}

    def take(self, destination: Address, interval: float, now: Seconds) -> bool:
        """Whether a message may go to `destination` now."""
        bucket = self._buckets.get(destination)
        if bucket is None:
            if len(self._buckets) >= _MAX_DESTINATIONS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[destination] = TokenBucket(1 / interval, _BURST)
        return bucket.take(now)
