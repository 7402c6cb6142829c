"""Connections come to their end, whatever their peers do: TLS that is never ended, output that is never read."""

import asyncio
import ssl

import pytest
import trustme
from line_echo import LineCore
from loops import LOOPS

from catenet.net import Connection, ServerLimits, connect, serve, stream_server
from catenet.world import World

pytestmark = pytest.mark.slow(10)

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


# Output that is never read.


class Asked(LineCore):
    """Answers each line with a hundred; what has come in part is no debt of a peer that is not read from."""

    def _receive_line(self, line):
        super()._receive_line(line)
        for _ in range(100):
            self.send(line)


class Careful(Asked):
    """Owes nothing between two lines, as far as its server can see."""

    unfinished = False


async def ask_and_do_not_read(address=("10.0.0.1", 7)):
    """Fill what there is between us and the server, and return the connection."""
    _, writer = await asyncio.open_connection(*address, limit=1000)
    for _ in range(30):
        writer.write((b"x" * 900 + b"\n") * 50)
        await asyncio.sleep(0.05)
    return writer


async def hand_out(connection):
    """Send without end to a peer that reads."""
    while True:
        connection.core.send(b"x" * 1000)
        await connection.drained()


ENDS = {
    "draining": ({}, True),
    "idle": ({"max_idle": 5.0}, False),
    "others wait": ({"max_connections": 3}, False),
    "old": ({"max_age": 5.0}, False),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("core", [Asked, Careful, hand_out])
def test_a_server_gives_up_peers_that_ask_and_do_not_read(end, core):
    limits, drains = ENDS[end]
    ended = []

    async def server():
        factory, handler = (LineCore, hand_out) if core is hand_out else (core, None)
        server = await serve(factory, "tcp://:7", handler, limits=ServerLimits(handshake_timeout=4.0, **limits))
        await asyncio.sleep(10.0)
        if drains:
            await server.drain()
        else:
            await server.serve_forever()
        ended.append(end)

    async def client():
        deaf = [await ask_and_do_not_read() for _ in range(3)]
        if end == "others wait":
            async with await connect(LineCore(echo=False), "tcp://10.0.0.1:7") as another:
                another.core.send(b"hello")
                await another.drained()
                return bool(await another.next_event())
        await asyncio.sleep(40.0)
        for writer in deaf:
            try:
                writer.write(b"x")
                await asyncio.sleep(0.1)
                writer.write(b"x")
                await writer.drain()
            except ConnectionError:
                continue
            return False
        return ended == [end] * drains

    assert simulate(server, client)


def test_a_core_whose_deadline_passes_ends_though_its_peer_does_not_read():
    async def server():
        limits = ServerLimits(handshake_timeout=4.0)
        server = await serve(lambda: Asked(idle=5.0), "tcp://:7", limits=limits)
        await asyncio.sleep(40.0)
        counted.append(server.connections)

    async def client():
        deaf = await ask_and_do_not_read()
        await asyncio.sleep(60.0)
        deaf.transport.abort()

    counted = []
    simulate(server, client)
    assert counted == [0]


def test_a_client_leaves_a_server_that_does_not_read():
    async def server():
        async def never(reader, writer):
            await asyncio.Event().wait()

        await (await asyncio.start_server(never, "10.0.0.1", 7, limit=1000)).serve_forever()

    async def client():
        async with await connect(LineCore(echo=False), "tcp://10.0.0.1:7") as connection:
            connection.core.send(b"x" * (4 << 20))
            connection.flush()
        return True

    assert simulate(server, client)


def test_others_wait_while_one_reads_over_a_slow_line():
    """A peer that reads without a word from it is not idle: it keeps its place, though others wait for it."""

    async def server():
        limits = ServerLimits(handshake_timeout=4.0, max_connections=1, max_idle=5.0)
        server = await serve(Download, "tcp://:7", limits=limits)
        await server.serve_forever()

    async def client():
        first, writer = await asyncio.open_connection("10.0.0.1", 7)
        writer.write(b"go on\n")
        other = await asyncio.open_connection("10.0.0.1", 7)
        received = 0
        while data := await first.read(100_000):
            received += len(data)
        other[1].close()
        return received

    assert simulate(server, client, rate="4Mbit") == Download.PIECES * 10_000


class Download(LineCore):
    """Answers the first line with a great deal, and closes."""

    PIECES = 1000

    def __init__(self):
        super().__init__(echo=False)
        self._left = self.PIECES

    def transmit(self, now):
        if not self.begun or not self._left:
            return b""
        self._left -= 1
        self.closed = not self._left
        return b"x" * 10_000


def test_what_waits_in_cores_counts_too(monkeypatch):
    monkeypatch.setattr(stream_server, "CHECK_INTERVAL", 0.05)

    class Counting(LineCore):
        @property
        def queued(self):
            return sum(map(len, self._output))

    async def pile_up(connection):
        async for _ in connection:
            for _ in range(200):
                connection.core.send(b"x" * 100_000)
            connection.touch()

    async def main():
        limits = ServerLimits(max_queued_total=30_000_000)
        async with asyncio.timeout(60), await serve(Counting, "tcp://127.0.0.1:0", pile_up, limits=limits) as server:
            deaf = [await connect(LineCore(echo=False), server.urls[0]) for _ in range(8)]
            for connection in deaf:
                connection.transport.pause_reading()
                connection.core.send(b"go on")
                connection.flush()
            while not server._shared.count_shed:
                await asyncio.sleep(0.01)
            for connection in deaf:
                connection.abort()

    asyncio.run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_pieces_of_one_turn_leave_in_few_writes_and_none_to_a_peer_that_has_gone(loop, caplog):
    writes = []

    class Noting(Connection):
        def _transmit(self, transport):
            super()._transmit(Spy(transport))

    class Spy:
        def __init__(self, transport):
            self._transport = transport

        def write(self, data):
            writes.append(len(data))
            self._transport.write(data)

        def is_closing(self):
            return self._transport.is_closing()

    async def main():
        async with await serve(LineCore, "tcp://127.0.0.1:0") as server:
            host, port = server.urls[0].removeprefix("tcp://").split(":")
            core = LineCore(echo=False)
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Noting(asyncio.get_running_loop(), core), host, int(port)
            )
            for _ in range(100):
                core.send(b"hello")
            connection.flush()
            assert writes == [600]
            for _ in range(100):
                assert await connection.next_event() == b"hello"
            connection.transport.abort()
            for _ in range(100):
                core.send(b"hello")
            connection.flush()
            await connection.wait_closed()
            assert writes == [600]

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
    assert caplog.records == []


class LastWord(LineCore):
    """A core whose last word leaves, and which closes, when its transport has got rid of what was before."""

    SIZE = 10_000_000
    reads_on = True

    def __init__(self):
        super().__init__(echo=False)
        self._pieces = [b"x" * self.SIZE, b"y"]

    def receive(self, data, now):
        pass

    def transmit(self, now):
        self.closed = len(self._pieces) < 2
        return self._pieces.pop(0) if self._pieces else b""


@pytest.mark.parametrize("ended", [True, False], ids=["the peer has ended", "the peer has not ended"])
def test_a_transport_that_can_take_more_may_be_closed(run, ended):
    """A transport of asyncio that is closed from `resume_writing` would say twice that its connection is lost."""

    async def main():
        server = await serve(LastWord, "tcp://127.0.0.1:0")
        async with server:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.urls[0].rpartition(":")[2]))
            if ended:
                writer.write_eof()
            received = 0
            while data := await reader.read(40_000):
                received += len(data)
                await asyncio.sleep(0)
            assert received == LastWord.SIZE + 1
            writer.close()
            await writer.wait_closed()
            await server.drain()

    run(main())
