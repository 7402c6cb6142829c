"""What strangers may cost a server: slow heads and bodies, bodies nobody reads, answers nobody takes, work left behind.

In virtual time, in worlds.
"""

import asyncio

import h2.config
import h2.connection
from tests.http.server.wire import raw

from catenet.http import HttpLimits, serve
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead
from catenet.world import World

OK = ResponseHead(200, ((b"content-type", b"text/plain"),))


def simulate(handler, client, limits=None, until=600):
    """Run the server on one host and the client on another; return what the client returned, and the server."""
    results, servers = [], []

    async def server():
        servers.append(await serve(handler, "http://:80", limits=limits, interface="exchange"))
        await servers[0].serve_forever()

    with World(1) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="5ms")
        world.hosts["server"].run(lambda: asyncio.run(server()), daemon=True)
        world.hosts["client"].run(lambda: results.append(asyncio.run(client())), start=0.1)
        world.run(until)
        assert [process.status for process in world.processes if not process.daemon] == [0]
    return results[0], servers[0]


async def reads(exchange):
    size = 0
    while piece := await exchange.read():
        size += len(piece)
    await exchange.reply(OK, b"%d" % size)


async def until_closed(client, piece, interval, most=200):
    """Send a piece at intervals; return when the server had enough, and what it said."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    told = asyncio.ensure_future(client.reader.read())
    while not told.done() and loop.time() - start < most:
        client.send(piece)
        await asyncio.wait([told], timeout=interval)
    return loop.time() - start, (await told if told.done() else None)


def test_a_head_in_drops():
    async def client():
        one = await raw("http://server:80")
        one.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        return await until_closed(one, b"X-Slow: 1\r\n", 1.0)

    (seconds, told), _ = simulate(reads, client)
    assert 9 < seconds < 13 and told.startswith(b"HTTP/1.1 408 ")


def test_a_body_in_drops():
    async def client():
        one = await raw("http://server:80")
        one.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        return await until_closed(one, b"x" * 10, 1.0)

    (seconds, told), _ = simulate(reads, client)
    assert 9 < seconds < 20 and told.startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_that_keeps_the_pace():
    async def client():
        one = await raw("http://server:80")
        one.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
        for _ in range(60):
            one.send(b"x" * 1000)
            await asyncio.sleep(1)
        return (await one.response())[2]

    assert simulate(reads, client)[0] == b"60000"


def test_a_body_that_nobody_reads_is_held_back():
    async def ignores(exchange):
        await asyncio.sleep(60)
        await exchange.reply(OK, b"%d" % (1 if len(exchange.take()) <= 2 << 20 else 0))

    async def client():
        one = await raw("http://server:80")
        one.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            one.send(b"x" * 100_000)
        return (await one.response())[2]

    assert simulate(ignores, client)[0] == b"1"


def test_an_answer_that_nobody_takes_holds_its_handler_back():
    written = []

    async def pours(exchange):
        await exchange.start(OK)
        for _ in range(2000):
            await exchange.write(b"x" * 100_000)
            written.append(100_000)

    async def client():
        one = await raw("http://server:80")
        one.reader._transport.pause_reading()
        one.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(100)
        return True

    simulate(pours, client, until=150)
    assert 0 < sum(written) < 10 << 20


def test_streams_that_are_reset_do_not_pile_up_work():
    """Rapid reset (CVE-2023-44487): handlers count, not streams."""
    running, most = 0, 0

    async def slow(exchange):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(300)
        finally:
            running -= 1

    async def client():
        one = await raw("http://server:80")
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        connection.initiate_connection()
        fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x")]
        for number in range(1, 801, 2):
            connection.send_headers(number, fields, end_stream=True)
            connection.reset_stream(number)
        one.send(connection.data_to_send())
        await asyncio.sleep(20)
        return True

    simulate(slow, client, HttpLimits(http=Limits(max_streams=50)), until=60)
    assert most == 50


def test_idle_connections_are_closed():
    async def client():
        one = await raw("http://server:80")
        await one.get(fields="X: 1\r\n")
        start = asyncio.get_running_loop().time()
        assert await one.reader.read() == b""
        return asyncio.get_running_loop().time() - start

    assert 74 < simulate(reads, client)[0] < 79


def test_requests_that_are_pipelined_wait_for_those_before():
    running, most = 0, 0

    async def handler(exchange):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        await exchange.reply(OK, exchange.head.path)

    async def client():
        one = await raw("http://server:80")
        one.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(500)))
        return [int((await one.response())[2][1:]) for _ in range(500)]

    assert simulate(handler, client)[0] == list(range(500))
    assert most == 1
