"""Clients that do not read what they have asked for, or too slowly; and those that may: tunnels, and calls.

In virtual time in worlds, and on the kernel.
"""

import asyncio
import socket

import h2.config
import h2.connection
import h2.events
import pytest
from tests.http.server.test_limits import simulate
from tests.http.server.wire import raw

from catenet.http import HttpLimits, serve
from catenet.http.files import FileOptions, Files
from catenet.http.message import ResponseHead
from catenet.rpc import Server
from catenet.world import World

OK = ResponseHead(200, ((b"content-type", b"application/octet-stream"),))
SWITCH = ResponseHead(101, ((b"connection", b"upgrade"), (b"upgrade", b"bytes")))
PIECE = b"x" * 50_000
LARGE = 200
"""Pieces that no socket takes while nobody reads."""


async def pours(exchange):
    """A response, a tunnel, or a call: what is written is more than any buffer takes."""
    if exchange.head.get(b"upgrade") is not None or exchange.head.method == b"CONNECT":
        tunnel = exchange.upgrade(ResponseHead(200) if exchange.version == 2 else SWITCH)
        for _ in range(LARGE):
            await tunnel.write(PIECE)
        tunnel.close()
    elif exchange.head.path == b"/whole":
        await exchange.reply(OK, PIECE * LARGE)
    else:
        await exchange.start(OK)
        for _ in range(LARGE):
            await exchange.write(PIECE)
        await exchange.finish()


async def slowly(port, request, step, pause, host="server", size=4096, most=1e9):
    """Read `step` bytes each `pause` seconds until the end, or for `most` seconds; return how much came."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        sock.setblocking(False)
        await loop.sock_connect(sock, (host, port))
        await loop.sock_sendall(sock, request)
        start, got = loop.time(), 0
        while loop.time() - start < most:
            await asyncio.sleep(pause)
            try:
                data = await asyncio.wait_for(loop.sock_recv(sock, step), 1000)
            except ConnectionError:
                data = b""
            if not data:
                break
            got += len(data)
        return got


def asks(path, fields=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode()


@pytest.mark.parametrize("path", ["/", "/whole"])
def test_who_takes_too_little_of_a_response(path):
    got, server = simulate(pours, lambda: slowly(80, asks(path), 50, 1.0, most=200), until=300)
    assert got < 20_000 and server._shared.count_late == 1


def test_who_takes_little_but_enough_gets_it_all():
    request = asks("/whole")
    got, server = simulate(pours, lambda: slowly(80, request, 20_000, 20.0, size=65536), until=20_000)
    assert got > LARGE * len(PIECE) and server._shared.count_late == 0


def test_an_upgraded_connection_may_be_left_unread():
    async def client():
        one = await raw("http://server:80")
        one.reader._transport.pause_reading()
        one.send(asks("/", "Connection: upgrade\r\nUpgrade: bytes\r\n"))
        await asyncio.sleep(1000)
        one.reader._transport.resume_reading()
        return len(await one.reader.read())

    size, server = simulate(pours, client, until=3000)
    assert size > LARGE * len(PIECE) and server._shared.count_late == 0


class Streams:
    """A client of HTTP/2 that opens no window by itself."""

    def __init__(self, one):
        self.one = one
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.connection.initiate_connection()
        self.got, self.resets, self.ended = {}, {}, set()
        self.count = 0

    def ask(self, *fields, method=b"GET"):
        number = self.count * 2 + 1
        self.count += 1
        head = [(b":method", method), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x"), *fields]
        self.connection.send_headers(number, head, end_stream=method == b"GET")
        self.flush()
        return number

    def flush(self):
        self.one.send(self.connection.data_to_send())

    def open(self, number, count):
        self.connection.increment_flow_control_window(count, number)
        self.flush()

    async def read_for(self, seconds):
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            try:
                data = await asyncio.wait_for(self.one.reader.read(65536), left)
            except TimeoutError:
                return
            for event in self.connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived) and event.data:
                    self.got[event.stream_id] = self.got.get(event.stream_id, 0) + len(event.data)
                    self.connection.increment_flow_control_window(event.flow_controlled_length)
                elif isinstance(event, h2.events.StreamReset):
                    self.resets[event.stream_id] = event.error_code
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended.add(event.stream_id)
            self.flush()
            if not data:
                return


def test_a_window_that_stays_shut_ends_its_stream_and_not_those_that_may_wait():
    async def client():
        streams = Streams(await raw("http://server:80"))
        await streams.read_for(0.5)
        unread = streams.ask()
        tunnel = streams.ask((b":protocol", b"bytes"), method=b"CONNECT")
        call = streams.ask((b"content-type", b"application/grpc"), (b"te", b"trailers"))
        await streams.read_for(300)
        assert streams.resets == {unread: 11}  # ENHANCE_YOUR_CALM
        for number in (tunnel, call):
            streams.open(number, 100 << 20)
        await streams.read_for(300)
        return {number: streams.got[number] for number in (tunnel, call)}, streams.resets

    (got, resets), server = simulate(pours, client, until=3000)
    assert set(got.values()) == {LARGE * len(PIECE)} and len(resets) == 1
    assert server._shared.count_late == 1


def test_a_window_that_opens_at_a_rate_gets_it_all():
    async def client():
        streams = Streams(await raw("http://server:80"))
        number = streams.ask()
        while number not in streams.ended | set(streams.resets):
            streams.open(number, 20_000)
            await streams.read_for(10)
        return streams.got[number], streams.resets

    got, _ = simulate(pours, client, until=6000)
    assert got == (LARGE * len(PIECE), {})


def test_a_connection_that_is_not_read_at_all_ends_with_its_responses():
    async def client():
        one = await raw("http://server:80")
        streams = Streams(one)
        streams.connection.increment_flow_control_window(100 << 20)
        streams.open(streams.ask(), 100 << 20)
        one.reader._transport.pause_reading()
        await asyncio.sleep(300)
        return True

    _, server = simulate(pours, client, until=400)
    assert server._shared.count_late == 1 and server.connections == 0


def test_an_application_beside_calls_has_the_rule_too():
    results, servers = [], []

    async def serve_both():
        server = Server(app=pours)
        servers.append(server)
        await server.listen("http://:80")
        await server.serve_forever()

    with World(1) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="5ms")
        world.hosts["server"].run(lambda: asyncio.run(serve_both()), daemon=True)
        client = slowly(80, asks("/"), 50, 1.0, most=200)
        world.hosts["client"].run(lambda: results.append(asyncio.run(client)), start=0.1)
        world.run(300)
    assert results[0] < 20_000 and servers[0]._shared.count_late == 1


# On the kernel.


def unread(url, request):
    """A client that asks and reads nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    sock.send(request)
    return sock


async def until(condition):
    while not condition():
        await asyncio.sleep(0.05)


def test_on_the_kernel(run, tmp_path):
    """Responses, a large file (sendfile) and an archive end; a tunnel, and who reads on, stay."""
    (tmp_path / "one").write_bytes(bytes(20 << 20))

    async def main():
        files = Files(str(tmp_path), FileOptions(archives=True))

        async def app(exchange):
            if exchange.head.path.startswith(b"/files"):
                exchange.head.path = exchange.head.path.removeprefix(b"/files")
                await files(exchange)
            else:
                await pours(exchange)

        limits = HttpLimits(send_timeout=2.5)
        async with await serve(app, "http://127.0.0.1:0", limits=limits, interface="exchange") as server:
            url = server.urls[0]
            paths = ("/", "/whole", "/files/one", "/files/?tar")
            late = [unread(url, asks(path)) for path in paths]
            tunnel = unread(url, asks("/", "Connection: upgrade\r\nUpgrade: bytes\r\n"))
            port = int(url.rpartition(":")[2])
            request = asks("/files/one", "Connection: close\r\n")
            assert await slowly(port, request, 2 << 20, 0.3, "127.0.0.1", 1 << 20) > 20 << 20
            await until(lambda: server.connections == 1)
            assert server._shared.count_late == 3  # sendfile has a clock of its own
            for one in (*late, tunnel):
                one.close()
        files.close()

    run(main())
