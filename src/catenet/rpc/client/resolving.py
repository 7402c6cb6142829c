"""The addresses of a channel's target, asked for on an event loop as `names.Refresh` decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from catenet.net.dial import Endpoint
from catenet.net.target import Target
from catenet.rpc.client.names import Refresh, Resolver, all_endpoints

__all__ = ["Resolving"]


class Resolving:
    """Asks `resolver`. `floor`: seconds between an answer and the next question; `timeout`: for each question."""

    def __init__(self, target: Target, resolver: Resolver, floor: float, timeout: float, rng: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._resolver = resolver
        self._timeout = timeout
        self._rng = rng
        self._refresh = Refresh(floor)
        self._asked = asyncio.Event()
        self._known = False
        self._error: OSError | None = None
        """Why there are no addresses; None once there were any."""

    def ask_again(self) -> None:
        """A connection has failed or ended: the addresses may be others now."""
        self._refresh.request()
        self._asked.set()

    async def once(self) -> Sequence[Endpoint] | None:
        """Return the addresses, or None if it is too early to ask again. Raises `OSError` while there are none."""
        due = self._refresh.next_deadline()
        if due is None or due > self._loop.time():
            if self._error is not None:
                raise self._error
            return None
        try:
            return await self._ask()
        except OSError as error:
            if not self._known:
                self._error = error
                raise
            return None

    async def follow(self, tell: Callable[[Sequence[Endpoint]], None], failed: Callable[[Exception], None]) -> None:
        """Tell the addresses whenever they may be others, and why there was no answer; until cancelled."""
        while True:
            self._asked.clear()
            due = self._refresh.next_deadline()
            if due is not None and due <= self._loop.time():
                try:
                    found = await self._ask()
                except OSError as error:
                    failed(error)
                else:
                    tell(found)
                continue
            try:
                async with asyncio.timeout_at(due):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _ask(self) -> Sequence[Endpoint]:
        try:
            async with asyncio.timeout(self._timeout):
                found = await all_endpoints(self._target, self._resolver)
        except OSError:  # TimeoutError is one
            self._refresh.failed(self._loop.time(), self._rng)
            raise
        self._known = True
        self._error = None
        self._refresh.succeeded(found.ttl, self._loop.time())
        return found.endpoints
