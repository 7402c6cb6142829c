"""The line protocol in worlds: another IP version, TLS, Unix sockets, loss, partitions; the same every time."""

import asyncio
import ssl

import pytest
import trustme
from line_echo import LineCore

from catenet.net import ConnectError, ServerLimits, connect, serve
from catenet.world import World

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
