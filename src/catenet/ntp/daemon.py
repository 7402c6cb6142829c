"""Keeping a clock by several servers for as long as it runs: sockets and waiting around `steering.py`.

`await discipline({Server("a.example"): source, ...}, SystemClock())` goes on until it is cancelled. Every request
leaves from a socket and port of its own (RFC 9109), whose connection drops what comes from elsewhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from catenet.ntp.asking import PORT, connect, receive
from catenet.ntp.clocks import Clock
from catenet.ntp.discipline import Discipline
from catenet.ntp.steering import Source, Steering, Update

__all__ = ["Located", "Server", "discipline"]

PATIENCE: Final = 2.0
"""Seconds to wait for an answer; a later one says little."""
RETRY: Final = 64.0
"""Seconds until a name that was not found, or a network that was not there, is tried again."""
MILLION: Final = 1e6


class Located(Protocol):
    """Where the time is told is known when keys have been established."""

    async def locate(self) -> tuple[str, int]:
        """Return host and port. Raises `OSError`."""


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
    if not servers:
        raise ValueError("a clock is kept by at least one server")
    source = random.SystemRandom() if rng is None else rng
    steering = Steering({str(one): each for one, each in servers.items()}, Discipline(clock.frequency() / MILLION))
    keeper = _Keeper(steering, clock, on_update, on_problem)
    async with asyncio.TaskGroup() as group:
        for one in servers:
            group.create_task(keeper.ask_always(one, source.random()))


class _Unreachable(Exception):
    """The network has refused; errors of the clock are others."""


@contextmanager
def _network() -> Iterator[None]:
    """Turn what the network refuses into `_Unreachable`."""
    try:
        yield
    except OSError as error:
        raise _Unreachable(error.strerror or str(error)) from None


class _Keeper:
    """The clock, and the tasks that ask each server."""

    def __init__(
        self,
        steering: Steering,
        clock: Clock,
        on_update: Callable[[Update], object] | None,
        on_problem: Callable[[str, str], object] | None,
    ) -> None:
        self._steering = steering
        self._clock = clock
        self._on_update = on_update
        self._on_problem = on_problem

    async def ask_always(self, server: Server, delay: float) -> None:
        """Ask one server whenever it is time, from `delay` seconds on, until it asks not to be asked."""
        name = str(server)
        asked = self._steering.sources[name]
        await asyncio.sleep(delay)
        turn = 0
        while not asked.stopped:
            try:
                await self._ask(name, server, turn)
                turn += not asked.reach  # another address of the name may answer
            except _Unreachable as error:
                if self._on_problem is not None:
                    self._on_problem(name, str(error))
                if asked.next_poll is None:
                    await asyncio.sleep(RETRY)
            if asked.next_poll is not None:
                # A step by another server's answer meanwhile has moved both the clock and this.
                await asyncio.sleep(max(0.0, asked.next_poll - self._clock.now()))

    async def _ask(self, name: str, server: Server, turn: int) -> None:
        """Send one request and take its answer, whatever else arrives meanwhile."""
        with _network():
            place = (server.host, server.port) if server.keys is None else await server.keys.locate()
            endpoint = await connect(*place, turn)
        with endpoint:
            request = self._steering.poll(name, self._clock.now())
            with _network():
                endpoint.send(request)
            try:
                async with asyncio.timeout(PATIENCE):
                    while self._steering.sources[name].waiting:
                        with _network():
                            data = await receive(endpoint)
                        self._take(name, data)
            except TimeoutError:
                return

    def _take(self, name: str, data: bytes) -> None:
        update = self._steering.receive(name, data, self._clock.now())
        if update is None:
            return
        action = update.action
        if action.step:
            self._clock.step(action.step)
        else:
            self._clock.slew(action.slew)
        self._clock.adjust_frequency(action.frequency * MILLION)
        self._clock.note_error(update.estimated_error, update.error_bound)
        if self._on_update is not None:
            self._on_update(update)
