"""Responses of any length, written as fast as their client reads them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from catenet.compiled import mypyc_attr
from catenet.http.stream import Stream

if TYPE_CHECKING:
    from catenet.http.serving import ServingProtocol

__all__ = ["Producer"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Producer:
    """What sends a response of any length: it waits while its client does not take what there is."""

    # Defaults in the class: short responses set none of these.
    _connection: ServingProtocol
    _stream: Stream
    _drained: asyncio.Future[None] | None = None
    _unwritten: int = 0
    """Bytes since it has waited."""

    def on_drained(self) -> None:
        """What was sent has left; a handler that waits may send more."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def room(self) -> None:
        """Wait until the stream's queue is empty, and the server's budget has room; let others have their turn."""
        connection = self._connection
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
