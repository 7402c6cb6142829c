"""Keeping to a rate: how long to wait after so many bytes."""

from __future__ import annotations

__all__ = ["RateLimit"]


class RateLimit:
    """Grants `rate` bytes a second, up to a quarter of a second's at once. Pure: `now` is handed in."""

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._free = now

    @property
    def piece(self) -> int:
        """The most bytes to handle before asking again."""
        return max(1, min(1 << 16, self._rate // 8))

    def delay(self, count: int, now: float) -> float:
        """Return the seconds to wait after `count` bytes more."""
        self._free = max(self._free, now - 0.25) + count / self._rate
        return max(0.0, self._free - now)
