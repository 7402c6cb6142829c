"""Random worlds of discovery: devices and services that come, go and crash, on links that lose packets and are cut.

Each host advertises a device by SSDP and a service by multicast DNS, whose names clash. A listener follows both from
the beginning, and another host asks at the end. What they know then is what is there, no more, and no two have one
name.

`python -m tests.ssdp.random_worlds FIRST COUNT [--jobs N] [--table FILE]` runs seeds, shows how far it is, and puts a
table of what came of them between the marks of a file. It exits with 1 if something was not what it should be.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.long_runs import run_many

from catenet.dns.multicast.client import browse, publish, services
from catenet.ssdp.device import Device
from catenet.ssdp.links import advertise, search
from catenet.world import World

BOX = "urn:schemas-upnp-org:device:Box:1"
KIND = "_box._tcp"
NAMES = ("Red", "Green", "Blue")
LAST_EVENT = 60.0
"""Seconds within which hosts come, go and are cut off."""
STIRRED = LAST_EVENT + 10
"""When somebody asks for all services: those that have one name since a cut hear of each other."""
LOOKED = STIRRED + 130
"""When what is known must be what is there: advertisements of those that crashed have expired.

So have records of who lost a name, where the winner has not heard of the conflict and did not say again that it is its.
"""
PATIENCE = 20.0
END = LOOKED + PATIENCE + 5


@dataclass(slots=True)
class Box:
    """A host that is discovered. `leaves`: when, and whether it says so; None: it stays."""

    number: int
    name: str
    begins: float
    leaves: float | None
    crashes: bool

    @property
    def udn(self) -> str:
        """Of its device."""
        return f"uuid:{self.number}"

    @property
    def port(self) -> int:
        """Of its service: by that they are told apart."""
        return 1000 + self.number


@dataclass(slots=True)
class Outcome:
    """What came of one world."""

    seed: int
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    packets: int = 0
    trace: str = ""


@dataclass(slots=True)
class Known:
    """What is there (`held`: services by port, with their names now), and what is known of it at the end."""

    held: dict[int, str] = field(default_factory=dict)
    devices: set[str] = field(default_factory=set)
    followed: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)


def run(seed: int) -> Outcome:
    """Run the world of a seed."""
    chance = random.Random(f"discovery/{seed}")
    outcome, known = Outcome(seed), Known()
    boxes = [_box(chance, number) for number in range(1, chance.randrange(2, 7))]
    loss, jitter = chance.choice((0.0, 0.02, 0.10)), chance.choice((0.0, 0.01))
    with World(seed, output=lambda host, stream, line: None) as world:
        for box in boxes:
            host = world.host(f"box{box.number}")
            world.link(host, latency=chance.uniform(0.0005, 0.02), jitter=jitter, loss=loss)
            host.run(_offer, box, known, start=box.begins)
            if box.crashes and box.leaves is not None:
                world.at(box.leaves, host.crash)
        for name in ("listener", "asker"):
            world.link(world.host(name), latency=0.001, loss=loss)
        world.hosts["listener"].run(_listen, known)
        world.hosts["asker"].run(_ask, known)
        outcome.counts["cuts"] = _cut(world, chance, [*(f"box{box.number}" for box in boxes), "listener"])
        world.run(END + 30, check=False)
        outcome.packets, outcome.trace = world.trace.records, world.trace.hexdigest()
        failed = [process for process in world.processes if process.failed and process.exception]
        outcome.faults += [f"seed {seed}: {process.describe()}: {process.exception!r}" for process in failed]
    _judge(outcome, boxes, known)
    return outcome


def _box(chance: random.Random, number: int) -> Box:
    begins = chance.choice((0.0, chance.uniform(0, LAST_EVENT / 2)))
    leaves = chance.uniform(begins + 5, LAST_EVENT) if chance.random() < 0.4 else None
    return Box(number, chance.choice(NAMES), begins, leaves, chance.random() < 0.5)


def _cut(world: World, chance: random.Random, hosts: Sequence[str]) -> int:
    """Cut some hosts off from all others, now and then; return how often."""
    at, cuts = 0.0, 0
    while (at := at + chance.uniform(2, 40)) < LAST_EVENT - 20:
        world.at(at, world.partition, chance.sample(hosts, chance.randrange(1, len(hosts))))
        at += chance.uniform(0.5, 20)
        world.at(at, world.heal)
        cuts += 1
    return cuts


def _offer(box: Box, known: Known) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        device = Device(box.udn, f"http://10.0.0.{box.number}/d.xml", BOX, max_age=60)
        async with advertise(device), publish(box.name, KIND, box.port, host=f"box{box.number}") as published:
            until = begun + (END if box.leaves is None else box.leaves) - box.begins
            while (left := until - loop.time()) > 0:
                known.held[box.port] = published.name
                await asyncio.sleep(min(left, 1.0))

    asyncio.run(main())


def _listen(known: Known) -> None:
    """Follow devices and services until the end."""

    async def devices() -> None:
        async with search(BOX) as changes:
            async for change in changes:
                udn = change.entry.advertisement.usn.partition("::")[0]
                (known.devices.discard if change.what == "gone" else known.devices.add)(udn)

    async def followed() -> None:
        async with browse(KIND) as changes:
            async for change in changes:
                if change.kind == "gone":
                    known.followed.pop(change.service.name, None)
                else:
                    known.followed[change.service.name] = change.service.port

    async def main() -> None:
        tasks = [asyncio.create_task(one()) for one in (devices, followed)]
        await asyncio.sleep(LOOKED + PATIENCE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())


def _ask(known: Known) -> None:
    async def main() -> None:
        await asyncio.sleep(STIRRED)
        await services(patience=5.0)
        await asyncio.sleep(LOOKED - STIRRED - 5.0)
        found = await services(patience=PATIENCE)
        known.asked = [(service.name, service.port) for service in found if service.type == KIND]

    asyncio.run(main())


def _judge(outcome: Outcome, boxes: Sequence[Box], known: Known) -> None:
    """What is known must be what is there."""
    stay = [box for box in boxes if box.leaves is None]
    there = sorted((known.held[box.port], box.port) for box in stay if box.port in known.held)
    outcome.counts.update(boxes=len(boxes), stay=len(stay), crashed=sum(bool(b.leaves and b.crashes) for b in boxes))
    outcome.counts["renamed"] = sum(name not in NAMES for name, _ in there)

    def check(right: bool, text: str) -> None:
        if not right:
            outcome.faults.append(f"seed {outcome.seed}: {text}")

    check(len(there) == len(stay), f"{len(stay) - len(there)} services were never offered")
    check(len({name for name, _ in there}) == len(there), f"one name for two: {there}")
    check(known.devices == {box.udn for box in stay}, f"devices {known.devices}, not {[box.udn for box in stay]}")
    check(sorted(known.asked) == there, f"asked, services {sorted(known.asked)}, not {there}")
    check(all(known.followed.get(name) == port for name, port in there), f"{known.followed} followed, not {there}")


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What came of the worlds, as a table of Markdown."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts += outcome.counts
    rows = [
        ("worlds (seeds)", f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})"),
        ("packets", f"{sum(outcome.packets for outcome in outcomes):,}"),
        ("devices and services", f"{counts['boxes']:,}"),
        ("crashed", f"{counts['crashed']:,}"),
        ("cuts", f"{counts['cuts']:,}"),
        ("there at the end, and known", f"{counts['stay']:,}"),
        ("names that were another's, and changed", f"{counts['renamed']:,}"),
        ("unknown, known though gone, two with one name", f"{sum(len(outcome.faults) for outcome in outcomes)}"),
        ("wall time", f"{seconds:,.0f} s"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "random discovery", run, table))
