"""Clients that ask for much and read nothing: what waits for all of them together has a limit."""

import asyncio
import contextlib
import gc
import socket
import tracemalloc

import pytest
import uvloop
from echoservice import until
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value
from test_siege import PREFACE

from catenet.http.h2 import frames
from catenet.http.h2.hpack import Encoder, Memo
from catenet.net.budget import Budget
from catenet.rpc import Channel, ChannelOptions, Kind, Method, Server, ServerOptions, ServiceDescriptor
from catenet.world import World

NAME = "test.Flood"
FLOOD = Method(NAME, "Flood", Kind.SERVER_STREAM, Int64Value, BytesValue)
LARGE = Method(NAME, "Large", Kind.UNARY, Int64Value, BytesValue)
SIZE = 50_000
TOTAL = 4 << 20
CALLS = 100
ATTACKERS = 10


class Flood:
    """`made` counts the messages that handlers were asked for."""

    __service__ = ServiceDescriptor(NAME, (FLOOD, LARGE))

    def __init__(self):
        self.made = 0
        self.on_large = lambda: None

    async def flood(self, request, context):
        for _ in range(request.value):
            self.made += 1
            yield BytesValue(value=bytes(SIZE))

    async def large(self, request, context):
        self.made += 1
        self.on_large()
        return BytesValue(value=bytes(SIZE * request.value if request.value < 100 else SIZE))


class Watched(Budget):
    """Remembers the most that was ever used."""

    __slots__ = ("most",)

    def __init__(self, limit):
        super().__init__(limit)
        self.most = 0

    def charge(self, holder, amount):
        super().charge(holder, amount)
        self.most = max(self.most, self.used)


def http2(path, window):
    """Requests on many streams, with these windows."""
    encoder = Encoder(Memo())
    settings = frames.settings({frames.INITIAL_WINDOW_SIZE: window, frames.HEADER_TABLE_SIZE: 0})
    out = PREFACE + settings
    if window:
        out += frames.window_update(0, (1 << 31) - 1 - 65535)
    message = Int64Value(value=1000).SerializeToString()
    for number in range(1, 2 * CALLS, 2):
        fields = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", f"/{NAME}/{path}".encode()),
            (b":authority", b"h"),
            (b"content-type", b"application/grpc"),
        )
        out += frames.frame(frames.HEADERS, frames.END_HEADERS, number, encoder.encode(fields))
        body = len(message).to_bytes(5, "big") + message
        out += frames.frame(frames.DATA, frames.END_STREAM, number, body)
    return out


def http1(path, content_type, body, times=1):
    fields = f"host: h\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return (f"POST /{NAME}/{path} HTTP/1.1\r\n{fields}".encode() + body) * times


STREAM = b"\0\0\0\0\3\x08\xe8\x07"
ATTACKS = {
    "streams without a window": http2("Flood", 0),
    "streams whose client does not read": http2("Flood", (1 << 31) - 1),
    "replies without a window": http2("Large", 0),
    "replies that nobody reads": http2("Large", (1 << 31) - 1),
    "HTTP/1.1 streams": http1("Flood", "application/connect+proto", STREAM),
    "HTTP/1.1 replies, pipelined": http1("Large", "application/json", b'"1"', CALLS),
}
CAN_WAIT = ("streams without a window", "streams whose client does not read", "HTTP/1.1 streams")
OPTIONS = ServerOptions(max_queued_total=TOTAL, handshake_timeout=2.0)


@contextlib.asynccontextmanager
async def flooding(url):
    implementation = Flood()
    server = Server([implementation], options=OPTIONS)
    listener = await server.listen(url)
    server._shared.budget = Watched(TOTAL)
    try:
        yield server, implementation, listener
    finally:
        await server.close()


async def well_behaved(target):
    """One that reads is served while the others do not."""
    async with Channel(target, options=ChannelOptions()) as channel:
        count = 0
        async for message in channel.server_stream(FLOOD, Int64Value(value=40), timeout=60.0):
            assert len(message.value) == SIZE
            count += 1
        assert count == 40
        assert len((await channel.unary(LARGE, Int64Value(value=1), timeout=60.0)).value) == SIZE


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("version", [4, 6])
def test_all_queues_together_are_bounded(attack, version):
    seen = {}

    async def server():
        async with flooding("tcp://0.0.0.0:7000" if version == 4 else "tcp://[::]:7000") as (
            running,
            implementation,
            _,
        ):
            seen.update(server=running, implementation=implementation)
            await running.serve_forever()

    async def attacker():
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        _, writer = await asyncio.open_connection("server", 7000, family=family)
        writer.transport.pause_reading()
        with contextlib.suppress(ConnectionError):
            writer.write(ATTACKS[attack])
            await writer.drain()
            for _ in range(100):
                writer.write(frames.frame(frames.PING, 0, 0, bytes(8)))  # a sign of life is not progress
                await asyncio.sleep(1.0)

    async def client():
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        found = await asyncio.get_running_loop().getaddrinfo("server", 7000, family=family)
        address = found[0][4][0]
        await well_behaved(f"tcp://[{address}]:7000" if version == 6 else f"tcp://{address}:7000")
        seen["served"] = True

    with World(1, output=lambda host, stream, line: None) as world:
        world.host("server").run(server, daemon=True)
        for number in range(ATTACKERS):
            world.host(f"attacker{number}").run(attacker, start=0.5)
        world.host("client").run(client, start=2.0)
        world.run()
    budget = seen["server"]._shared.budget
    assert seen.get("served")
    # One turn may make one connection's replies before they are counted.
    assert budget.most <= TOTAL + (4 if attack.startswith("HTTP/1.1") else CALLS) * (SIZE + 100)
    if attack in CAN_WAIT:
        assert budget.most <= TOTAL
        assert seen["implementation"].made * SIZE < 5 * TOTAL  # handlers were stopped, not only their messages


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_same_on_the_kernels_sockets(loop, attack, kind, tmp_path):
    async def main():
        url = f"unix:{tmp_path}/s" if kind == "unix" else "tcp://127.0.0.1:0"
        async with flooding(url) as (server, implementation, listener), contextlib.AsyncExitStack() as stack:
            address = listener.sockets[0].getsockname()
            for _ in range(ATTACKERS):
                sock = socket.socket(listener.sockets[0].family)
                stack.callback(sock.close)
                sock.connect(address)
                sock.setblocking(False)
                try:
                    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, ATTACKS[attack]), 5.0)
                except (ConnectionError, TimeoutError):
                    pass
            await until(lambda: implementation.made >= 10)
            await well_behaved(listener.url)
            assert server._shared.budget.most <= TOTAL + CALLS * (SIZE + 100)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_what_shed_connections_held_is_free_before_more_is_made(loop):
    """Many connections are served in one turn of the event loop, in which nothing that is closed is freed."""

    async def main():
        async with (
            flooding("tcp://127.0.0.1:0") as (server, implementation, listener),
            contextlib.AsyncExitStack() as stack,
        ):
            budget, seen = server._shared.budget, []
            implementation.on_large = lambda: seen.append(budget.shedding)
            for _ in range(30):
                sock = stack.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(listener.sockets[0].getsockname())
                sock.sendall(http1("Large", "application/json", b'"99"'))
            await until(lambda: len(seen) == 30)
            assert not any(seen)
            await until(lambda: server._shared.count_shed > 0)
            await until(lambda: not budget.shedding)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


def test_what_waits_for_a_peer_goes_with_its_connection():
    """At once, not when the collector comes by: streams and calls know each other."""

    async def main():
        async with flooding("tcp://127.0.0.1:0") as (server, implementation, listener):
            await well_behaved(listener.url)
            begun, before = implementation.made, tracemalloc.get_traced_memory()[0]
            for number in range(1, 6):
                with socket.create_connection(listener.sockets[0].getsockname()) as sock:
                    sock.sendall(http2("Large", 0))
                    await until(lambda expected=begun + CALLS * number: implementation.made == expected)
                await until(lambda: not server._connections)
            assert tracemalloc.get_traced_memory()[0] - before < CALLS * SIZE

    gc.disable()
    tracemalloc.start()
    try:
        asyncio.run(main())
    finally:
        tracemalloc.stop()
        gc.enable()


def test_a_stalled_connection_is_closed_for_those_that_wait():
    """Half of the budget is held by one that reads nothing: the others wait for room, and it is closed for them."""

    async def main():
        async with flooding("tcp://127.0.0.1:0") as (server, _, listener), contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                sock = stack.enter_context(socket.create_connection(listener.sockets[0].getsockname()))
                sock.sendall(ATTACKS["streams without a window"])
            await until(lambda: server._shared.budget.tight)
            await until(lambda: server._shared.count_shed > 0)
            await until(lambda: not server._shared.budget.tight)

    asyncio.run(main())
