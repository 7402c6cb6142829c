"""Sessions in worlds: random seeds (thousands in `make long`), and what a connection costs in virtual time."""

import asyncio
import os
import time

import pytest
from tests.session.worlds import run_seed

from catenet import session
from catenet.world import World

pytestmark = pytest.mark.slow(10)


@pytest.mark.parametrize("seed", range(1, 21))
def test_random_worlds(seed):
    assert run_seed(seed, 60_000).faults == []


def simulate(server_main, client_main, *, seed=1, trouble=lambda world: None, latency="25ms"):
    results = []
    with World(seed) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency=latency)
        trouble(world)
        world.hosts["server"].run(lambda: asyncio.run(server_main()), daemon=True)
        world.hosts["client"].run(lambda: results.append(asyncio.run(client_main())), start=0.1)
        world.run(8 * 3600)
        return results[0], world.trace.hexdigest()


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def serve():
    async with await session.serve(echo, "session+tcp://:7") as server:
        await server.serve_forever()


def test_data_waits_for_tcp_and_nothing_else():
    """100 ms a round trip: one for TCP, and the answer to what was sent with RESUME comes after one more."""

    async def client():
        loop = asyncio.get_running_loop()
        reader, writer = await session.connect("session+tcp://server:7")
        writer.write(b"1")
        assert await reader.read(1) == b"1"
        await asyncio.sleep(1)
        writer.transport.connection.abort()
        begun = loop.time()
        writer.write(b"2")
        assert await reader.read(1) == b"2"
        return loop.time() - begun

    took, _ = simulate(serve, client)
    assert 0.2 <= took < 0.21


def test_hours_without_a_network():
    async def client():
        begun = asyncio.get_running_loop().time()
        reader, writer = await session.connect("session+tcp://server:7")
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        await asyncio.sleep(100)
        writer.write(b"meanwhile")
        assert await reader.readexactly(9) == b"meanwhile"
        assert writer.session.connections > 1
        return asyncio.get_running_loop().time() - begun

    def trouble(world):
        world.at(20, world.partition, "client", "server")
        world.at(3600, world.heal)

    when, _ = simulate(serve, client, trouble=trouble)
    assert 3599 < when < 3600 + 60


def test_a_session_expires():
    async def client():
        begun = asyncio.get_running_loop().time()
        reader, writer = await session.connect("session+tcp://server:7", expiry=600)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        with pytest.raises(session.SessionLost) as caught:
            await reader.read(1)
        return caught.value.acknowledged, asyncio.get_running_loop().time() - begun

    def trouble(world):
        world.at(20, world.partition, "client", "server")

    (acknowledged, when), _ = simulate(serve, client, trouble=trouble)
    assert acknowledged == 6 and 620 < when < 1000


def push(after):
    """A server that says something once, some time after a session has begun."""

    async def handler(reader, writer):
        await asyncio.sleep(after)
        writer.write(b"news")
        await reader.read()

    async def main():
        async with await session.serve(handler, "session+tcp://:7") as server:
            await server.serve_forever()

    return main


def test_a_machine_that_wakes_up_connects_again_at_once():
    """Nothing is to be sent, so that no silence is suspicious: only the clocks tell that the machine has slept."""

    async def client():
        begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        reader, writer = await session.connect("session+tcp://server:7")
        assert await reader.readexactly(4) == b"news"
        return writer.session.connections, time.clock_gettime(time.CLOCK_BOOTTIME) - begun

    def trouble(world):
        world.at(10, world.pause, "client")
        world.at(7210, world.resume, "client")

    (connections, took), _ = simulate(push(1000), client, trouble=trouble)
    assert connections == 2 and 7200 < took < 7214


def test_a_clock_that_is_set_is_no_sleep():
    async def client():
        _, writer = await session.connect("session+tcp://server:7")
        await asyncio.sleep(60)
        return writer.session.connections

    def trouble(world):
        world.at(10, world.hosts["client"].step_clock, 3600.0)

    assert simulate(push(5), client, trouble=trouble)[0] == 1


def test_heartbeats_become_rare_where_nothing_breaks():
    async def client():
        _, writer = await session.connect("session+tcp://server:7")
        await asyncio.sleep(2000)
        return writer.session.heartbeat, writer.session.connections

    assert simulate(serve, client)[0] == (120.0, 1)


def test_the_seed_decides_everything():
    async def client():
        reader, writer = await session.connect("session+tcp://server:7")
        text = os.urandom(10_000)
        writer.write(text)
        writer.transport.connection.abort()
        assert await reader.readexactly(10_000) == text

    assert (
        simulate(serve, client, seed=4)[1] == simulate(serve, client, seed=4)[1] != simulate(serve, client, seed=5)[1]
    )
