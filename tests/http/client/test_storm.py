"""Hundreds of requests that end in every way, at random but the same each time: nothing is lost, nothing is left."""

import asyncio
import gc
import random

import pytest
from scripted import read_body, read_head, reply
from tests.http.client.test_http2 import echo, http2

from catenet.http.client.client import Client
from catenet.http.client.errors import RequestError
from catenet.http.client.timeouts import Timeouts
from catenet.net.pool import PoolLimits
from catenet.world import World

LIMIT = 8


async def moody(reader, writer):
    """Answers, is late, breaks off, says nonsense: as the target asks."""
    while True:
        first, fields = await read_head(reader)
        await read_body(reader, fields)
        mood = first.split()[1].strip("/")
        if mood == "late":
            await asyncio.sleep(3)
        if mood == "gone":
            return writer.transport.abort()
        if mood == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            return None
        if mood == "bad":
            writer.write(b"what?\r\n\r\n")
            return None
        if mood == "close":
            writer.write(reply(b"ok", connection="close"))
            return None
        writer.write(reply(b"x" * (30_000 if mood == "large" else 2)))


async def storm(url, versions, seed):
    draw = random.Random(seed)
    moods = ("", "late", "gone", "cut", "bad", "close", "large") if versions == "auto" else ("", "late", "large")
    outcomes = {}

    async def one(client, number):
        await asyncio.sleep(draw.random() * 5)
        mood, way = draw.choice(moods), draw.choice(("get", "stream", "leave", "post", "upload", "slow"))
        target = f"{url}/{mood}"
        try:
            if way == "get":
                await client.get(target)
            elif way == "stream" or way == "leave":
                async with client.stream("GET", target) as response:
                    async for _ in response:
                        if way == "leave":
                            break
            elif way == "slow":
                await client.get(target, timeout=Timeouts(read=draw.random()))
            else:
                pieces = [b"y" * draw.randrange(15_000) for _ in range(5)]
                await client.post(target, content=pieces if way == "upload" else b"".join(pieces))
            outcome = "done"
        except RequestError as error:
            outcome = type(error).__name__
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    async with Client(versions=versions, pool=PoolLimits(LIMIT, LIMIT, 5.0), timeout=Timeouts(pool=None)) as client:
        tasks = [asyncio.create_task(one(client, number)) for number in range(120)]
        await asyncio.sleep(2)
        for task in draw.sample(tasks, 25):
            await asyncio.sleep(0.02)
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        strange = [result for result in results if isinstance(result, Exception)]
        assert not strange, strange
        # As many as there may be at once are still to be had.
        responses = await asyncio.gather(*[client.get(url + "/") for _ in range(2 * LIMIT)])
        assert all(response.status == 200 for response in responses)
        transport = client.transport()
        busy = [one for one in transport._origins if one.busy]
        assert not busy and len(transport._origins) <= LIMIT and transport._pool.outstanding == 0
        pending = [entry for entry in transport.deadlines._heap if entry[2] is not None]
        assert not pending
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left
    return outcomes


@pytest.mark.parametrize("versions", ["auto", "2"])
@pytest.mark.parametrize("seed", [1])
def test_a_storm(versions, seed):
    results, problems = [], []

    async def serve():
        handle = moody if versions == "auto" else http2(echo)

        async def quietly(reader, writer):
            try:
                await handle(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        await (await asyncio.start_server(quietly, None, 80)).serve_forever()

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        results.append(await storm("http://10.0.0.1", versions, seed))
        gc.collect()

    with World(seed) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="10ms", loss="1%")
        world.hosts["server"].run(lambda: asyncio.run(serve()), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(main()), start=0.1)
        world.run(300)
        assert all(process.status == 0 for process in world.processes if not process.daemon)
    assert results[0]["done"] > 20 and not problems, (results, problems)
