"""A channel: the connections to a target, and the choice of one for each call."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from catenet import __version__
from catenet.codec import CODECS, COMPRESSIONS, Codec, Compression
from catenet.http.client.connection import ClientConnection, Dial
from catenet.http.h1.memo import H1Memo
from catenet.http.h2.blocks import Memos
from catenet.http.limits import Limits
from catenet.http.target import authority
from catenet.net.async_pool import AcquireTimeout, AsyncPool
from catenet.net.backoff import ConnectionBackoff
from catenet.net.dial import ClientTls, Endpoint, resolve
from catenet.net.pool import PoolLimits
from catenet.net.target import Target
from catenet.net.tls import client_context
from catenet.rpc.client.connection import connect, connect_first
from catenet.rpc.client.picker import Picker, picker_for
from catenet.rpc.client.service_config import RetryBudget, ServiceConfig
from catenet.rpc.model.status import Code, RpcError

__all__ = ["USER_AGENT", "ChannelOptions", "Connections"]

USER_AGENT = f"catenet/{__version__}".encode()
_KEY = ""
"""All connections of a channel are for all of its calls."""


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How a channel treats its server. Times in seconds, sizes in bytes.

    * `protocol`: `grpc`, `grpc-web` or `connect`; `codec`: `proto` or `json`; `http1`: speak HTTP/1.1
      where TLS does not choose (not with gRPC); `use_get`: Connect sends methods without side effects as GET.
    * `compression`: of requests; `accepts`: for responses, best first.
    * `max_receive`: largest response message, uncompressed.
    * `timeout`: for calls that name none. `wait_for_ready`: for calls that do not say.
    * `service_config`: timeouts, retries, hedging, load balancing. `balancing` overrides its policy.
    * `keepalive_time`, `keepalive_timeout`, `keepalive_without_calls`: gRFC A8.
    * `authority`, `server_name`: instead of the target's, for HTTP and for TLS.
    * `pool`: how many connections there may be. Over HTTP/1.1 each call needs one for itself. Over HTTP/2 all calls
      share one (`max_shared`), which is kept; beyond the streams that the server admits they wait.
    """

    protocol: str = "grpc"
    codec: str = "proto"
    http1: bool = False
    use_get: bool = False
    compression: str = "identity"
    accepts: tuple[str, ...] = ("gzip", "zstd", "deflate")
    max_receive: int = 4 << 20
    timeout: float | None = None
    wait_for_ready: bool = False
    service_config: ServiceConfig = field(default_factory=ServiceConfig)
    balancing: str | None = None
    keepalive_time: float | None = None
    keepalive_timeout: float = 20.0
    keepalive_without_calls: bool = False
    connect_timeout: float = 20.0
    authority: str | None = None
    server_name: str | None = None
    pool: PoolLimits = field(default_factory=PoolLimits)
    limits: Limits = field(default_factory=lambda: Limits(max_streams=0, glitch_burst=10_000, glitch_rate=1000.0))
    codecs: Mapping[str, Codec] = field(default_factory=lambda: CODECS)
    compressions: Mapping[str, Compression] = field(default_factory=lambda: COMPRESSIONS)


class Connections:
    """The connections of one channel on one event loop: made when a call needs them, remade when they break."""

    def __init__(self, target: Target, options: ChannelOptions, tls: ssl.SSLContext | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()
        self.options = options
        self.budget = RetryBudget(options.service_config.throttling)
        self.random = random.Random()
        self._target = target
        secure = tls is not None or target.tls
        default = "round_robin" if target.resolve_all else "pick_first"
        policy = options.balancing or options.service_config.load_balancing or default
        self._race = policy == "pick_first"
        self._dial = Dial(
            options.limits,
            Memos(),
            H1Memo(),
            _client_tls(tls, options, target) if secure else None,
            options.http1,
            options.keepalive_time,
            options.keepalive_timeout,
            options.keepalive_without_calls,
        )
        self._picker: Picker[Endpoint] = picker_for(policy, self.random)
        self._connections: dict[Endpoint, ClientConnection] = {}  # one to each address, of those in the pool
        self._current: ClientConnection | None = None  # the one that pick_first took last
        self._connecting: dict[Endpoint | None, asyncio.Task[None]] = {}
        self._retiring: dict[ClientConnection, None] = {}
        self._pool: AsyncPool[str, ClientConnection] = AsyncPool(
            self.loop, options.pool, self._connect_another, ClientConnection.close, self._another_failed
        )
        self._pool.pause(_KEY)  # until there is a first connection, which is made here
        self._backoff = ConnectionBackoff()
        self._failure = ""
        self._broken = ConnectionBackoff()  # from a server that takes connections and breaks the protocol
        self._not_before = 0.0
        self._closed = False
        self.on_state: Callable[[], None] | None = None
        """Called when `state` may have changed."""

    @property
    def state(self) -> str:
        """How the channel stands, in gRPC's words (`connectivity-semantics-and-api.md`), in lower case."""
        if self._closed:
            return "shutdown"
        if self._connections:
            return "ready"
        if self._failure:
            return "transient failure"
        return "connecting" if self._connecting else "idle"

    def _tell_state(self) -> None:
        if self.on_state is not None:
            self.on_state()

    # Choice.

    def pick(self) -> ClientConnection | None:
        """Return a connection that can take a call now, or None. The call must begin before others run."""
        if not self._pool.outstanding:
            current = self._current
            if current is not None:
                core = current.core
                usable = core.can_open and current.transport is not None
                if usable and (core.version >= 2 or not self._is_stale(current)):
                    return current
                self._current = None
            if not self._race:
                connection = self._pick_in_turn()
                if connection is not None:
                    return connection
        connection = self._pool.pick(_KEY)
        while connection is not None and self._is_stale(connection):
            connection = self._pool.pick(_KEY)
        if self._race:
            self._current = connection
        return connection

    def _pick_in_turn(self) -> ClientConnection | None:
        """Return the connection whose turn it is; if it is full, the next that is not."""
        for _ in self._connections:
            endpoint = self._picker.pick()
            if endpoint is None:
                return None
            connection = self._connections[endpoint]
            if connection.core.can_open and connection.transport is not None:
                return None if self._is_stale(connection) else connection
        return None

    def _is_stale(self, connection: ClientConnection) -> bool:
        """Whether the connection broke while it was idle; it is then gone."""
        if not connection.is_stale(self.options.pool.keepalive_expiry):
            return False
        connection.close()
        self._left(connection)
        return True

    async def wait(self, wait_for_ready: bool, deadline: float | None) -> ClientConnection:
        """Return a connection that can take a call, as soon as there is one.

        Calls are served in their order. Raises `RpcError`: `DEADLINE_EXCEEDED`; `RESOURCE_EXHAUSTED` after
        the pool's `acquire_timeout`; `UNAVAILABLE` when connecting has failed and the call does not wait for that
        to change.
        """
        while True:
            self._check(wait_for_ready)
            self.start_connecting()
            for connection in self._pool.members(_KEY):
                connection.on_room = self._on_room
            try:
                check = partial(self._check, wait_for_ready)
                connection = await self._pool.acquire(_KEY, deadline, wait_for_ready, check)
            except AcquireTimeout as late:
                raise self._too_late(deadline) from late
            if self._is_stale(connection):
                continue
            return connection if self._race else self._in_turn(connection)

    def _check(self, wait_for_ready: bool) -> None:
        """Raise `RpcError` if a call should not wait for a connection."""
        if self._closed:
            raise _closed()
        if self._failure and not wait_for_ready and self._picker.pick() is None:
            raise self._unavailable()

    def _in_turn(self, free: ClientConnection) -> ClientConnection:
        """A call that waited gets the connection whose turn it is, rather than the one that had room first."""
        connection = self._pick_in_turn()
        if connection is None or connection is free:
            return free
        free.has_room()
        return connection

    def _too_late(self, deadline: float | None) -> RpcError:
        why = f": {self._failure}" if self._failure else ""
        if deadline is not None and self.loop.time() >= deadline:
            return RpcError(Code.DEADLINE_EXCEEDED, f"the deadline passed while waiting for a connection{why}")
        return RpcError(
            Code.RESOURCE_EXHAUSTED, f"no connection became free in {self.options.pool.acquire_timeout} s{why}"
        )

    def _unavailable(self) -> RpcError:
        return RpcError(Code.UNAVAILABLE, self._failure)

    def _on_room(self, connection: ClientConnection) -> None:
        """A call has ended: another may begin. Where calls share a connection, only those that wait need to know."""
        self._pool.changed(connection)
        if connection.shared and not self._pool.waiting(_KEY):
            connection.on_room = None

    # Connecting.

    def start_connecting(self) -> None:
        """Connect, if nothing is connected; calls do it when they need it."""
        if None not in self._connecting and not self._connections:
            self._connecting[None] = self.loop.create_task(self._run())
            self._tell_state()

    async def _run(self) -> None:
        """Resolve and connect until something is connected; then the connections look after themselves."""
        backoff = ConnectionBackoff()
        try:
            await asyncio.sleep(max(self._not_before - self.loop.time(), 0))
            while not self._closed:
                started = self.loop.time()
                try:
                    async with asyncio.timeout(self.options.connect_timeout):
                        await self._connect_all()
                except (OSError, ssl.SSLError, TimeoutError) as error:
                    self._failure = f"cannot connect to {authority(self._target)}: {error or type(error).__name__}"
                else:
                    return
                delay = backoff.failed(self.random)
                self._tell_state()
                self._pool.fail(_KEY, self._unavailable)
                await asyncio.sleep(max(started + delay - self.loop.time(), 0))
        finally:
            self._connecting.pop(None, None)

    async def _connect_all(self) -> None:
        target = self._target
        endpoints = await resolve(self.loop, target)
        self._picker.update(endpoints)
        if self._race:
            endpoint, connection = await connect_first(self.loop, endpoints, self._dial)
            self._ready(endpoint, connection)
            return
        results = await asyncio.gather(*map(self._connect_one, endpoints), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if len(failures) == len(results):
            raise failures[0] if failures else OSError("the name has no address")
        for endpoint, result in zip(endpoints, results, strict=True):
            if isinstance(result, BaseException):
                self._reconnect(endpoint)

    async def _connect_one(self, endpoint: Endpoint) -> None:
        self._ready(endpoint, await connect(self.loop, endpoint, self._dial))

    def _ready(self, endpoint: Endpoint, connection: ClientConnection) -> None:
        if self._closed:
            connection.close()
            return
        if not connection.alive:  # lost, or given up, before this turn of the loop; calls that wait must hear of it
            connection.close()
            raise OSError(connection.error or "the server closed the connection at once")
        if not self.options.http1 and connection.core.version < 2 and self.options.protocol == "grpc":
            connection.close()
            raise OSError("the server does not speak HTTP/2, which gRPC needs")
        self._failure = ""
        self._connections[endpoint] = connection
        connection.kept = not self._race
        if self._race:
            self._current = connection
        self._adopt(endpoint, connection)
        self._picker.set_ready(endpoint, True)
        self._pool.add(_KEY, connection)
        self._pool.resume(_KEY)
        self._tell_state()

    def _adopt(self, endpoint: Endpoint, connection: ClientConnection) -> None:
        connection.endpoint = endpoint
        connection.on_change = self._on_change
        connection.on_room = self._on_room

    def _on_change(self, connection: ClientConnection) -> None:
        if connection.alive:
            self._pool.changed(connection)
            return
        if connection.transport is None:
            self._retiring.pop(connection, None)
        else:
            self._retiring[connection] = None
        self._left(connection)

    def _left(self, connection: ClientConnection) -> None:
        """The connection takes no more calls."""
        self._pool.lost(connection)
        if self._current is connection:
            self._current = None
        endpoint = connection.endpoint
        if endpoint is None or self._connections.get(endpoint) is not connection:
            return
        others = (other for other in self._pool.members(_KEY) if other.endpoint == endpoint and other.alive)
        successor = next(others, None)
        if successor is not None:
            self._connections[endpoint] = successor
            successor.kept = not self._race
            return
        del self._connections[endpoint]
        self._picker.set_ready(endpoint, False)
        self._note_end(connection)
        if self._closed:
            return
        if not self._race:
            self._reconnect(endpoint)
        # Calls that wait go on waiting for the next connection; pick_first makes one when a call needs it.
        if not self._connections:
            self._pool.pause(_KEY)
            if self._pool.waiting(_KEY):
                self.start_connecting()
            self._tell_state()

    def _note_end(self, connection: ClientConnection) -> None:
        """A server that broke the protocol is as good as one that cannot be connected to: calls fail until a retry."""
        if connection.core.served:
            self._broken.succeeded()
        elif connection.broke_protocol and not self._connections and not self._closed:
            self._failure = f"cannot use {authority(self._target)}: {connection.error}"
            self._not_before = self.loop.time() + self._broken.failed(self.random)
            self._pool.fail(_KEY, self._unavailable)
            self.start_connecting()

    async def _connect_another(self, _: str) -> ClientConnection:
        """Make one more connection, because calls wait and those that there are have no room."""
        endpoint = self._picker.pick()
        if endpoint is None:
            raise OSError("no address is connected")
        async with asyncio.timeout(self.options.connect_timeout):
            connection = await connect(self.loop, endpoint, self._dial)
        if connection.transport is None:
            raise OSError(connection.error or "the server closed the connection at once")
        self._backoff.succeeded()
        self._adopt(endpoint, connection)
        return connection

    def _another_failed(self, key: str, error: Exception) -> None:
        """Calls go on with the connections that there are; another is tried later."""
        if self._connections:
            self._pool.pause(key, self.loop.time() + self._backoff.failed(self.random))

    def _reconnect(self, endpoint: Endpoint) -> None:
        if endpoint not in self._connecting:
            self._connecting[endpoint] = self.loop.create_task(self._keep_connecting(endpoint))

    async def _keep_connecting(self, endpoint: Endpoint) -> None:
        backoff = ConnectionBackoff()
        try:
            await asyncio.sleep(max(self._not_before - self.loop.time(), 0))
            while not self._closed:
                started = self.loop.time()
                try:
                    async with asyncio.timeout(self.options.connect_timeout):
                        await self._connect_one(endpoint)
                    return
                except (OSError, ssl.SSLError, TimeoutError) as error:
                    if not self._connections:
                        self._failure = f"cannot connect to {authority(self._target)}: {error or type(error).__name__}"
                        self._pool.fail(_KEY, self._unavailable)
                await asyncio.sleep(max(started + backoff.failed(self.random) - self.loop.time(), 0))
        finally:
            self._connecting.pop(endpoint, None)

    # End.

    async def close(self) -> None:
        """Close all connections; calls that run end with `CANCELLED`."""
        self._closed = True
        tasks = list(self._connecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.shut(_closed)
        for connection in [*self._pool.members(_KEY), *self._retiring]:
            _end_calls(connection)
            connection.close()
        self._connections.clear()
        self._current = None
        self._tell_state()
        await asyncio.sleep(0)  # transports close in the next turn


def _end_calls(connection: ClientConnection) -> None:
    for stream in list(connection.core.streams.values()):
        cancel = getattr(stream.owner, "cancel", None)
        if cancel is not None:
            cancel(RpcError(Code.CANCELLED, "the channel was closed"))


def _closed() -> RpcError:
    return RpcError(Code.CANCELLED, "the channel is closed")


def _client_tls(given: ssl.SSLContext | None, options: ChannelOptions, target: Target) -> ClientTls:
    context = given or client_context()
    context.set_alpn_protocols(["h2"] if options.protocol == "grpc" else ["h2", "http/1.1"])
    return ClientTls(context, options.server_name or target.host or "localhost")
