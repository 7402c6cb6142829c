"""Actions at times to come, for the parts of one core."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

__all__ = ["Timer", "Timers"]

_FEW: Final = 64


class Timer:
    """One action; `when` it is due."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[float], None]) -> None:
        self.when = when
        self.action: Callable[[float], None] | None = action

    @property
    def pending(self) -> bool:
        """Whether it has neither been called nor been cancelled."""
        return self.action is not None


class Timers:
    """A heap of actions. Those that are cancelled go when they are half of it, so that peers cannot fill it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, when: float, action: Callable[[float], None]) -> Timer:
        """Let `action(now)` be called at `when`."""
        self._count += 1
        timer = Timer(when, action)
        heapq.heappush(self._heap, (when, self._count, timer))
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Let it not be called."""
        if timer is None or timer.action is None:
            return
        timer.action = None
        self._cancelled += 1
        if self._cancelled > _FEW and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    @property
    def deadline(self) -> float | None:
        """When the next one is due."""
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Call all that are due."""
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            action, timer.action = timer.action, None
            if action is None:
                self._cancelled -= 1
            else:
                action(now)
