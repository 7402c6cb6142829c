"""The stack's timers: absolute deadlines in one heap; ties break by the order of their making."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any

from catenet.stack.units import Seconds

__all__ = ["Timer", "Timers"]


class Timer:
    """One deadline; `cancel` may be called at any time, also after it ran."""

    __slots__ = ("args", "callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.deadline = deadline
        self.callback: Callable[..., Any] | None = callback
        self.args = args

    def cancel(self) -> None:
        """Make the timer do nothing; the heap drops it when it comes up."""
        self.callback = None
        self.args = ()


class Timers:
    """A heap of timers that the stack's parts share."""

    __slots__ = ("_cancelled_limit", "_heap", "_sequence", "on_earlier")

    def __init__(self, on_earlier: Callable[[], None] | None = None) -> None:
        """Make an empty heap; `on_earlier` is called when a timer is set that comes before all others."""
        self.on_earlier = on_earlier
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._cancelled_limit = 1024

    def call_at(self, deadline: float, callback: Callable[..., Any], *args: Any) -> Timer:
        """Have `callback(*args)` called when `deadline` (seconds) is reached."""
        timer = Timer(deadline, callback, args)
        self._sequence += 1
        heap = self._heap
        if len(heap) >= self._cancelled_limit:
            # Cancelled timers far in the future must not pile up: sweep whenever the heap has doubled.
            heap[:] = [entry for entry in heap if entry[2].callback is not None]
            heapq.heapify(heap)
            self._cancelled_limit = max(1024, 2 * len(heap))
        heapq.heappush(heap, (deadline, self._sequence, timer))
        if heap[0][2] is timer and self.on_earlier is not None:
            self.on_earlier()
        return timer

    def earliest(self) -> float:
        """Time of the first entry, even a cancelled one; infinite without any."""
        return self._heap[0][0] if self._heap else math.inf

    def next_deadline(self) -> float | None:
        """Earliest deadline, None without any."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run_due(self, now: Seconds) -> None:
        """Call what is due at `now` in the order of deadlines, including what callbacks add that is due already."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            callback, args = timer.callback, timer.args
            if callback is not None:
                timer.cancel()
                callback(*args)

    def clear(self) -> None:
        """Forget all timers."""
        self._heap.clear()
