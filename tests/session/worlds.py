"""Conversations over sessions in random worlds: loss, partitions, NAT, other addresses, sleep, restarts.

`python -m tests.session.worlds FIRST COUNT [--size BYTES] [--jobs N] [--table FILE]`
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.long_runs import run_many

from catenet import session
from catenet.session.transport import SessionTransport
from catenet.wire.address import format_address
from catenet.world import World
from catenet.world.engine.errors import ProcessFailed

__all__ = ["KINDS", "Outcome", "run_seed"]

TIME = 24 * 3600.0
PORT = 7000
KINDS = {
    "lines": ["partition", "break", "migrate"],
    "nat": ["forget", "silence", "partition", "break"],
    "addresses": ["renumber", "renumber", "migrate", "partition"],
    "sleep": ["pause", "freeze", "partition"],
    "restarts": ["restart", "restart", "partition", "break"],
}
"""What happens in the worlds of a kind; seeds take turns."""


@dataclass(slots=True)
class Outcome:
    """What came of one seed: `faults` are empty if every byte has arrived once and in order."""

    seed: int
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    replayed: int = 0
    seconds: float = 0.0
    troubles: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Side:
    """One end of a conversation: what it says, what it must hear, and how far it is."""

    mine: bytes
    wanted: bytes
    rng: random.Random
    said: int = 0
    heard: int = 0
    ended: bool = False
    wrong: str = ""
    silent_until: float = 0.0
    commit: Callable[[], None] = lambda: None
    on_progress: Callable[[], None] = lambda: None

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say all that is left to be said, hear all that is left to be heard."""
        saying = asyncio.create_task(self._say(writer))
        while piece := await reader.read(65536):
            if piece != self.wanted[self.heard : self.heard + len(piece)]:
                self.wrong = f"other bytes at {self.heard}"
            self.heard += len(piece)
            self.commit()
            self.on_progress()
        await saying
        self.ended = True
        self.commit()

    async def _say(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while self.said < len(self.mine):
            piece = self.mine[self.said : self.said + self.rng.choice([1, 100, 5000, 100_000])]
            writer.write(piece)
            self.said += len(piece)
            self.commit()
            await writer.drain()
            self.on_progress()
            if self.rng.random() < 0.05:
                await asyncio.sleep(self.rng.random())
            await asyncio.sleep(max(0.0, self.silent_until - loop.time()))
        writer.write_eof()

    def fault(self, name: str) -> list[str]:
        """What is wrong, if anything."""
        if self.wrong or not self.ended or self.heard != len(self.wanted):
            return [f"{name} heard {self.heard} bytes of {len(self.wanted)}, {self.wrong or 'none of them wrong'}"]
        return []


class Trouble:
    """What goes wrong, each when so much of the conversation is through."""

    def __init__(self, world: World, kind: str, rng: random.Random, size: int, outcome: Outcome) -> None:
        self._world = world
        self._rng = rng
        self._counts = outcome.troubles
        count = rng.randrange(1, 16)
        self._plan = sorted((rng.random() * 0.95 * size, rng.choice(KINDS[kind])) for _ in range(count))
        self._other = "gate" if kind == "nat" else "client"

    def look(self, client: Side, writer: session.SessionWriter) -> None:
        """See whether anything is due."""
        far = max(client.heard, writer.session.acknowledged)
        while self._plan and self._plan[0][0] <= far:
            name = self._plan.pop(0)[1]
            self._counts[name] += 1
            getattr(self, name)(client, writer)

    def _during(self, begin: Callable[[], object], end: Callable[[], object], *lengths: float) -> None:
        now, length = self._world.now, self._rng.choice(lengths) * self._rng.random()
        self._world.at(now + 0.001, begin)
        self._world.at(now + 0.002 + length, end)

    def partition(self, client: Side, writer: session.SessionWriter) -> None:
        """Nothing passes."""
        world = self._world
        self._during(partial(world.partition, self._other, "server"), world.heal, 0.2, 3.0, 40.0, 900.0)

    def forget(self, client: Side, writer: session.SessionWriter) -> None:
        """The router with the NAT restarts."""
        gate = self._world.hosts["gate"]
        self._during(gate.crash, gate.restart, 0.2, 20.0)

    def restart(self, client: Side, writer: session.SessionWriter) -> None:
        """The server's machine restarts."""
        server = self._world.hosts["server"]
        self._during(server.crash, server.restart, 0.2, 20.0)

    def pause(self, client: Side, writer: session.SessionWriter) -> None:
        """The client's machine sleeps."""
        host = self._world.hosts["client"]
        self._during(host.pause, host.resume, 3.0, 100.0, 7200.0)

    def freeze(self, client: Side, writer: session.SessionWriter) -> None:
        """The server's programs are stopped."""
        host = self._world.hosts["server"]
        self._during(host.freeze, host.thaw, 3.0, 60.0)

    def renumber(self, client: Side, writer: session.SessionWriter) -> None:
        """The client is somewhere else."""
        world, keep = self._world, self._rng.choice([0.0, 0.0, 5.0])
        world.at(world.now + 0.001, partial(world.renumber, "client", keep=keep))

    def silence(self, client: Side, writer: session.SessionWriter) -> None:
        """The client says nothing for longer than the NAT may remember it."""
        client.silent_until = asyncio.get_running_loop().time() + self._rng.choice([40.0, 400.0])

    def migrate(self, client: Side, writer: session.SessionWriter) -> None:
        """A connection is left for another."""
        writer.session.migrate()

    def break_(self, client: Side, writer: session.SessionWriter) -> None:
        """A connection is broken, as a firewall or an administrator does."""
        transport = writer.transport
        if isinstance(transport, SessionTransport) and transport.connection is not None:
            transport.connection.abort()


setattr(Trouble, "break", Trouble.break_)


def run_seed(seed: int, size: int = 100_000) -> Outcome:
    """Run one seed."""
    rng = random.Random(f"world {seed}")
    kind = list(KINDS)[seed % len(KINDS)]
    outcome = Outcome(seed)
    texts = [random.Random(f"{seed} {side}").randbytes(size) for side in ("client", "server")]
    buffer = rng.choice([8192, 65536, 1 << 20])
    client = Side(texts[0], texts[1], random.Random(f"client {seed}"))
    server: list[Side] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(writer, session.SessionWriter)
        side = Side(texts[1], texts[0], random.Random(f"server {seed} {len(server)}"))
        server.append(side)
        if kind == "restarts":
            side.said, side.heard = map(int, (writer.session.saved or b"0 0").split())

            def commit() -> None:
                writer.session.saved = b"%d %d" % (side.said, side.heard)
                writer.commit()

            side.commit = commit
        await side.converse(reader, writer)

    async def serve(state: str | None) -> None:
        url = f"session+tcp://:{PORT}"
        async with await session.serve(handler, url, buffer=buffer, state=state) as sessions:
            await sessions.serve_forever()

    async def ask(address: str) -> None:
        while True:
            try:
                reader, writer = await session.connect(f"session+tcp://{address}:{PORT}", buffer=buffer)
                break
            except ConnectionError:
                await asyncio.sleep(1)
        client.on_progress = lambda: trouble.look(client, writer)
        await client.converse(reader, writer)
        writer.close()
        await writer.wait_closed()
        outcome.connections, outcome.replayed = writer.session.connections, writer.session.replayed

    with World(seed) as world, tempfile.TemporaryDirectory() as folder:
        trouble = Trouble(world, kind, rng, size, outcome)
        address = build(world, kind, rng)
        state = str(Path(folder) / "state") if kind == "restarts" else None
        world.hosts["server"].run(lambda: asyncio.run(serve(state)), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(ask(address)), start=0.1)
        try:
            world.run(TIME)
        except ProcessFailed as error:
            outcome.faults.append(f"seed {seed}: {error.__cause__!r}")
        outcome.seconds = world.now
    wrong = client.fault("client") + (server[-1].fault("server") if server else ["no session"])
    outcome.faults += [f"seed {seed} ({kind}): {text}" for text in wrong]
    return outcome


def build(world: World, kind: str, rng: random.Random) -> str:
    """Make hosts and links; return the address at which the client is to look for the server."""
    network: dict[str, str] = {}
    if kind == "nat":
        world.network("home", "192.168.1.0/24")
        world.network("isp", "203.0.113.0/24")
        world.host("gate", network=["home", "isp"], forwarding=True)
        network = {"server": "isp", "client": "home"}
    for name in ("server", "client"):
        world.host(name, network=network.get(name))
        world.link(
            name,
            latency=f"{rng.choice([1, 10, 60])}ms",
            rate=rng.choice(["2Mbit", "20Mbit", "200Mbit"]),
            loss=rng.choice(["0", "1%", "3%"]),
        )
    if kind == "nat":
        forgets = rng.choice(["20s", "2min"])
        unknown = rng.choice(["drop", "reset", "map"])
        world.nat("gate", outside="isp", timeouts={"tcp_established": forgets}, unknown=unknown)
        return format_address(world.addresses("server")[0])
    return rng.choice([format_address(world.addresses("server")[0]), "[fd00::1]", "server"])


def table(size: int, outcomes: Sequence[Outcome], seconds: float) -> str:
    """What is written down."""
    good = sum(not outcome.faults for outcome in outcomes)
    troubles = sum((outcome.troubles for outcome in outcomes), Counter[str]())
    rows = {
        "worlds (seeds)": f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})",
        "bytes each way": f"{size:,}",
        "everything has arrived, once and in order": f"{good:,}",
        "connections": f"{sum(outcome.connections for outcome in outcomes):,}",
        "bytes that clients have sent again": f"{sum(outcome.replayed for outcome in outcomes):,}",
        **{NAMES[name]: f"{troubles[name]:,}" for name in NAMES},
        "virtual hours": f"{sum(outcome.seconds for outcome in outcomes) / 3600:,.1f}",
        "wall time": f"{seconds:,.0f} s",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


NAMES = {
    "partition": "partitions, up to a quarter of an hour",
    "break": "connections broken off",
    "migrate": "connections left for another",
    "forget": "restarts of the NAT",
    "silence": "times that the client said nothing, 40 or 400 s",
    "renumber": "changes of the client's addresses",
    "pause": "times that the client slept, up to two hours",
    "freeze": "times that the server was stopped, up to a minute",
    "restart": "restarts of the server's machine",
}


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
