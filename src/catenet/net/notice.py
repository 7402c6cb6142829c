"""A warning that an attack cannot repeat: at most one line a minute for each kind of event."""

from __future__ import annotations

import logging

__all__ = ["Notice"]

INTERVAL = 60.0
"""Seconds between two lines."""

logger = logging.getLogger("catenet.net")


class Notice:
    """One kind of event that deserves a line in the log now and then."""

    __slots__ = ("_next", "_suppressed")

    def __init__(self) -> None:
        self._next: float | None = None
        self._suppressed = 0

    def warn(self, now: float, message: str, *values: object, error: Exception | None = None) -> None:
        """Log `message % values`, with where `error` comes from, unless that was done within the last minute."""
        if self._next is not None and now < self._next:
            self._suppressed += 1
            return
        if self._suppressed:
            message += f" (and {self._suppressed} times since the last message)"
        self._next, self._suppressed = now + INTERVAL, 0
        logger.warning(message, *values, exc_info=error)
