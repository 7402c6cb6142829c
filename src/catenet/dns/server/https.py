"""DNS over HTTPS (RFC 8484), and pages that say how a server is, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from urllib.parse import parse_qs

from catenet.dns.server.chain import Chain
from catenet.dns.server.request import HTTPS
from catenet.dns.server.watch import Watch
from catenet.http.driver import IGNORE
from catenet.http.errors import HttpError
from catenet.http.events import StreamReset
from catenet.http.limits import Limits
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.serving import ServingProtocol, Shared
from catenet.http.stream import Stream
from catenet.net import ServerLimits
from catenet.net.accept import Slot
from catenet.net.stream_server import StreamServer
from catenet.wire.dns.message import Message
from catenet.wire.errors import Malformed

__all__ = ["DEFAULT_PATH", "HttpConnection", "HttpStreams"]

DNS_MESSAGE: Final = b"application/dns-message"
DEFAULT_PATH: Final = "/dns-query"
LONGEST: Final = 65_535
MOST_STREAMS: Final = 100
MOST_HEADS: Final = 4096
_LIMITS: Final = Limits(max_header_list=16 << 10, max_streams=MOST_STREAMS, stream_window=128 << 10, max_held=4 << 20)

Page = Callable[[], tuple[bytes, bytes]]
"""Returns a content type and a body."""


class HttpConnection(ServingProtocol):
    """One connection."""

    __slots__ = ("_client", "_pieces", "_server")

    def __init__(self, server: HttpStreams, shared: Shared, slot: Slot) -> None:
        super().__init__(server, shared, slot)
        self._server = server
        self._client: tuple[str, int] | None = None
        self._pieces: list[bytes] = []

    def on_head(self, stream: Stream, head: RequestHead, end: bool) -> None:
        """Answer a request that is complete, or wait for its body."""
        path, _, query = head.path.partition(b"?")
        page = self._server.pages.get(path)
        if page is not None:
            kind, body = page()
            self._reply(stream, ResponseHead(200, ((b"content-type", kind),)), body if head.method != b"HEAD" else b"")
        elif path not in self._server.paths:
            self._refuse(stream, 404, "no such page")
        elif head.method == b"GET":
            message = _message_of(query)
            if message is None:
                self._refuse(stream, 400, "the query is not ?dns=, a DNS message in base64url")
            else:
                self._ask(stream, message)
        elif head.method != b"POST":
            self._refuse(stream, 405, "GET or POST", ((b"allow", b"GET, POST"),))
        elif (head.get(b"content-type") or b"").partition(b";")[0].strip().lower() != DNS_MESSAGE:
            self._refuse(stream, 415, "the body is to be application/dns-message")
        else:
            stream.owner = owner = _Body(self, stream)
            if end:
                owner.on_data(b"", True)

    # Answers.

    def ask(self, stream: Stream, message: bytes) -> None:
        """Answer the message of a body that is complete."""
        self._ask(stream, message)

    def refuse(self, stream: Stream, status: int, text: str) -> None:
        """Answer that a request is none."""
        self._refuse(stream, status, text)

    def _ask(self, stream: Stream, message: bytes) -> None:
        server = self._server
        chain = server.chain
        address, port = self._place()
        chain.counters.values["queries_https"] += 1
        chain.tick(self.now)
        lane = chain.lane(address)
        kept = None if lane is None else lane.reply(message, chain.stream_forms)
        reply: bytes | None = None if kept is None else message[:2] + kept
        if reply is None:
            stream.owner = IGNORE
            self.running += 1
            reply = chain.receive(message, HTTPS, address, port, partial(self._late, stream, message))
            if reply == b"":
                return
            self.running -= 1
        if reply is None:
            self._refuse(stream, 400, "the body is no DNS query")
        else:
            self._send(stream, message, reply)

    def _late(self, stream: Stream, message: bytes, reply: bytes) -> None:
        self.running -= 1
        if self.transport is not None and stream.id in self.core.streams:
            if reply:
                self._send(stream, message, reply)
            else:
                self._refuse(stream, 403, "there is no answer for you")
        self.touch()
        self.close_if_idle()

    def _send(self, stream: Stream, message: bytes, reply: bytes) -> None:
        server = self._server
        server.chain.counters.codes[reply[3]] += 1
        server.watch.saw(HTTPS, *self._place(), message, reply[2:])
        self._reply(stream, server.head(_lifetime(reply), len(reply)), reply)

    def _reply(self, stream: Stream, head: ResponseHead, body: bytes) -> None:
        stream.owner = IGNORE
        self.core.send_reply(stream, head, body, None)
        if not (self._gathers or self.write_paused) and (piece := self.core.transmit()):
            self._pieces.append(piece)

    def flush(self) -> None:
        """Write what there is; over TLS a record for each answer.

        Some clients (dnsperf 2.10) take one answer out of a record, and forget the others.
        """
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            if self.transport is not None and not self.ended:
                self.transport.writelines(pieces)
        super().flush()

    def _refuse(self, stream: Stream, status: int, text: str, fields: Fields = ()) -> None:
        self._reply(stream, ResponseHead(status, ((b"content-type", b"text/plain"), *fields)), text.encode() + b"\n")

    def _place(self) -> tuple[str, int]:
        if self._client is None:
            name = None if self.transport is None else self.transport.get_extra_info("peername")
            self._client = (name[0], name[1]) if isinstance(name, tuple) else ("", 0)
        return self._client

    # As the server sees it.

    def on_failed(self, error: HttpError | None) -> None:
        """The peer broke the protocol."""
        if error is not None:
            self._server.chain.counters.add("malformed")
        super().on_failed(error)


class _Body:
    """The owner of a stream whose body comes."""

    def __init__(self, connection: HttpConnection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._pieces: list[bytes] = []
        self._size = 0

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """A server gets none."""

    def on_data(self, data: bytes, end: bool) -> None:
        """Keep a piece; answer the whole."""
        self._size += len(data)
        self._connection.core.consume(self._stream, len(data))
        if self._size > LONGEST:
            self._connection.refuse(self._stream, 413, "a DNS message has at most 65535 bytes")
            return
        self._pieces.append(data)
        if end:
            self._connection.ask(self._stream, b"".join(self._pieces))

    def on_trailers(self, fields: Fields) -> None:
        """The body is complete."""
        self.on_data(b"", True)

    def on_reset(self, reset: StreamReset) -> None:
        """The client wants no answer any more."""

    def on_drained(self) -> None:
        """Nothing waits for it."""

    def owes(self) -> bool:
        """The client has begun a body, and not finished it."""
        return True


class HttpStreams(StreamServer[HttpConnection]):
    """A server of queries, at the paths that its URLs name, and of `pages`."""

    alpn = ("h2", "http/1.1")

    def __init__(
        self, chain: Chain, watch: Watch, limits: ServerLimits, pages: Mapping[bytes, Page] | None = None
    ) -> None:
        super().__init__(limits)
        self.chain = chain
        self.watch = watch
        self.pages = pages or {}
        self.paths: set[bytes] = set()
        self._heads: dict[tuple[int, int], ResponseHead] = {}

    def begin(self, loop: asyncio.AbstractEventLoop) -> Shared:
        """Make what belongs to the event loop that the server listens in."""
        return Shared(loop, self._limits, _LIMITS)

    def accepted(self, slot: Slot) -> HttpConnection:
        """Return the protocol of a connection."""
        assert isinstance(self._shared, Shared)
        return HttpConnection(self, self._shared, slot)

    def use(self, chain: Chain, watch: Watch) -> None:
        """Answer by another chain from now on."""
        self.chain, self.watch = chain, watch

    def head(self, lifetime: int, size: int) -> ResponseHead:
        """The head of an answer of `size` bytes that may be kept for so many seconds (RFC 8484 5.1).

        BIND's client does not take an answer over HTTP/2 without Content-Length.
        """
        found = self._heads.get((lifetime, size))
        if found is None:
            length, age = b"%d" % size, b"max-age=%d" % lifetime
            fields = ((b"content-type", DNS_MESSAGE), (b"content-length", length), (b"cache-control", age))
            found = ResponseHead(200, fields)
            if len(self._heads) < MOST_HEADS:
                self._heads[lifetime, size] = found
        return found


def _message_of(query: bytes) -> bytes | None:
    try:
        text = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=8)["dns"][0]
        if not all(letter.isalnum() or letter in "-_=" for letter in text):
            return None
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, KeyError, binascii.Error):
        return None


def _lifetime(reply: bytes) -> int:
    """The least TTL of the answer section; of an answer without records 0."""
    try:
        return min((record.ttl for record in Message(reply).answer), default=0)
    except Malformed:
        return 0
