"""A server for a protocol core of five verbs: TCP, TLS and Unix sockets, limits, draining.

`serve(Core, ["tcp://[::]:7000", "unix:/run/x.sock"])` serves connections whose cores do all of it; with `handler`,
a coroutine for each connection, the program reads the core's events and calls the core.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from catenet.net.accept import Slot
from catenet.net.connection import Connection
from catenet.net.core import StreamCore, check_factory
from catenet.net.limits import ServerLimits
from catenet.net.monitor import Late, PeerMonitor, Shared
from catenet.net.parking import ParkedConnection
from catenet.net.stream_server import StreamServer, each_alone
from catenet.net.target import DATAGRAM_SCHEMES, SCHEMES, Scheme, refuse_scheme

__all__ = ["AcceptedConnection", "CoreServer", "serve"]

E = TypeVar("E")

Handler = Callable[["AcceptedConnection[E]"], Awaitable[None]]

logger = logging.getLogger("catenet.net")


class AcceptedConnection(Connection[E]):
    """A connection of a server. Its peer is under the clock of `catenet.net.monitor.PeerMonitor`."""

    __slots__ = ("_moved", "_patience", "_server", "_task", "draining", "monitor")

    def __init__(self, server: CoreServer[E], shared: Shared, slot: Slot, core: StreamCore[E], keep: bool) -> None:
        super().__init__(shared.loop, core, shared.deadlines, shared.limits.write_limit, keep)
        self._server = server
        self._task: asyncio.Task[None] | None = None
        self._moved = 0
        self._patience = shared.limits.handshake_timeout
        self.budget = shared.budget
        self.draining = False
        self.monitor = PeerMonitor(self, shared, slot)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the handler begin."""
        super().connection_made(transport)
        self.monitor.start()
        self._server.connection_opened(self)
        handler = self._server.handler
        if handler is not None and self.transport is not None:
            self._task = self.loop.create_task(self._handle(handler))
            # A task that is cancelled before it begins runs nothing of its coroutine.
            self._task.add_done_callback(self._finish)

    def connection_lost(self, error: Exception | None) -> None:
        """The place is free for another connection. A handler hears of it when it asks for events, or sends."""
        super().connection_lost(error)
        self.monitor.stop()
        if self._task is None:
            self._server.connection_closed(self)

    def eof_received(self) -> bool:
        """The peer sends nothing more. A core that is left to itself and waits for nothing will never close: do it."""
        stays = super().eof_received()
        core = self.core
        if self._server.handler is None and not core.closed and not self.write_paused and core.next_deadline() is None:
            self.close()
        return stays

    async def _handle(self, handler: Handler[E]) -> None:
        try:
            await handler(self)
        except Exception as error:
            # That its peer has gone is no failure of a handler; that another server does not answer it may be one.
            if self.transport is not None or not isinstance(error, ConnectionError):
                logger.exception("the handler of a connection failed")
                self.abort()

    def _finish(self, _: asyncio.Task[None]) -> None:
        """The handler has ended, and so does the connection."""
        self._task = None
        if self.transport is None:
            self._server.connection_closed(self)
            return
        if not self.core.closed:
            self.core.drain(self.loop.time())
        self.flush()
        if not self.core.closed:
            self.close()

    # As its server sees it.

    def check(self, now: float) -> None:
        """Look whether the peer keeps up, and whether the connection is too idle or too old."""
        if self.transport is not None:
            self.monitor.watch(now)
            self.monitor.watch_age(now)

    def drain(self) -> None:
        """Let the core finish what has begun; a handler hears of it when the core has closed."""
        self.draining = True
        self.core.drain(self.loop.time())
        self.flush()

    def make_room(self) -> None:
        """Close, because others wait for the place and this peer does nothing or reads nothing."""
        if self._is_stalled():
            self.abort()
        else:
            self.drain()

    def rest(self, now: float) -> ParkedConnection | None:
        """A core of five verbs says too little of itself to be parked."""
        return None

    def leave(self) -> None:
        """Nobody parks it."""

    def end(self) -> None:
        """The server ends: so does the handler."""
        if self._task is not None:
            self._task.cancel()

    # As its monitor sees it.

    @property
    def begun(self) -> bool:
        """Whether what a connection begins with is complete."""
        return self.core.begun

    @property
    def busy(self) -> bool:
        """Whether a handler runs, or the peer is in the midst of sending or reading something.

        While the peer reads nothing, nothing goes on that could come to an end.
        """
        going_on = self._task is not None or self.write_paused or self.core.unfinished
        return going_on and not self._is_stalled()

    @property
    def ending(self) -> bool:
        """Whether the core has closed, though its peer may not have read its last word."""
        return self.ended or self.core.closed

    @property
    def failed(self) -> bool:
        """Whether our direction is over."""
        return self.ended

    @property
    def unit_since(self) -> float | None:
        """No unit has a deadline of its own."""
        return None

    def was_active(self) -> bool:
        """Whether anything has come or gone since this was last asked."""
        moved, self._moved = self._moved, self.received + self.flowed
        return moved != self._moved

    def _is_stalled(self) -> bool:
        """Whether the peer has read nothing of what waits for it for as long as a handshake may take."""
        return self.write_paused and self.monitor.has_stalled(self.loop.time(), self._patience)

    def owes(self) -> bool:
        """Whether the peer has begun something, not finished it, and is read from."""
        return self.core.unfinished and not self._read_paused

    def must_read(self, full: bool) -> bool:
        """What a core sends may be part of something that has no hurry; its own deadlines say otherwise."""
        return False

    def on_late(self, what: Late) -> None:
        """Give the connection up."""
        self.abort()

    def on_exceeded(self) -> None:
        """Close those that hold most until the rest is within the budget."""
        self._server.shed()


class CoreServer(StreamServer[AcceptedConnection[E]], Generic[E]):
    """Serves connections whose cores `factory` makes; `handler` runs for each, or the cores do all of it.

    A handler that returns ends its connection. One that raises is logged. When the server closes it is cancelled.
    """

    def __init__(
        self,
        factory: Callable[[], StreamCore[E]],
        handler: Handler[E] | None = None,
        limits: ServerLimits | None = None,
        *,
        alpn: Sequence[str] = (),
        schemes: Mapping[str, Scheme] = SCHEMES,
    ) -> None:
        check_factory(factory, "serve")
        super().__init__(limits or ServerLimits())
        self._factory = factory
        self.handler = handler
        self.alpn = alpn
        self.schemes = schemes

    def accepted(self, slot: Slot) -> AcceptedConnection[E]:
        """Return the protocol of a connection."""
        assert self._shared is not None
        return AcceptedConnection(self, self._shared, slot, self._factory(), self.handler is not None)

    def shed(self) -> None:
        """All connections together have more queued than they may."""
        if self._shared is not None:
            self._shared.shed()

    async def close(self) -> None:
        """Stop at once: handlers are cancelled, connections are broken off."""
        each_alone(asyncio.get_running_loop(), self._connections, "ended", lambda connection: connection.end())
        await super().close()

    async def __aenter__(self) -> CoreServer[E]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def serve(
    factory: Callable[[], StreamCore[E]],
    urls: str | Iterable[str],
    handler: Handler[E] | None = None,
    *,
    limits: ServerLimits | None = None,
    tls: ssl.SSLContext | None = None,
    alpn: Sequence[str] = (),
    schemes: Mapping[str, Scheme] = SCHEMES,
    reuse_port: bool = False,
    mode: int | None = None,
    shared: Mapping[str, socket.socket] | None = None,
) -> CoreServer[E]:
    """Listen on `urls` (`tcp://`, `tls://`, `unix:`; port 0 is any) and serve; return the server.

    `factory` makes the core of a connection. `shared` are Unix sockets by URL that listen already
    (`catenet.net.workers`). Raises `TypeError` for a core instead of a factory, `ValueError` for a wrong URL, and
    `OSError`; then nothing listens. A connection whose `factory` fails is closed, and the log says so.
    """
    server = CoreServer(factory, handler, limits, alpn=alpn, schemes=schemes)
    try:
        for url in [urls] if isinstance(urls, str) else urls:
            refuse_scheme(url, schemes, DATAGRAM_SCHEMES, "serve_datagrams")
            sock = (shared or {}).get(url)
            await server.listen(url, tls=tls, reuse_port=reuse_port, mode=mode, sock=sock)
    except BaseException:
        await server.close()
        raise
    return server
