"""A WebSocket client on an event loop: `ws = await connect("wss://example.org/chat")`, `await ws.send("hello")`,
`async for message in ws`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final

from catenet.http.message import Fields, ResponseHead, first
from catenet.http.url import Url
from catenet.http.websocket.client_core import ClientCore, Http2ClientCore
from catenet.http.websocket.codes import CloseCode
from catenet.http.websocket.connection import WebSocket
from catenet.http.websocket.deflate import DeflateOptions
from catenet.http.websocket.errors import HandshakeError, WebSocketClosed
from catenet.http.websocket.events import Closed, Event
from catenet.http.websocket.handshake import Agreement, ClientHandshake
from catenet.http.websocket.limits import WebSocketLimits
from catenet.net.client import connect as connect_core
from catenet.net.connection import Connection
from catenet.net.dial import Candidate
from catenet.net.target import host_and_port

__all__ = ["WebSocketClient", "connect"]

Message = str | bytes | bytearray | memoryview

OPEN_TIMEOUT: Final = 20.0
TURN: Final = 64 << 10
"""Bytes beyond which `send` waits until they have left."""
_ORDERLY: Final = frozenset((CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS))
_DEFLATE: Final = DeflateOptions()
_LIMITS: Final = WebSocketLimits()


class WebSocketClient:
    """A WebSocket that is open. One task at a time may receive, several may send.

    `async for` yields messages and ends when the server closes in order (1000, 1001, no code); otherwise it raises
    `WebSocketClosed`. Used as a context it closes at the end.
    """

    def __init__(self, connection: Connection[Event], core: ClientCore, agreement: Agreement) -> None:
        self._connection = connection
        self._core = core
        self._reading = False
        self._fragmented = asyncio.Lock()
        self.response: ResponseHead = agreement.head
        self.subprotocol: str | None = agreement.subprotocol
        self.compressed = agreement.deflate is not None
        """Whether permessage-deflate was agreed on."""

    @property
    def latency(self) -> float | None:
        """Seconds that the server took for the last Ping of `ping_interval`; None: there was none yet."""
        return self._socket.latency

    @property
    def close_code(self) -> int | None:
        """Why the connection has ended; None: it has not."""
        return None if self._core.last is None else self._core.last.code

    @property
    def close_reason(self) -> str:
        """What the server says about it."""
        return "" if self._core.last is None else self._core.last.reason

    @property
    def _socket(self) -> WebSocket:
        assert self._core.socket is not None
        return self._core.socket

    async def send(self, message: Message | Iterable[Message] | AsyncIterable[Message]) -> None:
        """Send a message, text or binary; of an iterable, one message in fragments, each as soon as it is there.

        Waits while the server does not read. Raises `WebSocketClosed`, `TypeError` for what is no message.
        """
        if isinstance(message, Message):
            if self._fragmented.locked():
                async with self._fragmented:
                    self._socket.send(message)
            else:
                self._socket.send(message)
            await self._sent()
        elif isinstance(message, AsyncIterable):
            async with self._fragmented:
                await self._send_fragments(message)
        elif isinstance(message, Iterable) and not isinstance(message, dict):
            async with self._fragmented:
                await self._send_fragments(_each(message))
        else:
            raise TypeError(f"a message is str, bytes or an iterable of these, not {type(message).__name__}")

    async def _send_fragments(self, fragments: AsyncIterable[Message]) -> None:
        """Keep one behind: the last is marked. A message that cannot be completed ends the connection."""
        held: Message | None = None
        try:
            async for fragment in fragments:
                if held is not None:
                    self._socket.send(held, end=False)
                    await self._sent()
                held = fragment
            self._socket.send(b"" if held is None else held)
            await self._sent()
        except WebSocketClosed:
            raise
        except BaseException:
            self._socket.close(CloseCode.INTERNAL_ERROR)
            self._connection.touch()
            raise

    async def _sent(self) -> None:
        connection = self._connection
        if connection.write_paused or self._socket.queued > TURN:
            try:
                await connection.drained()
            except WebSocketClosed:
                raise
            except ConnectionError:
                raise self._ended() from None
        else:
            connection.touch()

    async def receive(self) -> str | bytes:
        """Return the next message. Raises `WebSocketClosed`."""
        if self._reading:
            raise RuntimeError("another task receives already")
        self._reading = True
        try:
            event = await self._connection.next_event()
        except ConnectionError:
            raise self._ended() from None
        finally:
            self._reading = False
        if isinstance(event, str | bytes):
            return event
        raise self._ended()

    def _ended(self) -> WebSocketClosed:
        last = self._core.last
        if last is None:
            last = self._core.last = Closed(CloseCode.ABNORMAL, error="the connection was lost")
        return WebSocketClosed(last.code, last.reason, last.error)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self.receive()
            except WebSocketClosed as closed:
                if closed.code in _ORDERLY:
                    return
                raise
            yield message

    async def ping(self, payload: bytes | None = None) -> float:
        """Send a Ping and wait for its Pong; return the seconds it took. Raises `WebSocketClosed`."""
        loop = asyncio.get_running_loop()
        if payload is None:
            payload = os.urandom(4)
        while payload in self._core.pings:
            raise ValueError("a Ping with this payload is on its way")
        began = time.monotonic()
        self._socket.ping(payload)
        waiter = self._core.pings[payload] = loop.create_future()
        self._connection.touch()
        try:
            await waiter
        except asyncio.CancelledError:
            if self._core.last is not None:
                raise self._ended() from None
            raise
        finally:
            self._core.pings.pop(payload, None)
        return time.monotonic() - began

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Say Close, wait until the server has said it too and the connection has ended. Messages are dropped.

        Raises `ValueError` for a code that may not be sent and for a reason of more than 123 bytes.
        """
        self._socket.close(code, reason)
        self._connection.flush()
        if not self._reading:
            try:
                while await self._connection.next_event() is not None:
                    pass
            except ConnectionError:
                self._ended()
        await self._connection.wait_closed()

    async def __aenter__(self) -> WebSocketClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self._core.last is not None:
            await self.close()
            return
        self._socket.close(CloseCode.GOING_AWAY)
        self._connection.flush()
        self._connection.close()


async def _each(fragments: Iterable[Message]) -> AsyncIterator[Message]:
    for fragment in fragments:
        yield fragment


async def connect(
    url: str,
    *,
    subprotocols: Sequence[str] = (),
    headers: Iterable[tuple[str, str]] = (),
    origin: str | None = None,
    deflate: DeflateOptions | None = _DEFLATE,
    limits: WebSocketLimits = _LIMITS,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    unix: str | None = None,
    open_timeout: float | None = OPEN_TIMEOUT,
    dial: Callable[[], Awaitable[Candidate]] | None = None,
    http2: bool = False,
) -> WebSocketClient:
    """Open a WebSocket at a `ws:` or `wss:` URL and return it.

    Args:
        url: where, with path and query.
        subprotocols: those that are spoken here, best first.
        headers: more fields for the request.
        origin: the page that asks, for servers that want to know; programs have none.
        deflate: what is offered of permessage-deflate; None: nothing.
        limits: what the server may cost, and Pings.
        tls: for `wss:`, instead of a context that trusts the system's authorities.
        server_name: what the certificate must name, instead of the host.
        unix: path of a Unix socket to connect to, whatever the URL says.
        open_timeout: seconds for connecting and the handshake together.
        dial: connects instead, as through a proxy; TLS included.
        http2: over a stream of HTTP/2 (RFC 8441), on a connection of its own; without TLS by prior knowledge.

    Raises `ValueError` for a wrong URL, `HandshakeError` when the server refuses, `catenet.net.ConnectError`.
    """
    where = _read_url(url)
    fields: Fields = tuple((name.lower().encode(), value.encode()) for name, value in headers)
    if where.user is not None and first(fields, b"authorization") is None:
        fields = (*fields, (b"authorization", _basic(where.user, where.password or "")))
    handshake = ClientHandshake(os.urandom(16), tuple(subprotocols), deflate, origin, fields)
    kind = Http2ClientCore if http2 else ClientCore
    scheme = b"https" if where.tls else b"http"
    request = handshake.request(where.authority.encode(), where.target.encode(), version=kind.version, scheme=scheme)
    core = kind(handshake, request, limits)
    target = f"unix:{unix}" if unix is not None else host_and_port(where.host or "", where.effective_port)
    if unix is None:
        target = ("tls://" if where.tls else "tcp://") + target
    try:
        async with asyncio.timeout(open_timeout):
            connection: Connection[Event]
            if dial is None:
                alpn = ("h2",) if http2 else ()
                connection = await connect_core(
                    core, target, tls=tls, server_name=server_name, alpn=alpn, connect_timeout=None
                )
            else:
                candidate = await dial()
                connection = Connection(asyncio.get_running_loop(), core)
                candidate.hand_over(connection)
            try:
                if http2:
                    _check_protocol(connection)
                agreement = await core.opened
            except BaseException:
                connection.abort()
                raise
    except TimeoutError:
        raise HandshakeError(f"{where.without_password()}: not open after {open_timeout:g} s") from None
    return WebSocketClient(connection, core, agreement)


def _read_url(text: str) -> Url:
    """Return the URL; raise `ValueError`. RFC 6455 section 3: it has no fragment."""
    url = Url.absolute(text, ("ws", "wss"))
    if url.fragment is not None:
        raise ValueError(f"URL {text!r}: the URL of a WebSocket has no fragment")
    return url


def _check_protocol(connection: Connection[Event]) -> None:
    tls = None if connection.transport is None else connection.transport.get_extra_info("ssl_object")
    if tls is not None and tls.selected_alpn_protocol() != "h2":
        raise HandshakeError("the server does not speak HTTP/2")


def _basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())
