"""Asking servers once for the time: `await query(["192.0.2.1"])`. Nothing sets a clock here."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catenet.net.target import Scheme, parse_target
from catenet.ntp.asking import PORT, connect, receive
from catenet.ntp.association import Association
from catenet.ntp.clock_filter import ClockFilter
from catenet.ntp.selection import Selection, select

__all__ = ["SCHEMES", "Answer", "Result", "query"]

SCHEMES = {"ntp": Scheme(port=PORT, kinds=(socket.SOCK_DGRAM,))}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server said: its association, and its verdict (`truechimer`, `falseticker`, `unreachable`)."""

    server: str
    association: Association
    verdict: str


@dataclass(frozen=True, slots=True)
class Result:
    """What all servers said, and what they say together."""

    answers: tuple[Answer, ...]
    selection: Selection


async def query(
    servers: Sequence[str],
    *,
    samples: int = 1,
    patience: float = 2.0,
    family: int = socket.AF_UNSPEC,
    clock: Callable[[], float] = time.time,
) -> Result:
    """Ask each server `samples` times, 2 s apart, with a new port each time (RFC 9109).

    Args:
        servers: `host`, `host:port` or `ntp://host:port`.
        samples: 1 to 4.
        patience: seconds for each answer.
        family: of the addresses, `AF_INET` or `AF_INET6`; either without.
        clock: the clock that is compared, Unix time in seconds.

    Raises `ValueError` for a server that is none.
    """
    if not 1 <= samples <= 4:
        raise ValueError(f"{samples} samples: 1 to 4")
    targets = [parse_target(server, schemes=SCHEMES) for server in servers]
    associations = [
        Association(random.SystemRandom(), burst=True, clock_filter=ClockFilter(unfilled=0.0)) for _ in targets
    ]
    async with asyncio.TaskGroup() as group:
        for target, association in zip(targets, associations, strict=True):
            asker = _Asker(target.host, target.port, association, family, clock)
            group.create_task(asker.ask(samples, patience))
    now = clock()
    names = [f"{at} {server}" for at, server in enumerate(servers)]
    found = [one.candidate(name, now) for name, one in zip(names, associations, strict=True)]
    selection = select(one for one in found if one is not None)
    answers = [
        Answer(
            server,
            association,
            "unreachable" if one is None else "truechimer" if one in selection.truechimers else "falseticker",
        )
        for server, association, one in zip(servers, associations, found, strict=True)
    ]
    return Result(tuple(answers), selection)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks one server."""

    host: str
    port: int
    association: Association
    family: int
    clock: Callable[[], float]

    async def ask(self, samples: int, patience: float) -> None:
        """Ask as often as wished, or until the server asks to be left alone."""
        for number in range(samples):
            if number:
                await asyncio.sleep(2.0)
            try:
                async with asyncio.timeout(patience):
                    await self._exchange()
            except OSError:  # TimeoutError is one
                continue
            if self.association.stopped or self.association.kiss:
                return

    async def _exchange(self) -> None:
        """Ask once, and hear what comes to this port until the answer is there."""
        with await connect(self.host, self.port, self.family) as sock:
            sock.send(self.association.poll(self.clock()))
            while self.association.waiting and not self.association.kiss:
                self.association.receive(await receive(sock), self.clock())
