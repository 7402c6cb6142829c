"""One request and its response on a connection: the owner of a stream.

A response is read whole (`collects`), which costs one wait, or in pieces that are paid for as they are taken, so that
a server sends no faster than its reader reads. Times are watched by one entry among the deadlines of the client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from catenet.http.client.body import Source
from catenet.http.client.errors import BodyTooLarge, ConnectionLost, PeerError, RequestTimeout
from catenet.http.client.timeouts import Timeouts
from catenet.http.driver import IGNORE
from catenet.http.errors import ErrorCode
from catenet.http.events import StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.outlet import Outlet
from catenet.http.stream import Stream
from catenet.net.deadlines import Deadlines, Entry

if TYPE_CHECKING:
    from catenet.http.client.dialling import HttpConnection

__all__ = ["Exchange"]

_NO_STREAM = Stream(0, 0, 0)
MAX_INTERIM = 100
"""1xx responses to one request."""
_ENCLOSING = (b"PUT", b"PATCH")
"""Methods besides POST whose requests say that they have no body (RFC 9110 section 8.6)."""
CONTINUE_WAIT = 1.0
"""Seconds for which a body waits for 100 Continue (RFC 9110 section 10.1.1 leaves it to the client)."""


class Exchange:
    """Owner of a stream. `over`: nothing more comes; then `error` says whether it ended as it should.

    `pieces` are those of the body that nobody has taken yet. Times are those of the event loop's clock.
    """

    # Defaults in the class: of these attributes a short request sets a few.
    stream: Stream = _NO_STREAM
    head: ResponseHead | None = None
    trailers: Fields = ()
    interim: tuple[ResponseHead, ...] = ()
    error: Exception | None = None
    over: bool = False
    size: int = 0
    sent: float = 0.0
    first_byte: float = 0.0
    ended: float = 0.0
    limit: int | None = None
    told: Callable[[ResponseHead], None] | None = None
    """Called for each 1xx response as it comes."""
    _entry: Entry | None = None
    _waiter: asyncio.Future[None] | None = None
    _outlet: Outlet | None = None
    _invited: asyncio.Future[None] | None = None
    _upload: asyncio.Task[None] | None = None

    def __init__(
        self,
        connection: HttpConnection,
        deadlines: Deadlines,
        timeouts: Timeouts,
        end: float | None,
        collects: bool,
    ) -> None:
        self.connection = connection
        self.reused = connection.used
        self.pieces: deque[bytes] = deque()
        self.collects = collects
        self._deadlines = deadlines
        self._timeouts = timeouts
        self._end = end
        self.begun = self._touched = connection.loop.time()

    # Sending.

    def start(self, head: RequestHead, body: bytes) -> None:
        """Send a whole request. Raises `PeerLimit`."""
        connection = self.connection
        connection.used = True
        core = connection.core
        if body or head.method not in _ENCLOSING:
            self.stream = stream = core.send_request(head, body)
        else:
            self.stream = stream = core.open(head, False)
            core.send_data(stream, b"", True)
        stream.owner = self
        self.sent = self.begun
        self._watch()
        if len(core.streams) == 1:
            connection.send_now()
        else:
            connection.touch()

    def start_upload(self, head: RequestHead, source: Source, trailers: Fields, expects: bool) -> None:
        """Send the head; the body follows as there is room for it, while the response may come. Raises `PeerLimit`."""
        connection = self.connection
        connection.used = True
        self.stream = stream = connection.core.open(head, False)
        stream.owner = self
        self._watch()
        if expects:
            connection.send_now()
        self._upload = connection.loop.create_task(self._send_body(source, trailers, expects))

    async def _send_body(self, source: Source, trailers: Fields, expects: bool) -> None:
        core, stream, left = self.connection.core, self.stream, source.length
        outlet = self._outlet = Outlet(self.connection, stream)
        pieces = source.pieces()
        try:
            if expects:
                await self._wait_for_invitation()
            if not self.over:
                async for piece in pieces:
                    if left is not None:
                        left -= len(piece)
                        if left < 0:
                            break
                    await self._send(outlet, piece)
                    if self.over or not stream.local_open:
                        return
            if left:
                raise ValueError(f"the body is not as long as it said: {source.length} bytes")
            if self.over or not stream.local_open:
                return
            if trailers := trailers or source.trailers:
                core.send_trailers(stream, trailers)
            else:
                core.send_data(stream, b"", True)
            self.connection.send_now()
            self.sent = self._touched = self.connection.loop.time()
        except Exception as error:  # of whoever makes the body: the request ends with it
            self.cancel(error)
        finally:
            self._upload = None
            if isinstance(pieces, AsyncGenerator):  # what it holds open is not needed any more
                await pieces.aclose()

    async def _wait_for_invitation(self) -> None:
        self._invited = self.connection.loop.create_future()
        try:
            async with asyncio.timeout(CONTINUE_WAIT):
                await self._invited
        except TimeoutError:
            pass
        finally:
            self._invited = None

    async def _send(self, outlet: Outlet, piece: bytes | memoryview) -> None:
        room = outlet.put(piece)
        self.connection.send_now()
        if not room:
            loop = self.connection.loop
            self._touched = loop.time()  # what the body's maker took was not the server's
            await outlet.room()
            self._touched = loop.time()

    # Waiting.

    async def wait_for_head(self) -> ResponseHead:
        """Return the head of the response, when it has come. Raises `RequestError`."""
        while self.head is None:
            if self.over:
                raise self.failure()
            await self._wait()
        return self.head

    async def wait_for_end(self) -> None:
        """Wait until the response is complete. Raises `RequestError`."""
        while not self.over:
            await self._wait()
        if self.error is not None:
            raise self.error

    async def take(self) -> bytes:
        """Return the next piece of the body, b"" after the last. Raises `RequestError`."""
        while not self.pieces:
            if self.over:
                if self.error is not None:
                    raise self.error
                return b""
            self._touched = self.connection.loop.time()
            await self._wait()
        piece = self.pieces.popleft()
        stream = self.stream
        if not self.over and stream.held:
            self.connection.core.consume(stream, len(piece))
            self.connection.touch()
        return piece

    async def _wait(self) -> None:
        waiter = self._waiter = self.connection.loop.create_future()
        try:
            await waiter
        except BaseException as error:
            self.cancel(error if isinstance(error, Exception) else ConnectionLost("the request was cancelled"))
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def failure(self) -> Exception:
        """Return why there is no response."""
        return self.error or ConnectionLost("the server ended the response before it began")

    # Time.

    def _watch(self) -> None:
        due, end = self._timeouts.phase, self._end
        if due is not None:
            due += self.begun
            self._entry = self._deadlines.add(due if end is None or due < end else end, self._expire)
        elif end is not None:
            self._entry = self._deadlines.add(end, self._expire)

    def _expire(self) -> None:
        """Time may be over, or has only moved on since the entry was made."""
        now = self.connection.loop.time()
        end, timeouts = self._end, self._timeouts
        if end is not None and now >= end:
            self._entry = None
            self.cancel(RequestTimeout("the request was not complete in time", "total"))
            return
        sending = self._outlet is not None and self._outlet.waits
        limit = timeouts.write if sending else timeouts.read
        # Nobody owes anything while the program does not read, or has not made more of the body.
        watched = sending or (self._upload is None and self._waiter is not None)
        due = None if limit is None else limit + (self._touched if watched else now)
        if due is not None and watched and now >= due:
            self._entry = None
            what, phase = ("takes", "write") if sending else ("sends", "read")
            self.cancel(RequestTimeout(f"the server {what} nothing for {limit:g} s", phase))
            return
        if due is None:
            phase_limit = timeouts.phase
            due = None if phase_limit is None else now + phase_limit
        if due is None or (end is not None and end < due):
            due = end
        self._entry = None if due is None else self._deadlines.add(due, self._expire)

    # The end.

    def cancel(self, error: Exception) -> None:
        """Break off: HTTP/2 resets the stream, HTTP/1.1 has only the connection's end for it."""
        if self.over:
            return
        stream, connection = self.stream, self.connection
        if stream is not _NO_STREAM:
            stream.owner = IGNORE
            connection.core.reset(stream, ErrorCode.CANCEL)
            if connection.core.version < 2:
                connection.abort()
            else:
                connection.touch()
        self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        self.over = True
        self.error = error
        connection, stream = self.connection, self.stream
        self.ended = connection.now
        if self._entry is not None:
            self._deadlines.remove(self._entry)
            self._entry = None
        if stream.local_open and not stream.remote_open and error is None:
            self._leave_upload()
        if self._outlet is not None:
            self._outlet.drained()
        if self._invited is not None and not self._invited.done():
            self._invited.set_result(None)
        if self._upload is not None and error is not None and asyncio.current_task() is not self._upload:
            self._upload.cancel()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _leave_upload(self) -> None:
        """The response was complete before the request: nobody wants the rest."""
        connection, stream = self.connection, self.stream
        stream.owner = IGNORE
        if connection.core.version < 2:
            connection.core.reset(stream)  # to end the chunks here would make it a request of another length
        else:
            connection.core.abandon(stream)
        connection.touch()
        if self._upload is not None:
            self._upload.cancel()

    # Called by the driver.

    def owes(self) -> bool:
        """A server has the time that the timeouts give it."""
        return False

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx response has come."""
        self._touched = self.connection.now
        if len(self.interim) >= MAX_INTERIM:
            self.cancel(PeerError("the server sends 1xx responses without end"))
            return
        self.interim += (head,)
        if self.told is not None:
            try:
                self.told(head)
            except Exception as error:  # of the program that wants to hear of it: its call ends with it
                self.cancel(error)
                return
        if head.status == 100 and self._invited is not None and not self._invited.done():
            self._invited.set_result(None)

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """The response has begun."""
        self.head = head
        self.first_byte = self._touched = self.connection.now
        if self._invited is not None and not self._invited.done():
            self._invited.set_result(None)
        if end:
            self._finish(None)
        elif not self.collects:
            self._wake()

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the response body has come."""
        if data:
            self.pieces.append(data)
            self._touched = self.connection.now
            if self.collects:
                self.size += len(data)
                if self.limit is not None and self.size > self.limit:
                    self.pieces.clear()
                    self.cancel(BodyTooLarge(f"the body is over the limit of {self.limit} bytes"))
                    return
                if not end:
                    self.connection.core.consume(self.stream, len(data))
        if end:
            self._finish(None)
        elif not self.collects:
            self._wake()

    def on_trailers(self, fields: Fields) -> None:
        """The response has ended with trailers."""
        self.trailers = fields
        self._finish(None)

    def on_reset(self, reset: StreamReset) -> None:
        """The stream or the connection broke off before the end."""
        if not self.over:
            self._finish(_error_of(reset, self.head is None, self.reused))

    def on_drained(self) -> None:
        """What was queued has been sent."""
        if self._outlet is not None:
            self._outlet.drained()


def _error_of(reset: StreamReset, early: bool, reused: bool) -> Exception:
    if not reset.by_peer and reset.code not in (ErrorCode.CONNECT_ERROR, ErrorCode.CANCEL):
        return PeerError(f"the server broke HTTP: {reset.message}")
    if reset.code == ErrorCode.CONNECT_ERROR:
        lost = ConnectionLost(f"the connection broke off: {reset.message}")
    else:
        name = ErrorCode(reset.code).name if reset.code in list(ErrorCode) else str(reset.code)
        lost = ConnectionLost(f"the server reset the request ({name}){f': {reset.message}' if reset.message else ''}")
    lost.unprocessed = reset.unprocessed
    lost.early = early
    lost.reused = reused
    return lost
