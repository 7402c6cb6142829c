"""One timer of an event loop for what a pure core has to do by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Alarm"]


class Alarm:
    """Calls `fire` with the time when the earliest deadline that it was armed for has come.

    `armed`: it will. What has been armed for is not taken back by a later deadline: `fire` arms anew.
    """

    __slots__ = ("_due", "_fire", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, fire: Callable[[float], None]) -> None:
        self._loop = loop
        self._fire = fire
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    @property
    def armed(self) -> bool:
        """Whether a deadline is awaited."""
        return self._timer is not None

    def arm(self, due: float | None) -> None:
        """Fire at `due` (loop time) or before; None: there is no deadline."""
        if due is None or (self._timer is not None and self._due <= due):
            return
        self.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._expire)

    def cancel(self) -> None:
        """Do not fire."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self._fire(max(self._loop.time(), self._due))  # a timer may be early by the resolution of the clock
