"""The services as an application of ASGI 3, for servers and frameworks that are there already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from catenet.http.message import RequestHead, ResponseHead
from catenet.net.notice import Notice
from catenet.rpc.model.failures import logger
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.mount.app import MountedApp
from catenet.rpc.mount.peers import peer_of_scope
from catenet.rpc.mount.request import MountedRequest, complete, with_trailers
from catenet.rpc.protocols.protocol import Answer
from catenet.rpc.server.route import Route

__all__ = ["AsgiApp"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_Key = tuple[object, ...] | None

_MOST_KNOWN: Final = 256
_TRAILERS: Final = "http.response.trailers"
_NO_TRAILERS: Final = "this ASGI server sends no trailers, which gRPC ends with: call by gRPC-Web or Connect"
_JOINED: Final = 64 << 10
"""Bytes up to which pieces of a body become one."""
_REST: Final = 1 << 20
"""Bytes of a request that are read and dropped before a response ends early,"""
_PATIENCE: Final = 0.2
"""and seconds for which they are waited for: over what comes later hypercorn loses the connection."""


class AsgiApp(MountedApp[App]):
    """Serves implementations of services within any ASGI server: mounted in a framework, or with an application beside.

    Connect and gRPC-Web work wherever requests come; gRPC where the server speaks HTTP/2 and has the extension
    `http.response.trailers`. Calls are those of a `Server` with the same arguments; what concerns connections (how
    many, how slow, TLS) is the other server's to say, and of `options` only what concerns calls counts.

    Args:
        services: implementations.
        app: what answers all requests that are no calls; its lifespan is this one's.
        prefix: the path under which the services are, where nothing else mounts them there (`root_path` is known).
        interceptors, options, guard, browser_hosts, metrics: as `catenet.rpc.Server` has them.

    Raises `ValueError` for an implementation of nothing, or of what another one implements.
    """

    def _prepare(self) -> None:
        self._notice = Notice()
        self._known: dict[_Key, RequestHead] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a scope begins."""
        kind = scope["type"]
        if kind == "http":
            key = _key_of(scope)
            head = self._known.get(key)
            if head is None:
                head = self._prefix.strip(_head_of(scope))
            if head is not None and (head.note is not None or self._app is None or self._dispatch.is_call(head)):
                await self._serve(head, key, scope, receive, send)
                return
        if self._app is not None:
            await self._app(scope, receive, send)
        elif kind == "http":
            await _answer(send, "GET", _no_prefix(self._prefix.path))
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close"})
        else:
            raise NotImplementedError(f"nothing here serves {kind!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                self._dispatch.failures.close()
                return

    async def _serve(self, head: RequestHead, key: _Key, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        dispatch = self._dispatch
        now = loop.time()
        dispatch.failures.digest(now)
        trailers = _TRAILERS in (scope.get("extensions") or ())
        found = head.note or self._route(head, 2 if scope.get("http_version", "1.1") >= "2" else 1, trailers, now)
        if isinstance(found, Answer):
            dispatch.refuse(head, found)
            if head.get(b"expect") is None:  # otherwise nothing comes unless it is asked for
                await _drop(receive)
            await _answer(send, scope["method"], found, trailers and _is_grpc(found))
            return
        self._keep(key, head)
        request = MountedRequest(dispatch, self._loops.of(loop), loop, lambda: peer_of_scope(scope), now)
        request.stream.expects = head.get(b"expect") is not None
        request.begin(found, head, found.plan.message is not None)
        reading = loop.create_task(_read(request, receive))
        try:
            await _write(request, reading, send)
        except OSError:
            pass  # so says a server of ASGI 2.4 that the client has gone
        finally:
            reading.cancel()
            request.lost()

    def _keep(self, key: _Key, head: RequestHead) -> None:
        """Keep a head with its route: a client's calls of a method often have the same."""
        if key is not None and key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = head

    def _route(self, head: RequestHead, version: int, trailers: bool, now: float) -> Route | Answer:
        found = self._dispatch.route(head, version)
        if isinstance(found, Route) and found.plan.wire.name == "grpc" and not trailers:
            self._notice.warn(now, "a call of gRPC was refused: %s", _NO_TRAILERS)
            error = RpcError(Code.UNIMPLEMENTED, _NO_TRAILERS)
            return found.plan.wire.whole(found.plan, (), None, "identity", error, ())
        return found


def _key_of(scope: Scope) -> _Key:
    """Return all that the route of a call by POST depends on; None if it is not one that is likely to come again."""
    headers = scope["headers"]
    if scope["method"] != "POST" or scope.get("query_string") or not isinstance(headers, list | tuple):
        return None
    key = (
        scope["path"],
        scope.get("root_path"),
        scope.get("raw_path"),
        scope.get("http_version"),
        scope.get("scheme"),
        _TRAILERS in (scope.get("extensions") or ()),
        tuple(headers),
    )
    try:
        hash(key)
    except TypeError:  # ASGI lets headers be lists
        return None
    return key


def _head_of(scope: Scope) -> RequestHead:
    """Return the head of a request, its path without what the services are mounted below.

    A path with an escape in it is taken as it came: on our own server, too, it names no method.
    """
    path, root = scope["path"], scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
    raw = scope.get("raw_path")
    target = path.encode("utf-8", "surrogateescape")
    if raw is not None and b"%" in raw and not raw.partition(b"?")[0].endswith(target):
        target = raw
    query = scope.get("query_string")
    fields = tuple((bytes(name), bytes(value)) for name, value in scope["headers"])
    host = next((value for name, value in fields if name == b"host"), b"")
    return RequestHead(
        scope["method"].encode("latin-1"),
        target + b"?" + query if query else target,
        fields,
        host,
        scope.get("scheme", "http").encode("latin-1"),
    )


async def _read(request: MountedRequest, receive: Receive) -> None:
    """Give the call its request, and tell it when the client goes."""
    dropped = 0
    try:
        await request.invited()
        while not request.over or (request.awaited and dropped <= _REST):
            event = await receive()
            if event["type"] == "http.disconnect":
                request.lost()
                return
            data = event.get("body", b"")
            dropped += len(data) if request.over else 0
            await request.feed(bytes(data), not event.get("more_body", False))
    except Exception as error:  # of a server or a middleware
        logger.debug("the request could not be read", exc_info=error)
        request.lost(f"the request could not be read: {type(error).__name__}")


async def _drop(receive: Receive) -> None:
    """Take the body of a request that is refused."""
    dropped, more = 0, True
    try:
        async with asyncio.timeout(_PATIENCE):
            while more and dropped <= _REST:
                event = await receive()
                dropped += len(event.get("body", b""))
                more = event.get("more_body", False)
    except TimeoutError:
        pass


async def _write(request: MountedRequest, reading: asyncio.Task[None], send: Send) -> None:
    """Send the response as it comes."""
    started = over = False
    while not over:
        head, pieces, trailers, over = await request.output()
        if over and request.awaited and not reading.done():
            await request.settled(_PATIENCE)
        if request.broken:
            if not started:
                await _answer(send, "POST", Answer(ResponseHead(500)))
            return  # an application that returns before the end of its response has it broken off
        if head is not None:
            started = True
            await _start(send, head, request.trails)
        await _send_body(send, _joined(pieces), over)
        request.taken()
    if request.trails:
        await _send_trailers(send, trailers or ())


async def _send_body(send: Send, pieces: list[bytes], end: bool) -> None:
    last = len(pieces) - 1
    for number, piece in enumerate(pieces):
        await send({"type": "http.response.body", "body": piece, "more_body": not end or number < last})
    if end and not pieces:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _joined(pieces: list[bytes]) -> list[bytes]:
    if len(pieces) > 1 and sum(map(len, pieces)) <= _JOINED:
        return [b"".join(pieces)]
    return pieces


async def _start(send: Send, head: ResponseHead, trailers: bool) -> None:
    event: Event = {"type": "http.response.start", "status": head.status, "headers": list(head.fields)}
    if trailers:
        event["trailers"] = True
    await send(event)


async def _send_trailers(send: Send, fields: Iterable[tuple[bytes, bytes]]) -> None:
    await send({"type": _TRAILERS, "headers": list(fields), "more_trailers": False})


async def _answer(send: Send, method: str, answer: Answer, trailers: bool = False) -> None:
    """Send a response that is no call's."""
    if trailers:
        head, fields = with_trailers(answer.head)
        await _start(send, head, True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        await _send_trailers(send, fields)
        return
    head, body = complete(answer, method.encode("latin-1"))
    await _start(send, head, False)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_grpc(answer: Answer) -> bool:
    """Whether it is a Trailers-Only response: gRPC-Web has its status in a head, too, and no trailers."""
    kind = answer.head.get(b"content-type") or b""
    return answer.head.get(b"grpc-status") is not None and kind[16:17] in (b"", b"+")


def _no_prefix(path: str) -> Answer:
    text = f"the services are below {path}/\n".encode()
    return Answer(ResponseHead(404, ((b"content-type", b"text/plain; charset=utf-8"),)), text)
