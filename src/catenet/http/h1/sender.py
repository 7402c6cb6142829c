"""The outgoing half of an HTTP/1.1 connection: heads and how they frame their bodies, chunks, tunnels."""

from __future__ import annotations

from collections import deque

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError
from catenet.http.events import Event
from catenet.http.h1.prepare import build, prepare_request, prepare_response
from catenet.http.limits import Limits
from catenet.http.message import Fields, Prepared, RequestHead, ResponseHead
from catenet.http.stream import Stream

__all__ = ["CLOSE_FIELD", "Sender"]

_BULK = 64 << 10
"""A body of this many bytes is not copied to be joined with its head."""
_CHUNKED_FIELD: Fields = ((b"transfer-encoding", b"chunked"),)
CLOSE_FIELD: Fields = ((b"connection", b"close"),)
_KEEP_FIELD: Fields = ((b"connection", b"keep-alive"),)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Sender:
    """State and calls of the outgoing half; `catenet.http.h1.connection.H1Connection` adds the incoming one."""

    __slots__ = (
        "_answering", "_chunked", "_eof", "_events", "_held_back", "_keep_alive", "_left", "_limits", "_minor",
        "_next_id", "_out", "_pending_head", "_plain", "_stream", "_unsent", "_upgrade", "bulky", "ends_output",
        "failed", "flowed", "is_client", "queued", "quiet", "served", "streams",
    )  # fmt: skip

    def __init__(self, is_client: bool, limits: Limits) -> None:
        self.is_client = is_client
        self.streams: dict[int, Stream] = {}
        self.served = 0
        self.failed: HttpError | None = None
        self.queued = 0
        self.flowed = 0
        self.bulky = False
        self.ends_output = False
        self.quiet = False
        self._limits = limits
        self._events: list[Event] = []
        self._out: list[bytes | memoryview] = []
        self._unsent = 0
        """Bytes of bodies in it."""
        self._stream: Stream | None = None
        self._minor = 1
        """Of the version of the request that is being answered."""
        self._plain = True
        """The answer to it needs no look at its method or version."""
        self._pending_head: Prepared | None = None
        """The request whose head waits for the first piece of its body."""
        self._upgrade: tuple[bytes, ...] = ()
        """What the request that is under way offers to change to."""
        self._chunked = False
        self._left: int | None = None
        """What is left of the Content-Length that was sent."""
        self._answering = False
        """A final head has been sent (server)."""
        self._keep_alive = True
        self._next_id = 1
        self._held_back = False
        self._eof = False

    def transmit(self) -> bytes:
        """Return all bytes to be sent now."""
        if self._pending_head is not None:
            self._begin_request(None)
        out = self._out
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        self._unsent = 0
        self.bulky = False
        return data

    def transmit_pieces(self) -> list[bytes | memoryview]:
        """Return the same as `transmit`, not joined."""
        if self._pending_head is not None:
            self._begin_request(None)
        pieces, self._out = self._out, []
        self._unsent = 0
        self.bulky = False
        return pieces

    # Requests.

    def open(self, head: RequestHead, end: bool) -> Stream:
        """Begin a request; its head leaves with the first piece of body, so that one piece gets a Content-Length."""
        prepared = head.h1
        if prepared is None:
            prepared = prepare_request(head)
        stream = self._stream = Stream(self._next_id, 0, 0)
        self._next_id += 2
        self.streams[stream.id] = stream
        self._upgrade = prepared.upgrade
        if not prepared.plain:
            self._note_request(stream, head, prepared)
        if stream.connects:
            self._out.append(build(prepared, ()))
            stream.queue = deque()  # what is to go through the tunnel waits for it
            return stream
        self._pending_head = prepared
        if end:
            self._begin_request(0 if head.method == b"POST" else None, bodiless=True)
            stream.local_open = False
        return stream

    def _note_request(self, stream: Stream, head: RequestHead, prepared: Prepared) -> None:
        stream.bodiless = head.method == b"HEAD"
        stream.connects = head.method == b"CONNECT"
        if prepared.closes:
            self._keep_alive = False

    def send_request(self, head: RequestHead, body: bytes) -> Stream:
        """Send a whole request (client): head and body."""
        stream = self.open(head, not body and head.method != b"POST")
        if stream.local_open and not stream.connects:
            self.send_data(stream, body, True)
        return stream

    def _begin_request(self, length: int | None, bodiless: bool = False) -> None:
        prepared, self._pending_head = self._pending_head, None
        assert prepared is not None
        self._chunked = False
        self._left = prepared.length if length is None and not bodiless else length
        framing: Fields = ()
        if self._left is not None:
            framing = ((b"content-length", b"%d" % self._left),)
        elif not bodiless:
            self._chunked = True
            framing = _CHUNKED_FIELD
        self._out.append(build(prepared, framing + CLOSE_FIELD if prepared.closes else framing))

    # Responses.

    def send_head(self, stream: Stream, head: ResponseHead, end: bool = False) -> None:
        """Send a response head: its body follows with the length it declares, else in chunks or until the end."""
        if not stream.local_open:
            return
        prepared = head.h1
        if prepared is None:
            prepared = prepare_response(head)
        if head.status < 200:
            self._send_interim(stream, head, prepared)
        elif stream.connects and head.status < 300:
            self._out.append(build(prepared, ()))
            self._begin_tunnel(stream)
            if end:
                self.send_data(stream, b"", True)
        else:
            self._send_final_head(stream, head, prepared, end)

    def _send_interim(self, stream: Stream, head: ResponseHead, prepared: Prepared) -> None:
        if head.status == 101:
            self._switch(stream, prepared)
        elif self._minor:  # RFC 9110 section 15.2: it knows no 1xx
            stream.expects = stream.expects and head.status != 100
            self._out.append(build(prepared, ()))

    def _switch(self, stream: Stream, prepared: Prepared) -> None:
        """Change to what the client has offered; RFC 9110 section 7.8: after the whole request."""
        if stream.remote_open or not prepared.upgrade or prepared.upgrade[0] not in self._upgrade:
            raise ValueError("a 101 needs a complete request that offers what its Upgrade names")
        self._out.append(build(prepared, ()))
        self._begin_tunnel(stream)

    def _send_final_head(self, stream: Stream, head: ResponseHead, prepared: Prepared, end: bool) -> None:
        status = head.status
        bodiless = stream.bodiless or status == 204 or status == 304
        length = prepared.length
        if end and length and not bodiless:
            raise ValueError("the body is shorter than its Content-Length")
        self._note_final(stream, prepared)
        self._chunked, self._left = False, None
        framing: Fields = ()
        if bodiless:
            if length is not None and status != 204:
                framing = ((b"content-length", b"%d" % length),)
        elif end or length is not None:
            self._left = length or 0
            framing = ((b"content-length", b"%d" % self._left),)
        elif not self._minor:
            self._keep_alive = False  # it knows no chunks
        else:
            self._chunked = True
            framing = _CHUNKED_FIELD
        self._out.append(build(prepared, framing + self._connection_field()))
        if end or bodiless:
            self._chunked = False
            self._end_local(stream)

    def _note_final(self, stream: Stream, prepared: Prepared) -> None:
        """What a final head means for the connection."""
        self._answering = True
        # A client that was not invited may or may not send its body; one that was refused a tunnel may have begun it.
        if prepared.closes or stream.expects or stream.connects:
            self._keep_alive = False

    def invite(self, stream: Stream) -> None:
        """Let a client that waits for 100 Continue send its body."""
        if stream.expects:
            stream.expects = False
            if stream.local_open and not self._answering:
                self._out.append(_CONTINUE)

    def send_reply(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """Send a whole response: head, body, trailers (None: the response ends with its body)."""
        if not stream.local_open:
            return
        if trailers:
            self.send_head(stream, head)
            self.send_data(stream, body)
            self.send_trailers(stream, trailers)
            return
        prepared = head.h1
        if prepared is None:
            prepared = prepare_response(head)
        if stream.remote_open and not stream.connects:
            self._keep_alive = False  # the rest of the request is not worth reading
        if prepared.plain and self._keep_alive and self._plain:
            size = len(body)
            if prepared.size != size:
                prepared.size, prepared.whole = size, b"%bcontent-length: %d\r\n\r\n" % (prepared.data, size)
            self._out.append(prepared.whole)
        elif stream.connects and head.status < 300:
            self.send_head(stream, head)
            self.send_data(stream, body, True)
            return
        else:
            body = self._send_reply_head(stream, head.status, prepared, body)
        if body:
            self._out.append(body)
            self._unsent += len(body)
            self.bulky = len(body) >= _BULK
        self._answering = True
        if self.quiet and not (self._eof or stream.held or stream.tunnel or stream.remote_open) and self._keep_alive:
            # What `_end_local` comes to for a request that has come whole.
            stream.local_open = False
            del self.streams[stream.id]
            self.served += 1
            self._stream = self._left = None
            return
        self._end_local(stream)

    def _send_reply_head(self, stream: Stream, status: int, prepared: Prepared, body: bytes) -> bytes:
        """Send the head of a reply that is out of the ordinary; return what is to follow it."""
        bodiless = stream.bodiless or status == 204 or status == 304
        length = prepared.length if bodiless and not body else len(body)
        framing: Fields = () if status == 204 or length is None else ((b"content-length", b"%d" % length),)
        self._note_final(stream, prepared)
        self._out.append(build(prepared, framing + self._connection_field()))
        return b"" if bodiless else body

    def _connection_field(self) -> Fields:
        if not self._keep_alive:
            return CLOSE_FIELD
        # RFC 9112 section 9.3: a client of HTTP/1.0 that asked to keep the connection has to hear that it is kept.
        return () if self._minor else _KEEP_FIELD

    # Bodies and tunnels.

    def send_data(self, stream: Stream, data: bytes | memoryview, end: bool = False) -> bool:
        """Send a piece of body, or queue it; False if something is queued now (`DRAINED` will say when not)."""
        if not stream.local_open:
            return True
        if self._pending_head is not None:
            self._begin_request(len(data) if end else None)
        if self._left is not None and not self._count(len(data), end):
            return True
        if self._held_back or stream.queue is not None:
            self._enqueue(stream, data)
            stream.ending = end
            return False
        self._append(data)
        if end:
            self._append_end(())
            self._end_local(stream)
        return True

    def _count(self, size: int, end: bool) -> bool:
        """Keep to the Content-Length that was sent: whoever reads on would take the difference for another message."""
        left = (self._left or 0) - size
        if left < 0:
            raise ValueError("the body is longer than its Content-Length")
        self._left = left
        if end and left:  # only the end of the connection tells the peer that the rest is missing
            self.fail(HttpError("the body is shorter than its Content-Length", ErrorCode.INTERNAL_ERROR))
        return not (end and left)

    @property
    def minor(self) -> int:
        """0 if the request that goes on is one of HTTP/1.0, else 1."""
        return self._minor

    def skip(self, stream: Stream, count: int) -> None:
        """The driver has sent `count` bytes of the body itself."""
        if self._left is not None:
            self._count(count, False)

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """End the message with a trailer section; without chunks there is none to be sent."""
        if stream.queue is not None:
            stream.ending, stream.trailers = True, fields
        elif stream.local_open:
            if self._pending_head is not None:
                self._begin_request(None)
            self._append_end(fields)
            self._end_local(stream)

    def abandon(self, stream: Stream) -> None:
        """End the request whose response is complete, so that another can follow."""
        if self._left:
            self.reset(stream)
        else:
            self.send_data(stream, b"", True)

    def hold(self) -> None:
        """The transport is full: keep data in the queue until `release`."""
        self._held_back = True

    def release(self) -> list[Event]:
        """The transport can take more; returns `DRAINED` events."""
        self._held_back = False
        stream = self._stream
        if stream is not None and stream.queue is not None and not self._waits_for_tunnel(stream):
            self._send_queued(stream)
        return self._take_events()

    def _waits_for_tunnel(self, stream: Stream) -> bool:
        return self.is_client and stream.connects and not stream.tunnel

    def _send_queued(self, stream: Stream) -> None:
        for piece in stream.queue or ():
            self._append(piece)
        self.flowed += stream.queued
        self._drop_queue(stream)
        if stream.ending:
            self._append_end(stream.trailers or ())
            self._end_local(stream)
        else:
            self.quiet = False
            self._events.append((ev.DRAINED, stream, None, False))

    def _drop_queue(self, stream: Stream) -> None:
        self.queued -= stream.queued
        stream.queue, stream.queued = None, 0

    def _enqueue(self, stream: Stream, data: bytes | memoryview) -> None:
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(data)
        stream.queued += len(data)
        self.queued += len(data)
        if self.queued > self._limits.max_queued:
            self.fail(HttpError("the peer does not read what it asked for", ErrorCode.ENHANCE_YOUR_CALM))

    def _append(self, data: bytes | memoryview) -> None:
        size = len(data)
        if not size:
            return  # an empty chunk would end the body
        self._unsent += size
        if size >= _BULK:
            self.bulky = True
        if self._chunked:
            self._out.append(b"%x\r\n" % size)
            self._out.append(data)
            self._out.append(b"\r\n")
        else:
            self._out.append(data)

    def _append_end(self, trailers: Fields) -> None:
        if self._chunked:
            lines = b"".join([name + b": " + value + b"\r\n" for name, value in trailers])
            if lines.count(b"\n") != len(trailers) or lines.count(b"\r") != len(trailers):
                raise ValueError("a trailer has a line break in it")
            self._out.append(b"0\r\n" + lines + b"\r\n")
            self._chunked = False

    def _end_local(self, stream: Stream) -> None:
        stream.local_open = False
        self.ends_output = stream.tunnel
        self._finish_exchange(stream)

    def _begin_tunnel(self, stream: Stream) -> None:
        """From now on both directions carry the bytes of another protocol."""
        stream.tunnel = True
        self._chunked, self._left = False, None
        self._answering = True
        self._keep_alive = False
        stream.local_open = stream.remote_open = True
        if stream.queue is not None and not self._held_back:
            self._send_queued(stream)

    # What the incoming half does.

    def fail(self, error: HttpError) -> None:
        """Give the connection up."""
        raise NotImplementedError

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break the exchange off."""
        raise NotImplementedError

    def _finish_exchange(self, stream: Stream) -> None:
        raise NotImplementedError

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
