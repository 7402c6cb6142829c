"""Connections that carry many queries (RFC 7766 6.2.1.1): TCP and TLS with messages behind their lengths, and HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Protocol, TypeVar

from catenet.dns.stream import StreamQueries
from catenet.net import Connection

__all__ = ["MOST_WAITING", "Channel", "StreamChannel", "close_connection"]

MOST_WAITING: Final = 16
"""Messages that wait to be looked at, per query; beyond it the connection is not read, and the server waits."""

FAREWELL: Final = 1.0
"""Seconds."""
E = TypeVar("E")


class Channel(Protocol):
    """A connection to a server on which queries are asked."""

    @property
    def usable(self) -> bool:
        """Whether another query can be sent."""

    def exchange(self, query: bytes) -> AsyncGenerator[bytes]:
        """Send a query and yield what comes for its id, for as long as somebody asks. Raises `ConnectionError`."""

    async def close(self) -> None:
        """Close the connection."""


async def close_connection(connection: Connection[E]) -> None:
    """Say goodbye for a second at most."""
    connection.close()
    try:
        async with asyncio.timeout(FAREWELL):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()


class StreamChannel:
    """A TCP or TLS connection; answers come in any order and find their queries by id."""

    def __init__(self, connection: Connection[bytes], core: StreamQueries) -> None:
        self._connection = connection
        self._core = core
        self._waiting: dict[bytes, asyncio.Queue[bytes | None]] = {}
        self._error: str | None = None
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @property
    def usable(self) -> bool:
        """Whether the server has not closed."""
        return self._error is None

    async def exchange(self, query: bytes) -> AsyncGenerator[bytes]:
        """Send a query and yield what comes with its id; queries that are under way at once differ in theirs."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING)
        number = query[:2]
        self._waiting[number] = queue
        try:
            self._core.send(query)
            await self._connection.drained()
            while self._error is None or not queue.empty():
                message = await queue.get()
                if message is None:
                    break
                yield message
            raise ConnectionError(self._error or "the connection is closed")
        finally:
            del self._waiting[number]
            while not queue.empty():  # the reader may wait for room
                queue.get_nowait()

    async def close(self) -> None:
        """Close the connection; a server that does not let go of it has a second."""
        self._reader.cancel()
        await close_connection(self._connection)

    async def _read(self) -> None:
        try:
            async for message in self._connection:
                queue = self._waiting.get(message[:2])
                if queue is not None:
                    await queue.put(message)
            self._error = "the server closed the connection"
        except OSError as error:
            self._error = f"the connection broke: {error}"
        for queue in self._waiting.values():
            if not queue.full():
                queue.put_nowait(None)
