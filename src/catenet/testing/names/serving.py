"""What a name server of a world does otherwise than others: answers by the asker's network, late ones, cut ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from catenet.dns.dnssec import TrustAnchors
from catenet.dns.resolver import ResolverConfig
from catenet.dns.resolver.recursor import Recursor
from catenet.dns.response import Response
from catenet.dns.server.chain import PENDING, Chain, Source
from catenet.dns.server.counters import Counters
from catenet.dns.server.fast.answers import Answers, Entry
from catenet.dns.server.request import UDP, Request, Stream, Transport, read_request
from catenet.dns.server.server import Server
from catenet.dns.server.settings import CookiePolicy, ServerSettings
from catenet.dns.server.watch import Watch
from catenet.dns.zone import ZoneSet
from catenet.net import ServerLimits
from catenet.testing.names.turns import Turns
from catenet.testing.names.zones import make_zone, trust_anchor
from catenet.wire.address import parse_address
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, is_below, name_from_text
from catenet.wire.dns.numbers import CD

__all__ = ["Backend", "WorldChain", "serve"]

DELAY: Final = 0.6
"""Seconds after which a slow server answers."""
LISTEN: Final = "udp+tcp://:53"
EVERYBODY: Final = ("0.0.0.0/0", "::/0")


class WorldChain(Chain):
    """Answers as its zones' faults want it: to each asker by the chain of its network, late, or cut."""

    def __init__(
        self, settings: ServerSettings, views: Mapping[str, ZoneSet], backend: Backend | None, plan: Mapping[str, Any]
    ) -> None:
        counters = Counters()
        super().__init__(settings, [], backend, time.time, counters)
        self.use_zones(views, plan)
        self._faults = {name_from_text(zone["name"]): zone["fault"] for zone in plan["zones"]}
        self._turns = Turns()
        self._loop = asyncio.get_running_loop()

    def use_zones(self, views: Mapping[str, ZoneSet], plan: Mapping[str, Any]) -> None:
        """Answer from these zones from now on, each network from its own."""
        chains = {
            name: Chain(self.settings, _sources(zones), self.backend, time.time, self.counters)
            for name, zones in views.items()
            if name
        }
        self.sources = _sources(views[""])
        self.use_views({text: chain for name, chain in chains.items() for text in plan["networks"].get(name, ())})
        self.forget()

    def lane(self, address: str) -> Answers | None:
        """None: every query is looked at."""
        return None

    @property
    def only_lane(self) -> Answers | None:
        """None: every query is looked at."""
        return None

    def receive(
        self,
        data: bytes,
        transport: Transport,
        address: str,
        port: int,
        respond: Callable[[bytes], None],
        stream: Stream | None = None,
    ) -> bytes | None:
        """See `Chain`."""

        def turned(answer: bytes) -> None:
            respond(self._turns.turn(answer))

        answer = self._receive(data, transport, address, port, turned)
        return self._turns.turn(answer) if answer else answer

    def _receive(
        self, data: bytes, transport: Transport, address: str, port: int, respond: Callable[[bytes], None]
    ) -> bytes | None:
        fault = self._fault_of(data, transport, address, port)
        if fault == "truncate" and transport is UDP:
            request = read_request(data, transport, address, port, respond)
            if isinstance(request, Request):
                request.set_limit(self.settings.udp_payload)
                return self.send(request, Response(truncated=True))
        if fault == "slow":
            answer = super().receive(data, transport, address, port, respond)
            if answer and answer != PENDING:
                self._loop.call_later(DELAY, respond, answer)
                return PENDING
            return answer
        return super().receive(data, transport, address, port, respond)

    def _fault_of(self, data: bytes, transport: Transport, address: str, port: int) -> str:
        """The fault of the nearest zone above the name that is asked for."""
        if not any(self._faults.values()):
            return ""
        request = read_request(data, transport, address, port, lambda answer: None)
        if not isinstance(request, Request) or request.question is None:
            return ""
        name = fold(request.question.name)
        above = [zone for zone in self._faults if is_below(name, zone)]
        return str(self._faults[max(above, key=len)]) if above else ""


class Backend:
    """Recursion for clients."""

    def __init__(self, recursor: Recursor) -> None:
        self._recursor = recursor
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, request: Request, question: Question, done: Callable[[Response | Entry], None]) -> None:
        """See `catenet.dns.server.chain.Backend`."""
        task = asyncio.get_running_loop().create_task(self._ask(request, question, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, request: Request, question: Question, done: Callable[[Response | Entry], None]) -> None:
        unchecked = bool(request.message.flags & CD)
        done(await self._recursor.resolve(question, dnssec_ok=request.dnssec_ok, checking_disabled=unchecked))

    def arm(self) -> None:
        """Nothing is asked in the exact path."""

    @property
    def is_personal(self) -> bool:
        """False: no policy asks who it is."""
        return False


async def serve(path: str) -> None:
    """Be the name server that a file describes until SIGTERM; with SIGHUP its zones are read again."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def change() -> None:
        if chain is not None:
            now = _read(path)
            chain.use_zones(_views(now), now)

    chain: WorldChain | None = None
    loop.add_signal_handler(signal.SIGHUP, change)
    plan = _read(path)
    recursor = _recursor(plan)
    settings = ServerSettings(
        recursion=EVERYBODY, cookies=CookiePolicy.ON, cookie_secrets=(hashlib.md5(plan["seed"].encode()).digest(),)
    )
    try:
        views = _views(plan)
    except ValueError as error:  # a ZoneError, which says where
        sys.exit(_told(error))
    chain = WorldChain(settings, views, None if recursor is None else Backend(recursor), plan)
    server = Server(chain, Watch(loop, chain.counters), ServerLimits())
    await server.listen(LISTEN)
    await ended.wait()
    await server.close()
    if recursor is not None:
        await recursor.close()


def _read(path: str) -> Mapping[str, Any]:
    with open(path) as file:
        described: Mapping[str, Any] = json.load(file)
    return described


def _told(error: ValueError) -> int:
    """Say what is wrong with a zone in one line; the exit status."""
    print(error, file=sys.stderr)
    return 2


def _views(plan: Mapping[str, Any]) -> dict[str, ZoneSet]:
    """What each network is told that is told something of its own; what all others are, by the name ""."""
    wall = time.time()
    names = dict.fromkeys(name for zone in plan["zones"] for name in zone["views"] if name)
    return {
        name: ZoneSet(
            make_zone(zone, plan["seed"], wall, name if name in zone["views"] else "")
            for zone in plan["zones"]
            if zone["fault"] != "lame"
        )
        for name in (*names, "")
    }


def _sources(zones: ZoneSet) -> list[Source]:
    return [zones] if len(zones) else []


def _recursor(plan: Mapping[str, Any]) -> Recursor | None:
    wanted = plan["resolver"]
    if wanted is None:
        return None
    hints = {name_from_text(name): tuple(map(parse_address, each)) for name, each in wanted["hints"].items()}
    config = ResolverConfig(hints=hints, unblocked=tuple(map(name_from_text, wanted["unblocked"])))
    anchors = TrustAnchors.from_text(trust_anchor(plan["seed"])) if plan["sign"] else None
    return Recursor(config, anchors=anchors, rng=random.Random(f"{plan['seed']}/{wanted['host']}"))
