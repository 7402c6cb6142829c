"""A WebSocket client as a core of five verbs: the opening handshake, and then the WebSocket.

Over HTTP/1.1 the connection becomes the WebSocket (RFC 6455 section 4); over HTTP/2 one stream of it does (RFC 8441),
the only one on a connection of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

from catenet.http import events as ev
from catenet.http.core import HttpCore
from catenet.http.events import StreamReset
from catenet.http.h1.connection import H1Connection
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead
from catenet.http.stream import Stream
from catenet.http.websocket.connection import WebSocket
from catenet.http.websocket.errors import HandshakeError
from catenet.http.websocket.events import Closed, Event, Ping, Pong
from catenet.http.websocket.handshake import Agreement, ClientHandshake
from catenet.http.websocket.limits import WebSocketLimits

__all__ = ["ClientCore", "Http2ClientCore"]


class ClientCore:
    """The five verbs: first the handshake over HTTP/1.1, then the WebSocket. Pings and Pongs are not for the reader."""

    version = 1

    def __init__(self, handshake: ClientHandshake, request: RequestHead, limits: WebSocketLimits) -> None:
        self._handshake = handshake
        self._limits = limits
        self._http = self._begin(request)
        self.socket: WebSocket | None = None
        self.opened: asyncio.Future[Agreement] = asyncio.get_running_loop().create_future()
        self.pings: dict[bytes, asyncio.Future[None]] = {}
        self.last: Closed | None = None
        self.closed = False

    def _begin(self, request: RequestHead) -> HttpCore:
        http = H1Connection(True)
        http.open(request, True)
        return http

    @property
    def begun(self) -> bool:
        """Whether the handshake is over."""
        return self.socket is not None

    @property
    def unfinished(self) -> bool:
        """Whether the server has begun something, and not finished it."""
        return self.socket is not None and self.socket.unfinished

    @property
    def full(self) -> bool:
        """Whether nothing more is to be read until messages are asked for."""
        return self.socket is not None and self.socket.full

    @property
    def queued(self) -> int:
        """Bytes that wait to be sent."""
        return 0 if self.socket is None else self.socket.queued

    def receive(self, data: bytes, now: float) -> None:
        """Take the next bytes from the server; b"" is their end."""
        if self.socket is not None:
            self.socket.receive(data, now)
            return
        http = self._http
        events = http.receive(data, now) if data else http.receive_eof()
        while events and not self.closed:
            for kind, _, value, _ in events:
                self._take(kind, value, now)
            events = http.receive(b"", now) if http.pending else []

    def _take(self, kind: int, value: Any, now: float) -> None:
        """Something has come of the answer; what follows its head goes to the WebSocket."""
        if self.socket is not None:
            if kind == ev.DATA:
                self.socket.receive(value, now)
        elif kind == ev.HEAD:
            self._agree(value)
        elif kind in (ev.RESET, ev.CLOSED):
            self._refuse(HandshakeError(f"no answer to the handshake: {_said(value)}"))

    def _agree(self, head: ResponseHead) -> None:
        try:
            agreement = self._handshake.check(head, self.version)
        except HandshakeError as error:
            self._refuse(error)
            return
        self.socket = WebSocket(True, deflate=agreement.deflate, limits=self._limits)
        if not self.opened.done():
            self.opened.set_result(agreement)

    def _refuse(self, error: HandshakeError) -> None:
        self.closed = True
        if not self.opened.done():
            self.opened.set_exception(error)

    def transmit(self, now: float) -> bytes:
        """Return the bytes to be sent now."""
        return self._http.transmit() or (b"" if self.socket is None else self.socket.transmit(now))

    def next_event(self) -> Event | None:
        """Return the next message, or how the WebSocket has ended; None: there is none yet."""
        socket = self.socket
        if socket is None:
            return None
        while isinstance(event := socket.next_event(), Ping | Pong):
            if isinstance(event, Pong):
                self._answered(event.payload)
        if isinstance(event, Closed):
            self.last = event
            for waiter in self.pings.values():
                waiter.cancel()
        self.closed = socket.closed
        return event

    def _answered(self, payload: bytes) -> None:
        """A Pong answers its Ping and those before it (RFC 6455 section 5.5.3)."""
        if payload not in self.pings:
            return
        for ping in list(self.pings):
            waiter = self.pings.pop(ping)
            if not waiter.done():
                waiter.set_result(None)
            if ping == payload:
                return

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` is due."""
        return None if self.socket is None else self.socket.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """A deadline has come."""
        if self.socket is not None:
            self.socket.handle_timeout(now)
            self.closed = self.socket.closed

    def drain(self, now: float) -> None:
        """Close in order."""
        if self.socket is not None:
            self.socket.drain(now)
        else:
            self.closed = True


class Http2ClientCore(ClientCore):
    """The same over HTTP/2. The server's SETTINGS say whether it takes an extended CONNECT (RFC 8441 section 3)."""

    version = 2

    _stream: Stream | None = None
    _request: RequestHead
    _unread: int = 0
    """Bytes that the WebSocket holds, for which the server gets no room yet."""
    _ended: bool = False

    def _begin(self, request: RequestHead) -> HttpCore:
        self._request = request
        return Connection(True, Limits(max_streams=0))

    @property
    def full(self) -> bool:
        """Never: the stream's window holds the server back, and what opens ours has to be read."""
        return False

    @property
    def queued(self) -> int:
        """Bytes that wait to be sent."""
        return super().queued + self._http.queued

    def receive(self, data: bytes, now: float) -> None:
        """Take the next bytes from the server; b"" is their end."""
        http = self._http
        events = http.receive(data, now) if data else http.receive_eof()
        for kind, _, value, end in events:
            self._take(kind, value, now)
            if end and self.socket is not None:
                self.socket.receive(b"", now)
        if not data and self.socket is not None:
            self.socket.receive(b"", now)

    def _take(self, kind: int, value: Any, now: float) -> None:
        socket = self.socket
        if kind == ev.SETTINGS and self._stream is None:
            if self._http.connect_protocol:
                self._stream = self._http.open(self._request, False)
            else:
                self._refuse(HandshakeError("the server takes no WebSockets over HTTP/2"))
        elif kind == ev.HEAD and socket is None:
            self._agree(value)
        elif kind == ev.DATA and socket is not None:
            if value:
                self._unread += len(value)
                socket.receive(value, now)
        elif kind in (ev.RESET, ev.CLOSED):
            if socket is not None:
                socket.receive(b"", now)
            else:
                self._refuse(HandshakeError(f"no answer to the handshake: {_said(value)}"))

    def transmit(self, now: float) -> bytes:
        """Return the bytes to be sent now."""
        stream, socket, http = self._stream, self.socket, self._http
        if stream is not None and socket is not None:
            while stream.queue is None and (data := socket.transmit(now)):
                http.send_data(stream, data)
            if socket.closed and stream.queue is None and not self._ended:
                self._ended = True
                http.send_data(stream, b"", True)
        return http.transmit()

    def next_event(self) -> Event | None:
        """Return the next message, or how the WebSocket has ended; None: there is none yet."""
        event = super().next_event()
        if self._unread and self._stream is not None and self.socket is not None and not self.socket.full:
            self._http.consume(self._stream, self._unread)
            self._unread = 0
        return event


def _said(value: object) -> str:
    return value.message if isinstance(value, StreamReset) else str(value or "the server has closed the connection")
