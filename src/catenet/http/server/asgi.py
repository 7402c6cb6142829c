"""ASGI 3 applications (HTTP 2.4): scopes, `receive` and `send` on an exchange."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from catenet.http.message import Fields, RequestHead, ResponseHead, one_cookie
from catenet.http.server.exchange import Disconnected, Exchange
from catenet.http.server.heads import made_fields
from catenet.http.server.lifespan import Lifespan
from catenet.http.server.service import RefusedExchange, Service
from catenet.http.server.websocket import SocketExchange
from catenet.http.serving import LOCAL_PEER, Ends, ServingProtocol
from catenet.http.stream import Stream
from catenet.http.websocket.deflate import DeflateOptions
from catenet.http.websocket.handshake import is_opening
from catenet.http.websocket.limits import WebSocketLimits

if TYPE_CHECKING:
    from catenet.http.server.access_log import AccessLog
    from catenet.http.server.forwarded import TrustedProxies

__all__ = ["AsgiService"]

App = Callable[..., Awaitable[None]]
Message = dict[str, Any]

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_EXTENSIONS: Final[dict[str, dict[str, object]]] = {
    "http.response.trailers": {},
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.zerocopysend": {},
}
_SEEN: Final = object()
"""In the note of a head that has come once."""
_DEFLATE: Final = DeflateOptions()
_SOCKET_LIMITS: Final = WebSocketLimits()


class AsgiService(Service):
    """Serves an application of ASGI 3.

    `lifespan`: `auto`, `on`, `off`. `deflate`: how WebSockets are compressed whose clients want it; None: not at all.
    """

    def __init__(
        self,
        app: App,
        *,
        root_path: str = "",
        lifespan: str = "auto",
        deflate: DeflateOptions | None = _DEFLATE,
        socket_limits: WebSocketLimits = _SOCKET_LIMITS,
        name: bytes = b"catenet",
        log: AccessLog | None = None,
        proxies: TrustedProxies | None = None,
    ) -> None:
        super().__init__(name=name, log=log, proxies=proxies)
        self.app = app
        self.root_path = root_path
        self.deflate = deflate
        self.socket_limits = socket_limits
        self.lifespan = Lifespan(app, lifespan)
        # The fields of the last request of HTTP/2, with its authority, and what they are in a scope.
        self._last: tuple[Fields, bytes] = ((), b"")
        self._last_headers: Fields = ()

    async def start(self) -> None:
        """Let the application start. Raises `LifespanError`."""
        await self.lifespan.start()

    async def stop(self) -> None:
        """End what still runs, then the application."""
        await super().stop()
        await self.lifespan.stop()

    def exchange(self, connection: ServingProtocol, stream: Stream, head: RequestHead) -> Exchange:
        """Return the exchange that a request begins."""
        if head.special and is_opening(head):
            return SocketExchange(self, connection, stream, head)
        if not head.path:
            return RefusedExchange(self, connection, stream, head)
        return _AsgiExchange(self, connection, stream, head)

    def begin(self, connection: ServingProtocol, stream: Stream, head: RequestHead, end: bool) -> None:
        """Begin to serve a request: of what is usual all steps are here, as calls cost more than they do."""
        if head.special or not end:
            super().begin(connection, stream, head, end)
            return
        stream.owner = exchange = _AsgiExchange(self, connection, stream, head)
        exchange._complete = exchange._running = True
        note, place = head.note, connection.note
        if type(note) is _Known and note.service is self and type(place) is _Place:
            scope = note.scope.copy()
            scope["headers"] = list(note.headers)
            scope["extensions"] = place.extensions.copy()
            scope.update(place.ends)
            state = self.lifespan.state
            if state is not None:
                scope["state"] = state.copy()
        else:
            scope = self.scope(exchange)
        try:
            work: Any = self.app(scope, exchange.receive, exchange.send)
        except Exception as error:  # it takes other arguments, or is no coroutine function after all
            exchange._ended(None, error)
            return
        task = connection.runner.run(work, exchange._ended)
        if task is not None:
            exchange._goes_on(task)

    def scope(self, exchange: Exchange) -> Message:
        """Return what the application is told of a request."""
        head, place = exchange.head, exchange.connection.note
        note = head.note
        if type(place) is not _Place:
            place = self._place(exchange)
        if type(note) is _Known and note.service is self:
            scope = note.scope.copy()
            scope["headers"] = list(note.headers)
            scope.update(place.ends)
        else:
            scope = self._scope(place, exchange, head)
            if note is _SEEN:  # heads that vary come once: only what comes again is worth keeping
                head.note = _Known(self, scope.copy(), tuple(scope["headers"]))
            else:
                head.note = _SEEN
        scope["extensions"] = place.extensions.copy()
        state = self.lifespan.state
        if state is not None:
            scope["state"] = state.copy()
        return scope

    def _scope(self, place: _Place, exchange: Exchange, head: RequestHead) -> Message:
        scope = place.scope.copy()
        raw_path, method = head.path, head.method
        if b"?" in raw_path:
            raw_path, _, scope["query_string"] = raw_path.partition(b"?")
        path = raw_path.decode("latin-1")
        if b"%" in raw_path or not path.isascii():
            path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
        scope["path"] = self.root_path + path if self.root_path else path
        scope["raw_path"] = raw_path
        if method != b"GET":
            scope["method"] = method.decode("latin-1")
        if place.version == 2:
            scope["headers"] = self._headers(head)
        else:
            scope["headers"] = list(head.fields)
            if not exchange.connection.core.minor:
                scope["http_version"] = "1.0"
        return scope

    def _place(self, exchange: Exchange) -> _Place:
        """Return what all requests of a connection have; it is kept, unless a proxy may say otherwise of each."""
        ends, version = exchange.ends, exchange.version
        said: Message = {"scheme": "https" if ends.tls else "http", "client": ends.client, "server": ends.server}
        scope: Message = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "2" if version == 2 else "1.1",
            "method": "GET",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": self.root_path,
            "headers": (),
            **said,
            "extensions": None,
        }
        place = _Place(version, scope, said, _extensions(ends))
        if self.proxies is None:
            exchange.connection.note = place
        return place

    def _headers(self, head: RequestHead) -> list[tuple[bytes, bytes]]:
        """Fields of HTTP/2 as ASGI has them: `host` is there, and there is one `cookie` (RFC 9113 section 8.2.3)."""
        fields, authority = self._last
        if head.fields is not fields or head.authority is not authority:
            # Requests whose paths alone differ have the same object here.
            self._last = head.fields, head.authority
            made = one_cookie(head.fields)
            if head.authority and head.get(b"host") is None:
                made = ((b"host", head.authority), *made)
            self._last_headers = made
        return list(self._last_headers)


def _extensions(ends: Ends) -> dict[str, dict[str, object]]:
    extensions = _EXTENSIONS.copy()
    if ends.extension is not None:
        extensions["tls"] = ends.extension
    if ends.local is not None:
        extensions[LOCAL_PEER] = {"peer": ends.local}
    return extensions


class _Known:
    """What a head keeps in its `note`: what does not depend on the connection that it came on."""

    __slots__ = ("headers", "scope", "service")

    def __init__(self, service: AsgiService, scope: Message, headers: Fields) -> None:
        self.service = service
        self.scope = scope
        self.headers = headers


class _Place:
    """What scopes of requests on one connection have in common, and what of that depends on who is at its ends."""

    __slots__ = ("ends", "extensions", "scope", "version")

    def __init__(self, version: int, scope: Message, ends: Message, extensions: dict[str, dict[str, object]]) -> None:
        self.version = version
        self.scope = scope
        self.ends = ends
        self.extensions = extensions


class _AsgiExchange(Exchange):
    """One request, as an application sees it."""

    _head: ResponseHead | None = None
    _body_given: bool = False
    _sends_trailers: bool = False
    _trailer_fields: tuple[tuple[bytes, bytes], ...] = ()

    def work(self) -> Coroutine[Any, Any, None]:
        service = self.service
        assert isinstance(service, AsgiService)
        return service.app(service.scope(self), self.receive, self.send)  # type: ignore[return-value]

    async def receive(self) -> Message:
        """Return the next event: a piece of the body, or that the client has gone, or that all is said."""
        if not self._body_given:
            if not self._pieces and not self._complete:
                try:
                    await self._more()
                except Disconnected:
                    return {"type": "http.disconnect"}
            self._body_given = self._complete
            return {"type": "http.request", "body": self.take(), "more_body": not self._complete}
        while self._lost is None and not self.finished and not self.left:
            await self.changed()
        return {"type": "http.disconnect"}

    def send(self, message: Message) -> Awaitable[None]:
        """Take an event of the response. Raises `OSError` once the client has gone, `RuntimeError` for a wrong one.

        What is usual is done when this returns.
        """
        kind = message["type"]
        if kind == "http.response.body":
            head = self._head
            if head is None or self.status or self._sends_trailers or message.get("more_body"):
                return self._send_body(message)
            data = message.get("body", b"")
            if head.length is not None and head.length != len(data):
                return self._send_body(message)  # it has none, as with HEAD, or not the one that was declared
            self.reply_now(head, data)
        elif kind == "http.response.start":
            if self._head is not None:
                raise RuntimeError("http.response.start has been sent already")
            self._head = self.service.heads.of(message["status"], message.get("headers", ()))
            if message.get("trailers"):
                self._sends_trailers = True
        else:
            return self._send_other(kind, message)
        return self._connection.shared.settled

    async def _send_body(self, message: Message) -> None:
        self._begin_body()
        body = message.get("body", b"")
        if not isinstance(body, bytes):
            body = bytes(body)  # a memoryview or bytearray may change before it has left
        if body:
            await self.write(body)
        if not message.get("more_body") and not self._sends_trailers:
            self.finish_now()

    def _begin_body(self) -> None:
        if self.finished:
            raise RuntimeError("the response is complete")
        if not self.started:
            if self._head is None:
                raise RuntimeError("http.response.start comes first")
            self.start_now(self._head)

    async def _send_other(self, kind: str, message: Message) -> None:
        if kind == "http.response.trailers":
            self._begin_body()
            if not self._sends_trailers:
                raise RuntimeError("http.response.start has announced no trailers")
            self._trailer_fields += made_fields(message.get("headers", ()))
            if not message.get("more_trailers", False):
                self.finish_now(self._trailer_fields)
        elif kind == "http.response.early_hint":
            links = tuple([(b"link", bytes(link)) for link in message.get("links", ())])
            if links:
                self.inform(ResponseHead(103, made_fields(links)))
        elif kind == "http.response.pathsend":
            await self._send_path(message["path"])
        elif kind == "http.response.zerocopysend":
            await self._send_zero_copy(message)
        elif kind != "http.response.debug":
            raise RuntimeError(f"unexpected message {kind!r}")

    async def _send_path(self, path: str) -> None:
        with open(path, "rb", buffering=0) as file:  # noqa: ASYNC230
            size = os.fstat(file.fileno()).st_size
            self._begin_body()
            await self.send_file(file, 0, size)
        if not self._sends_trailers:
            self.finish_now()

    async def _send_zero_copy(self, message: Message) -> None:
        """`file` is a file object or a descriptor, from `offset` or where it stands, to `count` bytes or its end."""
        descriptor = message["file"] if isinstance(message["file"], int) else message["file"].fileno()
        offset = message.get("offset")
        if offset is None:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        count = message.get("count")
        if count is None:
            count = max(os.fstat(descriptor).st_size - offset, 0)
        self._begin_body()
        with open(descriptor, "rb", buffering=0, closefd=False) as file:  # noqa: ASYNC230
            await self.send_file(file, offset, count)
        if not message.get("more_body", False) and not self._sends_trailers:
            self.finish_now()
