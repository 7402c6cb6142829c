"""An HTTP/2 connection, client or server, without I/O (RFC 9113).

`receive(data, now)` cuts frames out of the buffer and returns events (`catenet.http.events`); `transmit()`
returns what there is to send. The peer cannot make either raise: what it does wrong ends its stream (RESET) or the
connection (CLOSED, after a GOAWAY).

Flow control of what we receive: the window of the connection is given back as data arrives, as long as less than
`max_held` bytes wait for the application; so one call that nobody reads cannot starve the others. The window of a
stream is given back when the application consumes.
"""

from __future__ import annotations

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError, StreamError
from catenet.http.events import Event
from catenet.http.h2 import frames
from catenet.http.h2.blocks import Blocks, Memos, unpad
from catenet.http.h2.dormant import Dormant, Numbers
from catenet.http.limits import Limits
from catenet.http.stream import Stream

__all__ = ["Connection"]

_unpack = frames.HEADER.unpack_from


class Connection(Blocks):
    """One HTTP/2 connection. `memos` must be shared only among connections of the same role."""

    __slots__ = (
        "_buffer", "_buffered", "_expect_settings", "_held", "_need", "_piece", "_preface", "_recv_window",
        "_unreturned",
    )  # fmt: skip

    version = 2
    minor = 0
    midway = False
    paused = False
    """HTTP/1.1 stops reading from the transport; here windows do that."""
    ends_output = False
    """END_STREAM ends one direction of a tunnel."""
    quiet = False
    answers = False
    """Without the peer's frames nothing can be completed."""

    def __init__(self, is_client: bool, limits: Limits | None = None, memos: Memos | None = None) -> None:
        limits = limits or Limits()
        super().__init__(is_client, limits, memos or Memos())
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._need = 0
        self._preface = b"" if is_client else frames.PREFACE
        self._expect_settings = True
        self._recv_window = max(limits.connection_window, frames.DEFAULT_WINDOW)
        self._unreturned = 0
        self._piece = max(-(-limits.connection_window // 4), 1)
        self._held = 0
        self._begin(limits)

    def _begin(self, limits: Limits) -> None:
        values = {
            frames.MAX_HEADER_LIST_SIZE: limits.max_header_list,
            frames.INITIAL_WINDOW_SIZE: limits.stream_window,
            frames.MAX_FRAME_SIZE: limits.max_frame,
        }
        values |= {frames.ENABLE_PUSH: 0} if self.is_client else {frames.MAX_CONCURRENT_STREAMS: limits.max_streams}
        if limits.connect_protocol and not self.is_client:
            values[frames.ENABLE_CONNECT_PROTOCOL] = 1
        self._out.append((frames.PREFACE if self.is_client else b"") + frames.settings(values))
        if self._recv_window > frames.DEFAULT_WINDOW:
            self._out.append(frames.window_update(0, self._recv_window - frames.DEFAULT_WINDOW))

    # While nothing happens.

    def dormant(self) -> Dormant | None:
        """Return all that `resume` needs to go on from here; None: something goes on, or the end has begun."""
        going_on = (
            self.streams or self._out or self._events or self._waiting or self._buffered or self.queued or self._held
        )  # fmt: skip
        ending = self.failed is not None or self.closing or self._drained or self._held_back is not None
        waiting = self._preface or self._expect_settings or self._block is not None
        if not self._encoder.is_settled or going_on or ending or waiting:
            return None
        numbers = Numbers(
            self.served, self.flowed, self.send_window, self.peer_initial_window, self.peer_max_frame,
            self.peer_max_streams, self._next_id, self._last_peer_id, self._recv_window, self._unreturned,
            self._encoder.list_limit, self._guessing, self._acknowledged, self.connect_protocol, *self._guard.state,
        )  # fmt: skip
        return Dormant(numbers, self._encoder.table, self._decoder.table, tuple(self._forgotten))

    def resume(self, dormant: Dormant) -> None:
        """Go on from where another connection was, with the same limits and memos; nothing may have been done yet."""
        numbers = dormant.numbers
        self._out.clear()  # it has been said
        self._preface, self._expect_settings = b"", False
        self.served, self.flowed, self.send_window = numbers.served, numbers.flowed, numbers.send_window
        self.peer_initial_window, self.peer_max_frame = numbers.peer_initial_window, numbers.peer_max_frame
        self.peer_max_streams, self._next_id = numbers.peer_max_streams, numbers.next_id
        self._last_peer_id, self._recv_window = numbers.last_peer_id, numbers.recv_window
        self._unreturned, self._guessing = numbers.unreturned, numbers.guessing
        self._acknowledged, self.connect_protocol = numbers.acknowledged, numbers.connect_protocol
        self._guard.resume(numbers.tokens, numbers.then, numbers.spent_at)
        self._encoder.resume(dormant.encoding, numbers.list_limit)
        self._decoder.resume(dormant.decoding)
        self._forgotten.update(dict.fromkeys(dormant.forgotten))

    # What the application asks.

    @property
    def begun(self) -> bool:
        """Whether preface and SETTINGS have come."""
        return not self._expect_settings

    @property
    def head_since(self) -> float | None:
        """When a header block began that is not complete; None: there is none."""
        return self._head_since

    @property
    def unfinished(self) -> bool:
        """Whether there is part of a frame, or of a header block."""
        return self._buffered > 0 or self._block is not None

    def may_receive(self, stream: Stream) -> bool:
        """Whether the peer is free to send the rest of the stream: both windows are open."""
        return self._recv_window > 0 and stream.recv_window > 0

    def receive_eof(self) -> list[Event]:
        """The peer will send nothing more: no stream can complete."""
        return self._take_events()

    def consume(self, stream: Stream, count: int) -> None:
        """The application has taken `count` bytes of the stream's data: they may be replaced by others."""
        count = min(count, stream.held)  # a stream that broke off meanwhile has given all of it back
        stream.held -= count
        self._release(count)
        self._return_stream_window(stream, count)

    def expect(self, stream: Stream, count: int) -> None:
        """The application will take the next `count` bytes whatever they are: let them come without a pause.

        A window is an advance on what is consumed later, which then is not given back a second time.
        """
        advance = count - stream.recv_window
        if advance > 0 and stream.remote_open and count <= frames.MAX_WINDOW:
            stream.recv_window += advance
            stream.unacknowledged -= advance
            self._out.append(frames.window_update(stream.id, advance))

    def _return_stream_window(self, stream: Stream, count: int) -> None:
        if stream.remote_open:
            stream.unacknowledged += count
            if stream.unacknowledged * 2 >= self._limits.stream_window:
                stream.recv_window += stream.unacknowledged
                self._out.append(frames.window_update(stream.id, stream.unacknowledged))
                stream.unacknowledged = 0

    # Input.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take the next bytes from the peer; return what they meant. Never raises for what the peer did."""
        self._now = now
        if self.failed is not None:
            return self._take_events()
        try:
            if self._buffered or self._preface:
                position = self._complete_frames(data) if self._buffered else 0
                if position >= 0:
                    self._keep(self._receive_bytes(data, position))
            elif rest := self._receive_frames(data, 0):
                self._keep(rest)
        except HttpError as error:
            self.fail(error)
        if self._unreturned >= self._piece and self._held <= self._limits.max_held:
            self._return_window()
        return self._take_events()

    def _complete_frames(self, data: bytes) -> int:
        """Complete what the last bytes left unfinished; return how much of `data` that took, -1 if it was not enough.

        Only that one frame is joined, and only when it is complete: byte by byte it costs its length, not the square of
        it, and of a large read nothing is copied twice.
        """
        position = 0
        while self._buffered:
            missing = self._need - self._buffered
            piece = data[position : position + missing]
            self._buffer.append(piece)
            self._buffered += len(piece)
            if len(piece) < missing:
                return -1
            position += missing
            joined = b"".join(self._buffer)
            self._keep(b"")
            # What comes back is at most a frame's header, now read, that says how much more is missing.
            self._keep(self._receive_bytes(joined, 0))
        if self._block is None:
            self._head_since = None
        return position

    def _keep(self, rest: bytes) -> None:
        self._buffer.clear()
        self._buffered = len(rest)
        if rest:
            self._buffer.append(rest)

    def _receive_bytes(self, data: bytes, position: int) -> bytes:
        if self._preface:
            return self._receive_preface(data)
        return self._receive_frames(data, position)

    def _receive_preface(self, data: bytes) -> bytes:
        preface = self._preface
        if not preface.startswith(data[: len(preface)]):
            raise HttpError("this is not HTTP/2")
        if len(data) < len(preface):
            self._need = len(preface)
            return data
        self._preface = b""
        return self._receive_frames(data, len(preface))

    def _receive_frames(self, data: bytes, position: int) -> bytes:
        """Handle all complete frames from `position` on; return what follows them."""
        streams, events, max_frame = self.streams, self._events, self._limits.max_frame
        end = len(data)
        self._need = frames.FRAME_HEADER_SIZE
        while end - position >= 9:
            high, low, kind, flags, stream_id = _unpack(data, position)
            size = high << 8 | low
            if size > max_frame:
                raise self._oversized(data, size)
            start = position + 9
            stop = start + size
            if stop > end:
                self._need = 9 + size
                if kind == frames.HEADERS:
                    self._begin_head()
                break
            position = stop
            if self._block is not None or self._expect_settings:
                self._check_order(kind, flags, stream_id)
            if kind == 0:
                stream = streams.get(stream_id)
                if (
                    stream is None
                    or not stream.remote_open
                    or flags & 8
                    or (stream.expected is not None and (stream.expected != size or not flags & 1))
                ):
                    self._on_other_data(stream, stream_id, flags, data[start:stop])
                    continue
                self._recv_window -= size
                self._unreturned += size
                stream.recv_window -= size
                if self._recv_window < 0 or stream.recv_window < 0:
                    self._overflow(stream)
                    continue
                self._on_data(events, stream, data[start:stop], size, flags & 1)
            elif kind == 1 and flags & 0x2C == 4:  # END_HEADERS, no padding, no priority
                self._on_block(stream_id & 0x7FFFFFFF, data[start:stop], flags & 1)
            elif kind == 1:
                self._on_headers(flags, stream_id, data[start:stop])
            else:
                self._on_frame(kind, flags, stream_id & 0x7FFFFFFF, data[start:stop])
        if position == end:
            return b""
        return data[position:] if position else data

    def _oversized(self, data: bytes, size: int) -> HttpError:
        if self._expect_settings and self.is_client and data.startswith(b"HTTP/1."):
            return HttpError("the server speaks HTTP/1.1 and not HTTP/2")
        if self._expect_settings and self.is_client and data.startswith(b"\x15\x03"):  # an alert
            return HttpError("the server speaks TLS")
        return HttpError(f"frame of {size} bytes", ErrorCode.FRAME_SIZE_ERROR)

    def _on_data(self, events: list[Event], stream: Stream, payload: bytes, size: int, end: int) -> None:
        if not stream.head_seen:
            self._stream_error(stream, StreamError("DATA before the head"))
            return
        stream.held += size
        self._held += size
        if end:
            stream.remote_open = False
            events.append((ev.DATA, stream, payload, True))
            if not stream.local_open:
                self._close(stream)
        elif payload:
            events.append((ev.DATA, stream, payload, False))
        else:
            self._glitch(1, "empty DATA frames")

    def _on_other_data(self, stream: Stream | None, stream_id: int, flags: int, payload: bytes) -> None:
        """DATA that is padded, counted against Content-Length, or for a stream that takes none."""
        size = len(payload)
        stream_id &= 0x7FFFFFFF
        stream = stream or self.streams.get(stream_id)
        self._recv_window -= size
        self._unreturned += size
        if self._recv_window < 0:
            self._overflow(None)
        if flags & frames.PADDED:
            payload = unpad(payload)
        if stream is None or not stream.remote_open:
            self._on_stray(stream_id, "DATA")
            return
        stream.recv_window -= size
        if stream.recv_window < 0:
            self._overflow(stream)
            return
        # Padding counts for flow control, and the application never sees it: give it back at once.
        padding = size - len(payload)
        if padding:
            self._return_stream_window(stream, padding)
        if stream.expected is not None:
            stream.expected -= len(payload)
            if stream.expected < 0 or (flags & 1 and stream.expected):
                self._stream_error(stream, StreamError("the body is not as long as Content-Length says"))
                return
        self._on_data(self._events, stream, payload, len(payload), flags & 1)

    def _overflow(self, stream: Stream | None) -> None:
        error = StreamError("more data than the window allows", ErrorCode.FLOW_CONTROL_ERROR)
        if stream is None or self._recv_window < 0:
            raise HttpError(str(error), ErrorCode.FLOW_CONTROL_ERROR)
        self._stream_error(stream, error)

    def _on_stray(self, stream_id: int, what: str) -> None:
        """A frame for a stream that is idle, closed, or half-closed (section 5.1)."""
        if stream_id == 0 or self._is_idle(stream_id):
            raise HttpError(f"{what} on idle stream {stream_id}")
        if stream_id not in self._forgotten:
            stream = self.streams.get(stream_id)
            self._glitch(1, f"{what} on closed streams")
            if stream is not None:
                self._stream_error(stream, StreamError(f"{what} after END_STREAM", ErrorCode.STREAM_CLOSED))
            else:
                self._out.append(frames.rst_stream(stream_id, ErrorCode.STREAM_CLOSED))

    # Order and dispatch.

    def _check_order(self, kind: int, flags: int, stream_id: int) -> None:
        if self._expect_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise HttpError("the first frame is not SETTINGS")
            self._expect_settings = False
        elif kind != frames.CONTINUATION or self._block is None or stream_id & 0x7FFFFFFF != self._block.stream_id:
            raise HttpError("a header block is interrupted")

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == frames.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        elif kind == frames.RST_STREAM:
            self._on_rst_stream(stream_id, payload)
        elif kind == frames.SETTINGS:
            self._on_settings(flags, stream_id, payload)
        elif kind == frames.PING:
            self._on_ping(flags, stream_id, payload)
        elif kind == frames.GOAWAY:
            self._on_goaway(stream_id, payload)
        elif kind == frames.CONTINUATION:
            self._on_continuation(flags, payload)
        elif kind == frames.PRIORITY:
            self._on_priority(stream_id, payload)
        elif kind == frames.PUSH_PROMISE:
            raise HttpError("PUSH_PROMISE, which is disabled")
        else:
            self._glitch(1, "unknown frames")  # ignored, section 5.5

    def _release(self, count: int) -> None:
        self._held -= count
        if self._unreturned >= self._piece and self._held <= self._limits.max_held:
            self._return_window()

    def _return_window(self) -> None:
        """Give the connection window back, in large pieces."""
        self._recv_window += self._unreturned
        self._out.append(frames.window_update(0, self._unreturned))
        self._unreturned = 0
