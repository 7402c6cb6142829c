"""Programs that use httpx ride on this client's connections: `httpx.AsyncClient(transport=AsyncCatenetTransport())`.

Needs httpx, which has the policies (redirects, cookies, credentials, codings); what is below them is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn

import httpx

from catenet.http.client.body import Content
from catenet.http.client.errors import (
    ConnectFailed,
    ConnectionLost,
    PeerError,
    ProxyError,
    RequestError,
    RequestTimeout,
)
from catenet.http.client.exchange import Exchange
from catenet.http.client.origin import Origins
from catenet.http.client.proxying import proxy_fields
from catenet.http.client.request import Request
from catenet.http.client.timeouts import Timeouts
from catenet.http.client.transport import Transport, TransportOptions
from catenet.http.policy.proxies import parse_proxy
from catenet.net.blocking import LoopOfThread

__all__ = ["AsyncCatenetTransport", "CatenetTransport"]

_LATE: dict[str, type[httpx.TimeoutException]] = {
    "connect": httpx.ConnectTimeout,
    "read": httpx.ReadTimeout,
    "write": httpx.WriteTimeout,
    "pool": httpx.PoolTimeout,
}


class AsyncCatenetTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`. `options` are those of `TransportOptions`; `proxy` is a URL."""

    def __init__(self, *, proxy: str | None = None, uds: str = "", **options: Any) -> None:
        self._options = TransportOptions(**options)
        self._proxy = None if proxy is None else parse_proxy(proxy)
        self._unix = uds
        self._origins = Origins()
        self._transport: Transport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return its response, whose body is still to be read."""
        transport = self._transport
        if transport is None:
            transport = self._transport = Transport(asyncio.get_running_loop(), self._options)
        ours = _request_of(request)
        ours.unix = self._unix
        times = request.extensions.get("timeout", {})
        timeouts = Timeouts(*(times.get(name) for name in ("connect", "write", "read", "pool")))
        origin = self._origins.of(ours.url, self._unix, self._proxy)
        extra = proxy_fields(self._proxy) if self._proxy is not None and origin.forwards else ()
        head = ours.head(origin.forwards, extra)
        try:
            exchange = await transport.begin(origin, head, ours, timeouts, None, False, None)
        except RequestError as error:
            _raise(error, request)
        assert exchange.head is not None
        version = b"HTTP/2" if exchange.connection.core.version == 2 else b"HTTP/1.1"
        return httpx.Response(
            exchange.head.status,
            headers=list(exchange.head.fields),
            stream=_Body(exchange, request),
            extensions={"http_version": version},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()


class CatenetTransport(httpx.BaseTransport):
    """For `httpx.Client`."""

    def __init__(
        self,
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        **options: Any,
    ) -> None:
        instead = "httpx.Client would block the event loop that runs here: use httpx.AsyncClient"
        self._loop: LoopOfThread[AsyncCatenetTransport] = LoopOfThread(
            lambda: AsyncCatenetTransport(**options), AsyncCatenetTransport.aclose, instead, loop_factory
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return its response, whose body is still to be read."""
        response = self._loop.run(self._loop.client().handle_async_request(request))
        body = response.stream
        assert isinstance(body, _Body)
        response.stream = _SyncBody(self._loop, body)
        return response

    def close(self) -> None:
        """Close this thread's connections."""
        self._loop.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange, request: httpx.Request) -> None:
        self.exchange = exchange
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.take():
            yield piece

    async def take(self) -> bytes:
        try:
            return await self.exchange.take()
        except RequestError as error:
            _raise(error, self._request)

    async def aclose(self) -> None:
        if not self.exchange.over:
            self.exchange.cancel(RequestError("the response was closed"))


class _SyncBody(httpx.SyncByteStream):
    def __init__(self, loop: LoopOfThread[AsyncCatenetTransport], body: _Body) -> None:
        self._loop = loop
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._loop.run(self._body.take()):
            yield piece

    def close(self) -> None:
        if not self._body.exchange.over:
            self._loop.run(self._body.aclose())


def _request_of(request: httpx.Request) -> Request:
    content: Content | None
    try:
        content = request.content or None
    except httpx.RequestNotRead:
        content = request.stream
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    made = Request(request.method, str(request.url), headers=headers, content=content)
    length = request.headers.get("content-length")
    if made.source.length is None and length is not None and length.isdigit():
        made.source.length = int(length)
    return made


def _raise(error: RequestError, request: httpx.Request) -> NoReturn:
    kind: type[httpx.TransportError] = httpx.ReadError
    if isinstance(error, RequestTimeout):
        kind = _LATE.get(error.phase, httpx.ReadTimeout)
    elif isinstance(error, ProxyError):
        kind = httpx.ProxyError
    elif isinstance(error, ConnectFailed):
        kind = httpx.ConnectError
    elif isinstance(error, PeerError) or (isinstance(error, ConnectionLost) and error.early):
        kind = httpx.RemoteProtocolError
    raise kind(str(error), request=request) from error
