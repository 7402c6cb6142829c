"""The deadlines of many calls behind one timer of the event loop.

Nearly every call ends before its deadline. A timer for each would be set and cancelled for nothing, and that costs more
than the call's HTTP. Here a call adds an entry to a heap and empties it when it ends; the one timer waits for the
earliest entry, and entries of calls that have ended are dropped when they are half of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

__all__ = ["Deadlines", "Entry"]

Entry = list[Any]
"""When (seconds of the loop), a sequence number to break ties, and what to call then; None: not any more."""

_KEPT = 64


class Deadlines:
    """Calls functions at their times. Made and used on one event loop."""

    __slots__ = ("_due", "_emptied", "_heap", "_loop", "_sequence", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[Entry] = []
        self._emptied = 0
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, expire: Callable[[], None]) -> Entry:
        """Call `expire` at `when` unless `remove` is given the entry before; once it is called, forget it."""
        self._sequence += 1
        entry: Entry = [when, self._sequence, expire]
        heappush(self._heap, entry)
        if self._timer is None or when < self._due:
            self._arm(when)
        return entry

    def remove(self, entry: Entry) -> None:
        """The call has ended. What the entry referred to is let go at once."""
        entry[2] = None
        self._emptied += 1
        if self._emptied > _KEPT and self._emptied * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            heapify(self._heap)
            self._emptied = 0

    def close(self) -> None:
        """Call nothing any more."""
        self._heap.clear()
        self._emptied = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = when
        self._timer = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = max(self._loop.time(), self._due)  # a timer may be early by the resolution of the clock
        last = self._sequence
        while self._heap:
            when, sequence, expire = self._heap[0]
            # What is added now and due already waits for a turn of the event loop, in which it can come to be done.
            if expire is not None and (when > now or sequence > last):
                self._arm(when)
                return
            heappop(self._heap)
            if expire is None:
                self._emptied -= 1
            else:
                try:
                    expire()
                except Exception as error:
                    # The deadlines of others are not to be lost with it.
                    context = {"message": f"Exception at a deadline, in {expire!r}", "exception": error}
                    self._loop.call_exception_handler(context)
