"""Several servers in worlds: restarts one after another, one that is cut off, one that vanishes behind a NAT.

`CATENET_SEEDS=2000 pytest tests/rpc/worlds` tries more worlds.
"""

import asyncio
import collections
import itertools
import os
import random
from dataclasses import replace

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from catenet.net.dial import Endpoint
from catenet.rpc import Channel, ChannelOptions, Code, Kind, Method, RpcError, Server, ServiceDescriptor
from catenet.rpc.client.names import Resolved
from catenet.rpc.client.service_config import parse_service_config
from catenet.rpc.services.health import Health
from catenet.rpc.services.load import LoadReports
from catenet.wire.address import format_address
from catenet.world import World

SEEDS = int(os.environ.get("CATENET_SEEDS", "20"))
CHUNK = 10
pytestmark = pytest.mark.slow(5)

ONCE = Method("w.Pool", "Once", Kind.UNARY, StringValue, StringValue)
FAILOVER = 40.0
"""Seconds within which a client that waits for a vanished server is told, with the usual options."""

POLICIES = [
    {"pick_first": {}},
    {"round_robin": {}},
    {"weighted_round_robin": {"blackoutPeriod": "0s"}},
    {"ring_hash": {"requestHashHeader": "x-user"}},
    {
        "outlier_detection": {
            "interval": "1s",
            "failurePercentageEjection": {"requestVolume": 3, "minimumHosts": 2},
            "maxEjectionPercent": 50,
            "childPolicy": [{"round_robin": {}}],
        }
    },
]


class Once:
    __service__ = ServiceDescriptor("w.Pool", (ONCE,))

    def __init__(self, name, seen, rng):
        self.name = name
        self.seen = seen
        self.rng = rng
        self.times = collections.deque([0.0], 50)

    def utilization(self):
        """The load is as much as there are calls."""
        now = asyncio.get_running_loop().time()
        return 0.02 * (1 + sum(now - at < 10.0 for at in self.times))

    async def once(self, request, context):
        self.times.append(asyncio.get_running_loop().time())
        self.seen[request.value, self.name] += 1
        await asyncio.sleep(self.rng.choice([0, 0.02, 0.3]))
        return StringValue(value=self.name)


async def serve(name, seen, rng, restarts=()):
    """Serve; at each time of `restarts` drain as behind a balancer, be away for a while, and serve again."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for when, away in [*restarts, (None, 0)]:
        health = Health()
        service = Once(name, seen, rng)
        server = Server([service, health], interceptors=[LoadReports(service.utilization)])
        await server.listen("tcp://:7000")
        if when is None:
            await server.serve_forever()
            return
        await asyncio.sleep(max(began + when - loop.time(), 0))
        await health.drain(server, announce=rng.choice([0.0, 0.5]), grace=5.0)
        await asyncio.sleep(away)


class Calls:
    """Makes calls at a steady pace and notes how each ended, and when it began."""

    def __init__(self, policy, health, count, pace, timeout):
        config = {"loadBalancingConfig": [policy]}
        if health:
            config["healthCheckConfig"] = {"serviceName": ""}
        self.options = ChannelOptions(service_config=parse_service_config(config))
        self.plan = (count, pace, timeout)
        self.ended = []

    async def run(self, target):
        count, pace, timeout = self.plan
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def one(channel, number):
            at = loop.time() - began
            metadata = [("x-user", str(number % 16))]
            try:
                answer = await channel.unary(ONCE, StringValue(value=str(number)), timeout=timeout, metadata=metadata)
            except RpcError as error:
                self.ended.append((number, at, error.code, str(error)))
            else:
                self.ended.append((number, at, Code.OK, answer.value))

        async with Channel(target, options=self.options) as channel, asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(channel, number))
                await asyncio.sleep(pace)


def simulate(seed, calls, restarts=None, between=lambda world: None, target=None):
    """Run three servers and a client; return which server has carried out which call."""
    rng = random.Random(f"balancing {seed}")
    seen = collections.Counter()
    with World(seed, output=lambda host, stream, line: None) as world:
        names = [f"s{number}" for number in range(3)]
        for name in (*names, "client"):
            world.host(name)
            world.link(name, latency=rng.uniform(0.001, 0.03), jitter=0.001)
        for name in names:
            plan = (restarts or {}).get(name, ())
            world.hosts[name].run(serve, name, seen, random.Random(rng.random()), plan, daemon=True)
        target = target or "ipv4:" + ",".join(f"{format_address(world.addresses(name)[0])}:7000" for name in names)
        world.hosts["client"].run(calls.run, target, start=0.5)
        between(world)
        world.run(300)
        assert world.finished, "a call hangs"
    return seen


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_call_fails_while_servers_restart_one_after_another(first):
    for seed in range(first, min(first + CHUNK, SEEDS)):
        rng = random.Random(f"restarts {seed}")
        policy = POLICIES[seed % len(POLICIES)]
        calls = Calls(policy, health=seed % 2 == 1, count=40, pace=0.25, timeout=20.0)
        at = {f"s{number}": [(1.0 + 3 * number, rng.uniform(0.1, 1.5))] for number in range(3)}
        seen = simulate(seed, calls, at)
        failed = [row for row in calls.ended if row[2] is not Code.OK]
        assert failed == [], (seed, policy)
        assert len(calls.ended) == 40 and set(seen.values()) == {1}, "each once"


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_call_fails_while_addresses_come_and_go(first):
    """A name leads to one server, two or all, others every second or so; those that are left out end what they have."""
    for seed in range(first, min(first + CHUNK, SEEDS)):
        rng = random.Random(f"addresses {seed}")
        calls = Calls(POLICIES[seed % len(POLICIES)], health=seed % 2 == 1, count=40, pace=0.2, timeout=20.0)
        plan = [rng.sample(range(3), rng.randint(1, 3)) for _ in range(30)]

        async def resolver(target, plan=plan):
            chosen = plan[int(asyncio.get_running_loop().time()) % len(plan)]
            return Resolved(tuple(Endpoint(2, (f"10.0.0.{number + 1}", 7000)) for number in chosen), 0.0)

        calls.options = replace(calls.options, resolver=resolver, resolve_floor=0.0)
        seen = simulate(seed, calls, target="dns:///pool.example:7000")
        failed = [row for row in calls.ended if row[2] is not Code.OK]
        assert failed == [] and set(seen.values()) == {1}, (seed, failed)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_calls_fail_at_a_server_that_is_cut_off_and_nowhere_else(first):
    for seed in range(first, min(first + CHUNK, SEEDS)):
        policy = POLICIES[seed % len(POLICIES)]
        calls = Calls(policy, health=seed % 2 == 1, count=48, pace=2.0, timeout=5.0)

        def between(world):
            world.at(5.0, world.partition, "s1")
            world.at(60.0, world.heal)

        seen = simulate(seed, calls, None, between)
        failed = [row for row in calls.ended if row[2] is not Code.OK]
        # The first call that is not acknowledged may come just before TCP would have asked for the peer. A ring
        # connects again when a call goes there, which waits for that as any other does.
        usual = ChannelOptions()
        told = 2 * usual.peer_timeout + (usual.connect_timeout if "ring_hash" in policy else 0)
        assert all(4.0 < at < 5.0 + told for _, at, _, _ in failed), (seed, policy, failed)
        # A third of the calls of that time went there; a ring of 16 users, or a weight, may send more to one.
        share = 0.4 if policy.keys() & {"round_robin", "outlier_detection"} else 0.75
        assert len(failed) <= told / 2.0 * share, (seed, policy, len(failed))
        if "pick_first" in policy:
            assert failed == []
        elif "ring_hash" not in policy:
            assert any(server == "s1" and at > 61 for _, at, _, server in calls.ended), (seed, policy)
        assert all(count == 1 for count in seen.values())


@pytest.mark.parametrize("waiting", ["for an answer", "for nothing"])
def test_a_server_behind_a_nat_that_loses_power_is_given_up_in_time(waiting):
    """Nobody says FIN or RST, and no PING is sent: TCP finds out, and a call that waits is told."""
    seen = collections.Counter()
    told = []

    class Slow(Once):
        async def once(self, request, context):
            if request.value == "slow" and self.name == "home":
                await asyncio.sleep(1e6)
            return await super().once(request, context)

    async def slow(name):
        server = Server([Slow(name, seen, random.Random(1))])
        await server.listen("tcp://:7000")
        await server.serve_forever()

    async def client(target):
        loop = asyncio.get_running_loop()
        options = ChannelOptions(balancing="pick_first")
        async with Channel(target, options=options) as channel:
            assert (await channel.unary(ONCE, StringValue(value="first"))).value == "home"
            if waiting == "for nothing":
                await asyncio.sleep(4.0)  # the power goes meanwhile
            began = loop.time()
            with pytest.raises(RpcError) as caught:
                await channel.unary(ONCE, StringValue(value="slow"))
            told.append((caught.value.code, loop.time() - began))
            assert (await channel.unary(ONCE, StringValue(value="again"), timeout=5.0)).value == "spare"

    with World(7, output=lambda host, stream, line: None) as world:
        world.network("wan", "203.0.113.0/24")
        world.network("inside", "192.168.1.0/24")
        world.host("router", ["203.0.113.1", "192.168.1.1"], network=["wan", "inside"], forwarding=True)
        world.host("home", "192.168.1.7", network="inside").run(slow, "home", daemon=True)
        world.nat("router", outside="wan", forward=["tcp 7000 -> home:7000"])
        world.host("spare", "203.0.113.7", network="wan").run(slow, "spare", daemon=True)
        world.host("client", "203.0.113.9", network="wan")
        target = "ipv4:203.0.113.1:7000,203.0.113.7:7000"
        world.hosts["client"].run(client, target, start=0.5)
        world.at(3.0, world.partition, "home")
        world.run(300)
    ((code, after),) = told
    assert code is Code.UNAVAILABLE and after < FAILOVER


@pytest.mark.parametrize("scheme", ["dns:///", "tcp://"])
def test_a_server_that_moves_to_another_address_is_found_again(scheme):
    answered = []

    async def client():
        loop = asyncio.get_running_loop()
        async with Channel(f"{scheme}server:7000") as channel:
            for number in range(60):
                try:
                    await channel.unary(ONCE, StringValue(value=str(number)), timeout=1.0)
                except RpcError:
                    pass
                else:
                    answered.append(loop.time())
                await asyncio.sleep(1.0)

    with World(3, output=lambda host, stream, line: None) as world:
        world.host("server").run(serve, "server", collections.Counter(), random.Random(1), daemon=True)
        world.host("client").run(client, start=0.5)
        world.at(5.0, world.renumber, "server", "10.0.0.77")
        world.run(300)
    pauses = [after - before for before, after in itertools.pairwise(answered)]
    assert len(answered) > 20 and 1.5 < max(pauses) < FAILOVER


def test_pings_are_never_more_frequent_than_servers_of_grpc_take():
    """C's and Go's take one in five minutes while a call runs, and none without one (gRFC A8)."""
    pings = []
    settings, pong = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), bytes((0, 0, 8, 6, 1, 0, 0, 0, 0))

    async def silent(reader, writer):
        """Answers PINGs, and nothing else."""
        writer.write(settings)
        await reader.readexactly(24)
        while head := await reader.read(9):
            data = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == 6 and not head[4]:
                pings.append(asyncio.get_running_loop().time())
                writer.write(pong + data)

    async def server():
        async with await asyncio.start_server(silent, "", 7000) as listening:
            await listening.serve_forever()

    async def client():
        async with Channel("tcp://server:7000") as channel:
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary(ONCE, StringValue(), timeout=3600.0)
            await asyncio.sleep(7200.0)

    with World(1, output=lambda host, stream, line: None) as world:
        for name, program in (("server", server), ("client", client)):
            world.host(name).run(program, daemon=name == "server", start=0.1 if name == "client" else 0)
            world.link(name, latency=0.05, jitter=0.04)
        world.run(12_000)
    assert 8 <= len(pings) <= 10, pings
    assert min(after - before for before, after in itertools.pairwise(pings)) > 330
