"""How an exchange of HTTP/1.1 ends, and with it perhaps the connection: in order, early, by an error, by a reset."""

from __future__ import annotations

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError, status_of
from catenet.http.events import Refusal, StreamReset
from catenet.http.h1.body import Body
from catenet.http.h1.prepare import build, prepare_response
from catenet.http.h1.sender import CLOSE_FIELD, Sender
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead
from catenet.http.stream import Stream

__all__ = ["Ending"]

_TEXT = ((b"content-type", b"text/plain"),)
_MAX_WHY = 200
"""Bytes of the text that says what was wrong."""


class Ending(Sender):
    """What has come and is not used up yet, and what becomes of it at an end.

    `midway`: the connection has ended in order while the client was in the midst of a body.
    """

    __slots__ = (
        "_at",
        "_body",
        "_buffer",
        "_discarded",
        "_held",
        "_reported_end",
        "_searched",
        "_unwanted",
        "_waiting",
        "midway",
    )

    def __init__(self, is_client: bool, limits: Limits) -> None:
        super().__init__(is_client, limits)
        # What has been used of the buffer stays in it until more comes: cut off at once, the rest would be copied for
        # each of the requests that came together.
        self._buffer = b""
        self._at = 0
        self._searched = 0
        self._waiting = bytearray()
        self._body: Body | None = None
        self._unwanted: Body | None = None
        self._discarded = 0
        self._held = 0
        self._reported_end = False
        self.midway = False

    def _drop_input(self) -> None:
        self._at = len(self._buffer)
        self._searched = 0

    def _feed(self, body: Body) -> list[bytes]:
        pieces, self._at = body.feed(self._buffer, self._at)
        self._searched = 0 if body.done else len(self._buffer) - self._at  # what it left is part of a line
        return pieces

    def _finish_exchange(self, stream: Stream) -> None:
        """Both directions are complete: make room for the next exchange, or close."""
        if stream.local_open or (stream.remote_open and (self.is_client or stream.tunnel)):
            return
        body = self._body
        self.streams.pop(stream.id, None)
        self._release(stream)
        self.served += 1
        self._stream = self._body = None
        self._left = None
        if self._eof and len(self._buffer) <= self._at:
            self._keep_alive = False
        if stream.remote_open and body is not None and self._keep_alive and not self.is_client:
            # The response is complete before the request, and its head did not announce a close: read on, but keep
            # nothing, as the client sends its next request after this one. If it did, whoever has the transport sees
            # to it that a client which is still sending can read the response (RFC 9112 section 9.6).
            self._unwanted = body
            self._discarded = 0
        elif not self._keep_alive:
            self.midway = stream.remote_open
            self._report_end(None)

    def _report_end(self, error: HttpError | None) -> None:
        """`CLOSED`, once."""
        if not self._reported_end:
            self._reported_end = True
            self.quiet = False
            self._events.append((ev.CLOSED, None, error, True))

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
            self._report_end(None)

    def _release(self, stream: Stream) -> None:
        self._held -= stream.held
        stream.held = 0
        if stream.queue is not None:
            self.queued -= stream.queued
            stream.queue, stream.queued = None, 0

    def fail(self, error: HttpError) -> None:
        """Give the connection up; a server says 400 (or 431, 408), and why, if it can still say something."""
        if self.failed is not None:
            return
        self.failed = error
        self._keep_alive = self.quiet = False
        stream = self._stream
        status = 0
        answered = self._unwanted is not None or (stream is not None and (self._answering or not stream.local_open))
        if not self.is_client and not answered and not (self._eof and stream is None):
            status = status_of(error)
            prepared = prepare_response(ResponseHead(status, _TEXT))
            why = f"{error}\n"[:_MAX_WHY].encode("ascii", "backslashreplace")
            if stream is not None and stream.bodiless:
                why = b""
            self._out.append(build(prepared, ((b"content-length", b"%d" % len(why)), *CLOSE_FIELD)) + why)
        if stream is not None:
            self.streams.pop(stream.id, None)
            stream.local_open = stream.remote_open = False
            self._release(stream)
            self._stream = None
            self._events.append((ev.RESET, stream, StreamReset(error.code, str(error), False, status), True))
        elif status:
            self._events.append((ev.REFUSED, None, Refusal.of(error), False))
        self._report_end(error)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break the exchange off, which in HTTP/1.1 costs the connection."""
        if self.streams.pop(stream.id, None) is not None:
            stream.local_open = stream.remote_open = False
            self._keep_alive = False
            self._release(stream)
            self._stream = None
            self._report_end(None)

    def consume(self, stream: Stream, count: int) -> None:
        """The application has taken `count` bytes of the body."""
        count = min(count, stream.held)
        stream.held -= count
        self._held -= count

    def expect(self, stream: Stream, count: int) -> None:
        """HTTP/1.1 has no windows."""

    def ping(self, payload: bytes) -> None:
        """HTTP/1.1 has no ping."""

    def drain(self) -> None:
        """Close after the exchange that is going on."""
        self._keep_alive = False

    def go_away(self) -> None:
        """The same: nothing announces it but the next response."""
        self._keep_alive = False
