"""Requests on pooled connections, without any policy: what `Client` stands on, and what other libraries can."""

from __future__ import annotations

import asyncio
import copy
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from catenet.http.client.body import Source
from catenet.http.client.connection import ClientConnection, Dial
from catenet.http.client.dialling import Dialler, HttpConnection, Resolve
from catenet.http.client.errors import ConnectFailed, ConnectionLost, PeerError, RequestError, RequestTimeout
from catenet.http.client.exchange import Exchange
from catenet.http.client.origin import Origin
from catenet.http.client.timeouts import Timeouts
from catenet.http.errors import PeerLimit
from catenet.http.h1.memo import H1Memo
from catenet.http.h2.blocks import Memos
from catenet.http.limits import Limits
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.net.async_pool import AcquireTimeout, AsyncPool
from catenet.net.deadlines import Deadlines
from catenet.net.pool import PoolLimits
from catenet.net.tls import client_context

__all__ = ["Outgoing", "Transport", "TransportOptions"]

ALPN = {"auto": ("h2", "http/1.1"), "1.1": ("http/1.1",), "2": ("h2",)}


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How connections are made and kept.

    * `versions`: `auto` (HTTP/2 where TLS agrees on it), `1.1`, or `2` (also without TLS: prior knowledge).
    * `verify`, `ca`, `cert`, `key`, `tls`: certificates, as `catenet.net.client_context` has them; `tls` replaces it.
    * `server_name`: what the certificate must name, instead of the host.
    * `resolve`: finds addresses, instead of the system's resolver.
    * `pool`, `limits`: how many connections; what a server may cost.
    """

    versions: str = "auto"
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    resolve: Resolve | None = None
    connect_timeout: float | None = 10.0
    pool: PoolLimits = field(default_factory=lambda: PoolLimits(100, 100, 30.0))
    limits: Limits = field(default_factory=lambda: Limits(max_streams=0, glitch_burst=10_000, glitch_rate=1000.0))

    def __post_init__(self) -> None:
        if self.versions not in ALPN:
            raise ValueError(f"versions {self.versions!r}: {', '.join(ALPN)} are known")


class Outgoing(Protocol):
    """What a transport asks of a request besides its head."""

    @property
    def source(self) -> Source:
        """The body."""

    @property
    def trailers(self) -> Fields:
        """Fields after the body."""

    @property
    def expects(self) -> bool:
        """Whether the body waits for 100 Continue."""


class Transport:
    """The connections of one client on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: TransportOptions) -> None:
        self.loop = loop
        self.deadlines = Deadlines(loop)
        self._options = options
        self._tls: ssl.SSLContext | None = None
        self._proxy_tls: ssl.SSLContext | None = None
        self._upgrading_tls: ssl.SSLContext | None = None
        parts = Dial(options.limits, Memos(), H1Memo(), None, http1=options.versions != "2")
        self._dialler = Dialler(
            loop,
            parts,
            self._context,
            self.proxy_context,
            http2_only=options.versions == "2",
            timeout=options.connect_timeout,
            server_name=options.server_name,
            resolve=options.resolve,
        )
        self._pool: AsyncPool[Origin, HttpConnection] = AsyncPool(
            loop, options.pool, self._connect, HttpConnection.close, self._connect_failed
        )
        self._expiry = options.pool.keepalive_expiry
        self._origins: dict[HttpConnection, Origin] = {}
        self._closed = False

    # Requests.

    async def send(
        self, origin: Origin, head: RequestHead, body: bytes, timeouts: Timeouts, end: float | None, limit: int | None
    ) -> Exchange:
        """Send a request whose body is at hand; return when the response is complete. Raises `RequestError`."""
        connection = self._pool.pick(origin)
        if connection is None or connection.is_stale(self._expiry):
            connection = await self._acquire(origin, connection, timeouts, end)
        exchange = Exchange(connection, self.deadlines, timeouts, end, True)
        exchange.limit = limit
        self._start(exchange, head, body)
        await exchange.wait_for_end()
        return exchange

    async def begin(
        self,
        origin: Origin,
        head: RequestHead,
        request: Outgoing,
        timeouts: Timeouts,
        end: float | None,
        collects: bool,
        limit: int | None,
        told: Callable[[ResponseHead], None] | None = None,
    ) -> Exchange:
        """Send a request; return when the head of its response has come, or its body too if it `collects`.

        `limit`: bytes of a body that is collected; `told` hears of 1xx responses as they come. Raises `RequestError`.
        """
        connection = self._pool.pick(origin)
        if connection is None or connection.is_stale(self._expiry):
            connection = await self._acquire(origin, connection, timeouts, end)
        exchange = Exchange(connection, self.deadlines, timeouts, end, collects)
        exchange.limit = limit
        exchange.told = told
        whole = request.source.whole
        if whole is not None and not request.trailers and not (request.expects and whole):
            self._start(exchange, head, whole)
        else:
            try:
                exchange.start_upload(head, request.source, request.trailers, request.expects)
            except BaseException as error:
                raise self._not_sent(connection, error) from None
        await (exchange.wait_for_end() if collects else exchange.wait_for_head())
        return exchange

    def _start(self, exchange: Exchange, head: RequestHead, body: bytes) -> None:
        try:
            exchange.start(head, body)
        except BaseException as error:
            raise self._not_sent(exchange.connection, error) from None

    def _not_sent(self, connection: HttpConnection, error: BaseException) -> BaseException:
        """The connection was not used after all: another request may."""
        connection.has_room()
        return RequestError(f"the request's {error}") if isinstance(error, PeerLimit) else error

    # Connections.

    async def _acquire(
        self, origin: Origin, stale: HttpConnection | None, timeouts: Timeouts, end: float | None
    ) -> HttpConnection:
        if self._closed:
            raise RequestError("the client is closed")
        while stale is not None:
            self._drop(stale)
            stale = self._pool.pick(origin)
            if stale is not None and not stale.is_stale(self._expiry):
                return stale
        for member in self._pool.members(origin):
            member.on_room = self._on_room
        phase, due = self._waiting_time(origin, timeouts)
        if end is not None and (due is None or end < due):
            phase, due = "total", end
        try:
            while True:
                connection = await self._pool.acquire(origin, due)
                if not connection.is_stale(self._expiry):
                    return connection
                self._drop(connection)
        except AcquireTimeout:
            what = {"pool": "no connection became free in time", "total": "the request was not complete in time"}
            raise RequestTimeout(what.get(phase, f"cannot connect to {origin}: no answer in time"), phase) from None

    def _waiting_time(self, origin: Origin, timeouts: Timeouts) -> tuple[str, float | None]:
        """Return what a request waits for, and until when."""
        full = self._pool.full
        first = not any(True for _ in self._pool.members(origin)) and not full
        if first or timeouts.pool is None:
            # The attempt itself has the time of the client's `connect`; a request may name less.
            own, limit = self._options.connect_timeout, timeouts.connect if first else None
            shorter = limit is not None and (own is None or limit < own)
            return "connect", self.loop.time() + limit if shorter and limit is not None else None
        return "pool", self.loop.time() + timeouts.pool

    async def _connect(self, origin: Origin) -> HttpConnection:
        connection = await self._dialler.dial(origin)
        if self._closed:
            connection.close()
            raise ConnectFailed("the client is closed")
        self._origins[connection] = origin
        connection.on_change = self._on_change
        connection.on_room = self._on_room
        return connection

    def _connect_failed(self, origin: Origin, error: Exception) -> None:
        """Whoever waits for this origin has waited in vain."""
        self._pool.fail(origin, lambda: _another(error))

    def _on_room(self, connection: ClientConnection) -> None:
        assert isinstance(connection, HttpConnection)
        self._pool.changed(connection)
        if connection.core.version >= 2 and not self._pool.waiting(self._origins[connection]):
            connection.on_room = None

    def _on_change(self, connection: ClientConnection) -> None:
        assert isinstance(connection, HttpConnection)
        if connection.alive:
            self._pool.changed(connection)
        else:
            self._pool.lost(connection)
            connection.on_room = None
            if connection.transport is None:  # what it carries may go on until then
                self._origins.pop(connection, None)

    def _drop(self, connection: HttpConnection) -> None:
        self._pool.lost(connection)
        connection.close()

    # TLS.

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._new_context()
            self._tls.set_alpn_protocols(list(ALPN[self._options.versions]))
        return self._tls

    def _new_context(self) -> ssl.SSLContext:
        options = self._options
        return options.tls or client_context(options.ca, options.cert, options.key, verify=options.verify)

    def websocket_context(self) -> ssl.SSLContext:
        """The same certificates for a protocol that begins with HTTP/1.1."""
        if self._upgrading_tls is None:
            self._upgrading_tls = self._new_context()
            if self._options.tls is None:
                self._upgrading_tls.set_alpn_protocols(["http/1.1"])
        return self._upgrading_tls

    def proxy_context(self) -> ssl.SSLContext:
        """For a proxy that is itself reached over TLS; it gets no certificate of ours."""
        if self._proxy_tls is None:
            self._proxy_tls = client_context(self._options.ca, verify=self._options.verify, alpn=("http/1.1",))
        return self._proxy_tls

    # The end.

    async def close(self) -> None:
        """Close all connections; requests that run end with `ConnectionLost`."""
        self._closed = True
        await self._pool.shut(lambda: RequestError("the client is closed"))
        for connection in list(self._origins):
            connection.on_change = connection.on_room = None
            for stream in list(connection.core.streams.values()):
                if isinstance(stream.owner, Exchange):
                    stream.owner.cancel(ConnectionLost("the client was closed"))
            connection.close()
        self._origins.clear()
        self.deadlines.close()
        await asyncio.sleep(0)  # transports close in the next turn


def _another(error: Exception) -> Exception:
    """Each of those that wait gets an exception of its own."""
    if not isinstance(error, RequestError):
        return PeerError(str(error))
    made = copy.copy(error)
    made.__cause__ = error.__cause__
    return made
