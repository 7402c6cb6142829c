"""The gateway: a handler of exchanges that asks other servers (RFC 9110 section 3.7, reverse proxy).

A request is read by one machine and written by another from its parts, never from its bytes, so that both sides have
one idea of where it ends. Bodies pass as they come, both ways.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from catenet.http.client.body import Bytes, Source
from catenet.http.client.errors import ConnectFailed, ConnectionLost, RequestError, RequestTimeout
from catenet.http.client.exchange import Exchange as ClientExchange
from catenet.http.client.timeouts import Timeouts
from catenet.http.client.transport import Transport, TransportOptions
from catenet.http.gateway.fields import forwarded, request_fields, response_fields, trailer_fields, via_of
from catenet.http.gateway.routes import Route, Upstream, is_ambiguous, parse_route, route_of, sort_routes
from catenet.http.gateway.tunnel import UpstreamTunnel, is_upgrade, run_tunnel, switched_head, upgrade_head
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.policy.retry import IDEMPOTENT
from catenet.http.server.exchange import Exchange, Handler

__all__ = ["Gateway", "GatewayOptions"]

_TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"),)
_OPEN: Final = Timeouts(read=None, write=None)
"""A tunnel may be silent."""


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How a gateway asks. Seconds.

    * `connect`: for a connection to a server behind; `read`: for its response to begin, and between two pieces of it.
    * `preserve_host`: Host is what the client has asked for, else the server's own name.
    * `trusted`: what a client says in Forwarded and X-Forwarded-* is kept, as there is another proxy in front.
    * `attempts`: servers that are asked for one request that may be repeated.
    * `verify`, `ca`: certificates of servers behind, as `TransportOptions` has them.
    """

    connect: float = 5.0
    read: float = 60.0
    preserve_host: bool = True
    trusted: bool = False
    attempts: int = 3
    verify: bool = True
    ca: str | None = None


@dataclass(slots=True)
class _Outgoing:
    """A request's body, for the transport."""

    source: Source
    trailers: Fields = ()
    expects: bool = False


class _Upload(Source):
    """The body of an exchange as it comes; once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.length = exchange.head.length

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Iterate over the body."""
        while data := await self._exchange.read():
            yield data

    @property
    def trailers(self) -> Fields:
        """What followed it."""
        return trailer_fields(self._exchange.head, self._exchange.trailers)


class Gateway:
    """Answers requests of `routes` by other servers; all others by `otherwise`, or 404.

    A handler for `catenet.http.serve`. `routes` are `PREFIX=URL[,URL…]`, or parsed; raises `RouteError`. `allows`, if
    it is set, is asked before a route is taken, and has answered the request if it says no.
    """

    allows: Callable[[Exchange], Awaitable[bool]] | None = None

    def __init__(
        self,
        routes: Iterable[str | Route],
        options: GatewayOptions | None = None,
        otherwise: Handler | None = None,
    ) -> None:
        self.routes = sort_routes(parse_route(one) if isinstance(one, str) else one for one in routes)
        self.options = options or GatewayOptions()
        self._otherwise = otherwise
        # Two gateways of one name are no loop.
        self._name = b"catenet-" + os.urandom(4).hex().encode()
        self._timeouts = Timeouts(self.options.connect, self.options.read, self.options.read, self.options.connect)
        self._transports: dict[str, Transport] = {}

    async def __call__(self, exchange: Exchange) -> None:
        """Answer a request."""
        path = exchange.head.path.partition(b"?")[0]
        route = route_of(self.routes, path)
        if route is None:
            if self._otherwise is not None:
                await self._otherwise(exchange)
            else:
                await self._refuse(exchange, 404, "Not Found")
            return
        if self.allows is not None and not await self.allows(exchange):
            return
        refusal = self._refusal(exchange.head, path)
        if refusal is not None:
            await self._refuse(exchange, *refusal)
            return
        await self._guarded(exchange, route)

    def _refusal(self, head: RequestHead, path: bytes) -> tuple[int, str] | None:
        if head.method in (b"CONNECT", b"TRACE") and not is_upgrade(head):
            return 405, "Method Not Allowed"
        if is_ambiguous(path):
            return 400, "Bad Request: dot segments, or separators in escapes, in the path"
        if self._name in via_of(head.fields):
            return 508, "Loop Detected: this request has been here before"
        return None

    async def _guarded(self, exchange: Exchange, route: Route) -> None:
        """Stop asking when the client has gone."""
        loop = asyncio.get_running_loop()
        work = loop.create_task(self._answer(exchange, route))
        gone = loop.create_task(_until_gone(exchange))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
                work.add_done_callback(_forget)  # whatever it ends with, nobody waits for it
        if work.done():
            work.result()

    async def _answer(self, exchange: Exchange, route: Route) -> None:
        try:
            if is_upgrade(exchange.head):
                await self._upgrade(exchange, route)
            else:
                await self._forward(exchange, route)
        except RequestError as error:
            if exchange.started:
                exchange.break_off()
            else:
                await self._fail(exchange, error)

    # Asking.

    async def _forward(self, exchange: Exchange, route: Route) -> None:
        if exchange.complete:
            request = _Outgoing(Bytes(exchange.take()), trailer_fields(exchange.head, exchange.trailers))
        else:
            # What the server says to that reaches the client: its 100, or its answer before any body is sent.
            request = _Outgoing(_Upload(exchange), expects=_expects(exchange))
        behind, upstream = await self._ask(exchange, route, request)
        try:
            await self._pass_on(exchange, behind)
        finally:
            upstream.running -= 1
            if not behind.over:
                behind.cancel(ConnectionLost("nobody reads the response any more"))

    async def _ask(self, exchange: Exchange, route: Route, request: _Outgoing) -> tuple[ClientExchange, Upstream]:
        """Return an exchange whose response has begun, and who gives it. Raises `RequestError`."""
        tried: list[Upstream] = []
        loop = asyncio.get_running_loop()
        while True:
            upstream = route.pick(loop.time(), tried if len(tried) < len(route.upstreams) else ())
            assert upstream is not None
            tried.append(upstream)
            head = self._head(exchange, route, upstream, request)
            inform = partial(self._inform, exchange, upstream)
            upstream.running += 1
            try:
                behind = await self._transport(upstream.scheme).begin(
                    upstream.origin, head, request, self._timeouts, None, False, None, inform
                )
            except BaseException as error:
                upstream.running -= 1
                if isinstance(error, ConnectFailed) or (isinstance(error, RequestTimeout) and error.phase == "connect"):
                    upstream.failed(loop.time())
                if isinstance(error, RequestError) and self._may_repeat(exchange, request.source, error, len(tried)):
                    continue
                raise
            upstream.answered()
            return behind, upstream

    def _may_repeat(self, exchange: Exchange, source: Source, error: RequestError, tries: int) -> bool:
        """Whether another server, or the same once more, may be asked without doing anything twice."""
        if tries >= self.options.attempts or exchange.gone:
            return False
        if isinstance(error, ConnectFailed):
            return True  # nothing of the request has been sent
        if not isinstance(error, ConnectionLost) or not source.replayable:
            return False
        return error.unprocessed or (error.early and error.reused and exchange.head.method.decode() in IDEMPOTENT)

    def _head(self, exchange: Exchange, route: Route, upstream: Upstream, request: _Outgoing) -> RequestHead:
        head = exchange.head
        fields = self._request_fields(exchange)
        if request.expects:
            fields = (*fields, (b"expect", b"100-continue"))
        if request.source.length is not None and (request.expects or request.source.whole is None):
            fields = (*fields, (b"content-length", b"%d" % request.source.length))
        scheme = b"https" if upstream.origin.tls else b"http"
        return RequestHead(
            head.method, route.target(head.path, upstream), fields, self._authority(head, upstream), scheme
        )

    def _request_fields(self, exchange: Exchange) -> Fields:
        head, server = exchange.head, exchange.server
        origin = forwarded(exchange.client, exchange.scheme, head.authority, None if server is None else server[1])
        return request_fields(head, origin, self._via(exchange.http_version.encode()), trusted=self.options.trusted)

    def _authority(self, head: RequestHead, upstream: Upstream) -> bytes:
        return head.authority if self.options.preserve_host and head.authority else upstream.authority

    def _via(self, version: bytes) -> bytes:
        return version + b" " + self._name

    # Answering.

    async def _pass_on(self, exchange: Exchange, behind: ClientExchange) -> None:
        """Hand a response on as it comes. Raises `RequestError`, `Disconnected`."""
        head = behind.head
        assert head is not None
        via = self._via(b"2" if behind.connection.core.version == 2 else b"1.1")
        await exchange.start(ResponseHead(head.status, response_fields(head, via)))
        while data := await behind.take():
            await exchange.write(data)
        await exchange.finish(trailer_fields(head, behind.trailers) or None)

    def _inform(self, exchange: Exchange, upstream: Upstream, head: ResponseHead) -> None:
        """Hand a 1xx response on as it comes; a 100 reaches the client when its body is asked for."""
        if head.status not in (100, 101) and not exchange.started:
            via = self._via(b"2" if upstream.scheme == "h2c" else b"1.1")
            exchange.inform(ResponseHead(head.status, response_fields(head, via)))

    async def _fail(self, exchange: Exchange, error: RequestError) -> None:
        exchange.service.warn(exchange.now, f"{exchange.head.path.decode('latin-1')[:200]}: {error}")
        if isinstance(error, RequestTimeout):
            await self._refuse(exchange, 504, "Gateway Timeout: the server behind this one takes too long")
        elif isinstance(error, ConnectFailed):
            await self._refuse(exchange, 502, "Bad Gateway: the server behind this one cannot be reached")
        else:
            await self._refuse(exchange, 502, "Bad Gateway: the server behind this one broke off, or broke HTTP")

    async def _refuse(self, exchange: Exchange, status: int, text: str) -> None:
        await exchange.reply(ResponseHead(status, _TEXT), f"{text}\n".encode())

    # Upgrades.

    async def _upgrade(self, exchange: Exchange, route: Route) -> None:
        upstream = route.pick(exchange.now)
        assert upstream is not None
        request = exchange.head
        fields = self._request_fields(exchange)
        authority = self._authority(request, upstream)
        head, key = upgrade_head(request, route.target(request.path, upstream), fields, authority)
        upstream.running += 1
        try:
            await self._open_tunnel(exchange, upstream, head, key)
        finally:
            upstream.running -= 1

    async def _open_tunnel(self, exchange: Exchange, upstream: Upstream, head: RequestHead, key: bytes) -> None:
        try:
            async with asyncio.timeout(self.options.read):
                behind = await self._transport("http").begin(
                    upstream.origin, head, _Outgoing(Bytes(b"")), _OPEN, None, False, None
                )
        except ConnectFailed:
            upstream.failed(exchange.now)
            raise
        except TimeoutError as error:
            if isinstance(error, RequestTimeout):
                raise
            raise RequestTimeout("the server does not answer", "read") from None
        upstream.answered()
        response = behind.head
        assert response is not None
        if response.status != 101:
            try:
                await self._pass_on(exchange, behind)
            finally:
                if not behind.over:
                    behind.cancel(ConnectionLost("nobody reads the response any more"))
            return
        tunnel = UpstreamTunnel(behind)
        answer = switched_head(exchange.head, response, response_fields(response, self._via(b"1.1")), key)
        if answer is None:
            tunnel.close()
            raise RequestError("the server accepts another WebSocket than that which was asked for")
        await run_tunnel(exchange.upgrade(answer), tunnel, exchange)

    # Connections.

    def _transport(self, scheme: str) -> Transport:
        versions = {"https": "auto", "h2c": "2"}.get(scheme, "1.1")
        found = self._transports.get(versions)
        if found is None:
            options = self.options
            made = TransportOptions(
                versions=versions, verify=options.verify, ca=options.ca, connect_timeout=options.connect
            )
            found = self._transports[versions] = Transport(asyncio.get_running_loop(), made)
        return found

    async def close(self) -> None:
        """Close the connections to servers behind."""
        transports = list(self._transports.values())
        self._transports.clear()
        for transport in transports:
            await transport.close()


def _expects(exchange: Exchange) -> bool:
    """Whether the client waits to be told to send its body (RFC 9110 section 10.1.1)."""
    expect = exchange.head.get(b"expect")
    return expect is not None and expect.lower() == b"100-continue" and exchange.http_version != "1.0"


def _forget(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


async def _until_gone(exchange: Exchange) -> None:
    while not exchange.gone:
        await exchange.changed()
