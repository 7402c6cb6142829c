"""One request and its response, as a server's handler sees them: the native interface, below ASGI and WSGI.

What is usual takes no task, no queue and no timer: the whole request is there when the handler begins, which does not
wait, and the response leaves in one write with the others of this turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from catenet.compiled import mypyc_attr
from catenet.http.driver import IGNORE, TURN_BYTES
from catenet.http.errors import ErrorCode, PeerLimit
from catenet.http.events import StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.producer import Producer
from catenet.http.server.gone import Disconnected, is_disconnect
from catenet.http.server.send_file import pieces_of, splice
from catenet.http.server.tunnel import Tunnel
from catenet.http.stream import Stream
from catenet.net.interrupts import is_interrupt

if TYPE_CHECKING:
    from catenet.http.server.service import Service
    from catenet.http.serving import Ends, ServingProtocol

__all__ = ["Disconnected", "Exchange", "Handler", "Tunnel"]

_WAITING: Final = 0
_BEGUN: Final = 1
_DONE: Final = 2
_PLAIN: Final[Fields] = ((b"content-type", b"text/plain; charset=utf-8"),)
_FAILED: Final = ResponseHead(500, _PLAIN)
_SMALL_FILE: Final = 64 << 10


@mypyc_attr(allow_interpreted_subclasses=True)  # WSGI's, and those of tests
class Exchange(Producer):
    """One request and its response.

    `head` is the request's; `trailers` are there after the last `read`. A response is one `reply`, or `start`, `write`
    or `send_file` as often as there is something, and `finish`. What a handler leaves unsaid when it returns is said
    for it: 500 if there is no head, a broken stream if the body is incomplete.
    """

    head: RequestHead

    trailers: Fields = ()
    status: int = 0
    """Of the response, once it has begun."""
    sent: int = 0
    """Bytes of its body so far."""
    left: bool = False
    """Whether the client has ended its direction of the connection; as a rule it has gone, but it may still read."""

    # Defaults in the class: a short exchange sets few of these.
    _state: int = _WAITING
    _complete: bool = False
    _running: bool = False
    _bodiless: bool = False
    _left: int | None = None
    _lost: str | None = None
    _task: asyncio.Task[None] | None = None
    _waiters: list[asyncio.Future[None]] | None = None
    _cause: str = ""
    refused: str = ""
    """Why the server, and no application, has refused the request."""

    def __init__(self, service: Service, connection: ServingProtocol, stream: Stream, head: RequestHead) -> None:
        self.service = service
        self.head = head
        self._connection = connection
        self._stream = stream
        self._pieces: list[bytes] = []
        self.began = connection.now

    # What the handler asks.

    @property
    def connection(self) -> ServingProtocol:
        """The connection that it came on."""
        return self._connection

    @property
    def version(self) -> int:
        """1 or 2."""
        return self._connection.core.version

    @property
    def http_version(self) -> str:
        """`1.0`, `1.1` or `2`."""
        core = self._connection.core
        return "2" if core.version == 2 else "1.1" if core.minor else "1.0"

    @property
    def now(self) -> float:
        """The event loop's time."""
        return self._connection.loop.time()

    @property
    def ends(self) -> Ends:
        """Who is at the ends of the connection, or of the way through proxies whose word counts."""
        proxies = self.service.proxies
        ends = self._connection.ends
        return ends if proxies is None else proxies.ends(ends, self.head)

    @property
    def tls(self) -> bool:
        """Whether the client's connection is encrypted."""
        return self.ends.tls

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the connection is; what a client of HTTP/2 says of it does not count."""
        return "https" if self.ends.tls else "http"

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of the client; None at a Unix socket."""
        return self.ends.client

    @property
    def server(self) -> tuple[str, int | None] | None:
        """Address and port to which the client has connected, or path and None."""
        return self.ends.server

    @property
    def gone(self) -> bool:
        """Whether the client has gone, or has broken the request off."""
        return self._lost is not None

    @property
    def is_call(self) -> bool:
        """Whether this is a call of gRPC, or of Connect with streams: its client may read when it likes."""
        return (self.head.get(b"content-type") or b"").startswith((b"application/grpc", b"application/connect+"))

    @property
    def complete(self) -> bool:
        """Whether the whole request has come; what of its body was not read is there for `take`."""
        return self._complete

    @property
    def started(self) -> bool:
        """Whether the response has begun."""
        return self._state != _WAITING

    @property
    def finished(self) -> bool:
        """Whether the response is complete."""
        return self._state == _DONE

    # The request.

    async def read(self) -> bytes:
        """Return the next piece of the body, `b""` after the last. Raises `Disconnected`."""
        if not self._pieces and not self._complete:
            await self._more()
        return self.take()

    async def _more(self) -> None:
        self._connection.core.invite(self._stream)
        self._connection.touch()
        while not self._pieces and not self._complete:
            if self._lost is not None:
                raise Disconnected(self._lost)
            await self.changed()

    def take(self) -> bytes:
        """Return what has come of the body and has not been read."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if not self._complete:
            self._connection.core.consume(self._stream, len(data))
            self._connection.touch()
        return data

    async def changed(self) -> None:
        """Wait for something to happen to the request."""
        waiter = self._connection.loop.create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            with suppress(ValueError):
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    # The response.

    def inform(self, head: ResponseHead) -> None:
        """Send a 1xx head. Raises `ValueError` if it is none, `RuntimeError` after the response has begun."""
        if not 100 <= head.status < 200 or head.status == 101:
            raise ValueError(f"{head.status} is no interim status")
        if self._state != _WAITING:
            raise RuntimeError("the response has begun")
        if self._lost is None:
            with suppress(PeerLimit):  # nothing depends on it
                self._connection.core.send_head(self._stream, head)
                self._connection.touch()

    async def reply(self, head: ResponseHead, body: bytes = b"", trailers: Fields | None = None) -> None:
        """Send the whole response. Raises `Disconnected`, `ValueError` for fields that cannot be sent."""
        self.reply_now(self.service.heads.stamped(head), body, trailers)

    def reply_now(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        """Send the whole response, with a head that is complete."""
        if self._state != _WAITING or self._lost is not None:
            self._check_begin()
        self.status = head.status
        if self.head.method != b"HEAD":
            self.sent = len(body)
        try:
            self._connection.core.send_reply(self._stream, head, body, trailers)
        except PeerLimit:
            self._refuse_head()
        self._end()

    async def start(self, head: ResponseHead) -> None:
        """Begin the response. Raises `Disconnected`, `ValueError` for fields that cannot be sent."""
        self.start_now(self.service.heads.stamped(head))

    def start_now(self, head: ResponseHead) -> None:
        """Begin the response, with a head that is complete."""
        self._begin(head)
        status = head.status
        self._bodiless = self.head.method == b"HEAD" or status == 204 or status == 304
        if not self._bodiless:
            length = head.get(b"content-length")
            self._left = None if length is None else int(length)
        self._send_head(head, self._bodiless)

    async def write(self, data: bytes | memoryview) -> None:
        """Send a piece of the body, as soon as the client takes it. Raises `Disconnected`."""
        if not self.write_now(data):
            await self.room()

    def write_now(self, data: bytes | memoryview) -> bool:
        """Send a piece of the body; False if more should wait for `room`. Raises `Disconnected`."""
        self._check_open()
        size = len(data)
        if self._bodiless or not size:
            return True
        self._count(size)
        connection = self._connection
        room = connection.core.send_data(self._stream, data)
        connection.touch()
        self._unwritten += size
        return room and self._unwritten < TURN_BYTES

    async def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """Send `count` bytes of a file from `offset` as the next piece of the body.

        A file that is shorter breaks the response off, with an `EOFError`. Raises `Disconnected`, `OSError`.
        """
        self._check_open()
        if self._bodiless or not count:
            return
        if count > _SMALL_FILE and self._may_splice(count) and await self._splice(file, offset, count):
            return
        for piece in pieces_of(file, offset, count):
            if not self.write_now(piece):
                await self.room()

    def _may_splice(self, count: int) -> bool:
        """Whether what is written to the socket beside the transport comes in the right place."""
        connection = self._connection
        return (
            self._left is not None
            and count <= self._left
            and connection.core.version == 1
            and not connection.write_paused
            and not self._connection.ends.tls
        )

    async def _splice(self, file: BinaryIO, offset: int, count: int) -> bool:
        connection = self._connection
        try:
            sent = await splice(connection, file, offset, count, self._until_drained)
        except (ConnectionError, TimeoutError) as error:
            self._lost = self._lost or str(error)
            connection.abort()
            raise Disconnected(self._lost) from error
        except BaseException:
            connection.abort()  # nobody knows how much has been sent
            raise
        finally:
            self._drained = None
        if sent:
            self._count(sent)
            connection.core.skip(self._stream, sent)
        return sent > 0

    def _until_drained(self) -> asyncio.Future[None]:
        if self._lost is not None:
            raise Disconnected(self._lost)
        self._drained = self._connection.loop.create_future()
        return self._drained

    async def finish(self, trailers: Fields | None = None) -> None:
        """End the response. Raises `Disconnected`."""
        self.finish_now(trailers)

    def finish_now(self, trailers: Fields | None = None) -> None:
        """End the response; what waits to be sent is sent after this returns."""
        self._check_open()
        core = self._connection.core
        if self._left:
            self._break_off("the body is shorter than its Content-Length")
        elif self._bodiless:
            pass
        elif trailers:
            try:
                core.send_trailers(self._stream, trailers)
            except PeerLimit:
                core.send_data(self._stream, b"", True)
        else:
            core.send_data(self._stream, b"", True)
        self._end()

    def break_off(self) -> None:
        """Break a response off that has begun, as what it comes from has broken."""
        if self._state == _BEGUN and self._lost is None:
            self._connection.core.reset(self._stream, ErrorCode.INTERNAL_ERROR)
            self._end()

    def upgrade(self, head: ResponseHead) -> Tunnel:
        """Answer with 101, or 2xx to CONNECT; what follows both ways are bytes of another protocol."""
        self._begin(head)
        self._send_head(head, False)
        self._complete = not self._stream.remote_open
        self._connection.touch()
        return Tunnel(self)

    def _check_begin(self) -> None:
        if self._state != _WAITING:
            raise RuntimeError("the response has begun")
        if self._lost is not None:
            raise Disconnected(self._lost)

    def _begin(self, head: ResponseHead) -> None:
        self._check_begin()
        self._state = _BEGUN
        self.status = head.status

    def _send_head(self, head: ResponseHead, end: bool) -> None:
        try:
            self._connection.core.send_head(self._stream, head, end)
        except PeerLimit:
            self._refuse_head()

    def _refuse_head(self) -> None:
        """The client has said that it takes no head of this size."""
        self.service.warn(self._connection.loop.time(), "a response head is over the client's limit")
        self._connection.core.reset(self._stream, ErrorCode.INTERNAL_ERROR)
        self._lost = "the head is over the client's limit"

    def _count(self, size: int) -> None:
        if self._left is not None:
            if size > self._left:
                self._break_off("the body is longer than its Content-Length")
                raise RuntimeError("the body is longer than its Content-Length")
            self._left -= size
        self.sent += size

    def _check_open(self) -> None:
        if self._lost is not None:
            raise Disconnected(self._lost)
        if self._state != _BEGUN:
            raise RuntimeError("the response is complete" if self._state == _DONE else "the response has not begun")

    def _break_off(self, cause: str) -> None:
        self._cause = cause
        self._connection.core.reset(self._stream, ErrorCode.INTERNAL_ERROR)

    def _end(self) -> None:
        self._state = _DONE
        connection, stream = self._connection, self._stream
        if not stream.tunnel and (stream.queue is None or not self.is_call):
            stream.owner = IGNORE  # what knows each other would wait for the collector
        connection.touch()
        if self._waiters:
            self._wake()
        if self.service.log is not None:
            self.service.log.write(self)
        if connection.draining:
            connection.close_if_idle()

    # Called by the driver.

    def on_request(self, end: bool) -> None:
        """The head has come; a small body is likely to come with it, and the handler then begins with both."""
        if end:
            self._complete = True
            self._run()
        else:
            self._connection.loop.call_soon(self._run)

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the body has come."""
        if data:
            self._pieces.append(data)
        if end:
            self._complete = True
        if not self._running:
            self._run()
        elif self._waiters:
            self._wake()

    def on_trailers(self, fields: Fields) -> None:
        """The request has ended with trailers."""
        self.trailers = fields
        self.on_data(b"", True)

    def on_reset(self, reset: StreamReset) -> None:
        """The client has gone, or has broken the protocol."""
        self._lost = reset.message or "the client has gone"
        self._wake()
        self.on_drained()
        if self._state != _DONE and self.service.log is not None and (self._running or reset.status):
            if reset.status:
                self.status, self.refused = self.status or reset.status, reset.message
            self.service.log.write(self)
        if self._connection.draining:
            self._connection.close_if_idle()

    def on_left(self) -> None:
        """The client has ended its direction."""
        self.left = True
        self._wake()

    def on_drain(self) -> None:
        """The server takes no more requests, and is to end soon."""

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """Servers get no responses."""

    def owes(self) -> bool:
        """Whether the client has begun a request, and not finished it."""
        return not self._complete and not self._stream.tunnel

    # The handler.

    def work(self) -> Coroutine[Any, Any, None]:
        """Return the coroutine that answers."""
        raise NotImplementedError

    def _run(self) -> None:
        if self._running or self._lost is not None:
            return
        self._running = True
        connection = self._connection
        try:
            work = self.work()
        except Exception as error:  # it takes other arguments, or is no coroutine function after all
            self._ended(None, error)
            return
        task = connection.runner.run(work, self._ended)
        if task is not None:
            self._task = task
            connection.running += 1
            self.service.tasks.add(task)

    def _ended(self, value: object, error: BaseException | None) -> None:
        connection = self._connection
        task, self._task = self._task, None
        if task is not None:
            self.service.tasks.discard(task)
            connection.running -= 1
        if error is not None:
            self._report(error, task is not None and task.cancelling() > 0)
        elif self._cause:
            self.service.report(self, RuntimeError(self._cause))
        if self._state != _DONE:
            if self._lost is None:
                self._complete_for_handler(error)
            connection.touch()
        if connection.draining:
            connection.close_if_idle()

    def _report(self, error: BaseException, cancelled: bool) -> None:
        if is_interrupt(error):
            raise error
        if isinstance(error, asyncio.CancelledError):  # it may be of something else that the handler has waited for
            if cancelled or self._lost is not None or self._state == _DONE:
                return
        elif self._lost is not None and is_disconnect(error):
            return
        self.service.report(self, error)

    def _complete_for_handler(self, error: BaseException | None) -> None:
        if error is None:
            self.service.report(self, RuntimeError("the application returned without a complete response"))
        if self._state == _WAITING:
            self.reply_now(self.service.heads.stamped(_FAILED), b"Internal Server Error\n")
        else:
            self._connection.core.reset(self._stream, ErrorCode.INTERNAL_ERROR)
            self._end()


Handler = Callable[[Exchange], Awaitable[None]]
"""Answers one request."""
