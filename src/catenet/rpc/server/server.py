"""The server: services behind listeners, three protocols on one port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from catenet.http.serving import Shared
from catenet.net.accept import Slot
from catenet.net.parking import ParkedConnection
from catenet.net.stream_server import Listener, StreamServer
from catenet.net.tls_source import TlsSource
from catenet.rpc.model.interceptor import Interceptor
from catenet.rpc.model.metrics import Meters
from catenet.rpc.model.target import SCHEMES, SESSION_SCHEMES, parse_target
from catenet.rpc.policy.guard import Guard
from catenet.rpc.protocols.protocol import ServerWire
from catenet.rpc.server.access_log import AccessLog
from catenet.rpc.server.connection import ServerConnection
from catenet.rpc.server.cors import Cors
from catenet.rpc.server.dispatch import Dispatch
from catenet.rpc.server.options import ServerOptions

if TYPE_CHECKING:
    from catenet.http.server.service import Service
    from catenet.net.target import Target
    from catenet.rpc.server.sessions import SessionListener

__all__ = ["Server"]


class Server(StreamServer[ServerConnection], Dispatch):
    """Serves implementations of services, and an application of HTTP beside them.

    `app` (ASGI, WSGI, or what `catenet.http.serve` takes) gets all requests that are no calls: neither to the path of a
    method nor of gRPC's content types. A `Service` of `catenet.http.server.service` has an access log and more options.
    `browser_hosts`: what browsers send for pages of other sites is refused; pages of this server come under names of
    this machine, or one of these (None: browsers are not looked at).
    `cors` lets pages of other sites call.
    `guard` decides which calls begin (docs/rpc-identity.md); it has no say in what the application answers.
    `metrics` counts calls: `catenet.rpc.Metrics`, or `TelemetryMetrics` of `catenet.rpc.services.telemetry`.
    `access_log` has a line for each call; it closes with the server.

    Make it anywhere, listen in a running event loop. After a `fork` a child may make servers of its own; one that was
    listening belongs to the loop, and so to the process, that it listened in.
    """

    schemes = SCHEMES
    alpn = ("h2", "http/1.1")

    def __init__(
        self,
        services: Iterable[Any] = (),
        *,
        interceptors: Sequence[Interceptor] = (),
        options: ServerOptions | None = None,
        wires: Sequence[ServerWire] | None = None,
        app: Callable[..., Any] | Service | None = None,
        browser_hosts: Collection[str] | None = None,
        guard: Guard | None = None,
        metrics: Meters | None = None,
        access_log: AccessLog | None = None,
        cors: Cors | None = None,
    ) -> None:
        Dispatch.__init__(
            self,
            services,
            interceptors=interceptors,
            options=options,
            wires=wires,
            browser_hosts=browser_hosts,
            guard=guard,
            metrics=metrics,
            access_log=access_log,
            cors=cors,
        )
        StreamServer.__init__(self, self.options)
        self._http: Shared | None = None
        self.app: Service | None = None if app is None else _service_of(app)
        self._app_started = False
        self._session_listeners: list[tuple[str, SessionListener]] = []

    # The application beside the services.

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
        """Listen, as `StreamServer.listen` says, once the application has started. Raises `LifespanError` if not."""
        if self.app is not None and not self._app_started:
            await self.app.start()
            self._app_started = True
        target = parse_target(url, listening=True)
        if target.scheme in SESSION_SCHEMES:
            if reuse_port:
                raise ValueError("a session lives in one process, and cannot share its port with others")
            return await self._listen_for_sessions(target, tls, bound)
        return await super().listen(url, tls=tls, reuse_port=reuse_port, mode=mode, sock=sock, bound=bound)

    async def _listen_for_sessions(
        self, target: Target, tls: TlsSource | None, bound: Sequence[socket.socket]
    ) -> Listener:
        from catenet.rpc.server.sessions import SessionListener

        if self._acceptor is None:
            self._begin()
        assert self._http is not None
        sessions = SessionListener(self, self._http)
        listener = await sessions.listen(target, tls, bound)
        self._session_listeners.append((listener.url, sessions))
        return listener

    @property
    def urls(self) -> list[str]:
        """Where the server listens, with the real ports."""
        return [*super().urls, *(url for url, _ in self._session_listeners)]

    @property
    def connections(self) -> int:
        """How many there are, with sessions, whether they have a connection or not."""
        return super().connections + sum(sessions.connections for _, sessions in self._session_listeners)

    async def wind_down(self, grace: float | None) -> None:
        """Stop listening, announce the end, and wait; sessions that are away may come back for what goes on."""
        sessions = [sessions.wind_down(grace) for _, sessions in self._session_listeners]
        await asyncio.gather(super().wind_down(grace), *sessions)

    async def close(self) -> None:
        """Stop at once: what is going on is broken off."""
        sessions, self._session_listeners = self._session_listeners, []
        for _, each in sessions:
            await each.close()
        await super().close()
        if self.app is not None and self._app_started:
            self._app_started = False
            await self.app.stop()

    # Connections.

    def begin(self, loop: asyncio.AbstractEventLoop) -> Shared:
        """Make what belongs to the event loop that the server listens in."""
        options = self.options
        limits = options.limits if self.app is None else replace(options.limits, connect_protocol=True)
        self._http = Shared(loop, options, limits, (options.keepalive_time, options.keepalive_timeout))
        return self._http

    def accepted(self, slot: Slot) -> ServerConnection:
        """Return the protocol of a connection."""
        assert self._http is not None
        return ServerConnection(self, self._http, slot)

    def reopened(self, parked: ParkedConnection) -> ServerConnection:
        """Return the protocol of a connection that was parked."""
        return self.accepted(parked.slot).resume(parked)

    def parked_closed(self) -> None:
        """Count a connection that was parked to its end."""
        self.counters.connections_closed += 1

    def connection_opened(self, connection: ServerConnection) -> None:
        """Count and keep a connection."""
        self.counters.connections_opened += 1
        super().connection_opened(connection)

    def connection_closed(self, connection: ServerConnection) -> None:
        """Forget a connection."""
        self.counters.connections_closed += 1
        super().connection_closed(connection)

    def check(self, now: float) -> None:
        """Log what has been kept back of failures."""
        for _, sessions in self._session_listeners:
            sessions.check(now)
        self.failures.digest(now)
        if self.access_log is not None:
            self.access_log.flush()
        if self.app is not None:
            self.app.check(now)

    def end(self) -> None:
        """No handler runs any more."""
        if self._http is not None:
            self._http.runner.close()
            self._http = None
        self.failures.close()
        if self.access_log is not None:
            self.access_log.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _service_of(app: Callable[..., Any] | Service) -> Service:
    from catenet.http.server.server import make_service
    from catenet.http.server.service import Service

    return app if isinstance(app, Service) else make_service(app)
