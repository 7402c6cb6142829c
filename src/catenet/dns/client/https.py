"""Queries over HTTP (RFC 8484): the exchange of one connection without I/O, and the channel that drives it."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

from catenet.dns.client.channel import close_connection
from catenet.http import events as ev
from catenet.http.core import HttpCore
from catenet.http.events import Event
from catenet.http.h1.connection import H1Connection
from catenet.http.h2.connection import Connection as H2Connection
from catenet.http.limits import Limits
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.stream import Stream
from catenet.net import Connection, PlainCore
from catenet.wire.dns.message import parse_reply
from catenet.wire.dns.numbers import OPT
from catenet.wire.errors import Malformed

__all__ = ["LARGEST", "HttpAnswer", "HttpsChannel", "HttpsQueries", "aged"]

MEDIA_TYPE: Final = b"application/dns-message"
DEFAULT_PATH: Final = "/dns-query"
LARGEST: Final = 65_535
"""Bytes of a message, and so of a body."""
_ACCEPT: Final = (b"accept", MEDIA_TYPE)
_LIMITS: Final = Limits(max_header_list=16 << 10, max_held=1 << 20)


@dataclass(slots=True)
class HttpAnswer:
    """What came back: a message, or a problem in words."""

    token: int
    message: bytes = b""
    problem: str = ""


@dataclass(slots=True)
class _Exchange:
    token: int
    head: ResponseHead | None = None
    body: bytearray = field(default_factory=bytearray)


class HttpsQueries(PlainCore):
    """A client's side of one connection. Nothing is sent before `begin` has said which version of HTTP is spoken.

    Args:
        scheme, authority, path: of the server's URL.
        get: send the query in the URL, where caches see it, instead of as a body (RFC 8484 4.1).
    """

    def __init__(self, scheme: str, authority: str, path: str = "", get: bool = False) -> None:
        self._scheme, self._authority = scheme.encode(), authority.encode()
        self._path = (path or DEFAULT_PATH).encode()
        self._get = get
        self._core: HttpCore | None = None
        self._early = bytearray()
        self._unsent: deque[tuple[int, bytes]] = deque()
        self._exchanges: dict[int, _Exchange] = {}
        self._answers: deque[HttpAnswer] = deque()

    def begin(self, version: int) -> None:
        """HTTP/1.1 or HTTP/2 has been agreed upon."""
        self._core = H2Connection(True, _LIMITS) if version == 2 else H1Connection(True, _LIMITS)
        if self._early:
            self._take(self._core.receive(bytes(self._early), 0.0))
            self._early.clear()

    @property
    def closing(self) -> bool:
        """Whether no query can be asked any more."""
        return self.closed or (self._core is not None and self._core.closing)

    def send(self, token: int, query: bytes) -> None:
        """Ask; over HTTP/1.1 one query after another."""
        self._unsent.append((token, query))

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes."""
        core = self._core
        if core is None:
            self._early += data[: max(0, LARGEST - len(self._early))]
            return
        self._take(core.receive(data, now) if data else core.receive_eof())
        while core.pending:
            self._take(core.receive(b"", now))
        if not data:
            self._end("the server closed the connection")

    def transmit(self, now: float) -> bytes:
        """Return the next bytes, requests that wait included."""
        core = self._core
        if core is None:
            return b""
        while self._unsent and core.can_open:
            token, query = self._unsent.popleft()
            stream = self._request(core, query)
            self._exchanges[stream] = _Exchange(token)
        return core.transmit()

    def next_event(self) -> HttpAnswer | None:
        """Return the next answer."""
        return self._answers.popleft() if self._answers else None

    def _request(self, core: HttpCore, query: bytes) -> int:
        if self._get:
            path = self._path + b"?dns=" + base64.urlsafe_b64encode(query).rstrip(b"=")
            head = RequestHead(b"GET", path, (_ACCEPT,), self._authority, self._scheme)
            return core.send_request(head, b"").id
        fields: Fields = (
            _ACCEPT,
            (b"content-type", MEDIA_TYPE),
            (b"content-length", str(len(query)).encode()),
        )
        return core.send_request(RequestHead(b"POST", self._path, fields, self._authority, self._scheme), query).id

    def _take(self, events: list[Event]) -> None:
        for kind, stream, value, end in events:
            if kind == ev.CLOSED:
                self._end(f"the server broke HTTP: {value}" if value else "the server closed the connection")
                continue
            exchange = self._exchanges.get(stream.id) if stream is not None else None
            if exchange is None:
                continue
            if kind == ev.HEAD:
                exchange.head = value
            elif kind == ev.DATA:
                self._on_data(stream, exchange, value)
            elif kind == ev.RESET:
                self._finish(stream.id, HttpAnswer(exchange.token, problem=f"the server broke off: {value.message}"))
                continue
            if end and stream.id in self._exchanges:
                self._finish(stream.id, _answer(exchange))

    def _on_data(self, stream: Stream, exchange: _Exchange, data: bytes) -> None:
        assert self._core is not None
        self._core.consume(stream, len(data))
        exchange.body += data
        if len(exchange.body) > LARGEST:
            self._core.reset(stream)
            problem = f"the answer is longer than {LARGEST} bytes"
            self._finish(stream.id, HttpAnswer(exchange.token, problem=problem))

    def _finish(self, stream: int, answer: HttpAnswer) -> None:
        del self._exchanges[stream]
        self._answers.append(answer)

    def _end(self, problem: str) -> None:
        waiting = [exchange.token for exchange in self._exchanges.values()] + [token for token, _ in self._unsent]
        self._answers += [HttpAnswer(token, problem=problem) for token in waiting]
        self._exchanges.clear()
        self._unsent.clear()
        self.closed = True


def _answer(exchange: _Exchange) -> HttpAnswer:
    head = exchange.head
    if head is None:
        return HttpAnswer(exchange.token, problem="the server answered without a head")
    if not 200 <= head.status < 300:  # RFC 8484 4.2.1: the message counts only then, whatever is in it
        return HttpAnswer(exchange.token, problem=f"HTTP status {head.status}")
    kind = (head.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        shown = kind.decode("latin-1") or "nothing"
        return HttpAnswer(exchange.token, problem=f"the server answered with {shown} instead of {MEDIA_TYPE.decode()}")
    age = head.get(b"age") or b"0"
    seconds = int(age) if age.isdigit() and len(age) < 10 else 0
    return HttpAnswer(exchange.token, aged(bytes(exchange.body), seconds))


def aged(data: bytes, seconds: int) -> bytes:
    """The message with TTLs that are less by the time that it lay in a cache of HTTP (RFC 8484 5.1)."""
    if not seconds:
        return data
    try:
        message = parse_reply(data)
    except Malformed:
        return data
    changed = bytearray(data)
    for record in (*message.answer, *message.authority, *message.additional):
        if record.type != OPT:
            at = record.head + 4
            changed[at : at + 4] = max(0, record.ttl - seconds).to_bytes(4, "big")
    return bytes(changed)


class HttpsChannel:
    """A connection for queries over HTTP."""

    def __init__(self, connection: Connection[HttpAnswer], core: HttpsQueries) -> None:
        self._connection = connection
        self._core = core
        self._tokens = 0
        self._waiting: dict[int, asyncio.Future[HttpAnswer]] = {}
        self._error: str | None = None
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @property
    def usable(self) -> bool:
        """Whether the server takes more requests."""
        return self._error is None and not self._core.closing

    async def exchange(self, query: bytes) -> AsyncGenerator[bytes]:
        """Send a query with id 0, as caches like it (RFC 8484 4.1); yield the answer, with the query's id."""
        self._tokens += 1
        token = self._tokens
        future = self._waiting[token] = asyncio.get_running_loop().create_future()
        try:
            self._core.send(token, b"\0\0" + query[2:])
            await self._connection.drained()
            answer = await future
            if answer.problem:
                raise ConnectionError(answer.problem)
            yield query[:2] + answer.message[2:] if answer.message[:2] == b"\0\0" else answer.message
        finally:
            del self._waiting[token]

    async def close(self) -> None:
        """Close the connection."""
        self._reader.cancel()
        await close_connection(self._connection)

    async def _read(self) -> None:
        try:
            async for answer in self._connection:
                future = self._waiting.get(answer.token)
                if future is not None and not future.done():
                    future.set_result(answer)
                self._connection.flush()  # over HTTP/1.1 the next query may go now
            self._error = "the server closed the connection"
        except OSError as error:
            self._error = f"the connection broke: {error}"
        for token, future in self._waiting.items():
            if not future.done():
                future.set_result(HttpAnswer(token, problem=self._error))
