"""An HTTP/1.1 connection, client or server, without I/O, with the calls and events of the HTTP/2 one.

One request at a time: what a client pipelines waits in the buffer until the response before it is complete
(`pending` then says that `receive(b"", now)` will go on); `paused` asks the driver to stop reading meanwhile.
"""

from __future__ import annotations

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError
from catenet.http.events import Event
from catenet.http.h1.body import Body
from catenet.http.h1.ending import Ending
from catenet.http.h1.head import UNTIL_CLOSE, Block, ParsedResponse, begins, can_begin
from catenet.http.h1.memo import H1Memo
from catenet.http.h1.shapes import Shape
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead
from catenet.http.stream import Stream

__all__ = ["THIS_IS_TLS", "H1Connection"]

_BUFFER_LIMIT = 64 << 10
_NOTHING = Body(0, 0)
_FEW_PIECES, _SMALL_PIECE = 4, 2048
THIS_IS_TLS = "this is TLS, not HTTP"
_BEGINNING = 8
"""Bytes that tell whether a head can be HTTP/1."""


class H1Connection(Ending):
    """One HTTP/1.1 connection. `memo` must be shared only among connections of the same role."""

    __slots__ = (
        "_again", "_blank", "_interim", "_last_block", "_last_data", "_last_head", "_last_rest", "_memo", "_now",
        "_shape", "_since", "goaway",
    )  # fmt: skip

    version = 1
    settled = True
    connect_protocol = False
    peer_max_streams = 1
    peer_max_header_list = 1 << 32
    """Nothing announces a limit in HTTP/1.1; a head over it costs one exchange and no other."""

    def __init__(self, is_client: bool, limits: Limits | None = None, memo: H1Memo | None = None) -> None:
        super().__init__(is_client, limits or Limits())
        self.goaway: object = None
        self._memo = memo or H1Memo()
        # The last head, whole and what follows its target, and what they mean. Most clients send the same again, and
        # what is secret in it is remembered nowhere else.
        self._last_data = b""
        self._last_rest = b""
        self._last_block: Block | None = None
        self._last_head: RequestHead | None = None
        self._again = False
        """Whether that is a whole request to a server, without a body, of which nothing has rules of its own."""
        self._shape: Shape | None = None
        self._interim = 0
        self._blank = 0  # the request before which an empty line has come
        self._now = 0.0
        self._since: float | None = None

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
        stream = self._stream
        if stream is not None and stream.tunnel and stream.remote_open:
            return self._eof or len(self._buffer) > self._at
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

    # Input.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take the next bytes from the peer; return what they meant. Never raises for what the peer did."""
        if not self._buffer and self._keep_alive:
            stream = self._stream
            if stream is None:
                if (
                    self._again
                    and data == self._last_data
                    and not (self._held_back or self._events or self._unwanted is not None)
                ):
                    return [(ev.HEAD, self._begin_whole(), self._last_head, True)]
                usual = not (self.is_client or self._held_back) and self._unwanted is None
                whole = self._receive_whole(data) if usual else None
            else:
                usual = self.is_client and self._body is None and not stream.local_open
                whole = self._receive_whole_response(stream, data) if usual else None
            if whole is not None:
                return whole
        self._now = now
        self.quiet = False
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

    def _receive_whole(self, data: bytes) -> list[Event] | None:
        """Read what comes in practice: one request, all of it. None if it is anything else."""
        head, block, shape = self._last_head, self._last_block, self._shape
        if head is not None and block is not None and data.startswith(self._last_data):
            stop = len(self._last_data)
            framing = block.framing
        elif shape is not None and (found := shape.read(data)) is not None:
            head, framing, stop = found, shape.framing, len(data)
            if stop > self._limits.max_header_list:
                return None
        else:
            # If there are more empty lines than the last, it is found to be no head.
            stop = len(data) if data.endswith(b"\r\n\r\n") else data.find(b"\r\n\r\n") + 4
            if not 4 <= stop <= self._limits.max_header_list:
                return None
            try:
                head, block = self._read_request(data, 0, stop)
            except HttpError:
                return None  # the other way says what it is
            framing = block.framing
        if framing.length != len(data) - stop or not framing.usual or head.special or self._events:
            return None
        stream = self._begin_whole()
        if stop == len(data):
            return [(ev.HEAD, stream, head, True)]
        return [(ev.HEAD, stream, head, False), (ev.DATA, stream, data[stop:], True)]

    def _receive_whole_response(self, stream: Stream, data: bytes) -> list[Event] | None:
        """The same for a client: one response, all of it, with a body whose length its head says."""
        stop = data.find(b"\r\n\r\n") + 4
        if not 4 <= stop <= self._limits.max_header_list or self._events or self._eof:
            return None
        try:
            parsed = self._memo.response(data[:stop])
        except HttpError:
            return None
        size = len(data) - stop
        if not size or parsed.length != size or not parsed.usual or stream.bodiless or stream.connects:
            return None
        stream.remote_open = False
        self.streams.pop(stream.id, None)
        self.served += 1
        self._stream, self._left, self._interim = None, None, 0
        return [(ev.HEAD, stream, parsed.head, False), (ev.DATA, stream, data[stop:], True)]

    def _read_request(self, data: bytes, start: int, stop: int) -> tuple[RequestHead, Block]:
        """Read the request head in `data[start:stop]`. Raises `HttpError`."""
        found = begins(data, start)
        if found is None:
            raise HttpError("malformed request line")
        end = found.end()
        rest = data[end:stop]
        block = self._last_block
        varies = False
        if block is None or rest != self._last_rest:
            varies = block is not None and block.varies
            block = self._last_block = self._memo.block(rest, varies)
            self._last_rest = rest
        line, method, target = found.group(0, 1, 2)
        head = self._last_head = block.head(line, method, target)
        if varies and block.varies:
            self._shape = self._memo.shape(head, block, rest)
        self._last_data = data[start:stop]
        framing = block.framing
        self._again = framing.usual and not (framing.length or head.special or self.is_client)
        return head, block

    @property
    def answers(self) -> bool:
        """Whether there is still something to send to a peer that has ended its direction."""
        stream = self._stream
        if stream is None:
            return self.failed is None and not self.is_client and len(self._buffer) > self._at
        return stream.local_open and (stream.tunnel or not self.is_client)

    def receive_eof(self) -> list[Event]:
        """The peer will send nothing more. What it has asked for before can still be answered."""
        stream, body = self._stream, self._body
        self._eof = True
        if stream is not None and stream.tunnel:
            self._receive_tunnel(stream)
            return self._take_events()
        if not self.is_client and len(self._buffer) > self._at and not (stream is not None and stream.remote_open):
            if self._searched or (stream is None and not self._held_back):
                self.fail(HttpError("the connection closed inside a head", ErrorCode.CONNECT_ERROR))
            return self._take_events()  # requests that wait for the one before
        self._keep_alive = False
        if stream is not None and body is not None and body.until_close:
            body.done = True
            self._end_remote(stream, body)
        elif stream is not None and stream.remote_open:
            self.fail(HttpError("the connection closed inside a message", ErrorCode.CONNECT_ERROR))
        elif stream is None and self.failed is None:
            self._unwanted = None
            self._report_end(None)
        return self._take_events()

    def _receive(self) -> None:
        if self._unwanted is not None:
            self._discard(self._unwanted)
            return
        if self.closing and self._stream is None:
            self._drop_input()
            return
        while True:
            if self._stream is not None and self._stream.tunnel:
                self._receive_tunnel(self._stream)
                return
            if self._body is not None:
                break
            if not self._receive_head():
                return
        stream, body = self._stream, self._body
        if stream is None or body is None or not stream.remote_open:
            return
        pieces = self._feed(body)
        if pieces:
            stream.expects = False
            if len(pieces) > _FEW_PIECES and sum(map(len, pieces)) < len(pieces) * _SMALL_PIECE:
                pieces = [b"".join(pieces)]  # what each costs above must not be the peer's to choose
        for index, piece in enumerate(pieces):
            stream.held += len(piece)
            self._held += len(piece)
            last = body.done and not body.trailers and index == len(pieces) - 1
            self._events.append((ev.DATA, stream, piece, last))
        if body.done:
            self._end_remote(stream, body, reported=bool(pieces) and not body.trailers)
        elif self._eof:
            raise HttpError("the connection closed inside a message", ErrorCode.CONNECT_ERROR)

    def _receive_tunnel(self, stream: Stream) -> None:
        """The peer's bytes are those of another protocol."""
        data = self._buffer[self._at :]
        self._drop_input()
        if not stream.remote_open:
            return
        if data:
            stream.held += len(data)
            self._held += len(data)
            self._events.append((ev.DATA, stream, data, False))
        if self._eof:
            stream.remote_open = False
            self._events.append((ev.DATA, stream, b"", True))
            self._finish_exchange(stream)

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
            if self._eof:
                raise HttpError("the connection closed inside a head", ErrorCode.CONNECT_ERROR)
            return False
        self._searched = 0
        self._since = None
        self._at = stop + 4
        return self._on_response(buffer[start : self._at]) if self.is_client else self._on_request(start, self._at)

    def _check_beginning(self, buffer: bytes, start: int, search: int) -> None:
        """Refuse what can never become a head, rather than wait for the rest of it; it was seen up to `search`."""
        if len(buffer) - start > self._limits.max_header_list:
            raise HttpError("head is over the limit", ErrorCode.ENHANCE_YOUR_CALM)
        beginning = buffer[start : start + _BEGINNING]
        if not can_begin(beginning, not self.is_client):
            raise HttpError(THIS_IS_TLS if beginning[:2] == b"\x16\x03" else "this is not HTTP/1.1")
        # Most smugglers' heads never have CRLF CRLF.
        if buffer.find(b"\n\n", search) >= 0 or buffer.find(b"\n\r\n", search) >= 0:
            raise HttpError("bare LF in a head")

    def _on_request(self, start: int, stop: int) -> bool:
        head, block = self._read_request(self._buffer, start, stop)
        framing = block.framing
        stream = self._begin_exchange()
        self._plain, self._minor, self._upgrade = framing.plain and not head.special, framing.minor, framing.upgrade
        if head.special:
            stream.bodiless = head.method == b"HEAD"
            stream.connects = head.method == b"CONNECT"
            stream.expects = head.expects and framing.length != 0
        self._keep_alive = self._keep_alive and framing.keep_alive
        end = framing.length == 0
        self._events.append((ev.HEAD, stream, head, end and not stream.connects))
        if end:
            stream.remote_open = False  # what comes behind waits, for its answer or for its tunnel
            self._body = _NOTHING
        else:
            self._body = Body(framing.length, self._limits.max_header_list)
        return not end

    def _begin_whole(self) -> Stream:
        """Begin the exchange of a request that is there, whole and usual."""
        self._plain, self._minor, self._upgrade = True, 1, ()
        number = self._next_id
        stream = self._stream = self.streams[number] = Stream(number, 0, 0)
        self._next_id = number + 2
        self._answering = stream.remote_open = False
        self.quiet = True
        return stream

    def _begin_exchange(self) -> Stream:
        number = self._next_id
        stream = self._stream = self.streams[number] = Stream(number, 0, 0)
        self._next_id = number + 2
        self._answering = False
        return stream

    def _on_response(self, block: bytes) -> bool:
        stream, parsed = self._stream, self._memo.response(block)
        assert stream is not None
        head: ResponseHead = parsed.head
        if head.status < 200 and head.status != 101:
            self._interim += 1
            if self._interim > self._limits.max_interim:
                raise HttpError("1xx responses without end", ErrorCode.ENHANCE_YOUR_CALM)
            self._events.append((ev.INTERIM, stream, head, False))
            return True
        self._interim = 0
        if head.status == 101 or (stream.connects and head.status < 300):
            if head.status == 101:
                self._check_switch(stream, parsed)
            self._events.append((ev.HEAD, stream, head, False))
            self._begin_tunnel(stream)
            return True
        self._keep_alive = self._keep_alive and parsed.keep_alive
        if stream.connects:  # there is no tunnel
            self._drop_queue(stream)
            stream.local_open = False
        length = 0 if stream.bodiless or head.status in (204, 304) else parsed.length
        if length == UNTIL_CLOSE:
            self._keep_alive = False
        self._body = Body(length, self._limits.max_header_list)
        self._events.append((ev.HEAD, stream, head, length == 0))
        if length == 0:
            self._end_remote(stream, self._body, reported=True)
        return length != 0

    def _check_switch(self, stream: Stream, parsed: ParsedResponse) -> None:
        """RFC 9110 section 7.8: to something that was offered, after the whole request."""
        if not self._upgrade:
            raise HttpError("switching protocols was not asked for")
        if not parsed.upgrade or any(name not in self._upgrade for name in parsed.upgrade):
            raise HttpError("the server switches to a protocol that was not offered")
        if stream.local_open:
            raise HttpError("the server switches protocols inside a request")

    def _end_remote(self, stream: Stream, body: Body, reported: bool = False) -> None:
        stream.remote_open = False
        if body.trailers:
            self._events.append((ev.TRAILERS, stream, tuple(body.trailers), True))
        elif not reported:
            self._events.append((ev.DATA, stream, b"", True))
        self._finish_exchange(stream)
