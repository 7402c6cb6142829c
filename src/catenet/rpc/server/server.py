"""The server: services behind listeners, three protocols on one port."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from catenet.codec import CODECS, COMPRESSIONS, Codec, Compression
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead
from catenet.http.serving import Shared
from catenet.net.accept import Slot
from catenet.net.limits import ServerLimits
from catenet.net.stream_server import Listener, StreamServer
from catenet.rpc.model.failures import FailureLog
from catenet.rpc.model.interceptor import Chain, Interceptor
from catenet.rpc.model.local_names import of_another_site
from catenet.rpc.model.method import ServiceDescriptor
from catenet.rpc.model.target import SCHEMES
from catenet.rpc.policy.guard import Guard
from catenet.rpc.protocols.protocol import Answer, ServerWire
from catenet.rpc.protocols.registry import not_found, server_wires
from catenet.rpc.server.connection import ServerConnection
from catenet.rpc.server.route import Binding, Route, bind_service

if TYPE_CHECKING:
    from catenet.http.server.service import Service

__all__ = ["Counters", "Server", "ServerOptions"]

_CHECK_INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class ServerOptions(ServerLimits):
    """How a server treats its callers: `catenet.net.limits.ServerLimits`, and more. Seconds and bytes.

    * `limits`: of HTTP, for each connection.
    * `max_receive`, `max_send`: largest message, uncompressed.
    * `max_assembly`, `max_assembly_total`: parts of messages that one connection, and all, may have pending.
    * `compression`: for responses, where the caller accepts it.
    * `keepalive_time`, `keepalive_timeout`: ping a quiet peer, close if it does not answer (gRFC A9).
    * `peer_timeout`: after so much silence TCP asks whether the caller is there, and what it has not acknowledged for
      so long ends the connection; None: as the system has it.
    * `executor`: where handlers that are not `async` run; None: the loop's default.
    """

    limits: Limits = field(default_factory=Limits)
    max_receive: int = 4 << 20
    max_send: int = 1 << 31
    max_assembly: int = 64 << 20
    max_assembly_total: int = 256 << 20
    compression: str = "identity"
    codecs: Mapping[str, Codec] = field(default_factory=lambda: CODECS)
    compressions: Mapping[str, Compression] = field(default_factory=lambda: COMPRESSIONS)
    keepalive_time: float = 7200.0
    keepalive_timeout: float = 20.0
    peer_timeout: float | None = 60.0
    executor: Executor | None = None


@dataclass(slots=True)
class Counters:
    """What a server has done so far, as channelz counts it."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    protocol_errors: int = 0
    connections_opened: int = 0
    connections_closed: int = 0


class Server(StreamServer[ServerConnection]):
    """Serves implementations of services, and an application of HTTP beside them.

    `app` (ASGI, WSGI, or what `catenet.http.serve` takes) gets all requests that are no calls: neither to the path of a
    method nor of gRPC's content types. A `Service` of `catenet.http.server.service` has an access log and more options.
    `browser_hosts`: what browsers send for pages of other sites is refused; pages of this server come under names of
    this machine, or one of these (None: browsers are not looked at).
    `guard` decides which calls begin (docs/rpc-identity.md); it has no say in what the application answers.

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
    ) -> None:
        self.options = options or ServerOptions()
        super().__init__(self.options)
        self.counters = Counters()
        self.failures = FailureLog()
        self.assembling = 0
        self.services: list[ServiceDescriptor] = []
        self._chain = Chain(interceptors)
        self.guard = guard
        self._bindings: dict[str, Binding] = {}
        codecs, compressions = list(self.options.codecs), list(self.options.compressions)
        self._wires = list(wires) if wires is not None else server_wires(codecs, compressions)
        self._http: Shared | None = None
        self._browser_hosts = browser_hosts
        self.app: Service | None = None if app is None else _service_of(app)
        self._app_started = False
        for service in services:
            self.add(service)

    def add(self, implementation: Any) -> None:
        """Serve what `implementation` implements of its `__service__`. Raises `ValueError`."""
        bindings = bind_service(implementation, self._chain, self.options.executor, self.guard)
        taken = self._bindings.keys() & bindings.keys()
        if taken:
            raise ValueError(f"{min(taken)[1:]} is implemented twice")
        self._bindings.update(bindings)
        self.services.append(implementation.__service__)

    # Requests.

    def is_call(self, head: RequestHead) -> bool:
        """Whether a request is for the services, rather than for the application beside them."""
        if head.path.partition(b"?")[0].decode("latin-1") in self._bindings:
            return True
        return (head.get(b"content-type") or b"").startswith(b"application/grpc")

    def binding(self, path: str) -> Binding | None:
        """Return what serves a path, or None."""
        return self._bindings.get(path)

    def route(self, head: RequestHead, http_version: int) -> Route | Answer:
        """Work out what serves a head, and note it there if the head is one that may come again."""
        if self._browser_hosts is not None and of_another_site(head, self._browser_hosts):
            return Answer(ResponseHead(403, ((b"content-type", b"text/plain"),)), b"not for pages of other sites\n")
        wire = next((wire for wire in self._wires if wire.recognises(head)), None)
        if wire is None:
            return not_found(head, self._bindings)
        path = head.path.partition(b"?")[0].decode("latin-1")
        binding = self.binding(path)
        plan = wire.plan(head, binding.method if binding is not None else None, http_version)
        if isinstance(plan, Answer) or binding is None:
            return plan if isinstance(plan, Answer) else not_found(head, self._bindings)
        options = self.options
        limits = (options.max_receive, options.max_send)
        route = Route(plan, binding, options.codecs, options.compressions, limits, options.compression)
        head.note = route
        return route

    # The application beside the services.

    async def listen(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
        mode: int | None = None,
        sock: socket.socket | None = None,
        bound: Sequence[socket.socket] = (),
    ) -> Listener:
        """Listen, as `StreamServer.listen` says, once the application has started. Raises `LifespanError` if not."""
        if self.app is not None and not self._app_started:
            await self.app.start()
            self._app_started = True
        return await super().listen(url, tls=tls, reuse_port=reuse_port, mode=mode, sock=sock, bound=bound)

    async def close(self) -> None:
        """Stop at once: what is going on is broken off."""
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
        self.failures.digest(now)
        if self.app is not None:
            self.app.check(now)

    def end(self) -> None:
        """No handler runs any more."""
        if self._http is not None:
            self._http.runner.close()
            self._http = None
        self.failures.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _service_of(app: Callable[..., Any] | Service) -> Service:
    from catenet.http.server.server import make_service
    from catenet.http.server.service import Service

    return app if isinstance(app, Service) else make_service(app)
