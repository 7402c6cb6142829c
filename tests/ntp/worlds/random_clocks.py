"""Random worlds of clocks: one that is disciplined by four servers over jittery links, of which one lies.

`python -m tests.ntp.worlds.random_clocks FIRST COUNT [--jobs N] [--table FILE]` runs seeds, shows how far it is, and
puts a table of what came of them between the marks of a file. It exits with 1 if a clock was off by more than half
of the largest asymmetry of the paths and a millisecond, once it had 20 minutes to converge.

Servers and client are ours, with all that they do on sockets; every other client asks in interleaved mode. Links of
worlds are the same both ways, so relays in front of the servers make the asymmetry: they keep requests or answers back.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from tests.long_runs import run_many

from catenet.ntp import server
from catenet.ntp.association import Association, PollRange
from catenet.ntp.clocks import SystemClock
from catenet.ntp.daemon import Server, discipline
from catenet.ntp.rates import Rate
from catenet.ntp.reference import Stated
from catenet.ntp.server import ServerOptions
from catenet.ntp.steering import Update
from catenet.world import World
from catenet.world.patches import clocks

LASTS: Final = 4800.0
CONVERGED: Final = 1200.0
"""Seconds that a clock has."""
LOOKS: Final = 20.0
"""Seconds between two looks at the clock."""
ALLOWED: Final = 0.001
"""Seconds by which it may be off besides half of the asymmetry."""
MODE_CLIENT: Final = 3
LIARS: Final = ("constant", "creeping", "stepping", "jittery")


@dataclass
class Plan:
    """The world of a seed: what is wrong with whom. Seconds and fractions."""

    offset: float
    drift: float
    wander: float
    latencies: list[float]
    jitter: float
    loss: float
    asymmetries: list[float]
    liar: str
    lies: Callable[[float], float]
    cut: tuple[float, float] | None

    @property
    def bound(self) -> float:
        """What the clock may be off."""
        return max(abs(each) for each in self.asymmetries[1:]) / 2 + ALLOWED


@dataclass
class Outcome:
    """What came of one world."""

    seed: int
    liar: str = ""
    bound: float = 0.0
    worst: float = 0.0
    steps: int = 0
    settled: float = 0.0
    """When the clock was off by more than its bound for the last time."""
    packets: int = 0
    faults: list[str] = field(default_factory=list)


def make(seed: int) -> Plan:
    """The world of a seed."""
    chance = random.Random(f"clocks/{seed}")
    liar = LIARS[seed % len(LIARS)]
    sign = chance.choice((-1, 1))
    size = sign * 10 ** chance.uniform(-1.5, 2)
    rate = sign * chance.uniform(20e-6, 300e-6)
    begins = chance.uniform(0, LASTS)
    noise = random.Random(f"liar/{seed}")
    lies: dict[str, Callable[[float], float]] = {
        "constant": lambda now: size,
        "creeping": lambda now: rate * now,
        "stepping": lambda now: size if now > begins else 0.0,
        "jittery": lambda now: noise.uniform(-0.05, 0.05),
    }
    begun = chance.uniform(CONVERGED, LASTS - 2000)
    return Plan(
        offset=chance.choice((chance.uniform(-0.1, 0.1), chance.uniform(-100, 100))),
        drift=chance.uniform(-100e-6, 100e-6),
        wander=chance.choice((0.0, 0.1e-6)),
        latencies=[chance.uniform(0.001, 0.040) for _ in range(4)],
        jitter=chance.uniform(0.0, 0.002),
        loss=chance.choice((0.0, 0.02, 0.10)),
        asymmetries=[chance.uniform(-0.02, 0.02) for _ in range(4)],
        liar=liar,
        lies=lies[liar],
        cut=(begun, begun + chance.uniform(300, 1800)) if chance.random() < 0.5 else None,
    )


class Relay(asyncio.DatagramProtocol):
    """Hands requests on to the server of this host, and its answers back, either of them later."""

    def __init__(self, asymmetry: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._there, self._back = max(0.0, asymmetry), max(0.0, -asymmetry)
        self._clients: dict[bytes, tuple[str, int]] = {}
        self.outside: asyncio.DatagramTransport | None = None
        self.inside: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first socket is the one that clients know."""
        made = cast(asyncio.DatagramTransport, transport)
        if self.outside is None:
            self.outside = made
        else:
            self.inside = made

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        """A client knows an answer by one of the timestamps of its request."""
        assert self.inside is not None and self.outside is not None
        if data[0] & 7 == MODE_CLIENT:
            self._clients[data[32:40]] = self._clients[data[40:48]] = peer
            self._loop.call_later(self._there, self.inside.sendto, data)
        elif (client := self._clients.get(data[24:32])) is not None:
            self._loop.call_later(self._back, self.outside.sendto, data, client)


async def serve(asymmetry: float, lies: Callable[[float], float] | None) -> None:
    """Serve the time of this host, with what is wrong with it and with its path."""
    loop = asyncio.get_running_loop()
    begun = time.time_ns()

    def lie() -> int:
        now = time.time_ns()
        return now + (0 if lies is None else round(lies((now - begun) / 1e9) * 1e9))

    options = ServerOptions(rate=Rate(0), clock=None if lies is None else lie)
    async with await server.serve("ntp://[::1]:1123", Stated(1, b"GPS\0", 0, 0.0005), options, rng=random.Random(1)):
        relay = Relay(asymmetry)
        await loop.create_datagram_endpoint(lambda: relay, ("::", 123))
        await loop.create_datagram_endpoint(lambda: relay, remote_addr=("::1", 1123))
        await loop.create_future()


def build(world: World, plan: Plan, outcome: Outcome, lasts: float) -> None:
    """Make the hosts of a plan; the first server lies."""
    for number, latency in enumerate(plan.latencies):
        host = world.host(f"ntp{number}")
        world.link(host, latency=latency, jitter=min(plan.jitter, latency), loss=plan.loss)
        lies = plan.lies if number == 0 else None
        host.run(lambda lies=lies, number=number: asyncio.run(serve(plan.asymmetries[number], lies)), daemon=True)
    client = world.host("client", clock={"offset": plan.offset, "drift": plan.drift, "wander": plan.wander})
    world.link(client, latency=0.001, jitter=min(plan.jitter, 0.001))

    def keep() -> None:
        rng = random.Random(f"requests/{outcome.seed}")
        polls, interleaved = PollRange(6, 6), bool(outcome.seed % 2)
        servers = {
            Server(f"ntp{number}"): Association(rng, polls=polls, burst=True, interleaved=interleaved)
            for number in range(4)
        }

        def count(update: Update) -> None:
            outcome.steps += bool(update.action.step)

        asyncio.run(discipline(servers, SystemClock(), rng=rng, on_update=count))

    def look() -> None:
        wall = world.hosts["client"].wall
        while world.now < lasts:
            time.sleep(LOOKS)
            error = abs(wall.nanoseconds() - time.time_ns()) / 1e9
            if error > plan.bound:
                outcome.settled = world.now
            if world.now > CONVERGED:
                outcome.worst = max(outcome.worst, error)

    client.run(keep, daemon=True)
    world.host("observer").run(look)
    if plan.cut is not None:
        world.at(plan.cut[0], world.partition, "client")
        world.at(plan.cut[1], world.heal)


def run(seed: int, lasts: float = LASTS) -> Outcome:
    """Run the world of a seed, for so many seconds."""
    plan = make(seed)
    outcome = Outcome(seed, plan.liar, plan.bound)
    permitted, clocks._is_root = clocks._is_root, lambda: True
    try:
        with World(seed, output=lambda *_: None, quiet=0) as world:
            build(world, plan, outcome, lasts)
            world.run(lasts + 60, check=False)
            outcome.packets = world.trace.records
            failed = [process for process in world.processes if process.failed]
            if failed:
                outcome.faults.append(f"seed {seed}: {failed[0].describe()} failed: {failed[0].exception!r}")
    finally:
        clocks._is_root = permitted
    if outcome.worst > plan.bound:
        text = f"off by {outcome.worst * 1000:.3f} ms, more than {plan.bound * 1000:.3f}"
        outcome.faults.append(f"seed {seed}: {text} ms ({plan.liar} liar)")
    return outcome


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What came of many worlds."""
    seeds = [outcome.seed for outcome in outcomes]
    worst = max(outcomes, key=lambda one: one.worst / one.bound)
    settled = sorted(one.settled for one in outcomes)
    rows = [
        ("worlds (seeds)", f"{len(seeds):,} ({min(seeds)} to {max(seeds)})"),
        *(
            (
                f"largest error after 20 minutes, {liar} liar",
                f"{max((one.worst for one in outcomes if one.liar == liar), default=0) * 1000:.2f} ms",
            )
            for liar in LIARS
        ),
        ("largest error as a part of what is allowed", f"{worst.worst / worst.bound:.0%} (seed {worst.seed})"),
        ("within what is allowed for good: half of the worlds after", f"{settled[len(settled) // 2]:.0f} s"),
        ("the last one after", f"{settled[-1]:.0f} s"),
        ("steps, at most in one world", str(max(one.steps for one in outcomes))),
        ("off by more than is allowed", str(sum(bool(one.faults) for one in outcomes))),
        ("wall time", f"{seconds:,.0f} s"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "random clocks", run, table))
