"""Asking servers once for the time: `await query(["192.0.2.1"])`. Nothing sets a clock here."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from catenet.net.dial import Endpoint, connect_first
from catenet.net.target import Target, parse_target
from catenet.ntp import kiss
from catenet.ntp.asking import SECURE_SCHEMES, addresses, open_socket, receive
from catenet.ntp.association import Association
from catenet.ntp.clock_filter import ClockFilter
from catenet.ntp.selection import Selection, select

if TYPE_CHECKING:
    from catenet.ntp.nts.client import NtsServer

__all__ = ["Answer", "Result", "query", "secured"]

MOST_ADDRESSES: Final = 32
"""Of one name, when all are asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server said.

    Attributes:
        server: as it was named.
        association: what is known of it.
        verdict: `truechimer`, `falseticker` or `unreachable`.
        resolved: the address that has answered; nothing if none has.
        problem: why it could not be asked, in one line; nothing if it just did not answer.
        secure: whether NTS protects what it said.
    """

    server: str
    association: Association
    verdict: str
    resolved: str = ""
    problem: str = ""
    secure: bool = False


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
    clock: Callable[[], float] | None = None,
    secure: bool = False,
    ca: str | None = None,
    every_address: bool = False,
) -> Result:
    """Ask each server `samples` times, 2 s apart, with a new port each time (RFC 9109).

    Of a name with several addresses the one that answers first is asked (as RFC 8305 connects).

    Args:
        servers: `host`, `host:port`, `ntp://host:port`, or `nts://host:port` for Network Time Security.
        samples: 1 to 4.
        patience: seconds for each answer.
        family: of the addresses, `AF_INET` or `AF_INET6`; either without.
        clock: the clock that is compared, Unix time in seconds; the system's without.
        secure: plain names are those of servers with NTS.
        ca: authorities to trust with NTS, a file (PEM); those of the system without.
        every_address: all addresses of a name are servers; not with NTS.

    Raises `ValueError` for a server that is none, `ImportError` without the packages that NTS needs,
    `catenet.net.tls.TlsError`.
    """
    if not 1 <= samples <= 4:
        raise ValueError(f"{samples} samples: 1 to 4")
    if clock is None:
        clock = time.time  # which is that of the host inside of a world
    default = "nts" if secure else "ntp"
    targets = [parse_target(server, schemes=SECURE_SCHEMES, default=default) for server in servers]
    askers: list[_Asker] = []
    for server, target in zip(servers, targets, strict=True):
        nts = secured(target, ca) if target.scheme == "nts" else None
        askers += await _askers(_Asker(server, target, family, clock, nts), every_address)
    async with asyncio.TaskGroup() as group:
        for asker in askers:
            group.create_task(asker.ask(samples, patience))
    now = clock()
    found = [one.association.candidate(f"{at} {one.server}", now) for at, one in enumerate(askers)]
    selection = select(one for one in found if one is not None)
    answers = [
        Answer(
            one.server,
            one.association,
            "unreachable" if who is None else "truechimer" if who in selection.truechimers else "falseticker",
            one.resolved,
            one.problem,
            one.nts is not None,
        )
        for one, who in zip(askers, found, strict=True)
    ]
    return Result(tuple(answers), selection)


def secured(target: Target, ca: str | None) -> NtsServer:
    """Return who gets keys from a server. Raises `ImportError`, `catenet.net.tls.TlsError`."""
    from catenet.ntp.nts.client import NtsServer
    from catenet.ntp.nts.tls import client_context

    return NtsServer.make(target.host, target.port, client_context(ca), random.SystemRandom())


async def _askers(asker: _Asker, every_address: bool) -> list[_Asker]:
    """One for each address, if all are to be asked."""
    if not every_address or asker.nts is not None:
        return [asker]
    try:
        found = await addresses(asker.target.host, asker.target.port, asker.family)
    except OSError:
        return [asker]  # which will say so
    return [
        _Asker(asker.server, asker.target, asker.family, asker.clock, None, endpoint)
        for endpoint in found[:MOST_ADDRESSES]
    ]


@dataclass(slots=True)
class _Heard:
    """An address that has answered."""

    association: Association

    def close(self) -> None:
        """It has lost the race; there is nothing to close."""


@dataclass(slots=True)
class _Asker:
    """Who asks one server. Without an `endpoint` the first request finds one."""

    server: str
    target: Target
    family: int
    clock: Callable[[], float]
    nts: NtsServer | None = None
    endpoint: Endpoint | None = None
    association: Association = field(init=False)
    problem: str = ""
    resolved: str = ""

    def __post_init__(self) -> None:
        self.association = self._associate()

    def _associate(self) -> Association:
        protection = None if self.nts is None else self.nts.session
        filtered = ClockFilter(unfilled=0.0)
        return Association(random.SystemRandom(), burst=True, protection=protection, clock_filter=filtered)

    async def ask(self, samples: int, patience: float) -> None:
        """Ask as often as wished, or until the server asks to be left alone."""
        for number in range(samples):
            if number:
                await asyncio.sleep(2.0)
            try:
                if self.nts is not None:
                    await self._locate(self.nts)
                async with asyncio.timeout(patience):
                    await (self._find() if self.endpoint is None else self._exchange(self.association, self.endpoint))
            except TimeoutError:
                continue
            except OSError as error:
                self.problem = error.strerror or str(error)
                continue
            self.problem = ""
            if self.association.stopped or self.association.kiss:
                return

    async def _locate(self, nts: NtsServer) -> None:
        """Get keys, if there are none, and learn where the time is told."""
        place = await nts.locate()
        self.endpoint = (await addresses(*place, self.family))[0]

    async def _find(self) -> None:
        """Ask the addresses of the name, one a quarter of a second after the other, until one answers."""
        loop = asyncio.get_running_loop()
        found = await addresses(self.target.host, self.target.port, self.family)
        self.endpoint, heard = await connect_first(loop, found, self._try)
        self.association = heard.association

    async def _try(self, endpoint: Endpoint) -> _Heard:
        heard = _Heard(self._associate())
        await self._exchange(heard.association, endpoint)
        return heard

    async def _exchange(self, association: Association, endpoint: Endpoint) -> None:
        """Ask once, and hear what comes to this port until the answer is there."""
        with open_socket(endpoint) as sock:
            sock.send(association.poll(self.clock()))
            while association.waiting and association.kiss in ("", kiss.NTSN):
                association.receive(await receive(sock), self.clock())
        self.resolved = str(endpoint.address[0])
