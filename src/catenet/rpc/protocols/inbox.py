"""Messages that have come and nobody has asked for yet, with the flow-control credit they hold.

Credit is given back for whatever is not here as a complete message: parts of a message must be able to become whole
(their size is limited before they come), while whole ones that wait are what back-pressure is for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from catenet.http.stream import Stream
from catenet.rpc.protocols.framing import Frame

__all__ = ["Credit", "Inbox"]


class Credit(Protocol):
    """Where flow-control credit goes back to."""

    def consume(self, stream: Stream, count: int) -> None:
        """The application has taken `count` bytes of the stream's data."""


class Inbox:
    """A queue with one reader. `core` and `stream` are where credit goes back to."""

    __slots__ = ("_core", "_error", "_loop", "_owed", "_queue", "_queued", "_stream", "_waiter", "ended")

    def __init__(self, loop: asyncio.AbstractEventLoop, core: Credit, stream: Stream) -> None:
        self._loop = loop
        self._core = core
        self._stream = stream
        self._queue: deque[Frame] = deque()
        self._queued = 0
        self._owed = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.ended = False

    def put(self, frames: list[Frame], received: int) -> None:
        """Add messages that `received` more bytes of body have completed."""
        self._owed += received
        for frame in frames:
            self._queue.append(frame)
            self._queued += len(frame[1])
        self._return_credit()
        if frames:
            self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come; after what is queued the reader gets None, or `error`."""
        if not self.ended:
            self.ended = True
            self._error = error
            self._wake()

    def fail(self, error: BaseException) -> None:
        """The reader gets `error` next, whatever is queued."""
        self._queue.clear()
        self._queued = 0
        self.ended = False
        self.end(error)

    async def ready(self) -> None:
        """Wait until there is a message, or there will be none."""
        while not self._queue and not self.ended:
            if self._waiter is None:
                self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def get(self) -> Frame | None:
        """Return the next message, or None after the last."""
        if not self._queue:
            await self.ready()
            if not self._queue:
                if self._error is not None:
                    raise self._error
                return None
        frame = self._queue.popleft()
        self._queued -= len(frame[1])
        self._return_credit()
        return frame

    def _return_credit(self) -> None:
        spare = self._owed - self._queued
        if spare > 0:
            self._owed -= spare
            self._core.consume(self._stream, spare)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
