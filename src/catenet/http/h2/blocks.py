"""The header blocks that come: in one frame or several, of new streams or as trailers (RFC 9113 sections 4.3, 8.1).

A block is decoded whatever becomes of its stream, because the tables of both sides have to stay the same.
"""

from __future__ import annotations

from typing import Any

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError, StreamError, TooLarge
from catenet.http.events import Refusal
from catenet.http.h2 import frames
from catenet.http.h2.control import Control
from catenet.http.h2.heads import HeadReader
from catenet.http.h2.hpack import Decoder, Memo
from catenet.http.limits import Limits
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.stream import Stream

__all__ = ["Blocks", "Memos", "unpad"]

# How much longer than the limit a header block may get before the connection is given up. Encoded, a field can be four
# times as long as it is. A client bears with more: grpcio sends error texts of any length whatever we announce, and a
# server that we call is no attacker.
_SERVER_FACTOR, _CLIENT_FACTOR = 4, 32
# Times that: the same for the fields once decoded. Only a block that repeats fields by index becomes so much larger.
_DECODED_FACTOR = 4
_FAIR_FRAGMENT = 4096
"""Frames of a header block that are as long as this do not count against `max_continuations`."""


class Memos:
    """What the connections of one server or one client share: HPACK, both ways, and the fields of heads."""

    __slots__ = ("decoders", "encoders", "heads")

    def __init__(self) -> None:
        self.heads = HeadReader()
        self.decoders = Memo()
        self.encoders = Memo()


class Blocks(Control):
    """What the incoming half knows of header blocks. `memos` must be shared only among connections of the same role."""

    __slots__ = ("_block", "_decoder", "_head_since")

    def __init__(self, is_client: bool, limits: Limits, memos: Memos) -> None:
        super().__init__(is_client, limits, memos.encoders)
        interpret: Any = memos.heads.response if is_client else memos.heads.request
        self._decoder: Decoder[RequestHead | ResponseHead | Fields] = Decoder(
            interpret,
            memos.decoders,
            limits.max_header_list,
            list_factor=_DECODED_FACTOR * (_CLIENT_FACTOR if is_client else _SERVER_FACTOR),
        )
        self._block: _Block | None = None
        self._head_since: float | None = None

    def _on_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        dependency = None
        if flags & (frames.PADDED | frames.PRIORITY_FLAG):
            if flags & frames.PADDED:
                block = unpad(block)
            if flags & frames.PRIORITY_FLAG:
                if len(block) < 5:
                    raise HttpError("HEADERS too short for its priority", ErrorCode.FRAME_SIZE_ERROR)
                dependency = int.from_bytes(block[:4], "big") & 0x7FFFFFFF
                block = block[5:]
        if flags & frames.END_HEADERS:
            self._on_block(stream_id & 0x7FFFFFFF, block, flags & 1, dependency)
        else:
            self._block = _Block(stream_id & 0x7FFFFFFF, [block], flags & 1, dependency)
            self._begin_head()

    def _begin_head(self) -> None:
        if self._head_since is None:
            self._head_since = self._now

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        block = self._block
        if block is None:
            raise HttpError("CONTINUATION without HEADERS")
        block.parts.append(payload)
        block.size += len(payload)
        limits = self._limits
        factor = _CLIENT_FACTOR if self.is_client else _SERVER_FACTOR
        frames_allowed = limits.max_continuations + block.size // _FAIR_FRAGMENT
        if block.size > factor * limits.max_header_list or len(block.parts) > frames_allowed:
            raise HttpError("header block is over the limit", ErrorCode.ENHANCE_YOUR_CALM)
        if flags & frames.END_HEADERS:
            self._block = self._head_since = None
            self._on_block(block.stream_id, b"".join(block.parts), block.end, block.dependency)

    def _on_block(self, stream_id: int, block: bytes, end: int, dependency: int | None = None) -> None:
        """A complete header block: it must be decoded whatever becomes of its stream."""
        problem: StreamError | None = None
        head: RequestHead | ResponseHead | Fields | None = None
        try:
            head = self._decoder.decode(block)
            if dependency is None and self._on_usual_block(stream_id, head, end):
                return
            if head is None:
                if not self.is_client:  # decoding costs time whatever becomes of the stream: pay by size
                    self._glitch(self._decoder.overrun, "fields over the limit")
                problem = TooLarge("fields are over the limit", ErrorCode.ENHANCE_YOUR_CALM)
            elif dependency == stream_id:
                problem = StreamError("stream depends on itself")
        except StreamError as error:
            problem = error
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self._new_stream(stream_id, head)
            if stream is None:
                return
        elif not stream.remote_open:
            raise HttpError("HEADERS after END_STREAM", ErrorCode.STREAM_CLOSED)
        if problem is not None:
            self._bad_head(stream, problem)
        elif type(head) is RequestHead or type(head) is ResponseHead:
            self._on_head(stream, head, end)
        else:
            self._on_trailers(stream, head, end)  # type: ignore[arg-type]

    def _on_usual_block(self, stream_id: int, head: RequestHead | ResponseHead | Fields | None, end: int) -> bool:
        """Handle what comes in practice, in one step; False if it is anything else."""
        if type(head) is RequestHead:  # the whole of the client's next request, or its head
            limits = self._limits
            if not (
                head.usual
                and self._last_peer_id < stream_id <= self._refuse_above
                and stream_id & 1
                and len(self.streams) < limits.max_streams
            ):
                return False
            self._last_peer_id = stream_id
            window = 0 if end else limits.stream_window
            if not (end or self._acknowledged) and window < frames.DEFAULT_WINDOW:
                window = frames.DEFAULT_WINDOW
            begun = self.streams[stream_id] = Stream(stream_id, self.peer_initial_window, window)
            begun.head_seen = True
            if end:
                begun.remote_open = False
            self._events.append((ev.HEAD, begun, head, bool(end)))
            return True
        stream = self.streams.get(stream_id)
        if stream is None or not stream.remote_open or stream.tunnel:
            return False
        if type(head) is ResponseHead:  # of a response that has a body
            if end or stream.head_seen or stream.bodiless or stream.connects or head.status < 200:
                return False
            if head.length is not None:
                stream.expected = head.length
            stream.head_seen = True
            self._events.append((ev.HEAD, stream, head, False))
            return True
        if head is None or not end or not stream.head_seen or stream.expected:
            return False
        self._events.append((ev.TRAILERS, stream, head, True))
        stream.remote_open = False
        if not stream.local_open:
            self._close(stream)
        return True

    def _new_stream(self, stream_id: int, head: RequestHead | ResponseHead | Fields | None) -> Stream | None:
        """A block for a stream that is not open: the client's next one, or a late arrival that is to be ignored."""
        if stream_id in self._forgotten:
            return None
        if self.is_client or stream_id % 2 == 0:
            raise HttpError(f"HEADERS on stream {stream_id}, which is not the peer's to open")
        if stream_id <= self._last_peer_id:
            raise HttpError(f"HEADERS on closed stream {stream_id}", ErrorCode.STREAM_CLOSED)
        if stream_id > self._refuse_above:
            return None
        self._last_peer_id = stream_id
        limits = self._limits
        if len(self.streams) >= limits.max_streams:
            self._glitch(1, "streams over the limit")
            self._out.append(frames.rst_stream(stream_id, ErrorCode.REFUSED_STREAM))
            self._ignore(stream_id)
            known = head if type(head) is RequestHead else None
            self._events.append((ev.REFUSED, None, Refusal(503, "streams over the limit", known), False))
            return None
        window = limits.stream_window if self._acknowledged else max(limits.stream_window, frames.DEFAULT_WINDOW)
        stream = self.streams[stream_id] = Stream(stream_id, self.peer_initial_window, window)
        return stream

    def _on_head(self, stream: Stream, head: RequestHead | ResponseHead, end: int) -> None:
        if stream.head_seen:
            self._stream_error(stream, StreamError("a second head"))
            return
        if type(head) is ResponseHead and head.status < 200:
            if head.status == 101:
                self._stream_error(stream, StreamError("HTTP/2 has no 101"))
            elif end:
                self._stream_error(stream, StreamError("END_STREAM with a 1xx response"))
            else:
                self._glitch(1, "1xx responses")
                self._events.append((ev.INTERIM, stream, head, False))
            return
        stream.head_seen = True
        if type(head) is RequestHead:
            if head.special:
                stream.bodiless = head.method == b"HEAD"
                stream.connects = head.method == b"CONNECT"
                stream.expects = head.expects and not end
                if head.protocol is not None and not self._limits.connect_protocol:
                    self._refuse(stream, StreamError(":protocol, which was not announced"), head)
                    return
        elif stream.bodiless or stream.connects:
            self._on_special_response(stream, head)
        if head.length is not None and not (stream.bodiless or stream.tunnel):
            stream.expected = head.length
            if end and stream.expected and not (type(head) is ResponseHead and head.status in (204, 304)):
                self._refuse(stream, StreamError("Content-Length without a body"), head)
                return
        self._events.append((ev.HEAD, stream, head, bool(end)))
        if end:
            self._end_remote(stream)

    def _on_special_response(self, stream: Stream, head: RequestHead | ResponseHead) -> None:
        """The response to a HEAD has no body whatever it declares; a tunnel ignores what it declares."""
        if stream.bodiless:
            stream.expected = 0
        elif type(head) is ResponseHead and head.status < 300:
            stream.tunnel = True

    def _on_trailers(self, stream: Stream, fields: Fields, end: int) -> None:
        if stream.tunnel:
            self._stream_error(stream, StreamError("HEADERS in a tunnel"))  # RFC 9113 section 8.5
            return
        if not stream.head_seen or not end:
            self._bad_head(stream, StreamError("trailers before the head, or without END_STREAM"))
            return
        if stream.expected:
            self._stream_error(stream, StreamError("the body is not as long as Content-Length says"))
            return
        self._events.append((ev.TRAILERS, stream, fields, True))
        self._end_remote(stream)

    def _bad_head(self, stream: Stream, problem: StreamError) -> None:
        if isinstance(problem, TooLarge) and not self.is_client and not stream.head_seen:
            stream.head_seen = True
            self.send_head(stream, ResponseHead(431), end=True)
            self._events.append((ev.REFUSED, None, Refusal.of(problem), False))
        elif stream.head_seen:
            self._stream_error(stream, problem)
        else:
            self._refuse(stream, problem, None)

    def _refuse(self, stream: Stream, problem: StreamError, head: RequestHead | ResponseHead | None) -> None:
        """A stream error before there is a `HEAD`: nobody else knows of the request.

        A server may say so before it resets the stream (RFC 9113 section 8.1.1): a user then sees more than a code.
        """
        if not self.is_client:
            self.send_head(stream, ResponseHead(400), end=True)
            self._events.append(
                (ev.REFUSED, None, Refusal.of(problem, head if type(head) is RequestHead else None), False)
            )
        self._stream_error(stream, problem)

    def _end_remote(self, stream: Stream) -> None:
        stream.remote_open = False
        if not stream.local_open:
            self._close(stream)


class _Block:
    """A header block whose CONTINUATION frames are still coming."""

    __slots__ = ("dependency", "end", "parts", "size", "stream_id")

    def __init__(self, stream_id: int, parts: list[bytes], end: int, dependency: int | None) -> None:
        self.stream_id = stream_id
        self.parts = parts
        self.size = len(parts[0])
        self.end = end
        self.dependency = dependency


def unpad(payload: bytes) -> bytes:
    """Return the payload of a frame with the flag PADDED without its padding. Raises `HttpError`."""
    if not payload or payload[0] >= len(payload):
        raise HttpError("padding is longer than the frame")
    return payload[1 : len(payload) - payload[0]]
