"""A WebSocket server on `catenet.net` that sends every message back; for peers, without an HTTP server around it."""

from __future__ import annotations

import argparse
import asyncio

from catenet.http import events as ev
from catenet.http.core import HttpCore
from catenet.http.h1.connection import H1Connection
from catenet.http.message import RequestHead, ResponseHead
from catenet.http.stream import Stream
from catenet.http.websocket.connection import WebSocket
from catenet.http.websocket.deflate import DeflateOptions
from catenet.http.websocket.errors import HandshakeError, WebSocketClosed
from catenet.http.websocket.events import Closed, Event
from catenet.http.websocket.handshake import read_opening
from catenet.http.websocket.limits import WebSocketLimits
from catenet.net import serve
from catenet.net.server import AcceptedConnection, CoreServer

LIMITS = WebSocketLimits(max_message=20 << 20, max_frame=20 << 20, ping_interval=None)
OPTIONS = DeflateOptions(server_max_window_bits=15, client_max_window_bits=15)


class ServerCore:
    """The five verbs: the handshake, then the WebSocket."""

    def __init__(
        self,
        subprotocols: tuple[str, ...] = ("echo",),
        options: DeflateOptions | None = OPTIONS,
        limits: WebSocketLimits = LIMITS,
    ) -> None:
        self.subprotocols = subprotocols
        self.options = options
        self.limits = limits
        self.socket: WebSocket | None = None
        self.path = b""
        self._http: HttpCore = H1Connection(False)
        self._closed = False

    @property
    def begun(self) -> bool:
        return self.socket is not None

    @property
    def unfinished(self) -> bool:
        return self.socket is not None and self.socket.unfinished

    @property
    def closed(self) -> bool:
        return self._closed or (self.socket is not None and self.socket.closed)

    @property
    def full(self) -> bool:
        return self.socket is not None and self.socket.full

    @property
    def queued(self) -> int:
        return 0 if self.socket is None else self.socket.queued

    def receive(self, data: bytes, now: float) -> None:
        if self.socket is not None:
            self.socket.receive(data, now)
            return
        http = self._http
        events = http.receive(data, now) if data else http.receive_eof()
        while events:
            for kind, stream, value, _ in events:
                if kind == ev.HEAD:
                    self._answer(stream, value)
                elif kind == ev.DATA:
                    self._pass_on(value, now)
                elif kind in (ev.RESET, ev.CLOSED):
                    self._closed = True
            events = http.receive(b"", now) if http.pending else []
        self._closed = self._closed or not data

    def _pass_on(self, data: bytes, now: float) -> None:
        if self.socket is not None:
            self.socket.receive(data, now)

    def _answer(self, stream: Stream, request: RequestHead) -> None:
        try:
            opening = read_opening(request, 1)
            answer, deflate = opening.accept(opening.choose(self.subprotocols), self.options)
        except HandshakeError as error:
            self._http.send_head(stream, ResponseHead(error.status, error.fields), True)
            self._closed = True
            return
        self.path = request.path
        self._http.send_head(stream, answer)
        self.socket = WebSocket(False, deflate=deflate, limits=self.limits)

    def transmit(self, now: float) -> bytes:
        return self._http.transmit() or (b"" if self.socket is None else self.socket.transmit(now))

    def next_event(self) -> Event | None:
        return None if self.socket is None else self.socket.next_event()

    def next_deadline(self) -> float | None:
        return None if self.socket is None else self.socket.next_deadline()

    def handle_timeout(self, now: float) -> None:
        if self.socket is not None:
            self.socket.handle_timeout(now)

    def drain(self, now: float) -> None:
        if self.socket is None:
            self._closed = True
        else:
            self.socket.drain(now)


async def echo(connection: AcceptedConnection[Event]) -> None:
    """Send every message back; `/close` closes at the first one."""
    core = connection.core
    assert isinstance(core, ServerCore)
    async for event in connection:
        assert core.socket is not None
        if isinstance(event, Closed):
            return
        if not isinstance(event, str | bytes):
            connection.touch()
        elif core.path == b"/close":
            core.socket.close(4321, "as you wish")
            connection.touch()
        else:
            try:
                core.socket.send(event)
            except WebSocketClosed:
                return  # the peer has closed while its message waited for us
            await connection.drained()


async def start(url: str = "tcp://127.0.0.1:0", **options: object) -> CoreServer[Event]:
    """Serve."""
    return await serve(lambda: ServerCore(**options), url, echo)  # type: ignore[arg-type]


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    async with await start(f"tcp://127.0.0.1:{parser.parse_args().port}") as server:
        print(server.urls[0], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
