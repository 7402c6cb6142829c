"""The response of an exchange: in one piece, in pieces, from files; what may be wrong with it, and its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from catenet.compiled import mypyc_attr
from catenet.http.driver import IGNORE, TURN_BYTES
from catenet.http.errors import ErrorCode, PeerLimit
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.producer import Producer
from catenet.http.server.gone import Disconnected
from catenet.http.server.send_file import pieces_of, splice

if TYPE_CHECKING:
    from catenet.http.server.service import Service
    from catenet.http.serving import ServingProtocol

__all__ = ["DONE", "WAITING", "Response"]

WAITING: Final = 0
_BEGUN: Final = 1
DONE: Final = 2
_SMALL_FILE: Final = 64 << 10


@mypyc_attr(allow_interpreted_subclasses=True)
class Response(Producer):
    """The half of an exchange that answers."""

    service: Service
    _connection: ServingProtocol
    head: RequestHead
    """Of the request."""
    status: int
    """Of the response, once it has begun."""
    sent: int
    """Bytes of its body so far."""

    _state: int
    _lost: str | None
    _waiters: list[asyncio.Future[None]] | None

    # Defaults in the class are of what a short exchange does not ask for.
    _bodiless: bool = False
    _left: int | None = None
    _cause: str = ""

    @property
    def outlet(self) -> ServingProtocol:
        """The connection that the request came on."""
        return self._connection

    @property
    def gone(self) -> bool:
        """Whether the client has gone, or has broken the request off."""
        return self._lost is not None

    @property
    def is_call(self) -> bool:
        """Whether this is a call of gRPC, or of Connect with streams: its client may read when it likes."""
        return (self.head.get(b"content-type") or b"").startswith((b"application/grpc", b"application/connect+"))

    @property
    def started(self) -> bool:
        """Whether the response has begun."""
        return self._state != WAITING

    @property
    def finished(self) -> bool:
        """Whether the response is complete."""
        return self._state == DONE

    def inform(self, head: ResponseHead) -> None:
        """Send a 1xx head. Raises `ValueError` if it is none, `RuntimeError` after the response has begun."""
        if not 100 <= head.status < 200 or head.status == 101:
            raise ValueError(f"{head.status} is no interim status")
        if self._state != WAITING:
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
        if self._state != WAITING or self._lost is not None:
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

    def _check_begin(self) -> None:
        if self._state != WAITING:
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
            raise RuntimeError("the response is complete" if self._state == DONE else "the response has not begun")

    def _break_off(self, cause: str) -> None:
        self._cause = cause
        self._connection.core.reset(self._stream, ErrorCode.INTERNAL_ERROR)

    def _end(self) -> None:
        self._state = DONE
        connection, stream = self._connection, self._stream
        if not stream.tunnel and (stream.queue is None or not self.is_call):
            stream.owner = IGNORE  # what knows each other would wait for the collector
        if not connection.in_turn:
            connection.touch()
        if self._waiters:
            self._wake()
        if self.service.log is not None:
            self.note()
        if connection.draining:
            connection.close_if_idle()

    def note(self) -> None:
        """Note in the access log that the response is complete."""
        raise NotImplementedError

    def _wake(self) -> None:
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)
