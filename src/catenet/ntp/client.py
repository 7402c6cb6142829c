"""Asking servers once for the time: `await query(["192.0.2.1"])`. Nothing sets a clock here."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catenet.net import dial
from catenet.net.target import Scheme, parse_target
from catenet.ntp.association import Association
from catenet.ntp.clock_filter import ClockFilter
from catenet.ntp.packet import MAX_PACKET
from catenet.ntp.selection import Selection, select

__all__ = ["Answer", "Result", "query"]

SCHEMES = {"ntp": Scheme(port=123, kinds=(socket.SOCK_DGRAM,))}


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
    clock: Callable[[], float] = time.time,
) -> Result:
    """Ask each server `samples` times, 2 s apart, with a new port each time (RFC 9109).

    Args:
        servers: `host`, `host:port` or `ntp://host:port`.
        samples: 1 to 4.
        patience: seconds for each answer.
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
            group.create_task(_ask(target.host, target.port, association, samples, patience, clock))
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


async def _ask(
    host: str, port: int, association: Association, samples: int, patience: float, clock: Callable[[], float]
) -> None:
    loop = asyncio.get_running_loop()
    for number in range(samples):
        if number:
            await asyncio.sleep(2.0)
        try:
            async with asyncio.timeout(patience):
                await _exchange(loop, host, port, association, clock)
        except OSError:  # TimeoutError is one
            continue
        if association.stopped or association.kiss:
            return


async def _exchange(
    loop: asyncio.AbstractEventLoop, host: str, port: int, association: Association, clock: Callable[[], float]
) -> None:
    """Ask once, and hear what comes to this port until the answer is there."""
    found = await dial.addresses(loop, host, port, socket.SOCK_DGRAM, 0)
    family, _, _, _, address = found[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(address)
        sock.send(association.poll(clock()))
        while association.waiting and not association.kiss:
            data = await loop.sock_recv(sock, MAX_PACKET)
            association.receive(data, clock())
