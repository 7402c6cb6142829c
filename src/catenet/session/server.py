"""Servers of sessions.

`async with await serve(handler, "session+tls://:7000", tls=context) as server:`, with
`async def handler(reader, writer)` as for `asyncio.start_server`.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import ipaddress
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Unpack

from catenet import net
from catenet.net.limits import ServerLimits
from catenet.net.server import AcceptedConnection, CoreServer
from catenet.net.stream_server import Listener
from catenet.net.tls_source import TlsSource
from catenet.session.core import Options, Session
from catenet.session.edge import SESSION_SCHEMES, begin
from catenet.session.link import Link
from catenet.session.state import Store
from catenet.session.table import ServerLink, SessionLimits, Table, Terms
from catenet.session.transport import READER_LIMIT, SessionTransport, streams
from catenet.session.wire import ResetCode
from catenet.session.words import Asking, Authorize, ServerWords, make_options, refuse_unknown

__all__ = ["SessionServer", "serve", "serve_as", "serve_transports"]

logger = logging.getLogger("catenet.session")

CHECK_INTERVAL = 1.0
IDLE_INTERVAL = 60.0
"""While there is neither a session nor a connection."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Carrier = Callable[[SessionTransport], Awaitable[None]]


class SessionServer:
    """Sessions and the connections under them. `urls`: where it listens, with the real ports."""

    def __init__(self, carry: Carrier, terms: Terms, authorize: Authorize | None, state: str | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._carry = carry
        self._authorize = authorize
        self._buffer = terms.options.buffer
        self.table = Table(terms, os.urandom, self._opened)
        self._server: CoreServer[None] | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self._connections: dict[ServerLink, AcceptedConnection[None]] = {}
        self._checking = self._loop.call_later(CHECK_INTERVAL, self._check)
        self._idle = False
        self._closed = False
        self._restored: dict[bytes, bytes] = {}
        self._store = None if state is None else Store(state)
        if self._store is not None:
            self._go_on(self._store, terms.options)

    async def listen(
        self,
        urls: Iterable[str],
        tls: TlsSource | None,
        limits: ServerLimits | None,
        bound: Sequence[socket.socket] = (),
    ) -> list[Listener]:
        """Accept connections; `bound` are sockets that listen already, for one URL. Raises `ValueError`, `OSError`."""
        self._server = server = CoreServer(self.table.link, self._watch, limits, schemes=SESSION_SCHEMES)
        return [await server.listen(url, tls=tls, bound=bound) for url in urls]

    @property
    def urls(self) -> list[str]:
        """Where the server listens, with the real ports."""
        return [] if self._server is None else self._server.urls

    @property
    def sessions(self) -> int:
        """How many sessions there are, those without a connection included."""
        return len(self.table.sessions)

    def refuse_others(self) -> None:
        """Take no new sessions; those that there are go on, and get new connections."""
        self.table.refusing = True

    async def serve_forever(self) -> None:
        """Wait until the server is closed."""
        if self._server is not None:
            await self._server.serve_forever()

    async def close(self) -> None:
        """End at once: handlers are cancelled, clients are told."""
        if self._closed:
            return
        self._closed = True
        self._checking.cancel()
        for session in list(self.table.sessions.values()):
            if self._store is None:
                session.reset(ResetCode.SHUTDOWN)
            else:
                session.lose()  # here; the next process has it
        for connection in list(self._connections.values()):
            connection.flush()
        for task in list(self._handlers):
            task.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers)
        if self._server is not None:
            await self._server.close()
        if self._store is not None:
            self._store.close()

    async def __aenter__(self) -> SessionServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _go_on(self, store: Store, options: Options) -> None:
        """Take over the sessions of the process before this one: their handlers begin again."""
        table, now = self.table, self._loop.time()
        table.commits = True
        table.remember_epoch = store.keep_epoch
        table.on_close = self._forget
        for session, saved in store.sessions(options.buffer, options.heartbeat):
            session.lost_since = now
            table.restore(session)
            self._restored[session.token] = saved
            self._opened(session)

    def _forget(self, session: Session) -> None:
        if self._store is not None and not self._closed:
            self._store.forget(session)

    # Connections.

    async def _watch(self, connection: AcceptedConnection[None]) -> None:
        link = connection.core
        assert isinstance(link, ServerLink)
        certificate = _certificate(connection)
        link.peer = b"" if certificate is None else hashlib.sha256(certificate).digest()
        link.origin = _origin(connection.peername)
        self._connections[link] = connection
        if self._idle and not self._closed:
            self._idle = False
            self._checking.cancel()
            self._checking = self._loop.call_later(CHECK_INTERVAL, self._check)
        # By the loop, as what comes later: programs may not be run within this task.
        self._loop.call_soon(begin, connection, link)
        try:
            await connection.wait_closed()
        finally:
            del self._connections[link]
            link.lost(self._loop.time())

    def _check(self) -> None:
        self._idle = not self._connections and not len(self.table)
        # First: also if looking fails, which is reported, it is done again.
        self._checking = self._loop.call_later(IDLE_INTERVAL if self._idle else CHECK_INTERVAL, self._check)
        self.table.check(self._loop.time())

    # Sessions.

    def _opened(self, session: Session) -> None:
        transport = SessionTransport(self._loop, session, self._buffer, _cannot_migrate)
        store, saved = self._store, self._restored.pop(session.token, None)
        if store is not None:
            transport.commit = lambda read: store.commit(session, read, transport.info.saved)
            transport.info.restored, transport.info.saved = saved is not None, saved or b""
        session.on_attach = partial(self._attached, transport)
        if session.active is not None:
            self._attached(transport, session.active)
        task = self._loop.create_task(self._handle(session, transport))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    def _attached(self, transport: SessionTransport, link: Link) -> None:
        connection = self._connections.get(link) if isinstance(link, ServerLink) else None
        if connection is not None:
            transport.use(connection)

    async def _handle(self, session: Session, transport: SessionTransport) -> None:
        """Ask whether the session is permitted, and run its handler until both have ended."""
        ended: asyncio.Future[None] = self._loop.create_future()
        try:
            if not transport.info.restored and not await self._permits(session, transport):
                session.reset(ResetCode.DENIED)
                self.table.close(session, self._loop.time())
                return
            self.table.grant(session)
            if transport.commit is not None and not transport.info.restored:
                transport.commit(session.receiving.start)  # that it has begun
            transport.on_ended = lambda: _resolve(ended)
            await self._carry(transport)
            transport.close()
            transport.commit_read(0)
            transport.pump()
            await ended
        except Exception as error:
            if session.ended is None or not isinstance(error, ConnectionError):
                logger.exception("the handler of a session failed")
            transport.abort()
        except BaseException:
            self._leave(session, transport)
            raise
        finally:
            self.table.close(session, self._loop.time())

    def _leave(self, session: Session, transport: SessionTransport) -> None:
        """A handler is cancelled: the process ends, unless the handler has done it itself. The next one goes on."""
        task = asyncio.current_task()
        if self._store is None or (task is not None and not task.cancelling()):
            transport.abort()
        else:
            session.lose()
            self.table.leave(session)

    async def _permits(self, session: Session, transport: SessionTransport) -> bool:
        if self._authorize is None:
            return True
        certificate = None if transport.connection is None else _certificate(transport.connection)
        answer = self._authorize(Asking(session.credentials, certificate, transport.get_extra_info("peername")))
        return bool(await answer if inspect.isawaitable(answer) else answer)


def _origin(peername: object) -> str:
    """Return by what sessions of one peer are counted: its address, of IPv6 the network that one customer has (/64)."""
    if not isinstance(peername, tuple):
        return ""
    host: str = peername[0]
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped) if address.ipv4_mapped else str(int(address) >> 64)


def _certificate(connection: net.Connection[None]) -> bytes | None:
    if connection.transport is None:
        return None
    secured = connection.transport.get_extra_info("ssl_object")
    return None if secured is None else secured.getpeercert(binary_form=True)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _cannot_migrate() -> None:
    raise RuntimeError("only a client makes connections")


async def serve(
    handler: Handler, urls: str | Iterable[str], *, limit: int = READER_LIMIT, **words: Unpack[ServerWords]
) -> SessionServer:
    """Listen on `urls` (`session+tcp://`, `session+tls://`; port 0 is any), and run `handler` for each session.

    `expiry`, `buffer`, `heartbeat`, `key`, `channel_binding`: see `Options`; `limits`, `connection_limits`: what
    sessions and their connections may cost; `tls`: for `session+tls://`. `authorize` is asked once for each session
    whether it may begin. `node` is the name of this server in its tokens, and `nodes` says at which `host:port` others
    of a pool are by their names: who comes to the wrong one is sent there. `state` is a file in which sessions survive
    this process (docs/session.md, "A server that restarts"). A handler that returns ends its session, one that raises
    breaks it off. Raises `ValueError`, `OSError`.
    """
    refuse_unknown(words, ServerWords, "serve")

    async def carry(transport: SessionTransport) -> None:
        await handler(*streams(transport, limit))

    return await serve_as(carry, urls, words)


async def serve_as(
    carry: Carrier, urls: str | Iterable[str], words: ServerWords, *, messages: bool = False
) -> SessionServer:
    """Serve sessions by what is done with their transports, and by what `serve` is told."""
    limits, node = words.get("limits") or SessionLimits(), words.get("node", "").encode("ascii")
    nodes = {name.encode("ascii"): place for name, place in (words.get("nodes") or {}).items()}
    terms = Terms(make_options(words, messages=messages), limits, node, nodes)
    more = words.get("connection_limits"), words.get("state")
    return await serve_transports(carry, urls, terms, words.get("authorize"), words.get("tls"), *more)


async def serve_transports(
    carry: Carrier,
    urls: str | Iterable[str],
    terms: Terms,
    authorize: Authorize | None = None,
    tls: TlsSource | None = None,
    connection_limits: ServerLimits | None = None,
    state: str | None = None,
    bound: Sequence[socket.socket] = (),
) -> SessionServer:
    """Serve sessions by what is done with their transports. `bound`: sockets that listen already, for one URL."""
    server = SessionServer(carry, terms, authorize, state)
    try:
        await server.listen([urls] if isinstance(urls, str) else urls, tls, connection_limits, bound)
    except BaseException:
        await server.close()
        raise
    return server
