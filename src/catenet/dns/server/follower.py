"""A secondary on the event loop: it asks its primaries, fetches what is newer, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from catenet.dns.resolver.upstream import Upstream
from catenet.dns.zone import Zone
from catenet.dns.zone.difference import Difference
from catenet.dns.zone.secondary import Loaded, Secondary

__all__ = ["Follower"]


class Follower:
    """Drives a `Secondary`.

    `replaced` is called with each version and the differences that led to it, if they came; with None when the zone has
    expired.
    """

    def __init__(self, core: Secondary, replaced: Callable[[Zone | None, Sequence[Difference]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._core = core
        self._replaced = replaced
        self._upstream = Upstream(self._received, self._failed)
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._core.start(self._loop.time())
        self._go()

    def notify(self, serial: int | None) -> None:
        """A primary says that the zone has changed."""
        self._core.notify(serial, self._loop.time())
        self._go()

    def close(self) -> None:
        """Ask nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._closing = self._loop.create_task(self._upstream.close())

    def _received(self, token: int, data: bytes) -> None:
        self._core.receive(token, data, self._loop.time())
        self._go()

    def _failed(self, token: int) -> None:
        self._core.fail(token, self._loop.time())
        self._go()

    def _on_time(self) -> None:
        self._timer = None
        self._core.handle_timeout(self._loop.time())
        self._go()

    def _go(self) -> None:
        if self._closing is not None:
            return
        core = self._core
        for exchange in core.transmit():
            self._upstream.begin(exchange)
        for token in core.finished():
            self._upstream.end(token)
        while (event := core.next_event()) is not None:
            if isinstance(event, Loaded):
                self._replaced(event.zone, event.changes)
            else:
                self._replaced(None, ())
        if self._timer is not None:
            self._timer.cancel()
        due = core.next_deadline()
        self._timer = None if due is None else self._loop.call_at(due, self._on_time)
