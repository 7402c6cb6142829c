"""The client in worlds: lossy links, a server that is away for a while, and always the same."""

import asyncio
import hashlib
import io
import random

import pytest

from catenet.http.client.client import Client
from catenet.http.client.errors import RequestError
from catenet.http.client.timeouts import Timeouts
from catenet.http.sync import Client as SyncClient
from catenet.world import World

SIZE = 120_000
BODY = random.Random(1).randbytes(SIZE)


async def serve(host=None):
    async def handle(reader, writer):
        while block := await reader.readuntil(b"\r\n\r\n"):
            length = next((int(line[15:]) for line in block.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            answer = hashlib.sha256(body).hexdigest().encode() if block.startswith(b"PUT") else BODY
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            await writer.drain()

    async def quietly(reader, writer):
        try:
            await handle(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    await (await asyncio.start_server(quietly, host, 80)).serve_forever()


def simulate(work, seed=1, loss="3%", during=None):
    results = []
    with World(seed) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="15ms", loss=loss, reorder="1%")
        world.hosts["server"].run(lambda: asyncio.run(serve()), daemon=True)
        world.hosts["client"].run(lambda: results.append(work()), start=0.1)
        if during is not None:
            during(world)
        world.run(600)
        return results[0], world.trace.hexdigest()


async def exchange(url):
    async with Client(timeout=Timeouts(read=120, write=120)) as client:
        async with client.stream("GET", url) as response:
            received = b"".join([piece async for piece in response])
        sent = await client.put(url, content=io.BytesIO(BODY))
        known = await client.put(url, content=BODY)
        many = await asyncio.gather(*[client.get(url) for _ in range(5)])
        return received == BODY, known.text, sent.text == known.text, [one.content == BODY for one in many]


@pytest.mark.parametrize("seed", [1, 2])
def test_whole_bodies_over_lossy_links(seed):
    (down, up, same, many), _ = simulate(lambda: asyncio.run(exchange("http://server/")), seed)
    assert down and up == hashlib.sha256(BODY).hexdigest() and same and many == [True] * 5


def test_the_seed_decides_everything():
    def once(seed):
        return simulate(lambda: asyncio.run(exchange("http://10.0.0.1/")), seed)[1]

    assert once(7) == once(7) != once(8)


def test_without_await():
    def work():
        with SyncClient() as client:
            return [client.get("http://server/").content == BODY for _ in range(2)]

    assert simulate(work)[0] == [True, True]


def test_a_partition_is_a_clear_error_and_passes():
    """The server is out of reach for a minute inside a download."""

    async def main():
        async with Client(timeout=Timeouts(connect=5, read=10)) as client:
            outcomes = []
            for _ in range(12):
                try:
                    outcomes.append(len((await client.get("http://server/")).content))
                except RequestError as error:
                    outcomes.append(type(error).__name__)
                await asyncio.sleep(5)
            return outcomes

    def during(world):
        world.at(2.0, lambda: world.link("server", loss="100%"))
        world.at(40.0, lambda: world.link("server", loss="0%"))

    outcomes, _ = simulate(lambda: asyncio.run(main()), during=during)
    assert outcomes[0] == SIZE and outcomes[-1] == SIZE and "RequestTimeout" in outcomes
    assert set(outcomes) <= {SIZE, "RequestTimeout", "ConnectFailed", "ConnectionLost"}
