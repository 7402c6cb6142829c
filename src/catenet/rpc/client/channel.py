"""A channel: the connections to a target, and the choice of one for each call."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from functools import partial
from typing import Protocol

from catenet.http.client.connection import ClientConnection
from catenet.http.target import authority
from catenet.net.async_pool import AcquireTimeout, AsyncPool
from catenet.net.backoff import ConnectionBackoff
from catenet.net.dial import Endpoint
from catenet.net.target import Target
from catenet.net.tls_source import TlsSource
from catenet.rpc.client.attempt import Attempt
from catenet.rpc.client.balancing.config import make_policy
from catenet.rpc.client.balancing.policy import Policy, State
from catenet.rpc.client.connection import make_dialler, name_of, place_of, reason
from catenet.rpc.client.health_watch import HealthWatch
from catenet.rpc.client.options import USER_AGENT, ChannelOptions, policy_of
from catenet.rpc.client.replay import ReplayRoom
from catenet.rpc.client.resolving import Resolving
from catenet.rpc.client.service_config import RetryBudget
from catenet.rpc.client.subchannels import NotServing, Subchannels
from catenet.rpc.model.metadata import Metadata
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.registry import client_wire

__all__ = ["Connections", "Repeated"]

_KEY = ""
"""All connections of a channel are for all of its calls."""


class Repeated(Protocol):
    """A call that may be attempted again."""

    def give_up(self, reason: RpcError) -> None:
        """End it."""


class Connections:
    """The connections of one channel on one event loop: made when a call needs them, remade when they break."""

    def __init__(self, target: Target, options: ChannelOptions, tls: TlsSource | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()
        self.options = options
        self.budget = RetryBudget(options.service_config.throttling)
        self.replay_room = ReplayRoom(options.retry_buffer_total)
        self.between_attempts: set[Repeated] = set()
        """Calls that wait for their next attempt."""
        self.random = random.Random()
        self._target = target
        secure = tls is not None or target.tls
        self._dialler = make_dialler(self.loop, target, options, tls)
        self._policy: Policy[Endpoint] = make_policy(policy_of(target, options), self.random, name_of)
        self._race = self._policy.races
        self._keyed = self._policy.keyed
        self.key_header = self._policy.key_header
        """Metadata whose value says where a call goes; None: none does."""
        self.observer: Callable[[Attempt], None] | None = self._observe if self._policy.watches_calls else None
        """Wants to be told of the end of each attempt."""
        health = None if self._race else self._health_watch(secure)
        self._subchannels = Subchannels(self, self._policy, self._connect_one, self.random, health)
        resolver, patience = self._dialler.resolver, options.connect_timeout
        self._names = Resolving(target, resolver, options.resolve_floor, patience, self.random)
        self._news: asyncio.Future[None] | None = None  # whoever waits for a connection of its key
        self._connections: dict[Endpoint, ClientConnection] = {}  # one to each address, of those in the pool
        self._several: set[Endpoint] = set()  # those to which there has been more than one
        self._current: ClientConnection | None = None  # the one that pick_first took last
        self._connecting: asyncio.Task[None] | None = None
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

    def _health_watch(self, secure: bool) -> HealthWatch | None:
        service = self.options.service_config.health_service
        if service is None:
            return None
        scheme = b"https" if secure else b"http"
        host = (self.options.authority or authority(self._target)).encode()
        return HealthWatch(service, client_wire(self.options.protocol), scheme, host, USER_AGENT, self._target.base)

    @property
    def state(self) -> str:
        """How the channel stands, in gRPC's words (`connectivity-semantics-and-api.md`), in lower case."""
        if self._closed:
            return "shutdown"
        state = State.IDLE if self._connecting is None else State.CONNECTING
        if self._connections:
            state = State.READY
        elif not self._race and self._policy.addresses:
            state = self._policy.state
        elif self._failure:
            state = State.FAILED
        name: str = state.value
        return name

    def _tell_state(self) -> None:
        if self.on_state is not None:
            self.on_state()

    # Choice.

    def pick(self, key: bytes | None = None) -> ClientConnection | None:
        """Return a connection that can take a call now, or None. The call must begin before others run.

        `key` says where it goes, if the policy asks for one.
        """
        if not self._pool.outstanding:
            current = self._current
            if current is not None:
                core = current.core
                usable = core.can_open and current.transport is not None
                if usable and (core.version >= 2 or not self._is_stale(current)):
                    return current
                self._current = None
            if not self._race:
                if self._keyed:
                    return self._pick_by_key(key)
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
            endpoint = self._policy.pick()
            connection = None if endpoint is None else self._connections.get(endpoint)
            if connection is None:
                return None
            if connection.core.can_open and connection.transport is not None:
                return None if self._is_stale(connection) else connection
        return None

    def _pick_by_key(self, key: bytes | None) -> ClientConnection | None:
        """Return the connection to which a key leads, once it has room; ask for it if there is none."""
        endpoint = self._policy.pick(key)
        if self._policy.more:
            self._subchannels.connect_more()
        if endpoint is None:
            return None
        connection = self._connections.get(endpoint)
        if connection is None or not connection.room or self._is_stale(connection):
            return None
        return connection

    def key_of(self, metadata: Metadata) -> bytes | None:
        """Return the key of a call: what its metadata has under `key_header`, values joined by commas."""
        values = [value for name, value in metadata if name == self.key_header]
        return ",".join(value for value in values if isinstance(value, str)).encode() if values else None

    def _is_stale(self, connection: ClientConnection) -> bool:
        """Whether the connection broke while it was idle; it is then gone."""
        if not connection.is_stale(self.options.pool.keepalive_expiry):
            return False
        connection.close()
        self._left(connection)
        return True

    async def wait(self, wait_for_ready: bool, deadline: float | None, key: bytes | None = None) -> ClientConnection:
        """Return a connection that can take a call, as soon as there is one.

        Calls are served in their order. Raises `RpcError`: `DEADLINE_EXCEEDED`; `RESOURCE_EXHAUSTED` after
        the pool's `acquire_timeout`; `UNAVAILABLE` when connecting has failed and the call does not wait for that
        to change.
        """
        if self._keyed:
            return await self._wait_by_key(wait_for_ready, deadline, key)
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

    async def _wait_by_key(self, wait_for_ready: bool, deadline: float | None, key: bytes | None) -> ClientConnection:
        patience = self.options.pool.acquire_timeout
        ends = [] if deadline is None else [deadline]
        if patience is not None:
            ends.append(self.loop.time() + patience)
        while True:
            self.start_connecting()
            connection = self._pick_by_key(key)
            if connection is not None:
                return connection
            self._check(wait_for_ready, key)
            for connection in self._connections.values():
                connection.on_room = self._on_room
            if self._news is None:
                self._news = self.loop.create_future()
            try:
                async with asyncio.timeout_at(min(ends, default=None)):
                    await asyncio.shield(self._news)
            except TimeoutError as late:
                raise self._too_late(deadline) from late

    def _wake(self) -> None:
        """Let calls with keys look again."""
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    def _check(self, wait_for_ready: bool, key: bytes | None = None) -> None:
        """Raise `RpcError` if a call should not wait for a connection."""
        if self._closed:
            raise _closed()
        if wait_for_ready or not self._failure or self._connections:
            return
        if self._race or not self._policy.addresses or self._policy.fails(key):
            raise self._unavailable()

    def _in_turn(self, free: ClientConnection) -> ClientConnection:
        """A call that waited gets the connection whose turn it is, rather than the one that had room first."""
        connection = self._pick_in_turn()
        if connection is None or connection is free:
            return free
        free.has_room()
        return connection

    def _too_late(self, deadline: float | None) -> RpcError:
        why = f": {self._failure}" if self._failure else f" to {place_of(self._target)}"
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
        self._wake()
        if connection.shared and not self._pool.waiting(_KEY):
            connection.on_room = None

    def _observe(self, attempt: Attempt) -> None:
        """Tell the policy how an attempt has ended."""
        endpoint = attempt.connection.endpoint
        if endpoint is not None:
            load = None
            if self._policy.reads_load and attempt.trailing:
                from catenet.rpc.model.load_report import load_of

                load = load_of(attempt.trailing)
            self._policy.call_ended(endpoint, attempt.error is not None, load, self.loop.time())
            self._subchannels.arm()

    # Connecting.

    def start_connecting(self) -> None:
        """Connect, if nothing is connected; calls do it when they need it."""
        if self._connecting is None and not self._connections:
            self._connecting = self.loop.create_task(
                self._race_all() if self._race else self._names.follow(self._subchannels.update, self._no_addresses)
            )
            self._tell_state()

    async def _race_all(self) -> None:
        """Resolve and connect until one address is connected."""
        backoff = ConnectionBackoff()
        try:
            await asyncio.sleep(max(self._not_before - self.loop.time(), 0))
            while not self._closed:
                started = self.loop.time()
                try:
                    async with asyncio.timeout(self.options.connect_timeout):
                        found = await self._names.once()
                        if found is not None:
                            self._policy.update(found, self.loop.time())
                        endpoint, connection = await self._dialler.connect_first(self._policy.addresses)
                        self._check_connection(connection)
                except Exception as error:
                    self._names.ask_again()
                    self._fail(error)
                else:
                    self._adopt(endpoint, connection)
                    self.up(connection)
                    return
                delay = backoff.failed(self.random)
                await asyncio.sleep(max(started + delay - self.loop.time(), 0))
        finally:
            self._connecting = None

    def _no_addresses(self, error: Exception) -> None:
        """The name leads nowhere; what it led to before is kept."""
        if not self._policy.addresses:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """There is no connection, and the last attempt has failed: calls fail until one succeeds."""
        what = "use" if isinstance(error, NotServing) else "connect to"
        self._failure = f"cannot {what} {place_of(self._target)}: {reason(error, self.options.connect_timeout)}"
        self._tell_state()
        self._pool.fail(_KEY, self._unavailable)
        self._wake()

    async def _connect_one(self, endpoint: Endpoint) -> ClientConnection:
        """Connect to one address, for a policy that uses several. Raises `OSError`."""
        async with asyncio.timeout(self.options.connect_timeout):
            connection = await self._dialler.connect(endpoint)
        self._check_connection(connection)
        self._adopt(endpoint, connection)
        return connection

    def _check_connection(self, connection: ClientConnection) -> None:
        """Raise `OSError` for a connection that is of no use."""
        problem = ""
        if not connection.alive:  # lost, or given up, before this turn of the loop; calls that wait must hear of it
            problem = connection.error or "the server closed the connection at once"
        elif not self.options.http1 and connection.core.version < 2 and self.options.protocol == "grpc":
            problem = "the server does not speak HTTP/2, which gRPC needs"
        if problem or self._closed:
            connection.close()
            raise OSError(problem or "the channel is closed")

    def _adopt(self, endpoint: Endpoint, connection: ClientConnection) -> None:
        connection.endpoint = endpoint
        connection.on_change = self._on_change
        connection.on_room = self._on_room

    # What the connections tell, and what becomes of them; the first four are called by those who make them.

    def up(self, connection: ClientConnection) -> None:
        """A connection takes calls now."""
        endpoint = connection.endpoint
        assert endpoint is not None
        self._failure = ""
        self._connections[endpoint] = connection
        connection.kept = not self._race
        if self._race:
            self._current = connection
            self._policy.set_state(endpoint, State.READY, self.loop.time())
        self._pool.add(_KEY, connection)
        self._pool.resume(_KEY)
        self._tell_state()

    def down(self, connection: ClientConnection) -> None:
        """A connection takes none any more, and may again."""
        self._pool.lost(connection)
        if connection.endpoint is not None and self._connections.get(connection.endpoint) is connection:
            self._take_out(connection.endpoint)

    def retire(self, connection: ClientConnection) -> None:
        """A connection is not needed any more: it is closed when its calls have ended."""
        self.down(connection)
        connection.retire()

    def stands_otherwise(self, error: Exception | None) -> None:
        """A policy that uses several addresses has been told of a change."""
        if error is not None:
            self._names.ask_again()
        if self._policy.addresses and self._policy.state is State.FAILED and not self._connections:
            if error is not None:
                self._fail(error)
            elif self._failure:
                self._pool.fail(_KEY, self._unavailable)
        self._wake()
        self._tell_state()

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
        if endpoint is None:
            return
        successor = None
        if endpoint in self._several:
            others = (other for other in self._pool.members(_KEY) if other.endpoint == endpoint and other.alive)
            successor = next(others, None)
            if successor is None:
                self._several.discard(endpoint)
        if self._connections.get(endpoint) is connection:
            if successor is None:
                self._take_out(endpoint)
            else:
                self._connections[endpoint] = successor
                successor.kept = not self._race
        if self._closed:
            return
        if not self._race:
            if endpoint in self._policy.states:
                self._names.ask_again()
            self._subchannels.lost(endpoint, connection, successor)
        elif successor is None:
            self._policy.set_state(endpoint, State.IDLE, self.loop.time())
            self._names.ask_again()
            self._note_end(connection)
            # Calls that wait go on waiting for the next connection, which is made when a call needs it.
            if not self._connections and self._pool.waiting(_KEY):
                self.start_connecting()
        self._tell_state()

    def _take_out(self, endpoint: Endpoint) -> None:
        del self._connections[endpoint]
        if not self._connections:
            self._pool.pause(_KEY)

    def _note_end(self, connection: ClientConnection) -> None:
        """A server that broke the protocol is as good as one that cannot be connected to: calls fail until a retry."""
        if connection.core.served:
            self._broken.succeeded()
        elif connection.broke_protocol and not self._connections:
            self._failure = f"cannot use {place_of(self._target)}: {connection.error}"
            self._not_before = self.loop.time() + self._broken.failed(self.random)
            self._pool.fail(_KEY, self._unavailable)
            self.start_connecting()

    async def _connect_another(self, _: str) -> ClientConnection:
        """Make one more connection, because calls wait and those that there are have no room."""
        endpoint = self._policy.pick()
        if endpoint is None:
            raise OSError("no address is connected")
        async with asyncio.timeout(self.options.connect_timeout):
            connection = await self._dialler.connect(endpoint)
        if connection.transport is None:
            raise OSError(connection.error or "the server closed the connection at once")
        self._backoff.succeeded()
        self._several.add(endpoint)
        self._adopt(endpoint, connection)
        return connection

    def _another_failed(self, key: str, error: Exception) -> None:
        """Calls go on with the connections that there are; another is tried later."""
        if self._connections:
            self._pool.pause(key, self.loop.time() + self._backoff.failed(self.random))

    # End.

    async def close(self) -> None:
        """Close all connections; calls that run end with `CANCELLED`."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        await self._subchannels.close()
        await self._pool.shut(_closed)
        self._wake()
        for call in list(self.between_attempts):
            call.give_up(RpcError(Code.CANCELLED, "the channel was closed"))
        members = [*self._pool.members(_KEY), *self._connections.values(), *self._subchannels.connections]
        closed = dict.fromkeys([*members, *self._retiring])
        for connection in closed:
            _end_calls(connection)
            connection.close()
        self._connections.clear()
        self._current = None
        self._tell_state()
        await self._dialler.finish(closed)


def _end_calls(connection: ClientConnection) -> None:
    for stream in list(connection.core.streams.values()):
        cancel = getattr(stream.owner, "cancel", None)
        if cancel is not None:
            cancel(RpcError(Code.CANCELLED, "the channel was closed"))


def _closed() -> RpcError:
    return RpcError(Code.CANCELLED, "the channel is closed")
