"""Random worlds of transfers: a server of files and a client behind lossy links that are cut, the server restarting.

`python -m tests.cli.transfer.random_worlds FIRST COUNT [--jobs N] [--table FILE]` runs seeds, shows how far it is, and
puts a table of what came of them between the marks of a file. It exits with 1 if a file was not what it should be.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.long_runs import run_many

from catenet.cli import main
from catenet.cli.transfer.codes import Code
from catenet.http.files import FileOptions, Files
from catenet.http.server.server import serve
from catenet.world import World

CALLS = 8
"""Times that the client goes on before it gives up."""
LONGEST = 60.0
"""Seconds that a call may take (`-m`)."""
SLACK = 1.0
CLEAR = {Code.CONNECT, Code.PARTIAL, Code.NOTHING, Code.RECEIVE, Code.TIMEOUT, Code.HTTP2}
"""What may be said when a link is cut."""


@dataclass(slots=True)
class Outcome:
    """What came of one world."""

    seed: int
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    packets: int = 0


def run(seed: int) -> Outcome:
    """Run the world of a seed."""
    chance = random.Random(f"transfers/{seed}")
    outcome = Outcome(seed)
    with tempfile.TemporaryDirectory() as folder, World(seed, output=lambda host, stream, line: None) as world:
        served, mine = Path(folder, "served"), Path(folder, "mine")
        served.mkdir()
        mine.mkdir()
        body = chance.randbytes(chance.randrange(200_000, 3 << 20))
        putting = chance.random() < 0.4
        (mine if putting else served).joinpath("file").write_bytes(body)
        loss = chance.choice((0, 0.5, 2, 5))
        for name in ("server", "client"):
            world.host(name)
            latency = f"{chance.choice((5, 30, 80))}ms"
            world.link(name, latency=latency, rate=chance.choice(("5Mbit", "50Mbit")), loss=f"{loss}%")
        restarts = chance.uniform(0.5, 8.0) if chance.random() < 0.5 else None
        world.hosts["server"].run(lambda: asyncio.run(_serving(served, restarts)), daemon=True)
        _cut(world, chance)
        words = _words(chance, putting, mine)
        world.hosts["client"].run(_transferring(chance, words, outcome, served if putting else mine, body), start=0.2)
        world.run(CALLS * (LONGEST + 20) + 60)
        outcome.packets = world.trace.records
    if not outcome.counts["complete"] and not outcome.counts["given up"]:
        outcome.faults.append(f"seed {seed}: the client has not ended")
    return outcome


def _words(chance: random.Random, putting: bool, mine: Path) -> list[str]:
    common = ["-s", "-f", "-m", f"{LONGEST:g}", "--retry", str(chance.choice((0, 2)))]
    version = chance.choice(([], ["--http2"]))
    if putting:
        return ["put", str(mine / "file"), "http://10.0.0.1/file", "--continue", *common, *version]
    parts = ["--parallel", str(chance.choice((1, 3)))]
    return ["get", "http://10.0.0.1/file", "-o", str(mine / "file"), "--continue", *common, *version, *parts]


async def _serving(folder: Path, restarts: float | None) -> None:
    files = Files(str(folder), FileOptions(upload=True, overwrite=True))
    if restarts is not None:
        server = await serve(files, "http://10.0.0.1:80", interface="exchange")
        await asyncio.sleep(restarts)
        await server.close()
        await asyncio.sleep(1)
    async with await serve(files, "http://10.0.0.1:80", interface="exchange"):
        await asyncio.sleep(1e9)


def _cut(world: World, chance: random.Random) -> None:
    at = 0.0
    for _ in range(chance.choice((0, 1, 2, 3))):
        at += chance.uniform(0.3, 6)
        world.at(at, lambda: world.partition(["server"], ["client"]))
        at += chance.uniform(0.5, 25)
        world.at(at, world.heal)


def _transferring(
    chance: random.Random, words: list[str], outcome: Outcome, target: Path, body: bytes
) -> Callable[[], None]:
    def program() -> None:
        file = target / "file"
        for call in range(CALLS):
            begun = time.monotonic()
            status = main(words)
            took = time.monotonic() - begun
            outcome.counts["calls"] += 1
            where = f"seed {outcome.seed}, call {call + 1} ({' '.join(words[5:])})"
            if file.exists() and file.read_bytes() != body:
                outcome.faults.append(f"{where}: status {status}, and the file is another one")
            if took > LONGEST + SLACK:
                outcome.faults.append(f"{where}: took {took:.1f} s")
            if status == 0:
                if not file.exists():
                    outcome.faults.append(f"{where}: status 0, and no file")
                outcome.counts["complete"] += 1
                outcome.counts["gone on"] += call > 0
                return
            outcome.counts["errors"] += 1
            if status not in CLEAR:
                outcome.faults.append(f"{where}: status {status}")
            time.sleep(chance.uniform(0, 10))
        outcome.counts["given up"] += 1

    return program


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What came of the worlds, as a table of Markdown."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts += outcome.counts
    rows = [
        ("worlds (seeds)", f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})"),
        ("packets", f"{sum(outcome.packets for outcome in outcomes):,}"),
        ("calls of `catenet get` and `catenet put`", f"{counts['calls']:,}"),
        ("calls that ended with an error (connect, broken off, time)", f"{counts['errors']:,}"),
        ("files that are complete", f"{counts['complete']:,}"),
        ("of these by going on in a later call", f"{counts['gone on']:,}"),
        (f"given up after {CALLS} calls", f"{counts['given up']:,}"),
        ("wrong files, other errors, calls over their time", f"{sum(len(outcome.faults) for outcome in outcomes):,}"),
        ("wall time", f"{seconds:,.0f} s"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "random transfers", run, table))
