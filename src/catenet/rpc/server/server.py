"""The server: services behind listeners, three protocols on one port."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from catenet.codec import CODECS, COMPRESSIONS, Codec, Compression
from catenet.http.limits import Limits
from catenet.http.message import RequestHead
from catenet.http.serving import Shared
from catenet.net.accept import Acceptor
from catenet.net.limits import ServerLimits
from catenet.net.listen import listen_tcp, listen_unix
from catenet.rpc.model.failures import FailureLog
from catenet.rpc.model.interceptor import Chain, Interceptor
from catenet.rpc.model.method import ServiceDescriptor
from catenet.rpc.model.target import parse_target
from catenet.rpc.protocols.protocol import Answer, ServerWire
from catenet.rpc.protocols.registry import not_found, server_wires
from catenet.rpc.server.connection import ServerConnection
from catenet.rpc.server.eager_task import Runner
from catenet.rpc.server.route import Binding, Route, bind_service

_CHECK_INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class ServerOptions(ServerLimits):
    """How a server treats its callers: :class:`catenet.net.limits.ServerLimits`, and more. Seconds and bytes.

    * ``limits``: of HTTP, for each connection.
    * ``max_receive``, ``max_send``: largest message, uncompressed.
    * ``max_assembly``, ``max_assembly_total``: parts of messages that one connection, and all, may have pending.
    * ``write_limit``: what a peer that does not read may have waiting in its transport.
    * ``compression``: for responses, where the caller accepts it.
    * ``keepalive_time``, ``keepalive_timeout``: ping a quiet peer, close if it does not answer (gRFC A9).
    * ``max_idle``, ``max_age``, ``max_age_grace``: close connections without calls, and old ones.
    * ``executor``: where handlers that are not ``async`` run; None: the loop's default.
    """

    limits: Limits = field(default_factory=Limits)
    max_receive: int = 4 << 20
    max_send: int = 1 << 31
    max_assembly: int = 64 << 20
    max_assembly_total: int = 256 << 20
    write_limit: int = 8 << 20
    compression: str = "identity"
    codecs: Mapping[str, Codec] = field(default_factory=lambda: CODECS)
    compressions: Mapping[str, Compression] = field(default_factory=lambda: COMPRESSIONS)
    keepalive_time: float = 7200.0
    keepalive_timeout: float = 20.0
    max_idle: float | None = None
    max_age: float | None = None
    max_age_grace: float = 30.0
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


@dataclass(slots=True)
class Listener:
    """One address that a server listens on; ``url`` names it as a channel takes it, with the real port."""

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
            except FileNotFoundError:
                pass


class Server:
    """Serves implementations of services.

    Make it anywhere, listen in a running event loop. After a ``fork`` a child may make servers of its own; one that was
    listening belongs to the loop, and so to the process, that it listened in.
    """

    def __init__(
        self,
        services: Iterable[Any] = (),
        *,
        interceptors: Sequence[Interceptor] = (),
        options: ServerOptions | None = None,
        wires: Sequence[ServerWire] | None = None,
    ) -> None:
        self.options = options or ServerOptions()
        self.counters = Counters()
        self.failures = FailureLog()
        self.assembling = 0
        self.services: list[ServiceDescriptor] = []
        self._chain = Chain(interceptors)
        self._bindings: dict[str, Binding] = {}
        codecs, compressions = list(self.options.codecs), list(self.options.compressions)
        self._wires = list(wires) if wires is not None else server_wires(codecs, compressions)
        self._listeners: list[Listener] = []
        self._connections: dict[ServerConnection, None] = {}
        self._runner: Runner | None = None
        self._shared: Shared | None = None
        self._acceptor: Acceptor | None = None
        self._checking: asyncio.TimerHandle | None = None
        self._draining = False
        self._quiet: asyncio.Future[None] | None = None
        self._stopped: asyncio.Future[None] | None = None
        for service in services:
            self.add(service)

    def add(self, implementation: Any) -> None:
        """Serve what ``implementation`` implements of its ``__service__``. Raises ``ValueError``."""
        bindings = bind_service(implementation, self._chain, self.options.executor)
        taken = self._bindings.keys() & bindings.keys()
        if taken:
            raise ValueError(f"{min(taken)[1:]} is implemented twice")
        self._bindings.update(bindings)
        self.services.append(implementation.__service__)

    # Requests.

    def route(self, head: RequestHead, http_version: int) -> Route | Answer:
        """Work out what serves a head, and note it there if the head is one that may come again."""
        wire = next((wire for wire in self._wires if wire.recognises(head)), None)
        if wire is None:
            return not_found(head, self._bindings)
        path = head.path.partition(b"?")[0].decode("latin-1")
        binding = self._bindings.get(path)
        plan = wire.plan(head, binding.method if binding is not None else None, http_version)
        if isinstance(plan, Answer) or binding is None:
            return plan if isinstance(plan, Answer) else not_found(head, self._bindings)
        options = self.options
        limits = (options.max_receive, options.max_send)
        route = Route(plan, binding, options.codecs, options.compressions, limits, options.compression)
        head.note = route
        return route

    # Listening.

    async def listen(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
        mode: int | None = None,
        sock: socket.socket | None = None,
    ) -> Listener:
        """Listen on ``tcp://host:port``, ``tls://host:port`` (needs ``tls``) or ``unix:path``.

        ``mode`` are the permissions of a Unix socket. ``sock`` is a Unix socket that listens already, for processes
        that share it; whoever made it removes it. Raises ``ValueError`` for a wrong URL, ``OSError``.
        """
        target = parse_target(url, listening=True)
        if target.tls and tls is None:
            raise ValueError(f"{url}: needs an ssl.SSLContext (argument tls)")
        if target.tls and tls is not None:
            tls.set_alpn_protocols(["h2", "http/1.1"])
        acceptor = self._acceptor or self._begin()
        context = tls if target.tls else None
        backlog = self.options.backlog
        unlink = ""
        if target.unix:
            url, sockets = target.url, [sock or listen_unix(target.unix, backlog=backlog, mode=mode)]
            unlink = "" if sock is not None or target.unix.startswith("@") else target.unix
        else:
            sockets = await listen_tcp(target.host, target.port, backlog=backlog, reuse_port=reuse_port)
            url = replace(target, port=sockets[0].getsockname()[1]).url
        for each in sockets:
            acceptor.add(each, context)
        listener = Listener(url, sockets, acceptor, unlink)
        self._listeners.append(listener)
        return listener

    def _begin(self) -> Acceptor:
        """Make what belongs to the event loop that the server listens in."""
        loop = asyncio.get_running_loop()
        runner = self._runner = Runner(loop)
        shared = self._shared = Shared(loop, self.options, self.options.limits)
        self._stopped = loop.create_future()
        self._checking = loop.call_later(_CHECK_INTERVAL, self._check)
        acceptor = self._acceptor = Acceptor(loop, self.options, partial(ServerConnection, self, shared, runner))
        return acceptor

    async def serve_forever(self) -> None:
        """Wait until the server is closed."""
        if self._stopped is None:
            raise RuntimeError("the server is not listening")
        await asyncio.shield(self._stopped)

    # Connections.

    def connection_opened(self, connection: ServerConnection) -> None:
        """Count and keep a connection."""
        self.counters.connections_opened += 1
        self._connections[connection] = None
        if self._draining:
            connection.drain()

    def connection_closed(self, connection: ServerConnection) -> None:
        """Forget a connection."""
        self.counters.connections_closed += 1
        self._connections.pop(connection, None)
        if not self._connections and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        if self._shared is not None:
            self._shared.relieve()
        if self._acceptor is not None and self._acceptor.full:
            self._make_room(now)
        self.failures.digest(now)
        # A look at 50,000 connections takes some 50 ms: the more there are, the rarer it is.
        interval = _CHECK_INTERVAL * (1 + len(self._connections) // 5000)
        self._checking = loop.call_later(interval, self._check)

    def _make_room(self, now: float) -> None:
        """While others wait to be accepted: close some of the connections that have been idle longest."""
        patience = self.options.handshake_timeout
        idle = [one for one in self._connections if now - one.idle_since > patience and not one.running]
        idle.sort(key=lambda one: one.idle_since)
        for connection in idle[: 1 + len(self._connections) // 16]:
            connection.make_room()

    async def drain(self, grace: float | None = None) -> None:
        """Stop listening, announce the end on every connection, wait for running calls, then close.

        After ``grace`` seconds the calls that are left are cancelled.
        """
        self._draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            self._quiet = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._quiet], timeout=grace)
        await self.close()

    async def close(self) -> None:
        """Stop at once: calls that are running are cancelled."""
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
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.abort()
        if self._connections:
            # connection_lost comes with the next turn of the loop
            self._quiet = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._quiet], timeout=5.0)
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        self.failures.close()
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
