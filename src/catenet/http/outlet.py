"""What a client makes for one stream: when whoever makes it should wait, and for what."""

from __future__ import annotations

import asyncio

from catenet.http.driver import TURN_BYTES, HttpProtocol
from catenet.http.message import ResponseHead
from catenet.http.stream import Stream

__all__ = ["Outlet"]


class Outlet:
    """The sending side of a stream of a client, beside `send_data`.

    ::

        if not outlet.put(data):
            await outlet.room()

    Windows say what the server grants, not what it reads: only a transport that is full can tell. So a producer that
    never waits lets what it has made leave, and others run, each `TURN_BYTES`.
    """

    __slots__ = ("_connection", "_drained", "_full", "_stream", "_unwritten")

    def __init__(self, connection: HttpProtocol[ResponseHead], stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._unwritten = 0
        self._full = False
        self._drained: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether somebody waits for the server to take something."""
        return self._drained is not None

    def put(self, data: bytes | memoryview) -> bool:
        """Hand bytes to the machine; False: more should wait for `room`. The connection is not told of them."""
        room = self._connection.core.send_data(self._stream, data)
        if not room:
            self._full = True
            return False
        self._unwritten += len(data)
        return self._unwritten < TURN_BYTES

    async def room(self) -> None:
        """Wait until more may be sent, or `drained` is called."""
        self._unwritten = 0
        connection = self._connection
        if not self._full:
            connection.flush()
            await asyncio.sleep(0)
            return
        drained = self._drained
        if drained is None:
            drained = self._drained = connection.loop.create_future()
        await asyncio.wait([drained])  # several may wait, and one that is cancelled leaves the others alone

    def drained(self) -> None:
        """What was queued has been sent, or never will be."""
        self._full = False
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.set_result(None)
