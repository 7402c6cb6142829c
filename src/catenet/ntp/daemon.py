"""Keeping a clock by several servers for as long as it runs: sockets and waiting around `steering.py`.

`await discipline({Server("a.example"): source, ...}, SystemClock())` goes on until it is cancelled. Every request
leaves from a socket and port of its own (RFC 9109), whose connection drops what comes from elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from catenet.ntp.asking import PORT, Located, Route, receive
from catenet.ntp.clocks import Clock
from catenet.ntp.discipline import Discipline
from catenet.ntp.steering import Source, Steering, Update

__all__ = ["Keeper", "Server", "discipline"]

PATIENCE: Final = 2.0
"""Seconds to wait for an answer; a later one says little."""
RETRY: Final = 64.0
"""Seconds until a name that was not found, or a network that was not there, is tried again."""
MILLION: Final = 1e6


@dataclass(frozen=True, slots=True)
class Server:
    """A server by its name or address. `keys`: says where it tells the time, after it has made sure of keys (NTS)."""

    host: str
    port: int = PORT
    keys: Located | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.host if self.port == PORT else f"{self.host}:{self.port}"


async def discipline(
    servers: Mapping[Server, Source],
    clock: Clock,
    *,
    rng: random.Random | None = None,
    on_update: Callable[[Update], object] | None = None,
    on_problem: Callable[[str, str], object] | None = None,
) -> None:
    """Keep a clock by servers until cancelled, or until all servers have asked not to be asked.

    `on_update` is called after each correction, `on_problem` with a server's name and what is wrong when it cannot be
    asked. `rng` spreads the first requests over a second. Raises PermissionError when the clock may not be adjusted,
    ValueError without servers.
    """
    await Keeper(servers, clock, on_update=on_update, on_problem=on_problem).run(rng)


class _Unreachable(Exception):
    """The network has refused; errors of the clock are others."""


@contextmanager
def _network() -> Iterator[None]:
    """Turn what the network refuses into `_Unreachable`."""
    try:
        yield
    except OSError as error:
        raise _Unreachable(error.strerror or str(error)) from None


class Keeper:
    """A clock, the servers that it is kept by, and the tasks that ask them.

    Arguments as those of `discipline`; besides, `on_connected` is called with a server's name and the socket before it
    is asked. Raises ValueError without servers.
    """

    def __init__(
        self,
        servers: Mapping[Server, Source],
        clock: Clock,
        *,
        on_update: Callable[[Update], object] | None = None,
        on_problem: Callable[[str, str], object] | None = None,
        on_connected: Callable[[str, socket.socket], object] | None = None,
    ) -> None:
        if not servers:
            raise ValueError("a clock is kept by at least one server")
        self.clock = clock
        self.steering = Steering(
            {str(one): each for one, each in servers.items()}, Discipline(clock.frequency() / MILLION)
        )
        self.routes = {str(one): Route(one.host, one.port, one.keys) for one in servers}
        self._on_update = on_update
        self._on_problem = on_problem
        self.on_connected = on_connected

    async def run(self, rng: random.Random | None = None) -> None:
        """Go on until cancelled, or until all servers have asked not to be asked."""
        source = random.SystemRandom() if rng is None else rng
        async with asyncio.TaskGroup() as group:
            for name in self.routes:
                group.create_task(self._ask_always(name, source.random()))

    async def _ask_always(self, name: str, delay: float) -> None:
        """Ask one server whenever it is time, from `delay` seconds on, until it asks not to be asked."""
        asked = self.steering.sources[name]
        await asyncio.sleep(delay)
        while not asked.stopped:
            due = asked.next_poll
            try:
                await self._ask(name)
                if not asked.reach:
                    self.routes[name].fail()
            except _Unreachable as error:
                self.routes[name].fail()
                if self._on_problem is not None:
                    self._on_problem(name, str(error))
                if asked.next_poll == due:  # it has not come to a request
                    await asyncio.sleep(RETRY)
                    continue
            if asked.next_poll is not None:
                # A step by another server's answer meanwhile has moved both the clock and this.
                await asyncio.sleep(max(0.0, asked.next_poll - self.clock.now()))

    async def _ask(self, name: str) -> None:
        """Send one request and take its answer, whatever else arrives meanwhile."""
        with _network():
            endpoint = await self.routes[name].connect()
        with endpoint:
            if self.on_connected is not None:
                self.on_connected(name, endpoint)
            request = self.steering.poll(name, self.clock.now())
            with _network():
                endpoint.send(request)
            try:
                async with asyncio.timeout(PATIENCE):
                    while self.steering.sources[name].waiting:
                        with _network():
                            data = await receive(endpoint)
                        self._take(name, data)
            except TimeoutError:
                return

    def _take(self, name: str, data: bytes) -> None:
        update = self.steering.receive(name, data, self.clock.now())
        if update is None:
            return
        action = update.action
        if action.step:
            self.clock.step(action.step)
        else:
            self.clock.slew(action.slew)
        self.clock.adjust_frequency(action.frequency * MILLION)
        self.clock.note_error(update.estimated_error, update.error_bound)
        if self._on_update is not None:
            self._on_update(update)
