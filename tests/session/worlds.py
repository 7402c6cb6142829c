"""Conversations over sessions in random worlds: loss, partitions, a client with two ways; and the long runs.

`python -m tests.session.worlds FIRST COUNT [--size BYTES] [--jobs N] [--table FILE]`
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.long_runs import run_many

from catenet import session
from catenet.session.transport import SessionTransport
from catenet.world import World
from catenet.world.engine.errors import ProcessFailed

__all__ = ["Outcome", "run_seed"]

TIME = 4 * 3600.0
PORT = 7000


@dataclass(slots=True)
class Outcome:
    """What came of one seed: `faults` are empty if every byte has arrived once and in order."""

    seed: int
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    replayed: int = 0
    seconds: float = 0.0


def text_of(seed: int, side: str, size: int) -> bytes:
    """What one side says."""
    return random.Random(f"{seed} {side}").randbytes(size)


async def converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mine: bytes, rng: random.Random
) -> bytes:
    """Say `mine`, hear all of the peer's."""

    async def say() -> None:
        at = 0
        while at < len(mine):
            most = rng.choice([1, 100, 5000, 100_000])
            writer.write(mine[at : at + most])
            at += most
            await writer.drain()
            if rng.random() < 0.05:
                await asyncio.sleep(rng.random())
        writer.write_eof()

    saying = asyncio.create_task(say())
    heard = b"".join([piece async for piece in pieces(reader)])
    await saying
    return heard


async def disturb(writer: session.SessionWriter, rng: random.Random) -> None:
    """Break connections, as a firewall or an administrator does, and leave some for others."""
    for _ in range(rng.randrange(0, 20)):
        await asyncio.sleep(rng.choice([0.01, 0.1, 2.0]) * rng.random())
        transport = writer.transport
        connection = transport.connection if isinstance(transport, SessionTransport) else None
        if rng.random() < 0.3:
            writer.session.migrate()
        elif connection is not None:
            connection.abort()


async def pieces(reader: asyncio.StreamReader):  # type: ignore[no-untyped-def]
    """What comes."""
    while piece := await reader.read(65536):
        yield piece


def run_seed(seed: int, size: int = 100_000) -> Outcome:
    """Run one seed."""
    rng = random.Random(f"world {seed}")
    outcome = Outcome(seed)
    heard: dict[str, bytes] = {}
    buffer = rng.choice([8192, 65536, 1 << 20])
    family = rng.choice(["10.0.0.1", "[fd00::1]", "server"])

    async def serve() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            text = text_of(seed, "server", size)
            heard["server"] = await converse(reader, writer, text, random.Random(f"server {seed}"))

        async with await session.serve(handler, f"session+tcp://:{PORT}", buffer=buffer) as server:
            await server.serve_forever()

    async def ask() -> None:
        url = f"session+tcp://{family}:{PORT}"
        while True:
            try:
                reader, writer = await session.connect(url, buffer=buffer)
                break
            except ConnectionError:
                await asyncio.sleep(1)
        text = text_of(seed, "client", size)
        disturbing = asyncio.create_task(disturb(writer, random.Random(f"disturb {seed}")))
        heard["client"] = await converse(reader, writer, text, random.Random(f"client {seed}"))
        disturbing.cancel()
        writer.close()
        await writer.wait_closed()
        outcome.connections, outcome.replayed = writer.session.connections, writer.session.replayed

    with World(seed) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(
                name,
                latency=f"{rng.choice([1, 10, 60])}ms",
                rate=rng.choice(["2Mbit", "20Mbit", "200Mbit"]),
                loss=rng.choice(["0", "1%", "3%"]),
            )
        troubles(world, rng)
        world.hosts["server"].run(lambda: asyncio.run(serve()), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(ask()), start=0.1)
        try:
            world.run(TIME)
        except ProcessFailed as error:
            outcome.faults.append(f"seed {seed}: {error.__cause__!r}")
        outcome.seconds = world.now
    for side, other in (("client", "server"), ("server", "client")):
        wanted = text_of(seed, other, size)
        if heard.get(side) != wanted:
            outcome.faults.append(
                f"seed {seed}: {side} heard {_summary(heard.get(side))} instead of {_summary(wanted)}"
            )
    return outcome


def troubles(world: World, rng: random.Random) -> None:
    """Partitions and resets, of which TCP survives some."""
    now = 0.15
    for _ in range(rng.randrange(1, 12)):
        now += rng.choice([0.1, 0.5, 3.0]) * rng.random()
        length = rng.choice([0.2, 3.0, 40.0, 900.0]) * rng.random()
        world.at(now, world.partition, "client", "server")
        now += length
        world.at(now, world.heal)


def _summary(data: bytes | None) -> str:
    return "nothing" if data is None else f"{len(data)} bytes ({hashlib.sha256(data).hexdigest()[:12]})"


def table(size: int, outcomes: Sequence[Outcome], seconds: float) -> str:
    """What is written down."""
    good = sum(not outcome.faults for outcome in outcomes)
    connections = sum(outcome.connections for outcome in outcomes)
    replayed = sum(outcome.replayed for outcome in outcomes)
    return (
        "| seeds | bytes each way | without a fault | connections | bytes sent again | virtual hours | minutes |\n"
        "|---|---|---|---|---|---|---|\n"
        f"| {len(outcomes)} | {size:,} | {good} | {connections:,} | {replayed:,} "
        f"| {sum(outcome.seconds for outcome in outcomes) / 3600:.1f} | {seconds / 60:.1f} |"
    )


def main() -> int:
    """Run the seeds that the command line names."""
    size = 100_000
    if "--size" in sys.argv:
        at = sys.argv.index("--size")
        size = int(sys.argv[at + 1])
        del sys.argv[at : at + 2]
    return run_many(__doc__, f"sessions {size}", partial(run_seed, size=size), partial(table, size))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main())
