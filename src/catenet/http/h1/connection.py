"""An HTTP/1.1 connection, client or server, without I/O, with the calls and events of the HTTP/2 one.

One request at a time: what a client pipelines waits in the buffer until the response before it is complete
(`pending` then says that `receive(b"", now)` will go on); `paused` asks the driver to stop reading meanwhile.
"""

from __future__ import annotations

from collections import deque

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError, TooSlow
from catenet.http.events import Event, StreamReset
from catenet.http.h1.body import Body
from catenet.http.h1.head import UNTIL_CLOSE, H1Memo, ParsedHead, build_request, build_response, can_begin
from catenet.http.limits import Limits
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.stream import Stream

__all__ = ["H1Connection"]

_BUFFER_LIMIT = 64 << 10
_BEGINNING = 8
"""Bytes that tell whether a head can be HTTP/1."""
_CHUNKED_FIELD: Fields = ((b"transfer-encoding", b"chunked"),)
_CLOSE_FIELD: Fields = ((b"connection", b"close"),)
_KEEP_FIELD: Fields = ((b"connection", b"keep-alive"),)


class H1Connection:
    """One HTTP/1.1 connection. `memo` must be shared only among connections of the same role."""

    __slots__ = (
        "_at", "_blank", "_body", "_buffer", "_chunked", "_discarded", "_events", "_held", "_held_back", "_keep_alive",
        "_limits", "_memo", "_next_id", "_now", "_out", "_parsed", "_pending_head", "_searched", "_since", "_stream",
        "_unsent", "_unwanted", "_waiting", "failed", "flowed", "goaway", "is_client", "queued", "served", "streams",
    )  # fmt: skip

    version = 1
    settled = True
    peer_max_streams = 1
    peer_max_header_list = 1 << 32
    """Nothing announces a limit in HTTP/1.1; a head over it costs one exchange and no other."""
    bulky = False
    """Bodies leave as they are given, without being cut."""

    def __init__(self, is_client: bool, limits: Limits | None = None, memo: H1Memo | None = None) -> None:
        self.is_client = is_client
        self.streams: dict[int, Stream] = {}
        self.served = 0
        self.failed: HttpError | None = None
        self.goaway: object = None
        self._limits = limits or Limits()
        self._memo = memo or H1Memo()
        # What has been used of the buffer stays in it until more comes: cut off at once, the rest would be copied for
        # each of the requests that came together.
        self._buffer = b""
        self._at = 0
        self._searched = 0
        self._waiting = bytearray()
        self._events: list[Event] = []
        self._out: list[bytes] = []
        self._unsent = 0
        """Bytes of bodies in it."""
        self._stream: Stream | None = None
        self._parsed: ParsedHead | None = None
        self._pending_head: RequestHead | None = None
        self._body: Body | None = None
        self._unwanted: Body | None = None
        self._chunked = False
        self._discarded = 0
        self._keep_alive = True
        self._next_id = 1
        self._held = 0
        self._held_back = False
        self._blank = 0  # the request before which an empty line has come
        self._now = 0.0
        self._since: float | None = None
        self.queued = 0
        self.flowed = 0

    # What the driver asks.

    @property
    def can_open(self) -> bool:
        """Whether a client may begin a request now."""
        return self._stream is None and not self.closing

    @property
    def closing(self) -> bool:
        """Whether no request can be begun any more."""
        return self.failed is not None or not self._keep_alive

    @property
    def may_close(self) -> bool:
        """Whether nothing would be lost by closing now."""
        return self._stream is None and self._unwanted is None

    @property
    def begun(self) -> bool:
        """Whether a first head has come (server)."""
        return self._next_id > 1

    @property
    def head_since(self) -> float | None:
        """When the first byte came of a head that is not complete; None: there is none."""
        return self._since

    @property
    def unfinished(self) -> bool:
        """Whether there is part of a chunk's framing, or of a request that has been answered already."""
        stream = self._stream
        waiting = len(self._buffer) > self._at
        return self._unwanted is not None or (waiting and stream is not None and stream.remote_open)

    def may_receive(self, stream: Stream) -> bool:
        """Whether the peer is free to send the rest of the stream: we read."""
        return not self.paused

    @property
    def pending(self) -> bool:
        """Whether `receive(b"", now)` has something to return: an event from a call, or the next request."""
        if self._events:
            return True
        if len(self._buffer) <= self._at or self._stream or self._unwanted is not None or self._held_back:
            return False
        return not self._searched and not self.closing and self._unsent <= _BUFFER_LIMIT

    @property
    def paused(self) -> bool:
        """Whether the driver should stop reading from the transport."""
        waiting = self._held_back if self._stream is None else not self._stream.remote_open
        return (self._held > self._limits.stream_window and self._unwanted is None) or (
            waiting and len(self._buffer) - self._at > _BUFFER_LIMIT
        )

    def transmit(self) -> bytes:
        """Return all bytes to be sent now."""
        if self._pending_head is not None:
            self._begin_request(chunked=True)
        out = self._out
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        self._unsent = 0
        return data

    def transmit_pieces(self) -> list[bytes | memoryview]:
        """Return the same as `transmit`."""
        return [self.transmit()]

    # Input.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take the next bytes from the peer; return what they meant. Never raises for what the peer did."""
        if not self._buffer and self._stream is None and not (self.is_client or self._held_back) and self._keep_alive:
            whole = self._receive_whole(data) if self._unwanted is None else None
            if whole is not None:
                return whole
        self._now = now
        if self.failed is None:
            room = self._limits.max_header_list - (len(self._buffer) - self._at) - len(self._waiting)
            if self._searched and b"\n" not in data and len(data) < room:
                self._waiting += data  # the line cannot end here: byte by byte it costs its length, not the square
                return self._take_events()
            self._append_input(data)
            try:
                self._receive()
            except HttpError as error:
                self.fail(error)
            if self._at == len(self._buffer):
                self._buffer, self._at = b"", 0
        return self._take_events()

    def _append_input(self, data: bytes) -> None:
        if not self._buffer and not self._waiting:
            self._buffer = data
        elif data or self._waiting:
            self._buffer = b"".join((self._buffer[self._at :], self._waiting, data))
            self._at = 0
            self._waiting.clear()

    def _drop_input(self) -> None:
        self._at = len(self._buffer)
        self._searched = 0

    def _receive_whole(self, data: bytes) -> list[Event] | None:
        """Read what comes in practice: one request, all of it, its head seen before. None if it is anything else."""
        stop = data.find(b"\r\n\r\n") + 4
        parsed = self._memo.known(data[:stop])
        if parsed is None or parsed.length != len(data) - stop or not parsed.keep_alive or self._events:
            return None
        self._parsed = parsed
        stream = self._stream = Stream(self._next_id, 0, 0)
        self._next_id += 2
        self.streams[stream.id] = stream
        stream.remote_open = False
        if stop == len(data):
            return [(ev.HEAD, stream, parsed.head, True)]
        return [(ev.HEAD, stream, parsed.head, False), (ev.DATA, stream, data[stop:], True)]

    def receive_eof(self) -> list[Event]:
        """The peer will send nothing more."""
        stream, body = self._stream, self._body
        self._keep_alive = False
        if stream is not None and body is not None and body.until_close:
            body.done = True
            self._end_remote(stream, body)
        elif stream is not None and stream.remote_open:
            self.fail(HttpError("the connection closed inside a message", ErrorCode.CONNECT_ERROR))
        elif stream is None and self.failed is None:
            self._unwanted = None
            self._events.append((ev.CLOSED, None, None, True))
        return self._take_events()

    def _receive(self) -> None:
        if self._unwanted is not None:
            self._discard(self._unwanted)
            return
        if self.closing and self._stream is None:
            self._drop_input()
            return
        while self._body is None:
            if not self._receive_head():
                return
        stream, body = self._stream, self._body
        if stream is None or body is None or not stream.remote_open:
            return
        pieces = self._feed(body)
        for index, piece in enumerate(pieces):
            stream.held += len(piece)
            self._held += len(piece)
            last = body.done and not body.trailers and index == len(pieces) - 1
            self._events.append((ev.DATA, stream, piece, last))
        if body.done:
            self._end_remote(stream, body, reported=bool(pieces) and not body.trailers)

    def _feed(self, body: Body) -> list[bytes]:
        pieces, self._at = body.feed(self._buffer, self._at)
        self._searched = 0 if body.done else len(self._buffer) - self._at  # what it left is part of a line
        return pieces

    def _receive_head(self) -> bool:
        """Read a head if it is complete and its turn; True if more of its message may follow in the buffer."""
        if (self._stream is not None) is not self.is_client:
            if self.is_client and len(self._buffer) > self._at:
                raise HttpError("a response that nothing asked for")
            return False  # a pipelined request
        if self._held_back and not self.is_client:
            return False  # whoever does not read answers gets no more of them
        buffer = self._buffer
        if not self.is_client and buffer[self._at : self._at + 2] == b"\r\n" and self._blank != self._next_id:
            self._blank = self._next_id  # RFC 9112 section 2.2: one empty line may come first
            self._at += 2
            self._searched = 0
        start = self._at
        search = start + max(self._searched - 3, 0)
        stop = buffer.find(b"\r\n\r\n", search)
        if stop < 0 or stop - start > self._limits.max_header_list:
            self._check_beginning(buffer, start, search)
            self._searched = len(buffer) - start
            self._since = (self._now if self._since is None else self._since) if self._searched else None
            return False
        self._searched = 0
        self._since = None
        self._at = stop + 4
        block = buffer[start : self._at]
        return self._on_response(block) if self.is_client else self._on_request(block)

    def _check_beginning(self, buffer: bytes, start: int, search: int) -> None:
        """Refuse what can never become a head, rather than wait for the rest of it; it was seen up to `search`."""
        if len(buffer) - start > self._limits.max_header_list:
            raise HttpError("head is over the limit", ErrorCode.ENHANCE_YOUR_CALM)
        beginning = buffer[start : start + _BEGINNING]
        if not can_begin(beginning, not self.is_client):
            raise HttpError("this is TLS, not HTTP" if beginning[:2] == b"\x16\x03" else "this is not HTTP/1.1")
        # Most smugglers' heads never have CRLF CRLF.
        if buffer.find(b"\n\n", search) >= 0 or buffer.find(b"\n\r\n", search) >= 0:
            raise HttpError("bare LF in a head")

    def _on_request(self, block: bytes) -> bool:
        parsed = self._parsed = self._memo.request(block)
        stream = self._stream = Stream(self._next_id, 0, 0)
        self._next_id += 2
        self.streams[stream.id] = stream
        self._keep_alive = self._keep_alive and parsed.keep_alive
        self._body = Body(parsed.length, self._limits.max_header_list)
        if parsed.expects_continue and parsed.length and self._at == len(self._buffer):
            self._out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
        end = parsed.length == 0
        self._events.append((ev.HEAD, stream, parsed.head, end))
        if end:
            stream.remote_open = False
        return not end

    def _on_response(self, block: bytes) -> bool:
        stream, parsed = self._stream, self._memo.response(block)
        assert stream is not None
        head: ResponseHead = parsed.head
        if head.status < 200:
            if head.status == 101:
                raise HttpError("switching protocols was not asked for")
            self._events.append((ev.INTERIM, stream, head, False))
            return True
        self._keep_alive = self._keep_alive and parsed.keep_alive and parsed.length != UNTIL_CLOSE
        length = 0 if head.status in (204, 304) else parsed.length
        self._body = Body(length, self._limits.max_header_list)
        self._events.append((ev.HEAD, stream, head, length == 0))
        if length == 0:
            self._end_remote(stream, self._body, reported=True)
        return length != 0

    def _end_remote(self, stream: Stream, body: Body, reported: bool = False) -> None:
        stream.remote_open = False
        if body.trailers:
            self._events.append((ev.TRAILERS, stream, tuple(body.trailers), True))
        elif not reported:
            self._events.append((ev.DATA, stream, b"", True))
        self._finish_exchange(stream)

    def _finish_exchange(self, stream: Stream) -> None:
        """Both directions are complete: make room for the next exchange, or close."""
        if stream.local_open or (stream.remote_open and self.is_client):
            return
        body = self._body
        self.streams.pop(stream.id, None)
        self._release(stream)
        self.served += 1
        self._stream = self._body = self._parsed = None
        if stream.remote_open and not self.is_client and body is not None:
            # The response is complete before the request: read on, but keep nothing. Closing now would reset the
            # connection under a client that is still sending, which would never see the response (RFC 9112 section
            # 9.6). If the head did not announce a close, the client sends its next request after this one.
            self._unwanted = body
            self._discarded = 0
        elif not self._keep_alive:
            self._events.append((ev.CLOSED, None, None, True))

    def _discard(self, body: Body) -> None:
        before = self._at
        self._feed(body)
        self._discarded += self._at - before
        if not body.done and self._discarded <= self._limits.max_queued:
            return
        self._unwanted = None
        if not (body.done and self._keep_alive):
            self._keep_alive = False
            self._drop_input()
            self._events.append((ev.CLOSED, None, None, True))

    def _release(self, stream: Stream) -> None:
        self._held -= stream.held
        stream.held = 0
        if stream.queue is not None:
            self.queued -= stream.queued
            stream.queue, stream.queued = None, 0

    def fail(self, error: HttpError) -> None:
        """Give the connection up; a server says 400 (or 431, 408) if it can still say something."""
        if self.failed is not None:
            return
        self.failed = error
        self._keep_alive = False
        stream = self._stream
        answered = self._unwanted is not None or (stream is not None and not stream.local_open)
        if not self.is_client and not answered and (stream is None or not (self._chunked or self._out)):
            calm = error.code == ErrorCode.ENHANCE_YOUR_CALM
            status = 408 if isinstance(error, TooSlow) else 431 if calm else 400
            self._out.append(build_response(ResponseHead(status), ((b"content-length", b"0"), *_CLOSE_FIELD)))
        if stream is not None:
            self.streams.pop(stream.id, None)
            stream.local_open = stream.remote_open = False
            self._release(stream)
            self._stream = None
            self._events.append((ev.RESET, stream, StreamReset(error.code, str(error), by_peer=False), True))
        self._events.append((ev.CLOSED, None, error, True))

    # Output.

    def open(self, head: RequestHead, end: bool) -> Stream:
        """Begin a request; its head leaves with the first piece of body, so that one piece gets a Content-Length."""
        stream = self._stream = Stream(self._next_id, 0, 0)
        self._next_id += 2
        self.streams[stream.id] = stream
        self._pending_head = head
        if end:
            self._begin_request(chunked=False)
            stream.local_open = False
        return stream

    def send_request(self, head: RequestHead, body: bytes) -> Stream:
        """Send a whole request (client): head and body."""
        stream = self.open(head, not body and head.method != b"POST")
        if stream.local_open:
            self.send_data(stream, body, True)
        return stream

    def _begin_request(self, chunked: bool, length: int | None = None) -> None:
        head, self._pending_head = self._pending_head, None
        assert head is not None
        framing: Fields = _CHUNKED_FIELD if chunked else ()
        if not chunked and (length is not None or head.method == b"POST"):
            framing = ((b"content-length", b"%d" % (length or 0)),)
        self._chunked = chunked
        self._out.append(build_request(head, framing))

    def send_head(self, stream: Stream, head: ResponseHead, end: bool = False) -> None:
        """Send a response head whose body follows in chunks."""
        if not stream.local_open:
            return
        if head.status < 200:
            self._out.append(build_response(head, ()))
            return
        self._chunked = not self._speaks_http_1_0()
        framing: Fields = _CHUNKED_FIELD if self._chunked and not end else ()
        if end:
            framing = () if head.status in (204, 304) else ((b"content-length", b"0"),)
            self._chunked = False
        elif not self._chunked:
            self._keep_alive = False  # HTTP/1.0 knows no chunks
        self._out.append(build_response(head, framing + self._connection_field()))
        if end:
            self._end_local(stream)

    def send_data(self, stream: Stream, data: bytes, end: bool = False) -> bool:
        """Send a piece of body, or queue it; False if something is queued now (`DRAINED` will say when not)."""
        if not stream.local_open:
            return True
        if self._pending_head is not None:
            self._begin_request(chunked=not end, length=len(data))
        if self._held_back or stream.queue is not None:
            self._enqueue(stream, data)
            stream.ending = end
            return False
        self._append(data)
        if end:
            self._append_end(())
            self._end_local(stream)
        return True

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """End the message with a trailer section; without chunks there is none to be sent."""
        if stream.queue is not None:
            stream.ending, stream.trailers = True, fields
        elif stream.local_open:
            self._append_end(fields)
            self._end_local(stream)

    def send_reply(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """Send a whole response: head, body, trailers (None: the response ends with its body)."""
        if trailers:
            self.send_head(stream, head)
            self.send_data(stream, body)
            self.send_trailers(stream, trailers)
        elif stream.local_open:
            bodiless = head.status in (204, 304)
            if stream.remote_open and self._body is not None and not self._body.done:
                self._keep_alive = False  # the rest of the request is not worth reading
            parsed = self._parsed
            old = parsed is not None and parsed.minor == 0
            if head.h1 is not None and self._keep_alive and not bodiless and not old:
                self._out.append(b"%bcontent-length: %d\r\n\r\n" % (head.h1, len(body)))
            else:
                length: Fields = () if bodiless else ((b"content-length", b"%d" % len(body)),)
                self._out.append(build_response(head, length + self._connection_field()))
            if body and not bodiless:
                self._out.append(body)
                self._unsent += len(body)
            self._end_local(stream)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break the exchange off, which in HTTP/1.1 costs the connection."""
        if self.streams.pop(stream.id, None) is not None:
            stream.local_open = stream.remote_open = False
            self._keep_alive = False
            self._release(stream)
            self._stream = None
            self._events.append((ev.CLOSED, None, None, True))

    def abandon(self, stream: Stream) -> None:
        """End the request whose response is complete, so that another can follow."""
        self.send_data(stream, b"", True)

    def consume(self, stream: Stream, count: int) -> None:
        """The application has taken `count` bytes of the body."""
        count = min(count, stream.held)
        stream.held -= count
        self._held -= count

    def expect(self, stream: Stream, count: int) -> None:
        """HTTP/1.1 has no windows."""

    def hold(self) -> None:
        """The transport is full: keep data in the queue until `release`."""
        self._held_back = True

    def release(self) -> list[Event]:
        """The transport can take more; returns `DRAINED` events."""
        self._held_back = False
        stream = self._stream
        if stream is not None and stream.queue is not None:
            for piece in stream.queue:
                self._append(bytes(piece))
            self.flowed += stream.queued
            self.queued -= stream.queued
            stream.queue, stream.queued = None, 0
            if stream.ending:
                self._append_end(stream.trailers or ())
                self._end_local(stream)
            else:
                self._events.append((ev.DRAINED, stream, None, False))
        return self._take_events()

    def ping(self, payload: bytes) -> None:
        """HTTP/1.1 has no ping."""

    def drain(self) -> None:
        """Close after the exchange that is going on."""
        self._keep_alive = False

    def go_away(self) -> None:
        """The same: nothing announces it but the next response."""
        self._keep_alive = False

    def _enqueue(self, stream: Stream, data: bytes) -> None:
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(data)
        stream.queued += len(data)
        self.queued += len(data)
        if self.queued > self._limits.max_queued:
            self.fail(HttpError("the peer does not read what it asked for", ErrorCode.ENHANCE_YOUR_CALM))

    def _append(self, data: bytes) -> None:
        if not data:
            return  # an empty chunk would end the body
        self._unsent += len(data)
        if self._chunked:
            self._out.append(b"%x\r\n" % len(data))
            self._out.append(data)
            self._out.append(b"\r\n")
        else:
            self._out.append(data)

    def _append_end(self, trailers: Fields) -> None:
        if self._chunked:
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in trailers)
            self._out.append(b"0\r\n" + lines + b"\r\n")
            self._chunked = False

    def _end_local(self, stream: Stream) -> None:
        stream.local_open = False
        self._finish_exchange(stream)

    def _speaks_http_1_0(self) -> bool:
        parsed = self._parsed
        return parsed is not None and parsed.minor == 0

    def _connection_field(self) -> Fields:
        if not self._keep_alive:
            return _CLOSE_FIELD
        # RFC 9112 section 9.3: a client of HTTP/1.0 that asked to keep the connection has to hear that it is kept.
        return _KEEP_FIELD if self._speaks_http_1_0() else ()

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
