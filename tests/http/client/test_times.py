"""Timeouts of each phase and of the whole, in virtual time: to the second, whatever the machine is doing."""

import asyncio

import pytest
from scripted import read_head, reply

from catenet.http.client.client import Client
from catenet.http.client.errors import RequestTimeout
from catenet.http.client.timeouts import Timeouts
from catenet.net.pool import PoolLimits
from catenet.world import World

NEVER = Timeouts(None, None, None, None)


def simulate(handle, work, *, hosts=("server", "client"), latency="10ms", seed=1):
    """A server that does as `handle` says, and a client 20 ms away; return what `work(url)` returns."""
    results = []

    async def serve():
        await (await asyncio.start_server(handle, None, 80)).serve_forever()

    with World(seed) as world:
        for name in hosts:
            world.host(name)
            world.link(name, latency=latency)
        world.hosts["server"].run(lambda: asyncio.run(serve()), daemon=True)
        world.hosts["client"].run(lambda: results.append(asyncio.run(work("http://10.0.0.1/"))), start=0.1)
        world.run(600)
    return results[0]


def timed(call, **expected):
    """What `call(client, url)` raises, and after how many seconds."""

    def work_of(**options):
        async def work(url):
            loop = asyncio.get_running_loop()
            async with Client(**options) as client:
                start = loop.time()
                try:
                    result = await call(client, url)
                except RequestTimeout as error:
                    result = error.phase
                return result, loop.time() - start

        return work

    return work_of


async def get(client, url, **options):
    return (await client.get(url, **options)).content


async def silent(reader, writer):
    await read_head(reader)
    await asyncio.sleep(3600)


async def slow(reader, writer):
    """A body of twenty bytes, one in a second."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    for _ in range(20):
        await asyncio.sleep(1)
        writer.write(b"x")


@pytest.mark.parametrize(
    ("handle", "timeout", "phase", "seconds"),
    [
        (silent, Timeouts(read=5), "read", 5.1),
        (silent, 7.0, "total", 7.0),
        (slow, Timeouts(read=5), b"x" * 20, 20.1),
        (slow, Timeouts(read=0.5), "read", 0.6),
        (slow, 7.0, "total", 7.0),
        (slow, NEVER, b"x" * 20, 20.1),
        (slow, None, b"x" * 20, 20.1),
    ],
)
@pytest.mark.parametrize("of_client", [True, False])
def test_read_and_total(handle, timeout, phase, seconds, of_client):
    options, call = ({"timeout": timeout}, get) if of_client else ({}, lambda c, u: get(c, u, timeout=timeout))
    result, took = simulate(handle, timed(call)(**options))
    assert result == phase and abs(took - seconds) < 0.2


def test_nobody_answers_the_connection():
    async def call(client, url):
        return await get(client, "http://10.0.0.77/")

    result, took = simulate(silent, timed(call)(timeout=Timeouts(connect=3)))
    assert result == "connect" and abs(took - 3) < 0.1

    async def shorter(client, url):
        return await get(client, "http://10.0.0.77/", timeout=Timeouts(connect=2))

    result, took = simulate(silent, timed(shorter)(timeout=Timeouts(connect=5)))
    assert result == "connect" and abs(took - 2) < 0.1


def test_waiting_for_the_pool():
    async def call(client, url):
        busy = asyncio.create_task(client.get(url))
        await asyncio.sleep(1)
        try:
            return await get(client, url)
        finally:
            busy.cancel()

    options = {"timeout": Timeouts(pool=4, read=None), "pool": PoolLimits(max_connections=1)}
    result, took = simulate(silent, timed(call)(**options))
    assert result == "pool" and abs(took - 5) < 0.2


def test_a_server_that_takes_nothing():
    async def deaf(reader, writer):
        await read_head(reader)
        writer.transport.pause_reading()
        await asyncio.sleep(3600)

    def pieces():
        while True:
            yield b"x" * 65536

    async def call(client, url):
        return await client.post(url, content=pieces())

    result, took = simulate(deaf, timed(call)(timeout=Timeouts(write=6, read=60)))
    assert result == "write" and 6 <= took < 60


def test_a_program_that_reads_slowly_is_no_slow_server():
    async def at_once(reader, writer):
        await read_head(reader)
        writer.write(reply(b"x" * 3_000_000))
        await writer.drain()

    async def call(client, url):
        total = 0
        async with client.stream("GET", url) as response:
            async for piece in response:
                total += len(piece)
                await asyncio.sleep(3)
        return total

    result, took = simulate(at_once, timed(call)(timeout=Timeouts(read=2)))
    assert result == 3_000_000 and took > 10


def test_total_counts_redirects_and_repetitions():
    async def around(reader, writer):
        for number in range(10):
            await read_head(reader)
            await asyncio.sleep(1)
            writer.write(reply(b"", "302 Found", location=f"/{number}"))

    result, took = simulate(around, timed(get)(timeout=5.5))
    assert result == "total" and abs(took - 5.5) < 0.1


def test_the_answer_that_comes_in_time_leaves_no_timer():
    async def quick(reader, writer):
        while True:
            await read_head(reader)
            writer.write(reply(b"ok"))

    async def call(client, url):
        for _ in range(500):
            await get(client, url)
        return len(client.transport().deadlines)

    left, _ = simulate(quick, timed(call)(timeout=5.0))
    assert left < 200


def test_a_timeout_of_the_kernels_is_told_as_such(monkeypatch):
    from catenet.http.client import dialling
    from catenet.http.client.errors import ConnectFailed

    async def late(*_):
        raise TimeoutError(110, "Connection timed out")

    async def main(timeout):
        async with Client(timeout=timeout) as client:
            await client.get("http://192.0.2.1/")

    monkeypatch.setattr(dialling.dial, "connect", late)
    for timeout in (Timeouts(), Timeouts(connect=None)):
        with pytest.raises(ConnectFailed, match="Connection timed out"):
            asyncio.run(main(timeout))
