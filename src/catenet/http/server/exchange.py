"""One request and its response, as a server's handler sees them: the native interface, below ASGI and WSGI.

What is usual takes no task, no queue and no timer: the whole request is there when the handler begins, which does not
wait, and the response leaves in one write with the others of this turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from catenet.compiled import mypyc_attr
from catenet.http.errors import ErrorCode
from catenet.http.events import StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.server.gone import Disconnected, is_disconnect
from catenet.http.server.response import DONE, WAITING, Response
from catenet.http.server.tunnel import Tunnel
from catenet.http.stream import Stream
from catenet.net.interrupts import is_interrupt

if TYPE_CHECKING:
    from catenet.http.server.service import Service
    from catenet.http.serving import Ends, ServingProtocol

__all__ = ["Disconnected", "Exchange", "Handler", "Tunnel"]

_PLAIN: Final[Fields] = ((b"content-type", b"text/plain; charset=utf-8"),)
_FAILED: Final = ResponseHead(500, _PLAIN)


@mypyc_attr(allow_interpreted_subclasses=True)  # WSGI's, and those of tests
class Exchange(Response):
    """One request and its response.

    `head` is the request's; `trailers` are there after the last `read`. A response is one `reply`, or `start`, `write`
    or `send_file` as often as there is something, and `finish`. What a handler leaves unsaid when it returns is said
    for it: 500 if there is no head, a broken stream if the body is incomplete.
    """

    trailers: Fields = ()
    left: bool = False
    """Whether the client has ended its direction of the connection; as a rule it has gone, but it may still read."""

    refused: str = ""
    """Why the server, and no application, has refused the request."""

    def __init__(self, service: Service, connection: ServingProtocol, stream: Stream, head: RequestHead) -> None:
        # All at once: in the interpreter a call of the base's `__init__` costs as much as all of it.
        self.service = service
        self.head = head
        self.status = self.sent = 0
        self._connection = connection
        self._stream = stream
        self._state = WAITING
        self._lost = self._waiters = None
        self._task: asyncio.Task[None] | None = None
        self._running = self._complete = False
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
    def complete(self) -> bool:
        """Whether the whole request has come; what of its body was not read is there for `take`."""
        return self._complete

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

    def upgrade(self, head: ResponseHead) -> Tunnel:
        """Answer with 101, or 2xx to CONNECT; what follows both ways are bytes of another protocol."""
        self._begin(head)
        self._send_head(head, False)
        self._complete = not self._stream.remote_open
        self._connection.touch()
        return Tunnel(self)

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
        if self._state != DONE and self.service.log is not None and (self._running or reset.status):
            if reset.status:
                self.status, self.refused = self.status or reset.status, reset.message
            self.note()
        if self._connection.draining:
            self._connection.close_if_idle()

    def note(self) -> None:
        """Note in the access log what has become of the request."""
        if self.service.log is not None:
            self.service.log.write(self)

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
            self._goes_on(task)

    def _goes_on(self, task: asyncio.Task[None]) -> None:
        """The handler waits for something."""
        self._task = task
        self._connection.running += 1
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
        if self._state != DONE:
            if self._lost is None:
                self._complete_for_handler(error)
            connection.touch()
        if connection.draining:
            connection.close_if_idle()

    def _report(self, error: BaseException, cancelled: bool) -> None:
        if is_interrupt(error):
            raise error
        if isinstance(error, asyncio.CancelledError):  # it may be of something else that the handler has waited for
            if cancelled or self._lost is not None or self._state == DONE:
                return
        elif self._lost is not None and is_disconnect(error):
            return
        self.service.report(self, error)

    def _complete_for_handler(self, error: BaseException | None) -> None:
        if error is None:
            self.service.report(self, RuntimeError("the application returned without a complete response"))
        if self._state == WAITING:
            self.reply_now(self.service.heads.stamped(_FAILED), b"Internal Server Error\n")
        else:
            self._connection.core.reset(self._stream, ErrorCode.INTERNAL_ERROR)
            self._end()


Handler = Callable[[Exchange], Awaitable[None]]
"""Answers one request."""
