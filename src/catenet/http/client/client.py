"""The client: requests, and the policies that a user of the web expects of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from catenet.http.client.body import Content
from catenet.http.client.calling import Call, CallOptions
from catenet.http.client.errors import RequestError
from catenet.http.client.events import follow_events
from catenet.http.client.origin import Origins
from catenet.http.client.plans import Plans
from catenet.http.client.request import FileValue, FormData, Params, Request, with_params
from catenet.http.client.response import Response, facts_of
from catenet.http.client.settings import ClientOptions, Settings, as_auth, as_timeouts
from catenet.http.client.timeouts import Timeouts
from catenet.http.client.transport import Transport
from catenet.http.client.tunnelling import tunnel
from catenet.http.headers import Headers, HeadersLike
from catenet.http.policy.auth import Auth
from catenet.http.policy.sse import ServerEvent
from catenet.http.url import Url

if TYPE_CHECKING:
    from catenet.http.websocket.client import WebSocketClient

__all__ = ["Client", "RequestOptions"]


class RequestOptions(TypedDict, total=False):
    """What a single request may be told, over what the client has.

    One of `content` (bytes, text, file, iterable, async iterable), `data` (a form, or as `content`), `json`, `files`.
    `headers` with None leave a default out. `timeout`: seconds for all of it, `Timeouts`, or None. `auth`: user and
    password, or an `Auth`. `expect_continue` asks before it sends the body.
    """

    params: Params | None
    headers: HeadersLike | Mapping[str, str | None] | None
    cookies: Mapping[str, str] | None
    content: Content | None
    data: FormData | Content | None
    json: Any
    files: Mapping[str, FileValue] | list[tuple[str, FileValue]] | None
    auth: Auth | tuple[str, str] | None
    timeout: float | Timeouts | None
    follow_redirects: bool
    trailers: HeadersLike | None
    expect_continue: bool


class _Watched(Headers):
    """The fields of all requests: what was worked out with them is forgotten when they change."""

    __slots__ = ("_forget",)

    def __init__(self, given: Headers, forget: Callable[[], None]) -> None:
        self._forget = forget
        super().__init__(given)

    def add(self, name: str, value: str) -> None:
        super().add(name, value)
        self._forget()

    def discard(self, *names: str) -> None:
        super().discard(*names)
        self._forget()

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self._forget()


class Client:
    """A client of HTTP/1.1 and HTTP/2: `async with Client() as client: response = await client.get(url)`.

    Without `async with` it belongs to the event loop of its first request, and keeps connections until `close`. On
    another loop it begins anew, once the first has been closed.
    """

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        self._begin(Settings.of(options))

    @classmethod
    def sharing(cls, settings: Settings) -> Client:
        """Return a client with what another one remembers: cookies, credentials, cache."""
        made = cls.__new__(cls)
        made._begin(settings)
        return made

    def _begin(self, settings: Settings) -> None:
        self.settings = settings
        self.origins = Origins()
        self._plans = Plans(self._bare, self.origins, settings.proxies)
        self.headers: Headers = _Watched(settings.headers, self._plans.clear)
        self.cookies = settings.cookies
        self._transport: Transport | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._closed = False

    # Requests.

    def get(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """GET (RFC 9110 section 9.3.1). Raises `RequestError`, `ValueError`."""
        return self.request("GET", url, **options)

    def head(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """HEAD: the head of what GET would return."""
        return self.request("HEAD", url, **options)

    def options(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """OPTIONS: what the server offers there."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """POST."""
        return self.request("POST", url, **options)

    def put(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """PATCH (RFC 5789)."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """DELETE."""
        return self.request("DELETE", url, **options)

    def query(self, url: str | Url, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Response]:
        """QUERY: safe and idempotent as GET is, with a body that says what is wanted."""
        return self.request("QUERY", url, **options)

    async def request(self, method: str, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """Send a request; return its response with the whole body. Raises `RequestError`, `ValueError`."""
        settings = self.settings
        if not options and settings.plain and not len(self.cookies) and not len(settings.hsts):
            plan = self._plans.find((method, url)) or self._plans.make(method, url)
            transport = self._transport
            if transport is None or transport.loop.is_closed():
                transport = self.transport()
            called = transport.loop.time()
            timeouts = settings.timeouts
            end = None if timeouts.total is None else called + timeouts.total
            try:
                exchange = await transport.send(plan.origin, plan.head, b"", timeouts, end, settings.max_content)
            except RequestError as error:
                error.request = plan.request
                return await self._call(plan.request.copy(), {}, True, called).after(error)
            head = exchange.head
            assert head is not None
            response = Response(plan, head, exchange, called, settings.decompress)
            response.collect(settings.max_content)
            if facts_of(head).plain:
                return response
            return await self._call(plan.request.copy(), {}, True, called).after(response)
        return await self._call(self.build(method, url, **options), options, True).run()

    def _call(self, request: Request, options: RequestOptions, collects: bool, called: float | None = None) -> Call:
        settings = self.settings
        told = CallOptions(
            request.timeouts or settings.timeouts,
            options.get("follow_redirects", settings.follow),
            as_auth(options.get("auth")),
            "auth" in options,
        )
        return Call(self, request, told, collects, called)

    def stream(
        self, method: str, url: str | Url, **options: Unpack[RequestOptions]
    ) -> AbstractAsyncContextManager[Response]:
        """Send a request: `async with client.stream("GET", url) as response`, whose body comes as it is read."""
        return self._stream(method, url, options)

    @asynccontextmanager
    async def _stream(self, method: str, url: str | Url, options: RequestOptions) -> AsyncIterator[Response]:
        response = await self._call(self.build(method, url, **options), options, False).run()
        try:
            yield response
        finally:
            await response.close()

    async def send(self, request: Request, *, stream: bool = False, **options: Unpack[RequestOptions]) -> Response:
        """Send a request that was made before; with `stream` its caller reads and closes the response."""
        return await self._call(request, options, not stream).run()

    def build(self, method: str, url: str | Url, **options: Unpack[RequestOptions]) -> Request:
        """Return the request that a call would send, to be changed and sent (`send`)."""
        settings = self.settings
        given = options.get("headers")
        headers = self.headers.copy()
        if given is not None:
            _merge(headers, given)
            if "range" in headers and "accept-encoding" not in Headers(_named(given)):
                headers["Accept-Encoding"] = "identity"  # a range of what is encoded is of no use
        request = Request(
            method,
            self._absolute(url),
            headers=headers,
            content=options.get("content"),
            data=options.get("data"),
            json=options.get("json"),
            files=options.get("files"),
            params=settings.params,
            trailers=options.get("trailers"),
            expect_continue=options.get("expect_continue", False),
            timeouts=as_timeouts(options["timeout"], settings.timeouts) if "timeout" in options else None,
        )
        request.url = with_params(request.url, options.get("params"))
        if settings.unix:
            request.unix = settings.unix
        if cookies := options.get("cookies"):
            request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return request

    def _bare(self, method: str, url: str | Url) -> Request:
        return self.build(method, url)

    def _absolute(self, url: str | Url) -> str | Url:
        """A path is below that of `base_url`, with or without a slash in front."""
        base = self.settings.base
        if base is None or (isinstance(url, Url) and url.scheme) or "://" in str(url).partition("?")[0]:
            return url
        reference = str(url)
        if reference[:1] in ("", "?", "#"):
            return base.join(reference)
        return replace(base, path=f"{base.path.rstrip('/')}/", query=None).join(f"./{reference.lstrip('/')}")

    def events(self, url: str | Url, **options: Unpack[RequestOptions]) -> AsyncGenerator[ServerEvent]:
        """Iterate over the server-sent events of a URL; after a break it goes on where it was (Last-Event-ID).

        Without `timeout` a silent server is waited for. Raises `RequestError` if the first connection fails, or for
        what will not pass; ends when the server says so (204).
        """
        options.setdefault("timeout", replace(self.settings.timeouts, read=None))
        method = "POST" if any(name in options for name in ("content", "data", "json")) else "GET"
        return follow_events(self, self.build(method, url, **options), options)

    async def websocket(self, url: str | Url, *, headers: HeadersLike | None = None, **options: Any) -> WebSocketClient:
        """Open a WebSocket at a `ws:` or `wss:` URL, with this client's fields, cookies, credentials and certificates.

        `options` as in `catenet.http.websocket.client.connect`. Raises `ValueError`, `HandshakeError`, `ConnectError`.
        """
        from catenet.http.websocket.client import connect

        settings = self.settings
        where = Url.absolute(url, ("ws", "wss"))
        proxy = None if settings.unix else settings.proxies.for_url(where)
        request = Request("GET", replace(where, scheme="https" if where.tls else "http"), headers=self.headers)
        request.headers.discard("Accept", "Accept-Encoding")
        _merge(request.headers, headers or {})
        if where.user is None and settings.auth is not None:
            next(settings.auth.flow(request))
        if cookies := settings.cookies.header(where, settings.clock()):
            request.headers["Cookie"] = "; ".join(filter(None, (request.headers.get("cookie"), cookies)))
        if where.tls:
            options.setdefault("tls", self.transport().websocket_context())
        options.setdefault("server_name", settings.transport.server_name)
        if proxy is not None:
            contexts = self.transport().proxy_context, options.get("tls")
            options["dial"] = partial(tunnel, where, proxy, *contexts, options["server_name"])
        return await connect(str(where), headers=request.headers.multi_items(), unix=settings.unix or None, **options)

    # Life.

    def transport(self) -> Transport:
        """Return what carries requests on the running event loop, made when it is first needed."""
        if self._closed:
            raise RuntimeError("the client is closed")
        loop = asyncio.get_running_loop()
        transport = self._transport
        if transport is not None and transport.loop is not loop:
            if not transport.loop.is_closed():
                raise RuntimeError("this client belongs to another event loop: use one for each")
            transport = None
        if transport is None:
            transport = self._transport = Transport(loop, self.settings.transport)
        return transport

    def keep(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something beside the calls; it ends with the client."""
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Close all connections. Requests that run end with `RequestError`; no others can be made."""
        self._closed = True
        tasks = list(self._background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        transport, self._transport = self._transport, None
        if transport is not None and not transport.loop.is_closed():
            await transport.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _merge(headers: Headers, given: HeadersLike | Mapping[str, str | None]) -> None:
    """Put the fields of a request over the client's; None leaves one out."""
    if isinstance(given, Mapping) and not isinstance(given, Headers):
        headers.discard(*(name for name, value in given.items() if value is None))
        headers.update({name: value for name, value in given.items() if value is not None})
    else:
        headers.update(given)


def _named(given: HeadersLike | Mapping[str, str | None]) -> HeadersLike:
    if isinstance(given, Mapping) and not isinstance(given, Headers):
        return {name: value or "" for name, value in given.items()}
    return given


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except RequestError:
        pass  # a response in the cache stays as old as it is
