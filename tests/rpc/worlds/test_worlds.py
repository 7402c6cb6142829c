"""Calls in worlds with loss, partitions and crashes: each ends, in time, and none that must not be repeated is.

`CATENET_SEEDS=2000 pytest tests/rpc/worlds` tries more worlds than the few that an ordinary run has time for.
"""

import asyncio
import collections
import os
import random

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from catenet.rpc import (
    Channel,
    ChannelOptions,
    Code,
    Idempotency,
    Kind,
    Method,
    RpcError,
    Server,
    ServerOptions,
    ServiceDescriptor,
)
from catenet.world import World

SEEDS = int(os.environ.get("CATENET_SEEDS", "20"))
CHUNK = 10
pytestmark = pytest.mark.slow(5)
LATE = 0.002
"""Seconds of virtual time by which an end may come after its deadline: the event loop's clock resolution."""


def method(name, kind=Kind.UNARY, idempotency=Idempotency.UNKNOWN):
    return Method("w.World", name, kind, StringValue, StringValue, idempotency)


ONCE = method("Once")
AGAIN = method("Again", idempotency=Idempotency.IDEMPOTENT)
COUNT = method("Count", Kind.SERVER_STREAM)
SUM = method("Sum", Kind.CLIENT_STREAM)
CHAT = method("Chat", Kind.BIDI)
METHODS = (ONCE, AGAIN, COUNT, SUM, CHAT)


class Service:
    __service__ = ServiceDescriptor("w.World", METHODS)

    def __init__(self, seen, rng):
        self.seen = seen
        self.rng = rng

    async def work(self, request):
        self.seen[request.value] += 1
        await asyncio.sleep(self.rng.choice([0, 0, 0.05, 0.5]))

    async def once(self, request, context):
        await self.work(request)
        return request

    async def again(self, request, context):
        await self.work(request)
        return request

    async def count(self, request, context):
        await self.work(request)
        for number in range(20):
            yield StringValue(value=f"{number} {'x' * 500}")
            await asyncio.sleep(0.02)

    async def sum(self, requests, context):
        names = [request.value async for request in requests]
        self.seen[names[0]] += 1
        return StringValue(value=str(len(names)))

    async def chat(self, requests, context):
        async for request in requests:
            self.seen[request.value] += 1
            yield request


WIRES = [
    ChannelOptions(),
    ChannelOptions(protocol="connect"),
    ChannelOptions(protocol="connect", http1=True, codec="json"),
    ChannelOptions(protocol="grpc-web", http1=True),
    ChannelOptions(compression="gzip", keepalive_time=1.0, keepalive_timeout=1.0),
]


async def call(channel, method, name, options):
    """Make one call and return how many responses it had; a wrong response fails the test."""
    request = StringValue(value=name)
    if method.kind is Kind.UNARY:
        assert (await channel.unary(method, request, **options)).value == name
        return 1
    if method.kind is Kind.CLIENT_STREAM:
        requests = [request, *(StringValue(value=f"{name}.{n}") for n in range(9))]
        assert (await channel.client_stream(method, requests, **options)).value == "10"
        return 1
    if method.kind is Kind.SERVER_STREAM:
        numbers = [
            int(response.value.split()[0]) async for response in channel.server_stream(method, request, **options)
        ]
        assert numbers == list(range(20)), "a stream that ends well is complete and in order"
        return 20
    async with channel.bidi(method, **options) as exchange:
        for number in range(5):
            await exchange.send(StringValue(value=f"{name}.{number}"))
            answer = await exchange.receive()
            if answer is None:
                raise AssertionError("the stream ended well in the middle")
            assert answer.value == f"{name}.{number}"
        await exchange.done()
        assert await exchange.receive() is None
    return 5


def one_world(seed):
    """Run one world; return how its calls ended."""
    rng = random.Random(f"worlds {seed}")
    seen = collections.Counter()
    ended = []

    async def server():
        running = Server([Service(seen, random.Random(rng.random()))], options=ServerOptions(keepalive_time=2.0))
        await running.listen("tcp://:7000")
        await running.serve_forever()

    async def client(label, options, plans):
        loop = asyncio.get_running_loop()
        host = "dns:///server:7000" if rng.random() < 0.3 else "tcp://server:7000"

        async def one(channel, number, method, timeout, ready, delay):
            await asyncio.sleep(delay)
            name = f"{seed}.{label}.{number}"
            started = loop.time()
            try:
                await call(channel, method, name, {"timeout": timeout, "wait_for_ready": ready})
                outcome = Code.OK
            except RpcError as error:
                outcome = error.code
            late = loop.time() - started - timeout
            assert late <= LATE, f"{method.name} ended {late:.3f} s after its deadline: {outcome}"
            ended.append((method, name, outcome))

        async with Channel(host, options=options) as channel, asyncio.TaskGroup() as group:
            for number, plan in enumerate(plans):
                group.create_task(one(channel, number, *plan))

    def plan():
        timeout = rng.choice([0.2, 1.0, 3.0, 10.0])
        return rng.choice(METHODS), timeout, rng.random() < 0.5, rng.uniform(0, 12)

    with World(seed, output=lambda host, stream, line: None) as world:
        hosts = {name: world.host(name) for name in ("server", "one", "two")}
        for name in hosts:
            world.link(
                name, latency=rng.uniform(0.001, 0.1), jitter=0.002, loss=rng.choice([0, 0.02, 0.1]), reorder=0.01
            )
        hosts["server"].run(server, daemon=True, restart="always")
        for label in ("one", "two"):
            hosts[label].run(client, label, rng.choice(WIRES), [plan() for _ in range(12)], start=0.5)
        for _ in range(rng.randrange(4)):
            when = rng.uniform(1, 12)
            if rng.random() < 0.5:
                world.at(when, world.partition, rng.choice(["server", "one", "two"]))
                world.at(when + rng.uniform(0.1, 5), world.heal)
            else:
                world.at(when, hosts["server"].crash)
                world.at(when + rng.uniform(0.01, 3), hosts["server"].restart)
        world.run(120)
        assert world.finished, "a call hangs"
    for method, name, outcome in ended:
        if method is ONCE or method is SUM:
            assert seen[name] <= 1, f"{method.name} {name} was carried out {seen[name]} times"
        if outcome is Code.OK and method in (ONCE, AGAIN, COUNT, SUM):
            assert seen[name] >= 1, "an answer nobody gave"
    assert len(ended) == 24
    return ended


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_call_ends_in_time_and_once(first):
    outcomes = collections.Counter()
    for seed in range(first, min(first + CHUNK, SEEDS)):
        outcomes.update(outcome for _, _, outcome in one_world(seed))
    # Worlds in which everything or nothing succeeds would prove little.
    assert outcomes[Code.OK] > 20
    assert outcomes[Code.DEADLINE_EXCEEDED] + outcomes[Code.UNAVAILABLE] > 5
    assert set(outcomes) <= {Code.OK, Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE, Code.INTERNAL}, outcomes


def test_the_same_seed_gives_the_same_outcomes():
    assert [row[1:] for row in one_world(3)] == [row[1:] for row in one_world(3)]


def test_keepalive_ends_a_stream_without_deadline():
    """The server is cut off for good; nothing but a ping can find out."""
    seen = []

    async def server():
        running = Server([Service(collections.Counter(), random.Random(1))])
        await running.listen("tcp://:7000")
        await running.serve_forever()

    async def client():
        loop = asyncio.get_running_loop()
        options = ChannelOptions(keepalive_time=2.0, keepalive_timeout=1.0)
        async with Channel("tcp://server:7000", options=options) as channel, channel.bidi(CHAT) as chat:
            await chat.send(StringValue(value="hello"))
            assert (await chat.receive()).value == "hello"
            with pytest.raises(RpcError) as caught:
                await chat.receive()
            seen.append((caught.value.code, loop.time()))

    with World(1) as world:
        world.host("server").run(server, daemon=True)
        world.host("client").run(client, start=0.5)
        world.at(2.0, world.partition, "server")
        started = world.now
        world.run(120)
    ((code, _),) = seen
    assert code is Code.UNAVAILABLE
    assert world.processes[1].ended_at - started < 8


def test_a_drained_server_lets_calls_end_and_another_takes_over():
    """GOAWAY: a stream that runs goes on, new calls go to the server that has taken the port."""
    ended = collections.Counter()

    async def first():
        server = Server([Service(ended, random.Random(1))])
        await server.listen("tcp://:7000")
        await asyncio.sleep(3.0)
        await server.drain(grace=10.0)
        ended["drained"] += 1

    async def second():
        server = Server([Service(ended, random.Random(2))])
        await server.listen("tcp://:7000")
        await server.serve_forever()

    async def stream(channel):
        async with channel.bidi(CHAT, timeout=20.0) as chat:
            for number in range(50):
                await chat.send(StringValue(value=f"chat {number}"))
                assert (await chat.receive()).value == f"chat {number}"
                await asyncio.sleep(0.1)
            await chat.done()
            assert await chat.receive() is None
        ended["streams"] += 1

    async def client():
        async with Channel("tcp://server:7000") as channel, asyncio.TaskGroup() as group:
            group.create_task(stream(channel))
            for number in range(50):
                await channel.unary(ONCE, StringValue(value=f"call {number}"), timeout=5.0, wait_for_ready=True)
                await asyncio.sleep(0.1)

    with World(4) as world:
        world.host("server").run(first)
        world.host("server").run(second, daemon=True, start=3.2)
        world.host("client").run(client, start=0.5)
        for name in ("server", "client"):
            world.link(name, latency=0.01)
        world.run(120)
    assert (ended["streams"], ended["drained"]) == (1, 1)
    assert all(ended[f"call {number}"] == 1 for number in range(50))


@pytest.mark.parametrize("scheme", ["tcp", "session+grpc"])
def test_a_world_ends_when_its_callers_have_ended(scheme):
    """A server that nobody has declared one sleeps while nobody is there, and its timers hold no world open."""
    seen = collections.Counter()

    async def server():
        running = Server([Service(seen, random.Random(1))])
        await running.listen(f"{scheme}://:7000")
        await running.serve_forever()

    async def client():
        async with Channel(f"{scheme}://server:7000") as channel:
            assert (await channel.unary(ONCE, StringValue(value="hello"))).value == "hello"

    with World(1) as world:
        world.host("server").run(server)
        world.host("client").run(client, start=0.5)
        ended = world.run()
        assert world.over
    assert seen == {"hello": 1}
    assert ended < 60
