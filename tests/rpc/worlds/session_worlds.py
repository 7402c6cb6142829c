"""Calls over sessions in random worlds: loss, partitions, NAT, other addresses, sleep, restarts.

`python -m tests.rpc.worlds.session_worlds FIRST COUNT [--jobs N] [--table FILE]`
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from google.protobuf.wrappers_pb2 import StringValue
from tests.long_runs import run_many
from tests.session.worlds import NAMES, build

from catenet.rpc import Channel, ChannelOptions, Code, Kind, Method, RpcError, Server, ServiceDescriptor
from catenet.world import World
from catenet.world.engine.errors import ProcessFailed

__all__ = ["Outcome", "run_seed"]

TIME = 24 * 3600.0
PORT = 7000
SPAN = 60.0
"""Seconds over which the calls and what goes wrong are spread."""
LATE = 0.002
KINDS = {
    "lines": ["partition", "break", "migrate"],
    "nat": ["forget", "partition", "break"],
    "addresses": ["renumber", "renumber", "migrate", "partition"],
    "sleep": ["pause", "freeze", "partition"],
    "restarts": ["restart", "partition", "break"],
}


def method(name: str, kind: Kind = Kind.UNARY) -> Method[StringValue, StringValue]:
    return Method("w.World", name, kind, StringValue, StringValue)


ONCE = method("Once")
COUNT = method("Count", Kind.SERVER_STREAM)
SUM = method("Sum", Kind.CLIENT_STREAM)
CHAT = method("Chat", Kind.BIDI)


@dataclass(slots=True)
class Outcome:
    """What came of one seed: `faults` are empty if every call has taken effect once, and every message came once."""

    seed: int
    faults: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    connections: int = 0
    seconds: float = 0.0
    troubles: Counter[str] = field(default_factory=Counter)


class Service:
    """Counts what it is asked to do, and in which order messages come."""

    __service__ = ServiceDescriptor("w.World", (ONCE, COUNT, SUM, CHAT))

    def __init__(self, seen: Counter[str], faults: list[str], rng: random.Random, length: int) -> None:
        self._length = length // 5
        self._seen = seen
        self._faults = faults
        self._rng = rng

    async def once(self, request: StringValue, context: Any) -> StringValue:
        self._seen[request.value] += 1
        await asyncio.sleep(self._rng.choice([0, 0, 0.1, 5.0]))
        return request

    async def count(self, request: StringValue, context: Any) -> AsyncIterator[StringValue]:
        self._seen[request.value] += 1
        for number in range(self._length):
            yield StringValue(value=f"{number} {'x' * self._rng.choice([1, 100, 2000])}")
            if number % 20 == 0:
                await asyncio.sleep(self._rng.random() * 5)

    async def sum(self, requests: Any, context: Any) -> StringValue:
        return StringValue(value=str(await self._take(requests)))

    async def chat(self, requests: Any, context: Any) -> AsyncIterator[StringValue]:
        expected = 0
        async for request in requests:
            self._check(request, expected)
            yield StringValue(value=str(expected))
            expected += 1

    async def _take(self, requests: Any) -> int:
        expected = 0
        async for request in requests:
            self._check(request, expected)
            expected += 1
        return expected

    def _check(self, request: StringValue, expected: int) -> None:
        if int(request.value.split()[0]) != expected:
            self._faults.append(f"message {request.value[:10]} came instead of {expected}")


class Client:
    """The calls of one world. `must`: none of them may fail; `length`: messages of the longest."""

    def __init__(self, channel: Channel, rng: random.Random, outcome: Outcome, must: bool, length: int) -> None:
        self._length = length
        self._channel = channel
        self._rng = rng
        self._outcome = outcome
        self._must = must
        self.ended: list[tuple[str, Code]] = []

    async def run(self) -> None:
        """Make them all at once."""
        async with asyncio.TaskGroup() as group:
            for number in range(min(30, self._length // 10)):
                timeout = self._rng.choice([None, None, 3.0])
                group.create_task(self._later(self._once, f"once.{number}", timeout))
            for work in (self._counted, self._summed, self._chatted):
                group.create_task(self._later(work, work.__name__, None))

    async def _later(self, work: Callable[..., Any], name: str, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rng.random() * SPAN)
        begun = loop.time()
        code = Code.OK
        try:
            await work(name, timeout)
        except RpcError as error:
            code = error.code
            if code is not Code.DEADLINE_EXCEEDED and (self._must or code is not Code.UNAVAILABLE):
                self._outcome.faults.append(f"{name}: {error}")
        # Of a machine that sleeps the timers do, too: their clock stands still.
        if timeout is not None and loop.time() - begun > timeout + LATE:
            self._outcome.faults.append(f"{name} ended {loop.time() - begun - timeout:.3f} s after its deadline")
        self._outcome.calls[code.name] += 1
        self.ended.append((name, code))

    async def _once(self, name: str, timeout: float | None) -> None:
        answer = await self._channel.unary(ONCE, StringValue(value=name), timeout=timeout)
        assert answer.value == name

    async def _counted(self, name: str, timeout: float | None) -> None:
        expected = 0
        async for response in self._channel.server_stream(COUNT, StringValue(value=name)):
            self._hear(response, expected)
            expected += 1
        assert expected == self._length // 5

    async def _summed(self, name: str, timeout: float | None) -> None:
        answer = await self._channel.client_stream(SUM, self._requests(self._length // 3))
        assert answer.value == str(self._length // 3)

    async def _chatted(self, name: str, timeout: float | None) -> None:
        async with self._channel.bidi(CHAT) as call:
            sending = asyncio.ensure_future(call.send_all(self._requests(self._length)))
            expected = 0
            async for response in call:
                self._hear(response, expected)
                expected += 1
            await sending
        assert expected == self._length

    async def _requests(self, count: int) -> AsyncIterator[StringValue]:
        for number in range(count):
            yield StringValue(value=f"{number} {'x' * self._rng.choice([1, 100, 2000])}")
            if self._rng.random() < 0.02:
                await asyncio.sleep(self._rng.random() * 5)

    def _hear(self, response: StringValue, expected: int) -> None:
        self._outcome.messages += 1
        if int(response.value.split()[0]) != expected:
            self._outcome.faults.append(f"response {response.value[:10]} came instead of {expected}")


class Trouble:
    """What goes wrong in a world, and when; `longest`: seconds of a sleep."""

    def __init__(self, world: World, kind: str, rng: random.Random, outcome: Outcome, longest: float) -> None:
        self._longest = longest
        self._world = world
        self._rng = rng
        self._other = "gate" if kind == "nat" else "client"
        self.channel: Channel | None = None
        at = 2.0
        for _ in range(rng.randrange(1, 12)):
            name = rng.choice(KINDS[kind])
            outcome.troubles[name] += 1
            # One after the other: to wake a machine that was crashed meanwhile means nothing.
            at += rng.random() * 6 + getattr(self, f"plan_{name}")(at)

    def _during(self, at: float, begin: Callable[[], object], end: Callable[[], object], *lengths: float) -> float:
        length = self._rng.choice(lengths) * self._rng.random()
        self._world.at(at, begin)
        self._world.at(at + 0.001 + length, end)
        return length + 0.01

    def plan_partition(self, at: float) -> float:
        world = self._world
        return self._during(at, partial(world.partition, self._other, "server"), world.heal, 0.2, 3.0, 40.0, 900.0)

    def plan_forget(self, at: float) -> float:
        gate = self._world.hosts["gate"]
        return self._during(at, gate.crash, gate.restart, 0.2, 20.0)

    def plan_restart(self, at: float) -> float:
        server = self._world.hosts["server"]
        return self._during(at, server.crash, server.restart, 0.2, 20.0)

    def plan_pause(self, at: float) -> float:
        host = self._world.hosts["client"]
        return self._during(at, host.pause, host.resume, 3.0, 100.0, self._longest)

    def plan_freeze(self, at: float) -> float:
        host = self._world.hosts["server"]
        return self._during(at, host.freeze, host.thaw, 3.0, 60.0)

    def plan_renumber(self, at: float) -> float:
        self._world.at(at, partial(self._world.renumber, "client", keep=self._rng.choice([0.0, 0.0, 5.0])))
        return 0.01

    def plan_migrate(self, at: float) -> float:
        self._world.at(at, lambda: self._with_session(lambda carrier: carrier.info.migrate()))
        return 0.01

    def plan_break(self, at: float) -> float:
        self._world.at(at, lambda: self._with_session(lambda carrier: carrier.connection.abort()))
        return 0.01

    def _with_session(self, act: Callable[[Any], object]) -> None:
        for carrier in carriers(self.channel):
            if carrier.connection is not None:
                carrier.connection.loop.call_soon_threadsafe(act, carrier)


def carriers(channel: Channel | None) -> list[Any]:
    """The transports of the sessions that a channel has now."""
    connections = None if channel is None else channel._connections
    found = [] if connections is None else connections._connections.values()
    return [connection.transport for connection in found if connection.transport is not None]


def run_seed(seed: int, length: int = 1000) -> Outcome:
    """Run one seed; `length`: messages of the longest stream."""
    rng = random.Random(f"calls {seed}")
    kind = list(KINDS)[seed % len(KINDS)]
    outcome = Outcome(seed)
    seen: Counter[str] = Counter()
    clients: list[Client] = []

    async def serve() -> None:
        async with Server([Service(seen, outcome.faults, random.Random(f"server {seed}"), length)]) as server:
            await server.listen(f"session+grpc://:{PORT}")
            await server.serve_forever()

    async def call(address: str) -> None:
        options = ChannelOptions(wait_for_ready=True, keepalive_time=rng.choice([None, 5.0]))
        async with Channel(f"session+grpc://{address}:{PORT}", options=options) as channel:
            trouble.channel = channel
            client = Client(channel, random.Random(f"client {seed}"), outcome, kind != "restarts", length)
            clients.append(client)
            await client.run()
            outcome.connections += sum(carrier.info.connections for carrier in carriers(channel))

    with World(seed) as world:
        address = build(world, kind, rng)
        trouble = Trouble(world, kind, rng, outcome, 7.2 * length)
        world.hosts["server"].run(lambda: asyncio.run(serve()), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(call(address)), start=0.1)
        try:
            world.run(TIME)
        except ProcessFailed as error:
            outcome.faults.append(repr(error.__cause__))
        outcome.seconds = world.now
        if not world.finished:
            outcome.faults.append("a call hangs")
    for name, code in clients[0].ended if clients else []:
        if name.startswith("once") and not (code is Code.OK) <= seen[name] <= 1:
            outcome.faults.append(f"{name} was carried out {seen[name]} times, and ended with {code.name}")
    outcome.faults = [f"seed {seed} ({kind}): {fault}" for fault in outcome.faults]
    return outcome


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What is written down."""
    troubles = sum((outcome.troubles for outcome in outcomes), Counter[str]())
    calls = sum((outcome.calls for outcome in outcomes), Counter[str]())
    rows = {
        "worlds (seeds)": f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})",
        "without a fault": f"{sum(not outcome.faults for outcome in outcomes):,}",
        "calls that ended well": f"{calls['OK']:,}",
        "calls that ended with their deadline": f"{calls['DEADLINE_EXCEEDED']:,}",
        "calls that ended with a server that restarted": f"{calls['UNAVAILABLE']:,}",
        "responses of streams, each once and in order": f"{sum(outcome.messages for outcome in outcomes):,}",
        "connections": f"{sum(outcome.connections for outcome in outcomes):,}",
        **{text: f"{troubles[name]:,}" for name, text in NAMES.items() if name != "silence"},
        "virtual hours": f"{sum(outcome.seconds for outcome in outcomes) / 3600:,.1f}",
        "wall time": f"{seconds:,.0f} s",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(run_many(__doc__, "calls over sessions", run_seed, table))
