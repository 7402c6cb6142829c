"""How many requests may have files open at once.

A reader that has stalled holds a descriptor, and HTTP/2 has many of them in a connection: without a limit one takes all
descriptors of the process, and nobody else can even be accepted.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from typing import Final

from catenet.http.files.answer import Refused

__all__ = ["EACH", "Places"]

EACH: Final = 32
"""Requests of one connection; more of them wait for these."""
_DESCRIPTORS: Final = 2
"""Of one request: a file and its folder."""
_LEAST: Final = 8


class Places:
    """Counts requests by connections. `most`: of all together; None: what leaves half of the descriptors."""

    def __init__(self, most: int | None = None) -> None:
        self._most = _affordable() if most is None else most
        self._taken = 0
        self._held: dict[object, int] = {}
        self._waiting: dict[object, deque[asyncio.Future[None]]] = {}

    async def take(self, connection: object) -> None:
        """Take a place, after others of the same connection. Raises `Refused` (503) where all together have all."""
        while self._held.get(connection, 0) >= EACH:
            await self._wait(connection)
        if self._taken >= self._most:
            self._wake(connection)
            raise Refused(503, fields=((b"retry-after", b"1"),))
        self._taken += 1
        self._held[connection] = self._held.get(connection, 0) + 1

    def give(self, connection: object) -> None:
        """Give a place back."""
        self._taken -= 1
        held = self._held[connection] - 1
        if held:
            self._held[connection] = held
        else:
            del self._held[connection]
        if self._waiting:
            self._wake(connection)

    async def _wait(self, connection: object) -> None:
        waiter = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(connection, deque())
        queue.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._wake(connection)  # it was woken, and leaves its turn to the next
            raise
        finally:
            if waiter in queue:
                queue.remove(waiter)
            if not queue:
                self._waiting.pop(connection, None)

    def _wake(self, connection: object) -> None:
        queue = self._waiting.get(connection)
        while queue:
            waiter = queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def _affordable() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else max(soft // 2 // _DESCRIPTORS, _LEAST)
