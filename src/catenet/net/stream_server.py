"""A server on streams: listeners, the connections that they bring, looking after them, draining, closing.

`StreamServer` is what a protocol derives from that has a driver of its own; `catenet.net.server` makes one
of a core of five verbs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, cast

from catenet.net.accept import Acceptor, Slot
from catenet.net.callbacks import Callbacks
from catenet.net.limits import ServerLimits
from catenet.net.listen import listen_tcp, listen_unix
from catenet.net.monitor import PeerMonitor, Shared
from catenet.net.parking import ParkedConnection, ParkingLot, can_park, take_off
from catenet.net.target import SCHEMES, Scheme, parse_target
from catenet.net.tls_source import TlsSource, with_alpn
from catenet.net.tuning import release_memory

__all__ = ["CHECK_INTERVAL", "Listener", "ServedConnection", "StreamServer", "drain_each", "each_alone"]

CHECK_INTERVAL = 1.0
IDLE_INTERVAL = 60.0
"""Between two looks while there is no connection: what is left are logs, and a process that sleeps costs nothing."""
_CROWD = 5000
"""A look at 50,000 connections takes some 50 ms: the more there are, the rarer it is."""
_CLOSING_TIME = 5.0
_PARKED_AT_ONCE = 1000
"""Each has two descriptors for a moment, and takes some 50 us."""
_MANY, _SOON = 100, 0.1
"""So many leave memory worth giving back, once their transports have gone."""


class ServedConnection(Protocol):
    """A connection, as its server sees it: what a transport calls besides."""

    monitor: PeerMonitor
    transport: asyncio.Transport | None

    @property
    def busy(self) -> bool:
        """Whether anything is going on that an end would break off."""

    def check(self, now: float) -> None:
        """Look after the connection, about once a second."""

    def drain(self) -> None:
        """Take nothing new; close when nothing is left."""

    def make_room(self) -> None:
        """Close, idle as it is, because others wait for the place."""

    def rest(self, now: float) -> ParkedConnection | None:
        """Return what is to be kept of the connection while nothing happens; None: something does, or may soon."""

    def leave(self) -> None:
        """The connection is parked: this object is no longer its."""


C = TypeVar("C", bound=ServedConnection)
S = TypeVar("S", bound=ServedConnection)


def each_alone(
    loop: asyncio.AbstractEventLoop, connections: Iterable[S], what: str, work: Callable[[S], object]
) -> None:
    """Do `work` for all `connections`. One that fails at it is reported and cut off; the others do not suffer for it.

    `what` says what it could not be, as in "drained".
    """
    for connection in list(connections):
        try:
            work(connection)
        except Exception as error:
            loop.call_exception_handler({"message": f"a connection could not be {what}", "exception": error})
            if connection.transport is not None:
                connection.transport.abort()


def drain_each(loop: asyncio.AbstractEventLoop, connections: Iterable[ServedConnection]) -> None:
    """Drain all `connections`, each alone."""
    each_alone(loop, connections, "drained", lambda connection: connection.drain())


@dataclass(slots=True)
class Listener:
    """One address that a server listens on; `url` names it as a client takes it, with the real port."""

    url: str
    sockets: Sequence[socket.socket]
    acceptor: Acceptor
    unlink: str = ""

    def close(self) -> None:
        """Accept no more connections."""
        for sock in self.sockets:
            self.acceptor.remove(sock)
        if self.unlink:
            try:
                os.unlink(self.unlink)
            except (FileNotFoundError, PermissionError):
                pass  # who has given up root may not; whoever listens there next replaces it


class StreamServer(Generic[C]):
    """Listens, accepts, and looks after connections, which `accepted` makes.

    Make it anywhere, listen in a running event loop. After a `fork` a child may make servers of its own; one that was
    listening belongs to the loop, and so to the process, that it listened in.
    """

    schemes: Mapping[str, Scheme] = SCHEMES
    alpn: Sequence[str] = ()
    """What TLS may choose among (RFC 7301), best first."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._listeners: list[Listener] = []
        self._connections: dict[C, None] = {}
        self._shared: Shared | None = None
        self._acceptor: Acceptor | None = None
        self._checking: asyncio.TimerHandle | None = None
        self._idle = False
        self._lot: ParkingLot | None = None
        self._waking: set[asyncio.Task[None]] = set()
        self._draining = False
        self._quiet: asyncio.Future[None] | None = None
        self._stopped: asyncio.Future[None] | None = None

    # What a protocol adds.

    def begin(self, loop: asyncio.AbstractEventLoop) -> Shared:
        """Make what belongs to the event loop that the server listens in."""
        return Shared(loop, self._limits)

    def accepted(self, slot: Slot) -> Callbacks:
        """Return the protocol of a connection; it calls `connection_opened` and `connection_closed`."""
        raise NotImplementedError

    def reopened(self, parked: ParkedConnection) -> Callbacks:
        """Return the protocol of a connection that was parked; it calls `connection_resumed`. Only if some are."""
        raise NotImplementedError

    def check(self, now: float) -> None:
        """Look after what is the protocol's own, about once a second."""

    def end(self) -> None:
        """All connections are closed."""

    # Listening.

    @property
    def urls(self) -> list[str]:
        """Where the server listens, with the real ports."""
        return [listener.url for listener in self._listeners]

    async def listen(
        self,
        url: str,
        *,
        tls: TlsSource | None = None,
        reuse_port: bool = False,
        mode: int | None = None,
        sock: socket.socket | None = None,
        bound: Sequence[socket.socket] = (),
    ) -> Listener:
        """Listen on `tcp://host:port`, `tls://host:port` (needs `tls`) or `unix:path`.

        `mode` are the permissions of a Unix socket. `sock` is a Unix socket that listens already, for processes
        that share it; whoever made it removes it. `bound` are TCP sockets that listen already, all on one port. `tls`
        may be a source (`catenet.net.tls_source`), asked at each connection. Raises `ValueError` for a wrong URL,
        `OSError`.
        """
        target = parse_target(url, listening=True, schemes=self.schemes)
        context = tls if target.tls else None
        if target.tls and context is None:
            raise ValueError(f"{url}: needs an ssl.SSLContext (argument tls)")
        if context is not None and self.alpn:
            context = with_alpn(context, self.alpn)
        acceptor = self._acceptor or self._begin()
        backlog = self._limits.backlog
        unlink = ""
        if target.unix:
            sockets = [sock or listen_unix(target.unix, backlog=backlog, mode=mode)]
            unlink = "" if sock is not None or target.unix.startswith("@") else target.unix
        else:
            sockets = list(bound) or await listen_tcp(target.host, target.port, backlog=backlog, reuse_port=reuse_port)
            target = replace(target, port=sockets[0].getsockname()[1])
        for each in sockets:
            acceptor.add(each, context)
        listener = Listener(target.url, sockets, acceptor, unlink)
        self._listeners.append(listener)
        return listener

    def _begin(self) -> Acceptor:
        loop = asyncio.get_running_loop()
        self._shared = self.begin(loop)
        self._stopped = loop.create_future()
        if self._limits.park_after is not None and can_park(loop):
            self._lot = ParkingLot(loop, self._wake)
        self._checking = loop.call_later(CHECK_INTERVAL, self._check)
        acceptor = self._acceptor = Acceptor(loop, self._limits, self._accepted)
        return acceptor

    async def serve_forever(self) -> None:
        """Wait until the server is closed."""
        if self._stopped is None:
            raise RuntimeError("the server is not listening")
        await asyncio.shield(self._stopped)

    # Connections.

    def _accepted(self, slot: Slot) -> Callbacks:
        if self._idle:
            self.look_soon()
        return self.accepted(slot)

    def look_soon(self) -> None:
        """There is a connection to look after, where there was none."""
        if self._idle and self._checking is not None:
            self._idle = False
            self._checking.cancel()
            self._checking = asyncio.get_running_loop().call_later(CHECK_INTERVAL, self._check)

    def connection_opened(self, connection: C) -> None:
        """Keep a connection."""
        self._connections[connection] = None
        if self._draining:
            connection.drain()

    def connection_closed(self, connection: C) -> None:
        """Forget a connection."""
        self._connections.pop(connection, None)
        if not self._connections and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    def connection_resumed(self, connection: C) -> None:
        """Keep a connection that has been parked."""
        self._connections[connection] = None
        if self._draining:
            connection.drain()

    def parked_closed(self) -> None:
        """A connection has been closed while it was parked."""

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections) + len(self._waking) + (0 if self._lot is None else len(self._lot))

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        # First: whatever goes wrong here, the loop reports it, and looks again next time.
        self._idle = not self.connections and (self._acceptor is None or not self._acceptor.open)
        interval = IDLE_INTERVAL if self._idle else CHECK_INTERVAL * (1 + len(self._connections) // _CROWD)
        self._checking = loop.call_later(interval, self._check)
        now = loop.time()
        each_alone(loop, self._connections, "looked after", lambda connection: connection.check(now))
        try:
            if self._lot is not None:
                self._lot.wake_due(now)
                self._park_idle(self._lot, now)
            if self._shared is not None:
                self._shared.relieve()
            if self._acceptor is not None and self._acceptor.full:
                self._make_room(now)
        finally:
            self.check(now)

    def _make_room(self, now: float) -> None:
        """While others wait to be accepted: close some of the connections that have been idle longest."""
        patience = self._limits.handshake_timeout
        idle = [one for one in self._connections if now - one.monitor.idle_since > patience and not one.busy]
        idle.sort(key=lambda one: one.monitor.idle_since)
        chosen = idle[: 1 + len(self._connections) // 16]
        each_alone(asyncio.get_running_loop(), chosen, "closed", lambda connection: connection.make_room())
        if self._lot is not None:
            self._close_parked(self._lot.take_oldest(1 + len(self._lot) // 16, now - patience))

    # Connections on which nothing happens.

    def _park_idle(self, lot: ParkingLot, now: float) -> None:
        """Park what rests. While the server drains nothing is: it is to end."""
        before = len(lot)

        def park(connection: C) -> None:
            if len(lot) - before >= _PARKED_AT_ONCE:
                return
            transport, parked = connection.transport, connection.rest(now)
            descriptor = None if parked is None or transport is None else take_off(transport)
            if parked is not None and descriptor is not None:
                connection.leave()
                del self._connections[connection]
                lot.park(descriptor, parked)

        loop = asyncio.get_running_loop()
        each_alone(loop, [] if self._draining else self._connections, "parked", park)
        if len(lot) - before >= _MANY:
            loop.call_later(_SOON, release_memory)

    def _wake(self, parked: ParkedConnection, sock: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._reopen(parked, sock))
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _reopen(self, parked: ParkedConnection, sock: socket.socket) -> None:
        protocol = self.reopened(parked)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: cast(asyncio.Protocol, protocol), sock)
        except OSError:
            self._close_parked([(parked, sock)])

    def _close_parked(self, gone: Iterable[tuple[ParkedConnection, socket.socket]], polite: bool = True) -> None:
        for parked, sock in gone:
            if polite:
                with contextlib.suppress(OSError):
                    sock.send(parked.last_words())
            sock.close()
            parked.slot.release()
            self.parked_closed()

    async def _wake_all(self) -> None:
        """Make connections of all that are parked."""
        if self._lot is not None:
            self._lot.wake_all()
        if self._waking:
            await asyncio.wait(self._waking)

    # Ends.

    async def drain(self, grace: float | None = None) -> None:
        """Stop listening, announce the end on every connection, wait for what goes on, then close.

        After `grace` seconds what is left is broken off.
        """
        await self.wind_down(grace)
        await self.close()

    async def wind_down(self, grace: float | None) -> None:
        """Stop listening, announce the end, and wait `grace` seconds for what goes on; None: as long as it takes."""
        self._draining = True
        for listener in self._listeners:
            listener.close()
        drain_each(asyncio.get_running_loop(), self._connections)
        await self._wake_all()
        if self._connections:
            self._quiet = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._quiet], timeout=grace)

    async def close(self) -> None:
        """Stop at once: what is going on is broken off."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        if self._shared is not None:
            self._shared.deadlines.close()
        if self._checking is not None:
            self._checking.cancel()
        if self._lot is not None:
            lot, self._lot = self._lot, None
            self._close_parked(lot.close(), polite=False)
        if self._waking:
            await asyncio.wait(self._waking)
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.abort()
        if self._connections:
            # connection_lost comes with the next turn of the loop
            self._quiet = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._quiet], timeout=_CLOSING_TIME)
        self.end()
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)
