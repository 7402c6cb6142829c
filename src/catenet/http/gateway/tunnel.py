"""Upgrades through a gateway: WebSocket over HTTP/1.1 or HTTP/2 (RFC 8441) in front, over HTTP/1.1 behind it."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Final

from catenet.http.client.exchange import Exchange as ClientExchange
from catenet.http.driver import IGNORE
from catenet.http.events import StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.outlet import Outlet
from catenet.http.server.exchange import Disconnected, Exchange, Tunnel
from catenet.http.websocket.handshake import accept_key

__all__ = ["UpstreamTunnel", "is_upgrade", "run_tunnel", "switched_head", "upgrade_head"]

_KEY: Final = b"sec-websocket-key"
_ACCEPT: Final = b"sec-websocket-accept"


def is_upgrade(head: RequestHead) -> bool:
    """Whether a request opens a WebSocket, the one protocol that passes."""
    if head.protocol is not None:
        return head.protocol == b"websocket"
    return head.method == b"GET" and b"websocket" in head.upgrade


def upgrade_head(head: RequestHead, path: bytes, fields: Fields, authority: bytes) -> tuple[RequestHead, bytes]:
    """Return the request of HTTP/1.1 that opens it behind, and its key: HTTP/2 has none."""
    key = head.get(_KEY)
    if head.protocol is not None or key is None:
        key = base64.b64encode(os.urandom(16))
        fields = (*(field for field in fields if field[0] != _KEY), (_KEY, key))
    return RequestHead(b"GET", path, (*fields, (b"upgrade", b"websocket")), authority), key


def switched_head(head: RequestHead, response: ResponseHead, fields: Fields, key: bytes) -> ResponseHead | None:
    """Return the head that tells the client of the change; None if the server did not read our request."""
    if response.get(_ACCEPT) != accept_key(key):
        return None
    if head.protocol is None:
        return ResponseHead(101, (*fields, (b"upgrade", b"websocket")))
    return ResponseHead(200, tuple(field for field in fields if field[0] != _ACCEPT))


class UpstreamTunnel:
    """The side of a tunnel that a server behind has: owner of the stream once that has changed its protocol."""

    def __init__(self, exchange: ClientExchange) -> None:
        self._connection = exchange.connection
        self._stream = exchange.stream
        self._pieces = exchange.pieces
        self._over = False
        self._lost = ""
        self._waiter: asyncio.Future[None] | None = None
        self._outlet = Outlet(exchange.connection, exchange.stream)
        exchange.stream.owner = self

    async def read(self) -> bytes:
        """Return what has come, `b""` after the last. Raises `ConnectionError`."""
        while not self._pieces:
            if self._lost:
                raise ConnectionResetError(self._lost)
            if self._over:
                return b""
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        if not self._over:
            self._connection.core.consume(self._stream, len(piece))
            self._connection.touch()
        return piece

    async def write(self, data: bytes) -> None:
        """Send bytes, as soon as the server takes them. Raises `ConnectionError`."""
        if self._lost:
            raise ConnectionResetError(self._lost)
        room = self._outlet.put(data)
        self._connection.touch()
        if not room:
            await self._outlet.room()

    def write_eof(self) -> None:
        """End our direction."""
        if not self._lost and self._stream.local_open:
            self._connection.core.send_data(self._stream, b"", True)
            self._connection.touch()

    def close(self) -> None:
        """Give the connection up: nobody else can use it."""
        self._stream.owner = IGNORE
        self._connection.flush()
        self._connection.close_transport()

    # As the owner of the stream.

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """There was one."""

    def on_data(self, data: bytes, end: bool) -> None:
        """Bytes have come."""
        if data:
            self._pieces.append(data)
        self._over = self._over or end
        self._wake(self._waiter)

    def on_trailers(self, fields: Fields) -> None:
        """There are none."""

    def on_reset(self, reset: StreamReset) -> None:
        """It broke off."""
        self._lost = reset.message or "the connection broke off"
        self._wake(self._waiter)
        self._outlet.drained()

    def on_drained(self) -> None:
        """What was written has left."""
        self._outlet.drained()

    def owes(self) -> bool:
        """A tunnel owes nothing."""
        return False

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


async def run_tunnel(front: Tunnel, behind: UpstreamTunnel, exchange: Exchange) -> None:
    """Hand bytes on both ways until both directions have ended, or one breaks."""

    async def inwards() -> None:
        while data := await front.read():
            await behind.write(data)
        behind.write_eof()

    async def outwards() -> None:
        while data := await behind.read():
            await front.write(data)
        front.write_eof()

    tasks = [asyncio.ensure_future(inwards()), asyncio.ensure_future(outwards())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                if not isinstance(error, ConnectionError | Disconnected):
                    raise error
                exchange.break_off()
    finally:
        for task in tasks:
            task.cancel()
        behind.close()
