"""Responses of any length, written as fast as their client reads them."""

from __future__ import annotations

import asyncio
from typing import Protocol

from catenet.compiled import mypyc_attr
from catenet.http.stream import Stream

__all__ = ["Outlet", "Producer"]


class Outlet(Protocol):
    """What a response leaves by: a connection of ours, or a request that another server has taken."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves it."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """None: the connection is lost, or somebody else's."""

    def flush(self) -> None:
        """Let what there is leave now."""

    async def wait_for_room(self) -> None:
        """Wait until all responses together have less queued than they may."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Producer:
    """What sends a response of any length: it waits while its client does not take what there is."""

    # Defaults in the class: short responses set none of these.
    _stream: Stream
    _drained: asyncio.Future[None] | None = None
    _unwritten: int = 0
    """Bytes since it has waited."""

    @property
    def outlet(self) -> Outlet:
        """What the response leaves by."""
        raise NotImplementedError

    def on_drained(self) -> None:
        """What was sent has left; a handler that waits may send more."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def room(self) -> None:
        """Wait until the stream's queue is empty, and the server's budget has room; let others have their turn."""
        connection = self.outlet
        connection.flush()
        self._unwritten = 0
        if self._stream.queue is None:
            await asyncio.sleep(0)
        else:
            self._drained = connection.loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None
        if connection.transport is not None:
            await connection.wait_for_room()
