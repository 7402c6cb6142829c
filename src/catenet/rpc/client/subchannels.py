"""The connections to the addresses of a policy that uses several at once: made, remade with backoff, watched.

Sources: gRPC `connectivity-semantics-and-api.md`, `connection-backoff.md`; gRFC A17 for health.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from catenet.http.client.connection import ClientConnection
from catenet.net.alarm import Alarm
from catenet.net.backoff import ConnectionBackoff
from catenet.net.dial import Endpoint
from catenet.rpc.client.balancing.policy import Policy, State
from catenet.rpc.client.health_watch import HealthWatch

__all__ = ["MOST_ATTEMPTS", "NotServing", "Owner", "Subchannels"]

_LASTING = 1.0
"""Seconds after which a connection that carried nothing was nevertheless no failure."""

MOST_ATTEMPTS = 128
"""Connections of one channel that are being made at a time; a name may have thousands of addresses."""


class NotServing(Exception):
    """A server says that it does not serve what was asked for."""


class Owner(Protocol):
    """The channel, as it is told of what has changed."""

    def up(self, connection: ClientConnection) -> None:
        """A connection takes calls now."""

    def down(self, connection: ClientConnection) -> None:
        """A connection takes none any more, and may again."""

    def retire(self, connection: ClientConnection) -> None:
        """A connection is not needed any more: its calls may end."""

    def stands_otherwise(self, error: Exception | None) -> None:
        """The policy has been told of a change; `error`: why a connection could not be made."""


class _Subchannel:
    """One address: its connection, or the task that makes one; when it may begin."""

    __slots__ = ("backoff", "connection", "endpoint", "health", "healthy", "not_before", "since", "task", "up")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.connection: ClientConnection | None = None
        self.task: asyncio.Task[None] | None = None
        self.health: asyncio.Task[None] | None = None
        self.healthy = False
        self.up = False
        self.backoff = ConnectionBackoff()
        self.not_before = 0.0
        self.since = 0.0


class Subchannels:
    """Keeps connections to the addresses that `policy` wants. `dial` makes one, and raises `OSError`."""

    def __init__(
        self,
        owner: Owner,
        policy: Policy[Endpoint],
        dial: Callable[[Endpoint], Awaitable[ClientConnection]],
        rng: random.Random,
        health: HealthWatch | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._policy = policy
        self._dial = dial
        self._rng = rng
        self._health = health
        self._all: dict[Endpoint, _Subchannel] = {}
        self._room = asyncio.Semaphore(MOST_ATTEMPTS)
        self._alarm = Alarm(self._loop, self._fire)
        self._closed = False

    @property
    def connections(self) -> list[ClientConnection]:
        """All connections, those that take no calls included."""
        return [one.connection for one in self._all.values() if one.connection is not None]

    # What the policy wants.

    def update(self, endpoints: Sequence[Endpoint]) -> None:
        """The name has these addresses now."""
        self._policy.update(endpoints, self._loop.time())
        for endpoint in [one for one in self._all if one not in self._policy.states]:
            self._remove(self._all.pop(endpoint))
        for endpoint in self._policy.addresses:
            if endpoint not in self._all:
                self._all[endpoint] = _Subchannel(endpoint)
        self._changed()

    def connect_wanted(self) -> None:
        """Begin to connect to the addresses that are wanted and are not connected."""
        if self._closed:
            return
        self._policy.more.clear()
        for endpoint in self._policy.wanted():
            self._begin(endpoint)

    def connect_more(self) -> None:
        """Begin to connect to the addresses that are wanted since the last look."""
        more = self._policy.more
        while more:
            endpoint = more.pop()
            if not self._closed and self._policy.wants(endpoint):
                self._begin(endpoint)

    def _begin(self, endpoint: Endpoint) -> None:
        one = self._all.get(endpoint)
        if one is not None and one.connection is None and one.task is None:
            one.task = self._loop.create_task(self._connect(one))

    def _remove(self, one: _Subchannel) -> None:
        for task in (one.task, one.health):
            if task is not None:
                task.cancel()
        connection, one.connection = one.connection, None
        if connection is not None:
            self._owner.retire(connection)

    async def _connect(self, one: _Subchannel) -> None:
        loop = self._loop
        try:
            while self._policy.wants(one.endpoint):
                await asyncio.sleep(max(one.not_before - loop.time(), 0))
                async with self._room:
                    self._set(one, State.CONNECTING)
                    started = loop.time()
                    try:
                        connection = await self._dial(one.endpoint)
                    except Exception as error:  # also what a resolver's odd address leads to; it fails, nothing else
                        failure = error
                    else:
                        self._made(one, connection)
                        return
                one.not_before = started + one.backoff.failed(self._rng)
                self._set(one, State.FAILED, failure)
        finally:
            one.task = None

    def _made(self, one: _Subchannel, connection: ClientConnection) -> None:
        one.connection = connection
        one.since = self._loop.time()
        one.healthy = False
        if self._health is None or connection.core.version < 2:
            self._tell(one, True)
        else:
            watch = self._health.watch(connection, lambda healthy: self._tell(one, healthy), self._rng)
            one.health = self._loop.create_task(watch)

    def _tell(self, one: _Subchannel, healthy: bool) -> None:
        if one.connection is not None:
            one.healthy = healthy
            self._set(
                one, State.READY if healthy else State.FAILED, None if healthy else NotServing("it is not serving")
            )

    def lost(self, endpoint: Endpoint, connection: ClientConnection, successor: ClientConnection | None) -> None:
        """A connection takes no more calls; `successor`: another one to the same address."""
        one = self._all.get(endpoint)
        if one is None or one.connection is not connection:
            return
        if one.health is not None:
            one.health.cancel()
            one.health = None
        if successor is not None:
            one.connection = successor
            return
        now = self._loop.time()
        one.connection = None
        if connection.core.served or now - one.since >= _LASTING:
            one.backoff.succeeded()
        else:
            one.not_before = now + one.backoff.failed(self._rng)
        core = connection.core
        unused = not core.served and (connection.broke_protocol or (core.version >= 2 and not core.settled))
        if unused:  # as good as one that cannot be connected to
            self._set(one, State.FAILED, OSError(connection.error or "the server closed the connection at once"))
        else:
            self._set(one, State.IDLE)

    # What has changed.

    def _set(self, one: _Subchannel, state: State, error: Exception | None = None) -> None:
        if self._closed or one.endpoint not in self._all:
            return
        policy = self._policy
        policy.set_state(one.endpoint, state, self._loop.time())
        self._place(one)
        if policy.wants(one.endpoint):
            self._begin(one.endpoint)
        self.connect_more()
        self.arm()
        self._owner.stands_otherwise(error)

    def _changed(self) -> None:
        """The policy may stand otherwise towards all addresses."""
        for one in list(self._all.values()):
            self._place(one)
        self.connect_wanted()
        self.arm()
        self._owner.stands_otherwise(None)

    def _place(self, one: _Subchannel) -> None:
        """Let calls go to a connection, or keep them from it."""
        up = one.connection is not None and one.healthy and self._policy.usable(one.endpoint)
        if up is not one.up:
            one.up = up
            if one.connection is not None:
                (self._owner.up if up else self._owner.down)(one.connection)

    def arm(self) -> None:
        """Wake up when the policy has something to do."""
        if not self._closed:
            self._alarm.arm(self._policy.next_deadline())

    def _fire(self, now: float) -> None:
        self._policy.handle_timeout(now)
        self._changed()

    async def close(self) -> None:
        """End all tasks. The connections are left as they are."""
        self._closed = True
        self._alarm.cancel()
        tasks = [task for one in self._all.values() for task in (one.task, one.health) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
