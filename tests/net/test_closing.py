"""Connections come to their end, whatever their peers do: TLS that is never ended, output that is never read."""

import asyncio
import ssl

import pytest
import trustme
import uvloop
from line_echo import LineCore

from catenet.net import ServerLimits, connect, serve
from catenet.world import World

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
MANY = 300_000


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("server", "localhost", "127.0.0.1", "::1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


class HalfTls(asyncio.Protocol):
    """A peer that does the handshake of TLS and answers lines, but never the end of TLS."""

    def __init__(self, context, server_name=None):
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_name is None, server_hostname=server_name)
        self.ready = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.data_received(b"")

    def data_received(self, data):
        self._in.write(data)
        try:
            if not self.ready.done():
                self._tls.do_handshake()
                self.ready.set_result(None)
            while line := self._tls.read(1000):
                self._tls.write(line)
        except ssl.SSLWantReadError:
            pass
        self.transport.write(self._out.read())

    def connection_lost(self, error):
        self.lost.set_result(None)


def simulate(server_main, client_main, **link):
    """Run both on two hosts; return what the client returned."""
    results = []
    with World(1) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="5ms", **link)
        world.hosts["server"].run(lambda: asyncio.run(server_main()), daemon=True)
        world.hosts["client"].run(lambda: results.append(asyncio.run(client_main())), start=0.1)
        world.run(600)
    return results[0]


# TLS.


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1"])
def test_a_client_does_not_wait_for_a_server_that_never_ends_tls(contexts, host):
    async def server():
        listening = await asyncio.get_running_loop().create_server(lambda: HalfTls(contexts[0]), host, 7)
        await listening.serve_forever()

    async def client():
        target = f"tls://[{host}]:7" if ":" in host else f"tls://{host}:7"
        connection = await connect(LineCore(echo=False), target, tls=contexts[1], server_name="server")
        async with connection:
            connection.core.send(b"hello")
            await connection.drained()
            assert await connection.next_event() == b"hello"
            left = asyncio.get_running_loop().time()
        return asyncio.get_running_loop().time() - left

    assert simulate(server, client) < 2.0


def test_a_server_does_not_wait_for_a_client_that_never_ends_tls(contexts):
    async def server():
        server = await serve(LineCore, "tls://:7", tls=contexts[0])
        await asyncio.sleep(5.0)
        start = asyncio.get_running_loop().time()
        await server.drain()
        drained.append(asyncio.get_running_loop().time() - start)

    async def client():
        _, peer = await asyncio.get_running_loop().create_connection(
            lambda: HalfTls(contexts[1], "server"), "10.0.0.1", 7
        )
        await peer.ready
        await peer.lost

    drained = []
    simulate(server, client)
    assert drained[0] < 4.0


def test_a_slow_reader_of_tls_gets_everything(contexts):
    """Neither side waits for a silent peer, and neither takes one that reads slowly for silent."""

    async def server():
        async def push(connection):
            connection.core.send(b"x" * MANY)

        limits = ServerLimits(handshake_timeout=20.0)
        server = await serve(lambda: LineCore(echo=False), "tls://:7", push, tls=contexts[0], limits=limits)
        await server.serve_forever()

    async def client():
        reader, writer = await asyncio.open_connection(
            "10.0.0.1", 7, ssl=contexts[1], server_hostname="server", limit=1000
        )
        received = 0
        while data := await reader.read(10_000):
            received += len(data)
            await asyncio.sleep(0.1)
        writer.close()
        return received

    assert simulate(server, client, rate="500kbit") == MANY + 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("how", ["raises", "is cancelled", "is cancelled while it leaves"])
def test_who_leaves_in_haste_does_not_wait_for_the_end_of_tls(contexts, loop, how):
    async def leave(url, inside):
        async with await connect(LineCore(echo=False), url, tls=contexts[1]) as connection:
            connection.core.send(b"hello")
            await connection.drained()
            assert await connection.next_event() == b"hello"
            inside.set()
            if how == "raises":
                raise ZeroDivisionError
            if how == "is cancelled":
                await asyncio.Event().wait()

    async def main():
        listening = await asyncio.get_running_loop().create_server(lambda: HalfTls(contexts[0]), "127.0.0.1", 0)
        inside = asyncio.Event()
        task = asyncio.ensure_future(leave(f"tls://127.0.0.1:{listening.sockets[0].getsockname()[1]}", inside))
        await inside.wait()
        if how != "raises":
            task.cancel()
        with pytest.raises(ZeroDivisionError if how == "raises" else asyncio.CancelledError):
            async with asyncio.timeout(20):
                await task
        listening.close()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
