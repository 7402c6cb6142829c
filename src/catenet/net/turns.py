"""The writes of many connections, together at the end of a turn of the event loop.

A write to a peer that sleeps wakes it, which costs a server more than the write. What is written while the peer, or
its processor, is awake already does not. So what the connections of one turn have to say leaves together, when the loop
has handed out what came; but a turn that is long does not keep its first answers back.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["FEW", "Turns"]

_TOGETHER = 16
"""Connections that are written to at once."""
_PATIENCE = 0.0005
"""Seconds that the first of them waits for the others, with handlers that take their time."""
FEW = 2
"""So many connections have nobody to wait for: they do not join others."""


class _Member(Protocol):
    def end_turn(self) -> None:
        """Write what there is."""


class Turns:
    """Ends the turns of connections on one event loop. `members`: how many connections there are."""

    __slots__ = ("_loop", "_since", "_waiting", "members")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.members = 0
        self._loop = loop
        self._waiting: list[_Member] = []
        self._since = 0.0

    def join(self, member: _Member) -> None:
        """Let a connection be written to with others."""
        waiting = self._waiting
        waiting.append(member)
        count = len(waiting)
        if count == 1:
            self._since = time.monotonic()
            self._loop.call_soon(self._end)
        elif count >= _TOGETHER or time.monotonic() - self._since > _PATIENCE:
            self._end()

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for member in waiting:
            try:
                member.end_turn()
            except Exception as error:  # the others have nothing to do with it
                self._loop.call_exception_handler(
                    {"message": "writing to a connection failed", "exception": error, "protocol": member}
                )
