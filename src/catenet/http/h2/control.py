"""Frames of HTTP/2 that carry no request or response: settings, windows, resets, pings, the end (RFC 9113 section 6).

Also what follows from mistakes (`_stream_error`, `_glitch`, `fail`) and who may still begin a stream.
"""

from __future__ import annotations

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError, StreamError, TooMuch, TooSlow, status_of
from catenet.http.events import GoAway, Refusal, StreamReset
from catenet.http.h2 import frames
from catenet.http.h2.hpack import Memo
from catenet.http.h2.sender import Sender
from catenet.http.h2.settings import PeerSettings, read_settings
from catenet.http.limits import Guard, Limits
from catenet.http.stream import Stream

__all__ = ["Control"]

_DRAIN_PING = b"catenet\0"
_SMALLEST_LIST = 1024
"""Limits of the peer below this are not kept to: not even the head that says so would fit, and they are advisory."""


class Control(Sender):
    """The state that concerns the whole connection, between the outgoing half and the streams of the incoming one."""

    __slots__ = (
        "_acknowledged", "_drained", "_guard", "_guessing", "_last_peer_id", "_now", "_refuse_above", "goaway",
    )  # fmt: skip

    def __init__(self, is_client: bool, limits: Limits, encoders: Memo) -> None:
        super().__init__(is_client, limits, encoders)
        self._guard = Guard(limits)
        self._guessing = True
        self._acknowledged = False
        self._now = 0.0
        self._last_peer_id = 0
        self._refuse_above = frames.MAX_STREAM_ID
        self._drained = False
        self.goaway: GoAway | None = None

    @property
    def can_open(self) -> bool:
        """Whether a client may begin a stream now."""
        return (
            len(self.streams) < self.peer_max_streams
            and self.goaway is None
            and self.failed is None
            and self._refuse_above == frames.MAX_STREAM_ID
            and self._next_id <= frames.MAX_STREAM_ID
        )

    @property
    def settled(self) -> bool:
        """Whether the peer's first SETTINGS have come."""
        return not self._guessing

    @property
    def closing(self) -> bool:
        """Whether no stream can be begun any more."""
        return (
            self.goaway is not None
            or self.failed is not None
            or self._refuse_above != frames.MAX_STREAM_ID
            or self._next_id > frames.MAX_STREAM_ID
        )

    @property
    def may_close(self) -> bool:
        """Whether nothing would be lost by closing now: no streams, and the peer knows that it can begin none."""
        return not self.streams and (not self._drained or self._refuse_above != frames.MAX_STREAM_ID)

    def go_away(self, code: int = ErrorCode.NO_ERROR, debug: bytes = b"") -> None:
        """Take no more streams from the peer; those it has are served."""
        self._refuse_above = min(self._refuse_above, self._last_peer_id)
        self._out.append(frames.go_away(self._refuse_above, code, debug))

    def drain(self) -> None:
        """Announce the end, then, a round trip later, take no more streams (RFC 9113 section 6.8)."""
        if not self._drained and self.failed is None:
            self._drained = True
            self._out.append(frames.go_away(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR))
            self.ping(_DRAIN_PING)

    def fail(self, error: HttpError) -> None:
        """Give the connection up: GOAWAY, a `RESET` for each stream, then `CLOSED`."""
        if self.failed is None:
            self.failed = error
            self._out.append(frames.go_away(self._last_peer_id, error.code, str(error).encode()[:200]))
            streams = list(self.streams.values())
            late = isinstance(error, TooSlow) and any(stream.remote_open for stream in streams)
            if not self.is_client and not late:
                self._events.append((ev.REFUSED, None, Refusal.of(error), False))
            reset = StreamReset(error.code, str(error), by_peer=False)
            slow = StreamReset(error.code, str(error), by_peer=False, status=status_of(error))
            for stream in streams:
                self._events.append((ev.RESET, stream, slow if late and stream.remote_open else reset, True))
                self._forget(stream)
            self._events.append((ev.CLOSED, None, error, True))

    # Frames.

    def _is_idle(self, stream_id: int) -> bool:
        if stream_id % 2 == self._next_id % 2:
            return stream_id >= self._next_id
        return stream_id > self._last_peer_id

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise HttpError("WINDOW_UPDATE is not 4 bytes", ErrorCode.FRAME_SIZE_ERROR)
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if stream_id == 0:
            self._widen_connection(increment)
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise HttpError(f"WINDOW_UPDATE on idle stream {stream_id}")
            return
        if increment == 0 or stream.send_window + increment > frames.MAX_WINDOW:
            code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
            self._stream_error(stream, StreamError(f"window increment {increment}", code))
            return
        stream.send_window += increment
        if stream.queue is not None:
            self._list(stream)
            self._pump()

    def _widen_connection(self, increment: int) -> None:
        window = self.send_window if self._held_back is None else self._held_back
        if increment == 0:
            raise HttpError("WINDOW_UPDATE of nothing")
        if window + increment > frames.MAX_WINDOW:
            raise HttpError("the connection window overflows", ErrorCode.FLOW_CONTROL_ERROR)
        if self._held_back is None:
            self.send_window += increment
            self._pump()
        else:
            self._held_back += increment

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise HttpError("RST_STREAM is not 4 bytes", ErrorCode.FRAME_SIZE_ERROR)
        if stream_id == 0 or self._is_idle(stream_id):
            raise HttpError(f"RST_STREAM on idle stream {stream_id}")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._glitch(1, "resets of closed streams")
            return
        code = int.from_bytes(payload, "big")
        self._forget(stream)
        del self._forgotten[stream_id]  # the peer sends nothing after its own reset
        self._events.append((ev.RESET, stream, StreamReset(code), True))
        if not self.is_client:
            self._glitch(1, "resets")

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or (flags & frames.ACK and payload):
            raise HttpError(
                "SETTINGS on a stream, or an acknowledgement with values",
                ErrorCode.PROTOCOL_ERROR if stream_id else ErrorCode.FRAME_SIZE_ERROR,
            )
        if flags & frames.ACK:
            self._acknowledged = True
            return
        self._glitch(4, "SETTINGS")
        self._apply(read_settings(payload, self.is_client))
        # RFC 9113 section 6.5.3: at once, so before the data that the new windows have room for.
        self._out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._pump()
        self._events.append((ev.SETTINGS, None, None, False))

    def _apply(self, new: PeerSettings) -> None:
        self._last_head = None
        if new.table_size is not None:
            self._encoder.set_limit(new.table_size)
        if new.max_header_list is not None:
            self._encoder.set_list_limit(max(new.max_header_list, _SMALLEST_LIST))
        if new.max_frame is not None:
            self.peer_max_frame = min(new.max_frame, max(self._limits.max_frame, frames.DEFAULT_FRAME_SIZE))
        if new.max_streams is not None:
            self.peer_max_streams = new.max_streams
        elif self._guessing:
            self.peer_max_streams = frames.MAX_STREAM_ID  # the peer's first SETTINGS are here and set no limit
        self._guessing = False
        if new.connect_protocol is not None:
            if self.connect_protocol and not new.connect_protocol:
                raise HttpError("ENABLE_CONNECT_PROTOCOL is taken back")  # RFC 8441 section 3
            self.connect_protocol = new.connect_protocol
        if new.initial_window is not None:
            difference = new.initial_window - self.peer_initial_window
            self.peer_initial_window = new.initial_window
            for stream in self.streams.values():
                stream.send_window += difference
                if stream.send_window > frames.MAX_WINDOW:
                    raise HttpError("a stream window overflows", ErrorCode.FLOW_CONTROL_ERROR)
                self._list(stream)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise HttpError("PING on a stream")
        if len(payload) != 8:
            raise HttpError("PING is not 8 bytes", ErrorCode.FRAME_SIZE_ERROR)
        if not flags & frames.ACK:
            self._glitch(1, "too_many_pings")  # gRPC clients know this word (A8) and slow down
            self._out.append(frames.frame(frames.PING, frames.ACK, 0, payload))
        else:
            if payload == _DRAIN_PING and self._drained:
                self.go_away()
            self._events.append((ev.PONG, None, payload, False))

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) < 8:
            raise HttpError(
                "GOAWAY on a stream, or too short",
                ErrorCode.PROTOCOL_ERROR if stream_id else ErrorCode.FRAME_SIZE_ERROR,
            )
        last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        if self.goaway is not None:
            self._glitch(1, "GOAWAY")
            last = min(last, self.goaway.last_stream)
        self.goaway = GoAway(last, int.from_bytes(payload[4:8], "big"), payload[8:1032])
        for stream in [stream for number, stream in self.streams.items() if number > last and self.is_client]:
            self._forget(stream)
            reset = StreamReset(ErrorCode.REFUSED_STREAM, "the server is going away")
            self._events.append((ev.RESET, stream, reset, True))
        self._events.append((ev.GOAWAY, None, self.goaway, False))

    def _on_priority(self, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise HttpError("PRIORITY on stream 0")
        self._glitch(1, "PRIORITY")
        stream = self.streams.get(stream_id)
        if len(payload) != 5 or int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == stream_id:
            code = ErrorCode.PROTOCOL_ERROR if len(payload) == 5 else ErrorCode.FRAME_SIZE_ERROR
            if stream is not None:
                self._stream_error(stream, StreamError("malformed PRIORITY", code))
            else:
                self._out.append(frames.rst_stream(stream_id, code))

    # Consequences.

    def _stream_error(self, stream: Stream, error: StreamError) -> None:
        self._out.append(frames.rst_stream(stream.id, error.code))
        self._forget(stream)
        self._glitch(1, "stream errors")
        self._events.append((ev.RESET, stream, StreamReset(error.code, str(error), False, status_of(error)), True))

    def _glitch(self, cost: float, what: str) -> None:
        if not self._guard.spend(cost, self._now, self.served):
            raise TooMuch(what)
