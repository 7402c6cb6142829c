"""A plugin of pytest: each request of Starlette's test client goes through our server, over a socket.

The test client calls an application in its own event loop. Here what it calls is a client (httpx over HTTP/1.1, or over
HTTP/2 with CATENET_ASGI_HTTP=2; websockets) of a `catenet.http.serve` that runs the application, in that same loop: so
lifespans, exceptions and what belongs to the loop are the test client's as before, and all that HTTP says is ours. Of
the scope only who is at the ends, the state and what is mounted where are the test client's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

# What the suites need and we do not comes last, so that the libraries that we have are those that we know.
sys.path.extend(filter(None, [os.environ.get("CATENET_ASGI_LIBRARIES")]))

import anyio
import httpx
import websockets
from websockets.asyncio.client import connect

from catenet.http import serve

sys.modules.setdefault("httpx2", httpx)  # the same library under the name of its next version

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HTTP2 = os.environ.get("CATENET_ASGI_HTTP") == "2"
_KEPT = ("client", "server", "scheme", "state", "root_path")
"""Keys of a scope that a socket would make others of: addresses, TLS; or that are no business of a server."""
_HANDSHAKE = (b"connection", b"upgrade", b"sec-websocket-accept", b"sec-websocket-extensions", b"date", b"server")
_OURS = (b"date", b"server", b"transfer-encoding", b"connection")
"""Fields that servers add, which the test client does not know."""
_LEAVING = 1.0
_LONGEST = 10.0
"""Seconds for one test's request."""
counts = {"http": 0, "websocket": 0}


class Served:
    """The application behind the server: what it raised, what it said of its WebSocket, when it ended."""

    def __init__(self, app: App, scope: Scope, send: Send) -> None:
        self.app = app
        self.scope = scope
        self.send = send
        self.called = False
        self.error: BaseException | None = None
        self.denied: Message | None = None
        self.started = False
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with what our server says of the request."""
        if scope["type"] == "lifespan":
            raise NotImplementedError  # the test client's own
        self.called = True
        scope.update({key: self.scope[key] for key in _KEPT if key in self.scope})

        async def watched(message: Message) -> None:
            if message["type"] == "websocket.close" and not self.started:
                self.denied = message
            # The test client's own passes beside the socket.
            await (self.send if message["type"] == "http.response.debug" else send)(message)
            self.started = True

        if "http.response.debug" in self.scope.get("extensions", {}):
            scope["extensions"]["http.response.debug"] = {}
        try:
            await self.app(scope, receive, watched)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()


class OverWire:
    """An application that hands everything on to our server, which runs the real one."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        counts[scope["type"]] += 1
        served = Served(self.app, scope, send)
        async with await serve(served, "http://127.0.0.1:0", interface="asgi") as server:
            port = int(server.urls[0].rpartition(":")[2])
            async with asyncio.timeout(_LONGEST):
                work = _http if scope["type"] == "http" else _websocket
                task = asyncio.ensure_future(work(scope, port, receive, send, served))
                try:
                    await asyncio.shield(task)
                except asyncio.CancelledError:
                    # The test has left its WebSocket: what it said last is still on its way, and may lead to an error.
                    with anyio.CancelScope(shield=True):
                        if scope["type"] == "websocket" and not task.done():
                            await asyncio.wait([task], timeout=_LEAVING)
                    task.cancel()
                    if served.error is not None and not isinstance(served.error, asyncio.CancelledError):
                        raise served.error from None
                    raise


def _target(scope: Scope) -> bytes:
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    return path + (b"?" + scope["query_string"] if scope["query_string"] else b"")


async def _http(scope: Scope, port: int, receive: Receive, send: Send, served: Served) -> None:
    async def body(first: Message) -> AsyncIterator[bytes]:
        message = first
        while True:
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return
            message = await receive()

    first = await receive()
    whole = not first.get("more_body")
    fields = [field for field in scope["headers"] if field[0] != b"transfer-encoding"]
    transport = httpx.AsyncHTTPTransport(http1=not HTTP2, http2=HTTP2)
    request = httpx.Request(
        scope["method"],
        httpx.URL(scheme="http", host="127.0.0.1", port=port, raw_path=_target(scope)),
        headers=fields,
        content=(first.get("body", b"") or None) if whole else body(first),
    )
    async with transport:
        response = await transport.handle_async_request(request)
        raised_first = not served.started and served.ended.is_set() and served.error is not None
        if not raised_first:
            said = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _OURS]
            await send({"type": "http.response.start", "status": response.status_code, "headers": said})
            try:
                async for piece in response.aiter_raw():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except httpx.TransportError:
                await served.ended.wait()  # broken off: by an exception of the application, as a rule
                if served.error is None:
                    raise
            if served.error is None:
                await send({"type": "http.response.body", "body": b""})
        if served.called:  # not if our server refuses the request itself
            await served.ended.wait()
    if served.error is not None:
        raise served.error


async def _websocket(scope: Scope, port: int, receive: Receive, send: Send, served: Served) -> None:
    assert (await receive())["type"] == "websocket.connect"
    skipped = (
        b"connection",
        b"upgrade",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"host",
    )
    fields = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"] if k not in skipped]
    agents = [value for name, value in fields if name == "user-agent"]
    dialled = connect(
        f"ws://{_host_of(scope)}{_target(scope).decode()}",
        host="127.0.0.1",
        port=port,
        subprotocols=scope["subprotocols"] or None,
        additional_headers=[field for field in fields if field[0] != "user-agent"],
        user_agent_header=agents[0] if agents else None,
        proxy=None,
        max_size=None,
    )
    try:
        ws = await dialled
    except websockets.InvalidStatus as refused:
        if served.called:
            await served.ended.wait()
        await _refuse(refused.response, send, served)
        return
    except websockets.InvalidHandshake:
        await served.ended.wait()
        raise served.error or RuntimeError("the handshake failed") from None
    assert ws.response is not None
    said = [(name.lower().encode(), value.encode()) for name, value in ws.response.headers.raw_items()]
    kept = [field for field in said if field[0] not in (*_HANDSHAKE, b"sec-websocket-protocol")]
    await send({"type": "websocket.accept", "subprotocol": ws.subprotocol, "headers": kept})

    async def outwards() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            await ws.send(message["text"] if message.get("text") is not None else message["bytes"])
        await ws.close(message.get("code", 1000), message.get("reason") or "")

    sending = asyncio.ensure_future(outwards())
    try:
        with suppress(websockets.ConnectionClosed):
            while True:
                data = await ws.recv()
                await send({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})
        await asyncio.wait_for(served.ended.wait(), 10)
        if served.error is not None:
            raise served.error
        if ws.protocol.close_rcvd is not None:
            await send({"type": "websocket.close", "code": ws.close_code, "reason": ws.close_reason})
    finally:
        sending.cancel()
        await ws.close()


def _host_of(scope: Scope) -> str:
    hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
    return hosts[0] if hosts else "testserver"


async def _refuse(response: Any, send: Send, served: Served) -> None:
    """A WebSocket that was closed before it was accepted is 403 on the wire; code and reason are not."""
    if served.error is not None:
        raise served.error
    if served.denied is not None:
        assert response.status_code == 403
        await send(served.denied)
        return
    said = [(name.lower().encode(), value.encode()) for name, value in response.headers.raw_items()]
    kept = [field for field in said if field[0] not in _OURS]
    await send({"type": "websocket.http.response.start", "status": response.status_code, "headers": kept})
    await send({"type": "websocket.http.response.body", "body": response.body or b""})


def pytest_configure(config: Any) -> None:
    """Put ourselves between the test client and the application."""
    from starlette import testclient

    transport: Any = testclient._TestClientTransport
    original = transport.__init__

    def init(self: Any, app: App, *args: Any, **kwargs: Any) -> None:
        original(self, OverWire(app), *args, **kwargs)

    transport.__init__ = init


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much went over the wire."""
    terminalreporter.write_line(f"over the wire: {counts['http']} requests, {counts['websocket']} WebSockets")
