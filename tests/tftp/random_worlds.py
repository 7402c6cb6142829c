"""Random worlds of TFTP: a server and a client behind links that lose, reorder, and are cut; every option at random.

`python -m tests.tftp.random_worlds FIRST COUNT [--jobs N] [--table FILE]` runs seeds, shows how far it is, and puts a
table of what came of them between the marks of a file. It exits with 1 if a file was not what it should be.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.long_runs import run_many

from catenet import tftp
from catenet.net import ConnectError
from catenet.world import World

CALLS = 6
"""Times that the client tries before it gives up."""
LONGEST = 1200.0
"""Virtual seconds for all of them."""
_GIVEN_UP = (tftp.ErrorCode.UNDEFINED, tftp.ErrorCode.UNKNOWN_ID)
"""What a server may say that has heard nothing for too long, then and later."""


@dataclass(slots=True)
class Outcome:
    """What came of one world."""

    seed: int
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    packets: int = 0
    trace: str = ""


@dataclass(slots=True)
class _Plan:
    """What is moved, and how it is asked for."""

    url: str
    body: bytes
    putting: bool
    wishes: tftp.Wishes
    options: tftp.ServerOptions


def run(seed: int) -> Outcome:
    """Run the world of a seed."""
    chance = random.Random(f"tftp/{seed}")
    outcome = Outcome(seed)
    plan = _plan(chance)
    with tempfile.TemporaryDirectory() as folder, World(seed, output=lambda host, stream, line: None) as world:
        served = Path(folder)
        if not plan.putting:
            (served / "file").write_bytes(plan.body)
        loss, reorder = chance.choice((0, 0.5, 2, 5)), chance.choice((0, 2))
        for name in ("server", "client"):
            world.host(name)
            latency, rate = f"{chance.choice((1, 15, 60))}ms", chance.choice(("5Mbit", "100Mbit"))
            world.link(name, latency=latency, rate=rate, loss=f"{loss}%", reorder=f"{reorder}%")
        world.hosts["server"].run(lambda: asyncio.run(_serve(served, plan)), daemon=True)
        _cut(world, chance)
        world.hosts["client"].run(lambda: asyncio.run(_move(plan, served, outcome, chance)), start=0.2)
        world.run(LONGEST)
        outcome.packets, outcome.trace = world.trace.records, world.trace.hexdigest()
        left = [path.name for path in served.iterdir() if path.name != "file"]
    if plan.putting and outcome.counts["complete"] and left:
        outcome.faults.append(f"seed {seed}: {left} are left")
    if not outcome.counts["complete"] and not outcome.counts["given up"]:
        outcome.faults.append(f"seed {seed}: the client has not ended")
    return outcome


def _plan(chance: random.Random) -> _Plan:
    block, window = chance.choice((64, 512, 1428, 8192)), chance.choice((1, 4, 16, 64))
    size = chance.choice((0, block, block * window, chance.randrange(1, 400) * min(block, 1428) + chance.randrange(9)))
    host = chance.choice(("10.0.0.1", "[fd00::1]"))
    return _Plan(
        f"tftp://{host}/file",
        chance.randbytes(size),
        chance.random() < 0.5,
        tftp.Wishes(block, window, chance.choice((None, None, 2)), chance.choice((None, 0, 1))),
        tftp.ServerOptions(upload=True, overwrite=True, single_port=chance.random() < 0.4),
    )


async def _serve(folder: Path, plan: _Plan) -> None:
    async with await tftp.serve(folder, ["tftp://10.0.0.1:69", "tftp://[fd00::1]:69"], plan.options):
        await asyncio.sleep(1e9)


def _cut(world: World, chance: random.Random) -> None:
    at = 0.0
    for _ in range(chance.choice((0, 1, 2, 3))):
        at += chance.uniform(0.1, 3)
        world.at(at, lambda: world.partition(["server"], ["client"]))
        at += chance.uniform(0.5, 25)
        world.at(at, world.heal)


async def _move(plan: _Plan, served: Path, outcome: Outcome, chance: random.Random) -> None:
    for call in range(CALLS):
        outcome.counts["calls"] += 1
        where = f"seed {outcome.seed}, call {call + 1} ({plan.wishes})"
        begun = asyncio.get_running_loop().time()
        try:
            await _once(plan, served, outcome, where)
        except (tftp.TftpError, ConnectError) as error:
            outcome.counts["errors"] += 1
            if isinstance(error, tftp.TftpError) and error.told and error.code not in _GIVEN_UP:
                outcome.faults.append(f"{where}: {error}")
            await asyncio.sleep(chance.uniform(0, 10))
        else:
            outcome.counts["complete"] += 1
            took = asyncio.get_running_loop().time() - begun
            outcome.counts["slowest"] = max(outcome.counts["slowest"], round(took))
            return
    outcome.counts["given up"] += 1


async def _once(plan: _Plan, served: Path, outcome: Outcome, where: str) -> None:
    file = served / "file"
    try:
        if plan.putting:
            await tftp.put(plan.url, plan.body, plan.wishes)
            if not file.exists():
                outcome.faults.append(f"{where}: it is said to be stored, and is not")
        elif await tftp.get(plan.url, plan.wishes) != plan.body:
            outcome.faults.append(f"{where}: the file is another one")
    finally:
        if file.exists() and file.read_bytes() != plan.body:
            outcome.faults.append(f"{where}: the server has another file")


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What came of the worlds, as a table of Markdown."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts += outcome.counts
    rows = [
        ("worlds (seeds)", f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})"),
        ("packets", f"{sum(outcome.packets for outcome in outcomes):,}"),
        ("calls of `get` and `put`", f"{counts['calls']:,}"),
        ("calls that ended because either end had heard nothing for 30 s", f"{counts['errors']:,}"),
        ("files that arrived", f"{counts['complete']:,}"),
        (f"given up after {CALLS} calls", f"{counts['given up']:,}"),
        ("slowest transfer", f"{max(outcome.counts['slowest'] for outcome in outcomes)} s"),
        ("wrong files, other errors, no end", f"{sum(len(outcome.faults) for outcome in outcomes)}"),
        ("wall time", f"{seconds:,.0f} s"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "random tftp", run, table))
