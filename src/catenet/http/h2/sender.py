"""The outgoing half of an HTTP/2 connection: heads, flow-controlled data, resets.

What is sent is appended to a list, which `transmit` joins: all that one turn of the loop made leaves in one write.
Data that does not fit the windows waits in its stream's queue; a stream that only the connection window holds back is
listed in `_waiting`, one that its own window holds back is not, so a WINDOW_UPDATE costs nothing for streams it does
not help.
"""

from __future__ import annotations

from collections import deque

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError, PeerLimit
from catenet.http.events import Event
from catenet.http.h2 import frames
from catenet.http.h2.hpack import Encoder, Memo, Table
from catenet.http.limits import Limits
from catenet.http.message import Fields, RequestHead, ResponseHead, list_size
from catenet.http.stream import Stream

__all__ = ["Sender"]

_pack = frames.HEADER.pack
_FORGOTTEN_LIMIT = 1024
_CONTINUE = ResponseHead(100)
GUESSED_MAX_STREAMS = 100
_LAST = frames.END_HEADERS | frames.END_STREAM
_SMALL = 512
"""A body of this many bytes is copied to its head: another piece to be joined would cost more."""


class Sender:
    """State and calls of the outgoing half; `catenet.http.h2.connection.Connection` adds the incoming one."""

    __slots__ = (
        "_before_end", "_before_head", "_candidate", "_encoder", "_events", "_forgotten", "_held_back", "_last_block",
        "_last_end", "_last_head", "_last_table", "_last_trailers", "_limits", "_next_id", "_out", "_waiting", "bulky",
        "connect_protocol", "failed", "flowed", "is_client", "peer_initial_window", "peer_max_frame",
        "peer_max_streams", "queued", "send_window", "served", "streams",
    )  # fmt: skip

    def __init__(self, is_client: bool, limits: Limits, encoders: Memo) -> None:
        self.is_client = is_client
        self.streams: dict[int, Stream] = {}
        self.served = 0
        self.failed: HttpError | None = None
        self.send_window = frames.DEFAULT_WINDOW
        self.peer_initial_window = frames.DEFAULT_WINDOW
        self.peer_max_frame = frames.DEFAULT_FRAME_SIZE
        self.peer_max_streams = GUESSED_MAX_STREAMS
        self.connect_protocol = False
        self._limits = limits
        self._encoder = Encoder(encoders, limits.max_header_list, strict=True)
        self._out: list[bytes | memoryview] = []
        # The last usual request or reply: its head and trailers, the table in which they were encoded; and what is
        # the same on every stream: the frames of both, before and after the number of the stream.
        self._candidate: RequestHead | ResponseHead | None = None
        self._last_head: RequestHead | ResponseHead | None = None
        self._last_trailers: Fields | None = None
        self._last_table: Table | None = None
        self._before_head = b""
        self._last_block = b""
        self._before_end = b""
        self._last_end = b""
        self._events: list[Event] = []
        self._waiting: dict[int, Stream] = {}
        self.queued = 0  # bytes that wait for windows or for the transport
        self.flowed = 0  # bytes that have ever waited and do not any more
        self._held_back: int | None = None
        self.bulky = False
        self._forgotten: dict[int, None] = {}
        self._next_id = 1 if is_client else 2

    def transmit(self) -> bytes:
        """Return all bytes to be sent now."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 and isinstance(out[0], bytes) else b"".join(out)
        out.clear()
        self.bulky = False
        return data

    def transmit_pieces(self) -> list[bytes | memoryview]:
        """Return the same as `transmit`, not joined: what is `bulky` should not be copied once more."""
        pieces, self._out = self._out, []
        self.bulky = False
        return pieces

    @property
    def peer_max_header_list(self) -> int:
        """The largest head or trailer section that may be sent, as the peer counts it."""
        return self._encoder.list_limit

    # Calls down. Those that send fields raise PeerLimit, and then have sent nothing.

    def open(self, head: RequestHead, end: bool) -> Stream:
        """Begin a request (client); the caller has checked `can_open`."""
        block = self._encoder.encode(_request_fields(head))
        stream = Stream(self._next_id, self.peer_initial_window, self._limits.stream_window)
        self._next_id += 2
        self.streams[stream.id] = stream
        stream.bodiless = head.method == b"HEAD"
        stream.connects = head.method == b"CONNECT"
        self._append_block(stream.id, block, end)
        if end:
            self._end_local(stream)
        return stream

    def send_request(self, head: RequestHead, body: bytes) -> Stream:
        """Send a whole request (client): head and body; the caller has checked `can_open`."""
        size = len(body)
        if size > self.send_window or size > self.peer_initial_window or size > self.peer_max_frame:
            stream = self.open(head, False)
            self.send_data(stream, body, True)
            return stream
        if not size and head.method != b"POST":
            return self.open(head, True)
        number = self._next_id
        if head is self._last_head and 0 < size <= _SMALL and self._encoder.table is self._last_table:
            place = number.to_bytes(4, "big")
            frame = _pack(size >> 8, size & 0xFF, frames.DATA, frames.END_STREAM, number)
            self._out.append(b"".join((self._before_head, place, self._last_block, frame, body)))
        else:
            table = self._settled_table()
            block = self._encoder.encode(head.h2 or _request_fields(head))
            self._append_block(number, block, False)
            self._out.append(_pack(size >> 8, size & 0xFF, frames.DATA, frames.END_STREAM, number) + body)
            self._remember(head, block, None, b"", table)
        stream = self.streams[number] = Stream(number, self.peer_initial_window - size, self._limits.stream_window)
        self._next_id = number + 2
        self.send_window -= size
        stream.local_open = False
        return stream

    def _settled_table(self) -> Table | None:
        """The table in which the next block is encoded, if nothing else has to be said in it."""
        return self._encoder.table if self._encoder.is_settled else None

    def _remember(
        self, head: RequestHead | ResponseHead, first: bytes, trailers: Fields | None, last: bytes, table: Table | None
    ) -> None:
        """Keep the blocks of a usual message that comes again, if they have left the encoder's table as it was."""
        if head is not self._candidate:
            self._candidate = head
        elif self._encoder.table is table and len(first) <= _SMALL and len(last) <= _SMALL:
            self._last_head, self._last_trailers, self._last_table = head, trailers, table
            self._before_head = _pack(len(first) >> 8, len(first) & 0xFF, frames.HEADERS, frames.END_HEADERS, 0)[:5]
            self._last_block = first
            self._before_end = _pack(len(last) >> 8, len(last) & 0xFF, frames.HEADERS, _LAST, 0)[:5]
            self._last_end = last

    def send_head(self, stream: Stream, head: ResponseHead, end: bool = False) -> None:
        """Send a response head (server); a 1xx head may come before the final one."""
        status = head.status
        if status == 101:
            raise ValueError("HTTP/2 has no 101")  # RFC 9113 section 8.6
        if status >= 200:
            if stream.connects and status < 300:
                stream.tunnel = True
            elif stream.bodiless or status == 204 or status == 304:
                end = True
            if stream.expects:
                stream.expects = False
        self._send_fields(stream, _response_fields(head), end)

    def invite(self, stream: Stream) -> None:
        """Let a client that waits for 100 Continue send its body."""
        if stream.expects:
            stream.expects = False
            self._send_fields(stream, _response_fields(_CONTINUE), False)

    def send_data(self, stream: Stream, data: bytes | memoryview, end: bool = False) -> bool:
        """Send a piece of body, or queue it; False if something is queued now (`DRAINED` will say when not)."""
        size = len(data)
        if (
            stream.queue is None
            and size <= self.send_window
            and size <= stream.send_window
            and size <= self.peer_max_frame
            and stream.local_open
        ):
            self.send_window -= size
            stream.send_window -= size
            self._out.append(_pack(size >> 8, size & 0xFF, frames.DATA, end, stream.id))
            self._out.append(data)
            if end:
                self._end_local(stream)
            return True
        if not stream.local_open:  # the peer has broken it off, and the caller will hear of it
            return True
        self._enqueue(stream, data)
        stream.ending = end
        return self._send_queued(stream)

    def skip(self, stream: Stream, count: int) -> None:
        """Bodies are frames here: nothing goes past the machine."""
        raise NotImplementedError

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """End the stream with a trailer section, after what is queued."""
        if stream.queue is None:
            self._send_fields(stream, fields, True)
            return
        size = list_size(fields)
        if size > self._encoder.list_limit:
            raise PeerLimit(size, self._encoder.list_limit)
        stream.trailers = fields
        stream.ending = True

    def send_reply(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """Send a whole response: head, body, trailers (None: the response ends with its body)."""
        size = len(body)
        if (
            head is self._last_head
            and trailers is self._last_trailers
            and 0 < size <= _SMALL
            and self._encoder.table is self._last_table
            and size <= self.send_window
            and size <= stream.send_window
            and stream.local_open
            and not stream.bodiless
            and not stream.connects
        ):
            self._send_again(stream, size, body, trailers is None)
        elif (
            stream.bodiless
            or not (stream.local_open and size <= self.peer_max_frame)
            or (size > self.send_window or size > stream.send_window)
        ):
            self._send_parts(stream, head, body, trailers)
        elif trailers is not None:
            self._send_with_trailers(stream, head, body, trailers)
        elif size and head.status >= 200 and not stream.connects and head.status != 204 and head.status != 304:
            self._send_usual(stream, head, body)
        else:
            self._send_parts(stream, head, body, trailers)

    def _send_again(self, stream: Stream, size: int, body: bytes, end: bool) -> None:
        """Send what differs from the last usual response in its body alone."""
        self.send_window -= size
        number, place = stream.id, stream.id.to_bytes(4, "big")
        frame = _pack(size >> 8, size & 0xFF, frames.DATA, end, number)
        parts: tuple[bytes, ...] = (self._before_head, place, self._last_block, frame, body)
        self._out.append(b"".join(parts if end else (*parts, self._before_end, place, self._last_end)))
        if stream.remote_open:
            self._end_local(stream)
            return
        stream.local_open = False
        self.served += 1
        if stream.held:
            self._release(stream.held)
            stream.held = 0
        del self.streams[number]

    def _send_parts(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """Send a response that is not usual, or does not fit the windows."""
        if trailers is not None and list_size(trailers) > self._encoder.list_limit:
            raise PeerLimit(list_size(trailers), self._encoder.list_limit)
        self.send_head(stream, head, end=not body and trailers is None)
        if body or trailers is not None:
            self.send_data(stream, body, end=trailers is None)
            if trailers is not None:
                self.send_trailers(stream, trailers)

    def _send_with_trailers(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields) -> None:
        """Send head, body and trailers; the windows have room."""
        size, number = len(body), stream.id
        table = self._settled_table()
        first, last = self._encoder.encode_both(head.h2 or _response_fields(head), trailers)
        if size and head.status >= 200:
            self._remember(head, first, trailers, last, table)
        if len(first) <= self.peer_max_frame and len(last) <= self.peer_max_frame:
            self.send_window -= size
            self._out.append(
                _pack(len(first) >> 8, len(first) & 0xFF, 1, 4, number)
                + first
                + _pack(size >> 8, size & 0xFF, 0, 0, number)
            )
            self._out.append(body)
            self._out.append(_pack(len(last) >> 8, len(last) & 0xFF, 1, 5, number) + last)
        else:
            self._append_block(number, first, False)
            self.send_data(stream, body)
            self._append_block(number, last, True)
        self._end_local(stream)

    def _send_usual(self, stream: Stream, head: ResponseHead, body: bytes) -> None:
        """Send a head and the whole body; remember what the next of this kind has in common with it."""
        table = self._settled_table()
        block = self._encoder.encode(head.h2 or _response_fields(head))
        size, length, number = len(body), len(block), stream.id
        self.send_window -= size
        frame = _pack(size >> 8, size & 0xFF, frames.DATA, frames.END_STREAM, number)
        if length > self.peer_max_frame:
            self._append_block(number, block, False)
            self._out.append(frame)
            self._out.append(body)
        elif size <= _SMALL:
            self._out.append(_pack(length >> 8, length & 0xFF, 1, 4, number) + block + frame + body)
            self._remember(head, block, None, b"", table)
        else:
            self._out.append(_pack(length >> 8, length & 0xFF, 1, 4, number) + block + frame)
            self._out.append(body)
        self._end_local(stream)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break the stream off; nothing more is reported about it."""
        if self.streams.get(stream.id) is stream:
            self._out.append(frames.rst_stream(stream.id, code))
            self._forget(stream)

    def abandon(self, stream: Stream) -> None:
        """Send nothing more on a stream that the peer has ended; without this it would count as open for ever."""
        self.reset(stream, ErrorCode.NO_ERROR)

    def ping(self, payload: bytes) -> None:
        """Send a PING with eight bytes of payload; `PONG` answers."""
        self._out.append(frames.frame(frames.PING, 0, 0, payload))

    def hold(self) -> None:
        """The transport is full: keep data in the queues until `release`."""
        if self._held_back is None:
            self._held_back, self.send_window = self.send_window, 0

    def release(self) -> list[Event]:
        """The transport can take more; returns `DRAINED` events."""
        if self._held_back is not None:
            self.send_window, self._held_back = self._held_back, None
            self._pump()
        return self._take_events()

    @property
    def pending(self) -> bool:
        """Whether `receive(b"", now)` has something to return: a call has led to an event."""
        return bool(self._events)

    # Inside.

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _send_fields(self, stream: Stream, fields: Fields, end: bool) -> None:
        if not stream.local_open:
            return
        self._append_block(stream.id, self._encoder.encode(fields), end)
        if end:
            self._end_local(stream)

    def _append_block(self, stream_id: int, block: bytes, end: bool) -> None:
        size = len(block)
        if size <= self.peer_max_frame:
            flags = frames.END_HEADERS | end
            self._out.append(_pack(size >> 8, size & 0xFF, frames.HEADERS, flags, stream_id) + block)
            return
        kind, flags = frames.HEADERS, int(end)
        for start in range(0, size, self.peer_max_frame):
            piece = block[start : start + self.peer_max_frame]
            last = start + len(piece) == size
            self._out.append(frames.frame(kind, flags | frames.END_HEADERS * last, stream_id, piece))
            kind, flags = frames.CONTINUATION, 0

    def _end_local(self, stream: Stream) -> None:
        stream.local_open = False
        if not stream.remote_open:
            self._close(stream)
        elif not (self.is_client or stream.tunnel):
            # RFC 9113 section 8.1: the response is complete, the rest of the request is not wanted.
            self._out.append(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))
            self._forget(stream)

    def _close(self, stream: Stream) -> None:
        """Both sides have ended."""
        self.served += 1
        if stream.held:
            held, stream.held = stream.held, 0
            self._release(held)
        self.streams.pop(stream.id, None)

    def _forget(self, stream: Stream) -> None:
        """Drop a stream that was broken off: its frames may still be on their way, and are ignored."""
        self._drop_queue(stream)
        stream.local_open = stream.remote_open = False
        if self.streams.pop(stream.id, None) is None:
            return
        if stream.held:
            held, stream.held = stream.held, 0
            self._release(held)
        self._ignore(stream.id)

    def _ignore(self, stream_id: int) -> None:
        self._forgotten[stream_id] = None
        if len(self._forgotten) > _FORGOTTEN_LIMIT:
            del self._forgotten[next(iter(self._forgotten))]

    def _release(self, count: int) -> None:
        raise NotImplementedError

    def _drop_queue(self, stream: Stream) -> None:
        if stream.queue is not None:
            self.queued -= stream.queued
            stream.queue, stream.queued = None, 0
            self._waiting.pop(stream.id, None)

    def _enqueue(self, stream: Stream, data: bytes | memoryview) -> None:
        if stream.queue is None:
            stream.queue = deque()
        if data:
            stream.queue.append(data)
            stream.queued += len(data)
            self.queued += len(data)
            if self.queued > self._limits.max_queued:
                self.fail(HttpError("the peer does not read what it asked for", ErrorCode.ENHANCE_YOUR_CALM))

    def fail(self, error: HttpError) -> None:
        """Give the connection up: GOAWAY, then `CLOSED`."""
        raise NotImplementedError

    def _pump(self) -> None:
        """Send what the connection window now permits, one frame per stream in turn."""
        waiting = self._waiting
        while waiting and self.send_window > 0:
            stream = waiting.pop(next(iter(waiting)))
            if self._send_frame(stream) and stream.queue:
                self._list(stream)
            self._finish_queue(stream)

    def _send_queued(self, stream: Stream) -> bool:
        """Send what the windows permit of one stream's queue; True if that is all of it."""
        while stream.queue and self._send_frame(stream):
            pass
        self._list(stream)
        self._finish_queue(stream, report=False)
        return stream.queue is None

    def _list(self, stream: Stream) -> None:
        if stream.queue and stream.send_window > 0:
            self._waiting[stream.id] = stream

    def _send_frame(self, stream: Stream) -> bool:
        queue = stream.queue
        room = min(self.send_window, stream.send_window, self.peer_max_frame)
        if not queue or room <= 0:
            return False
        chunk: bytes | memoryview = queue.popleft()
        if len(chunk) > room:
            self.bulky = True
            rest = memoryview(chunk)[room:]
            chunk = memoryview(chunk)[:room]
            queue.appendleft(rest)
        size = len(chunk)
        self.send_window -= size
        stream.send_window -= size
        stream.queued -= size
        self.queued -= size
        self.flowed += size
        last = stream.ending and not queue and stream.trailers is None
        self._out.append(_pack(size >> 8, size & 0xFF, frames.DATA, last, stream.id))
        self._out.append(chunk)
        if last:
            stream.queue = None
            self._end_local(stream)
        return True

    def _finish_queue(self, stream: Stream, report: bool = True) -> None:
        """After the last queued byte: the trailers, the empty frame that ends the stream, or room for more."""
        if stream.queue is None or stream.queue:
            return
        stream.queue = None
        if stream.trailers is not None:
            try:
                self._send_fields(stream, stream.trailers, True)
            except PeerLimit:  # the peer has lowered its limit since they were queued
                self.reset(stream, ErrorCode.INTERNAL_ERROR)
        elif stream.ending:
            self._out.append(_pack(0, 0, frames.DATA, frames.END_STREAM, stream.id))
            self._end_local(stream)
        elif report:
            self._events.append((ev.DRAINED, stream, None, False))


def _request_fields(head: RequestHead) -> Fields:
    if head.h2 is None:
        method, authority = (b":method", head.method), (b":authority", head.authority)
        place = ((b":scheme", head.scheme), (b":path", head.path))
        if head.protocol is not None:
            head.h2 = (method, (b":protocol", head.protocol), *place, authority, *head.fields)
        elif head.method == b"CONNECT":
            head.h2 = (method, authority, *head.fields)  # RFC 9113 section 8.5
        else:
            head.h2 = (method, *place, authority, *head.fields)
    return head.h2


def _response_fields(head: ResponseHead) -> Fields:
    if head.h2 is None:
        head.h2 = ((b":status", b"%d" % head.status), *head.fields)
    return head.h2
