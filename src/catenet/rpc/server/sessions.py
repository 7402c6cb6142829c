"""Calls over sessions on the server: a session is a connection that outlives its connections (docs/session.md).

What a connection has clocks for (a beginning, a rate, a response that is read) stands still while nothing comes from
the client at all: it cannot be reached, and has done nothing wrong. Whether it is there is for the session to find out,
and for sessions that are away there are limits.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from catenet.http.serving import Shared
from catenet.net.accept import Slot
from catenet.net.monitor import Late
from catenet.net.notice import Notice
from catenet.net.stream_server import CHECK_INTERVAL, Listener, drain_each, each_alone
from catenet.net.target import Target
from catenet.net.tls_source import TlsSource
from catenet.rpc.model.context import Peer
from catenet.rpc.model.target import session_url
from catenet.rpc.server.away import Away, too_many
from catenet.rpc.server.connection import ServerConnection
from catenet.rpc.server.peers import peer_of
from catenet.session.server import SessionServer
from catenet.session.table import SessionLimits, Terms
from catenet.session.transport import SessionTransport
from catenet.session.wire import ResetCode

if TYPE_CHECKING:
    from catenet.rpc.server.server import Server

__all__ = ["SessionConnection", "SessionListener"]

_LONGEST_CHECK: Final = 2 * CHECK_INTERVAL


class SessionConnection(ServerConnection):
    """Carries calls on a session. `over`: the session has ended."""

    __slots__ = ("_checked", "_heard", "_seen", "_unheard", "over")

    def __init__(self, server: Server, listener: SessionListener, shared: Shared, slot: Slot) -> None:
        super().__init__(server, shared, slot, listener)
        self.over: asyncio.Future[None] = shared.loop.create_future()
        self._seen: object = None
        self._heard: tuple[object, int] = (None, 0)
        self._checked = slot.accepted
        self._unheard = 0.0
        """Seconds in which the client could not be heard, or this process did not listen."""

    def may_rest(self) -> bool:
        """The descriptor is the session's."""
        return False

    @property
    def carrier(self) -> SessionTransport | None:
        """The session's transport, until it has ended."""
        transport = self.transport
        return transport if isinstance(transport, SessionTransport) else None

    @property
    def away(self) -> bool:
        """Whether the session has no connection now."""
        carrier = self.carrier
        return carrier is not None and not carrier.info.connected

    @property
    def peer(self) -> Peer:
        """Who is at the other end: the same as ever, whom the last connection has shown; its address may be another."""
        carrier = self.carrier
        if carrier is not None and carrier.connection is not self._seen:
            self._seen = carrier.connection
            self._peer = peer_of(carrier)
        return self._peer or Peer("")

    def negotiates(self, transport: asyncio.BaseTransport) -> bool:
        """TLS is the session's, and chooses nothing for what rides on it."""
        return False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Who it is must be known before the connection is another."""
        super().connection_made(transport)
        self.peer  # noqa: B018

    def connection_lost(self, error: Exception | None) -> None:
        """The session has ended."""
        super().connection_lost(error)
        if not self.over.done():
            self.over.set_result(None)

    def watch_end(self) -> None:
        """A session that is closed ends when its peer has everything, over another connection if need be."""

    def check(self, now: float) -> None:
        """Look after the peer while it can be reached. The session itself finds out who does not answer."""
        carrier = self.carrier
        if carrier is None or carrier.is_closing() or self.ended:
            return
        if self.version_known:
            self.monitor.watch_age(now)
        passed, self._checked = now - self._checked, now
        link = carrier.connection
        heard = (link, 0 if link is None else link.received)
        if self.away or heard == self._heard:
            self._unheard += passed
            return
        self._heard = heard
        self._unheard += max(passed - _LONGEST_CHECK, 0.0)
        then = now - self._unheard
        if self.begun:
            self.monitor.watch(then)
        elif then - self.monitor.opened > self.options.handshake_timeout:
            super().on_late(Late.BEGINNING)

    def on_late(self, what: Late) -> None:
        """Give up what is late by the time of `check`, which no timer knows."""
        if what is not Late.BEGINNING:
            super().on_late(what)

    def drain(self) -> None:
        """Take no new requests; who is away, and has none, cannot be told."""
        if self.away and not self.busy:
            self.end(ResetCode.SHUTDOWN)
        else:
            super().drain()

    def end(self, code: int) -> None:
        """Break the session off; its client is told why, if it comes back in time."""
        carrier = self.carrier
        if carrier is not None:
            self.charge(0)
            self.ended = True
            carrier.abort(code)


class SessionListener:
    """One URL that a server listens on for sessions, and the connections that they are to the server."""

    def __init__(self, server: Server, shared: Shared) -> None:
        self._server = server
        self._shared = shared
        self._options = server.options.session
        self._sessions: SessionServer | None = None
        self._connections: dict[SessionConnection, None] = {}
        self._draining = False
        self._quiet: asyncio.Future[None] | None = None
        self._ended = Notice()

    async def listen(self, target: Target, tls: TlsSource | None, bound: Sequence[socket.socket]) -> Listener:
        """Accept sessions. Raises `ValueError`, `OSError`."""
        options = self._options
        limits = SessionLimits(options.max_sessions, options.max_of_peer, max_held=options.max_held)
        self._sessions = sessions = SessionServer(self._carry, Terms(options.options(), limits), None)
        url = session_url(target, target.tls)
        try:
            (listener,) = await sessions.listen([url], tls, self._server.options, bound)
        except BaseException:
            await sessions.close()
            raise
        port = listener.sockets[0].getsockname()[1]
        return replace(listener, url=replace(target, port=port).url)

    async def _carry(self, transport: SessionTransport) -> None:
        shared = self._shared
        connection = SessionConnection(self._server, self, shared, Slot(self, shared.loop.time()))
        # By the loop, as transports of its own do: handlers become tasks at once, which no task may do for another.
        shared.loop.call_soon(transport.start, cast(asyncio.Protocol, connection))
        await connection.over

    # As a slot has it.

    def released(self) -> None:
        """Sessions are counted by their own limits."""

    # As connections see their keeper.

    def connection_opened(self, connection: ServerConnection) -> None:
        """Keep a connection."""
        self._server.counters.connections_opened += 1
        self._server.look_soon()
        assert isinstance(connection, SessionConnection)
        self._connections[connection] = None
        if self._draining:
            connection.drain()

    def connection_resumed(self, connection: ServerConnection) -> None:
        """Nobody parks it: the descriptor is the session's."""

    def connection_closed(self, connection: ServerConnection) -> None:
        """Forget a connection."""
        self._server.counters.connections_closed += 1
        assert isinstance(connection, SessionConnection)
        self._connections.pop(connection, None)
        if not self._connections and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    # As its server sees it.

    @property
    def connections(self) -> int:
        """How many sessions there are."""
        return len(self._connections)

    def check(self, now: float) -> None:
        """Look after connections, and end sessions if too many are away."""
        away: list[Away[SessionConnection]] = []
        each_alone(self._shared.loop, self._connections, "looked after", lambda connection: connection.check(now))
        for connection in list(self._connections):
            carrier = connection.carrier
            if carrier is not None and connection.away:
                session = carrier.session
                since = now if session.lost_since is None else session.lost_since
                away.append(Away(connection, session.origin, since, connection.running))
        ended = too_many(away, self._options.max_away, self._options.max_away_calls)
        if ended:
            self._ended.warn(now, "%d sessions end: of too many that have no connection", len(ended))
        each_alone(self._shared.loop, ended, "ended", lambda connection: connection.end(ResetCode.LIMIT))

    async def wind_down(self, grace: float | None) -> None:
        """Take no new sessions; wait for what goes on in those that there are, also if they come back for it."""
        self._draining = True
        if self._sessions is not None:
            self._sessions.refuse_others()
        drain_each(self._shared.loop, self._connections)
        if self._connections:
            self._quiet = self._shared.loop.create_future()
            await asyncio.wait([self._quiet], timeout=grace)

    async def close(self) -> None:
        """End all sessions; clients that have a connection are told."""
        if self._sessions is not None:
            await self._sessions.close()
        over = [connection.over for connection in self._connections]
        if over:
            await asyncio.wait(over)  # in the next turn of the loop
