"""The line protocol in worlds: another IP version, TLS, Unix sockets, loss, partitions; the same every time."""

import asyncio
import ssl

import pytest
import trustme
from line_echo import LineCore

from catenet.net import ConnectError, ServerLimits, connect, serve
from catenet.world import World

pytestmark = pytest.mark.slow(10)

LINES = 200


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("server", "10.0.0.1", "fd00::1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def simulate(server_main, client_main, seed=1, loss="2%"):
    """Run both, on two hosts 30 ms apart; return what the client returned, virtual time, and the trace's hash."""
    results = []
    with World(seed) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="15ms", loss=loss, reorder="1%")
        world.hosts["server"].run(lambda: asyncio.run(server_main()), daemon=True)
        world.hosts["client"].run(lambda: results.append(asyncio.run(client_main())), start=0.1)
        world.run(600)
        assert all(process.status == 0 for process in world.processes if not process.daemon)
        return results[0], world.now, world.trace.hexdigest()


def server_of(*urls, **options):
    async def main():
        async with await serve(LineCore, urls, **options) as server:
            await server.serve_forever()

    return main


def client_of(url, **options):
    async def main():
        async with await connect(LineCore(echo=False), url, **options) as connection:
            for number in range(LINES):
                connection.core.send(b"%d" % number)
                connection.touch()
                if number % 20 == 0:
                    await asyncio.sleep(0.01)
            return [int(await connection.next_event()) for _ in range(LINES)]

    return main


@pytest.mark.parametrize("url", ["tcp://10.0.0.1:7", "tcp://[fd00::1]:7", "tls://10.0.0.1:8", "tls://[fd00::1]:8"])
def test_lines_come_back_over_a_lossy_network(url, contexts):
    server = server_of("tcp://:7", "tls://:8", tls=contexts[0])
    lines, _, _ = simulate(server, client_of(url, tls=contexts[1]))
    assert lines == list(range(LINES))


@pytest.mark.parametrize("url", ["tcp://server:7", "unix:/tmp/line-echo.sock"])
def test_the_seed_decides_everything(url, tmp_path):
    def once(seed):
        path = url.replace("/tmp", str(tmp_path))
        if url.startswith("tcp"):
            return simulate(server_of("tcp://:7"), client_of(path), seed)

        async def both():
            async with await serve(LineCore, path):
                return await client_of(path)()

        async def idle():
            pass

        return simulate(idle, both, seed)

    assert once(1) == once(1)
    if url.startswith("tcp"):
        assert once(1)[2] != once(2)[2]


def test_a_limit_and_a_drain_in_virtual_time():
    async def server():
        limits = ServerLimits(handshake_timeout=5.0, max_connections=2)
        server = await serve(LineCore, "tcp://:7", limits=limits)
        await asyncio.sleep(20)
        await server.drain(grace=10)

    async def client():
        loop = asyncio.get_running_loop()
        start = loop.time()
        silent = [await connect(LineCore(echo=False), "tcp://server:7") for _ in range(2)]
        third = await connect(LineCore(echo=False), "tcp://server:7")
        third.core.send(b"x")
        third.flush()
        assert await third.next_event() == b"x"
        entered = loop.time() - start
        ends = []
        for connection in silent:
            await connection.wait_closed()
            ends.append(loop.time() - start)
        assert [line async for line in third] == [b"bye"]
        drained = loop.time() - start
        with pytest.raises(ConnectError, match="Connection refused"):
            await connect(LineCore(echo=False), "tcp://server:7")
        return entered, ends, drained

    (entered, ends, drained), _, _ = simulate(server, client, loss="0")
    assert 5.0 <= entered < 7.0 and all(5.0 <= end < 7.0 for end in ends), "two who said nothing made room"
    assert 19.5 <= drained < 20.5


async def ask(connection, line):
    connection.core.send(line)
    await connection.drained()
    return await connection.next_event()


def test_a_line_that_is_begun_must_be_finished():
    async def server():
        await (await serve(LineCore, "tcp://:7", limits=ServerLimits(handshake_timeout=5.0))).serve_forever()

    async def client():
        slow, quiet = [await connect(LineCore(echo=False), "tcp://server:7") for _ in range(2)]
        assert [await ask(one, b"x") for one in (slow, quiet)] == [b"x", b"x"]
        start = asyncio.get_running_loop().time()
        slow.transport.write(b"part of a line")
        await slow.wait_closed()
        late = asyncio.get_running_loop().time() - start
        await asyncio.sleep(600 - 100)
        return late, await ask(quiet, b"silence between two lines is no debt")

    (late, answer), _, _ = simulate(server, client)
    assert 5.0 <= late < 8.0 and answer == b"silence between two lines is no debt"


def test_a_slow_line_that_keeps_its_pace_is_served():
    async def server():
        limits = ServerLimits(handshake_timeout=5.0, min_rate=10.0)
        await (await serve(LineCore, "tcp://:7", limits=limits)).serve_forever()

    async def client():
        ends = []
        for rate in (12, 2):
            connection = await connect(LineCore(echo=False), "tcp://server:7")
            assert await ask(connection, b"x") == b"x"
            for _ in range(40):
                await asyncio.sleep(1)
                if connection.transport is not None:
                    connection.transport.write(b"x" * rate)
            if connection.transport is None:
                ends.append("given up")
            else:
                connection.transport.write(b"\n")
                ends.append(len(await connection.next_event()))
        return ends

    assert simulate(server, client)[0] == [480, "given up"]


@pytest.mark.parametrize(("limits", "when"), [({"max_idle": 20.0}, 20.0), ({"max_age": 30.0}, 30.0)])
def test_idle_and_old_connections_are_drained(limits, when):
    async def server():
        await (await serve(LineCore, "tcp://:7", limits=ServerLimits(**limits))).serve_forever()

    async def client():
        connection = await connect(LineCore(echo=False), "tcp://server:7")
        assert await ask(connection, b"x") == b"x"
        start = asyncio.get_running_loop().time()
        assert [line async for line in connection] == [b"bye"]
        return asyncio.get_running_loop().time() - start

    assert when - 0.1 < simulate(server, client, loss="0")[0] < when + 3


def test_deadlines_of_a_core():
    async def server():
        await (await serve(lambda: LineCore(idle=10.0), "tcp://:7")).serve_forever()

    async def client():
        connection = await connect(LineCore(echo=False), "tcp://server:7")
        for number in range(5):
            await asyncio.sleep(9)
            assert await ask(connection, b"%d" % number) == b"%d" % number
        start = asyncio.get_running_loop().time()
        assert [line async for line in connection] == [b"idle"]
        return asyncio.get_running_loop().time() - start

    assert 9.9 < simulate(server, client, loss="0")[0] < 10.1


def test_nobody_is_there():
    async def server():
        await asyncio.sleep(3600)

    async def client():
        with pytest.raises(ConnectError, match=r"cannot connect to tcp://10\.0\.0\.99:7: (no answer in 3 s|No route)"):
            await connect(LineCore(echo=False), "tcp://10.0.0.99:7", connect_timeout=3.0)
        return True

    assert simulate(server, client)[0]


def test_happy_eyeballs_come_to_the_family_that_answers():
    """The name has addresses of both IP versions; the server listens on IPv4 alone."""
    lines, _, _ = simulate(server_of("tcp://10.0.0.1:7"), client_of("tcp://server:7"))
    assert lines == list(range(LINES))
