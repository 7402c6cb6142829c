"""Many calls at once over HTTP/1.1: each has a connection, within limits, in order, and none is lost."""

import asyncio
import contextlib
import socket
import threading

import pytest
from echoservice import BLOB, CHAT, COUNT, SAY, SLEEP, SUM, Certificates, Echo, failure, number, serving, text, until
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from catenet.http import events as ev
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead
from catenet.net.pool import PoolLimits
from catenet.rpc import (
    Channel,
    ChannelOptions,
    Code,
    Kind,
    Method,
    RpcError,
    Server,
    ServerOptions,
    ServiceDescriptor,
    SyncChannel,
)
from catenet.world import World

NAME = "test.Gate"
PASS = Method(NAME, "Pass", Kind.UNARY, StringValue, StringValue)
FLOOD = Method(NAME, "Flood", Kind.SERVER_STREAM, StringValue, BytesValue)


class Gate:
    """Calls stay inside until `open`; `order`: in which they came, `most`: how many were inside at once."""

    __service__ = ServiceDescriptor(NAME, (PASS, FLOOD))

    def __init__(self):
        self.open = asyncio.Event()
        self.inside = self.most = 0
        self.order = []

    async def pass_(self, request, context):
        self.order.append(request.value)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return request

    async def flood(self, request, context):
        while True:
            yield BytesValue(value=bytes(100_000))


def h1(**limits):
    return ChannelOptions(protocol="connect", http1=True, pool=PoolLimits(**limits))


@contextlib.asynccontextmanager
async def gate(channel_options=None, url="tcp://127.0.0.1:0", server_tls=None, tls=None, **server):
    async with serving(url, Gate(), server_tls, **server) as (server, service, address):
        async with Channel(address, options=channel_options or h1(), tls=tls) as channel, asyncio.timeout(60):
            yield channel, service, server


PLACES = ["tcp", "ipv6", "unix", "tls"]


@contextlib.asynccontextmanager
async def gate_at(place, options, tmp_path):
    certificates = Certificates()
    urls = {
        "tcp": "tcp://127.0.0.1:0",
        "ipv6": "tcp://[::1]:0",
        "unix": f"unix:{tmp_path}/s",
        "tls": "tls://localhost:0",
    }
    contexts = (certificates.server(), certificates.client()) if place == "tls" else (None, None)
    if place == "tls":
        contexts[0].set_alpn_protocols(["http/1.1"])
    async with gate(options, urls[place], *contexts) as found:
        if place == "tls":  # the server offers h2 by itself
            contexts[0].set_alpn_protocols(["http/1.1"])
        yield found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("protocol", ["connect", "grpc-web"])
def test_ten_calls_are_inside_at_once(place, protocol, tmp_path):
    async def main():
        options = ChannelOptions(protocol=protocol, http1=True)
        async with gate_at(place, options, tmp_path) as (channel, service, server):
            calls = [asyncio.create_task(channel.unary(PASS, text(str(n)))) for n in range(10)]
            await until(lambda: service.inside == 10)
            assert server.connections == 10
            service.open.set()
            assert [reply.value for reply in await asyncio.gather(*calls)] == [str(n) for n in range(10)]
            for _ in range(20):
                await channel.unary(PASS, text("again"))
            assert server.connections == 10

    asyncio.run(main())


def test_a_call_beside_a_stream_that_nobody_reads():
    async def main():
        async with gate() as (channel, service, server):
            service.open.set()
            stream = channel.server_stream(FLOOD, text("x"))
            assert len((await anext(stream)).value) == 100_000
            assert (await channel.unary(PASS, text("x"))).value == "x"
            assert server.connections == 2
            await stream.aclose()
            await until(lambda: server.connections == 1)
            assert (await channel.unary(PASS, text("y"))).value == "y"

    asyncio.run(main())


def test_beyond_the_limit_calls_wait_in_their_order():
    async def main():
        async with gate(h1(max_connections=3)) as (channel, service, server):
            calls = [asyncio.create_task(channel.unary(PASS, text(str(n)))) for n in range(30)]
            await until(lambda: service.inside == 3)
            service.open.set()
            await asyncio.gather(*calls)
            assert service.most == 3 and server.connections == 3
            assert service.order[3:] == [str(n) for n in range(3, 30)]
            assert sorted(service.order[:3]) == ["0", "1", "2"]

    asyncio.run(main())


def test_waiting_too_long():
    async def main():
        async with gate(h1(max_connections=1, acquire_timeout=0.05)) as (channel, service, _):
            first = asyncio.create_task(channel.unary(PASS, text("first")))
            await until(lambda: service.inside == 1)
            error = await failure(channel.unary(PASS, text("x")))
            assert error.code is Code.RESOURCE_EXHAUSTED and "no connection became free" in error.message
            error = await failure(channel.unary(PASS, text("x"), timeout=0.01))
            assert error.code is Code.DEADLINE_EXCEEDED
            service.open.set()
            assert (await first).value == "first"
            assert (await channel.unary(PASS, text("x"))).value == "x"

    asyncio.run(main())


@pytest.mark.parametrize("when", ["before", "granted"])
def test_callers_that_give_up_leave_nothing_behind(when):
    async def main():
        async with gate(h1(max_connections=1)) as (channel, service, server):
            first = asyncio.create_task(channel.unary(PASS, text("first")))
            await until(lambda: service.inside == 1)
            waiting = [asyncio.create_task(channel.unary(PASS, text(str(n)))) for n in range(5)]
            pool = channel._connections._pool
            await until(lambda: pool.outstanding == 5)
            if when == "granted":
                service.open.set()
                await first
                # The next has been let go on in this very turn, and has not gone on yet.
            for task in waiting[:-1]:
                task.cancel()
            service.open.set()
            await first
            assert (await waiting[-1]).value == "4"
            assert pool.outstanding == 0 and server.connections <= 1
            assert (await channel.unary(PASS, text("x"))).value == "x"

    asyncio.run(main())


@pytest.mark.parametrize("http1", [True, False])
def test_a_call_that_cannot_be_sent_leaves_its_place_to_others(http1):
    options = ChannelOptions(protocol="connect", http1=http1, pool=PoolLimits(max_connections=1))

    async def main():
        async with gate(options, options=ServerOptions(limits=Limits(max_streams=1))) as (channel, service, _):
            service.open.set()
            await channel.unary(PASS, text("settle"))
            service.open.clear()
            first = asyncio.create_task(channel.unary(PASS, text("first")))
            await until(lambda: service.inside == 1)
            bad = [
                asyncio.create_task(channel.unary(PASS, object())),
                asyncio.create_task(channel.unary(PASS, text("x"), compression="unknown")),
                asyncio.create_task(channel.unary(PASS, text("x"), metadata=[("x", "v" * 100_000)])),
            ]
            good = asyncio.create_task(channel.unary(PASS, text("good")))
            await until(lambda: channel._connections._pool.outstanding == 4)
            service.open.set()
            assert (await first).value == "first"
            ended = await asyncio.gather(*bad, return_exceptions=True)
            assert [type(error) for error in ended] == [RpcError, ValueError, RpcError]
            assert (await good).value == "good"

    asyncio.run(main())


def test_streams_over_http1_give_their_connection_back():
    async def main():
        async with serving() as (server, _, url):
            options = ChannelOptions(protocol="grpc-web", http1=True, pool=PoolLimits(max_connections=1))
            async with Channel(url, options=options) as channel, asyncio.timeout(30):
                for _ in range(3):
                    assert [value.value async for value in channel.server_stream(COUNT, number(5))] == list(range(5))
                    assert (await channel.client_stream(SUM, [number(2), number(3)])).value == 5
                    assert await failure(anext(channel.server_stream(COUNT, number(0)))).code if False else True
                    async with channel.bidi(CHAT) as call:
                        await call.send(text("a"))
                        await call.done()
                        assert [reply.value async for reply in call] == ["A"]
                    assert (await channel.unary(BLOB, BytesValue(value=bytes(300_000)))).value == bytes(300_000)
                assert server.connections == 1

    asyncio.run(main())


@pytest.mark.parametrize("http1", [True, False])
def test_an_answer_before_the_end_of_the_request(http1):
    """The server ends the call while the client still sends: the connection, or the stream, must not stay in use."""
    options = ChannelOptions(protocol="grpc-web", http1=http1, pool=PoolLimits(max_connections=1))

    async def main():
        async with serving() as (_, _, url), Channel(url, options=options) as channel, asyncio.timeout(30):
            for _ in range(3):
                call = channel.bidi(SUM)
                await call.start()
                await call.send(number(10_000_001))
                assert (await failure(call.receive())).code is Code.OUT_OF_RANGE
                assert (await channel.unary(SAY, text("x"))).value == "x"
            await until(lambda: not any(member.busy for member in channel._connections._pool.members("")))

    asyncio.run(main())


def test_an_early_answer_of_a_foreign_server_frees_the_stream():
    """One that does not reset the stream after its answer, as gRPC servers may."""
    client, server = Connection(True), Connection(False)
    stream = client.open(RequestHead(b"POST", b"/s/m", (), b"h"), False)
    server.receive(client.transmit(), 0.0)
    client.receive(server.transmit(), 0.0)
    (serving_stream,) = server.streams.values()
    server.send_head(serving_stream, ResponseHead(200))
    serving_stream.local_open = False
    server._append_block(serving_stream.id, server._encoder.encode(((b"grpc-status", b"5"),)), True)
    events = client.receive(server.transmit(), 0.0)
    assert [kind for kind, *_ in events if kind != ev.SETTINGS] == [ev.HEAD, ev.TRAILERS]
    assert client.streams
    client.abandon(stream)
    assert not client.streams
    assert [kind for kind, *_ in server.receive(client.transmit(), 0.0)] == [ev.RESET]


def test_connections_that_broke_while_idle_are_not_used():
    async def main():
        service, port = Gate(), 0
        service.open.set()
        async with serving(implementation=service) as (_, _, url):
            port = int(url.rpartition(":")[2])
            channel = Channel(url, options=h1(keepalive_expiry=None))
            await asyncio.gather(*[channel.unary(PASS, text("x")) for _ in range(5)])
        async with serving(f"tcp://127.0.0.1:{port}", service) as (server, _, _):
            assert (await channel.unary(PASS, text("x"), wait_for_ready=True)).value == "x"
            assert server.connections == 1
        await channel.close()

    asyncio.run(main())


@pytest.mark.parametrize("protocol", ["connect", "grpc-web"])
def test_a_connection_that_broke_between_synchronous_calls_is_not_used(protocol):
    """The loop of a SyncChannel stands still between calls; a call that may not be repeated must not be lost."""
    listener = socket.create_server(("127.0.0.1", 0))
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"
    if protocol == "grpc-web":
        body = b"\0\0\0\0\0" + b"\x80\0\0\0\x10grpc-status: 0\r\n"
        reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: %d\r\n\r\n" % len(body)
        reply += body
    closed = threading.Semaphore(0)

    def serve():
        for _ in range(3):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)
                connection.shutdown(socket.SHUT_WR)
                closed.release()
                connection.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    options = ChannelOptions(protocol=protocol, http1=True)
    with SyncChannel(f"tcp://127.0.0.1:{listener.getsockname()[1]}", options=options) as channel:
        for _ in range(3):
            assert channel.unary(SAY, text("x"), timeout=20).value == ""
            closed.acquire()
            threading.Event().wait(0.02)  # longer than a connection counts as just used
    thread.join()
    listener.close()


def test_a_server_that_takes_only_so_many_connections():
    """Further connections are refused by a server at its limit: calls go on with those that there are."""

    async def main():
        async with gate(h1(max_connections=10)) as (channel, service, server):
            connect = asyncio.get_running_loop().create_connection
            made = 0

            async def limited(*arguments, **named):
                nonlocal made
                if made == 2:
                    raise ConnectionRefusedError("full")
                made += 1
                return await connect(*arguments, **named)

            asyncio.get_running_loop().create_connection = limited
            calls = [asyncio.create_task(channel.unary(PASS, text(str(n)))) for n in range(20)]
            await until(lambda: service.inside == 2)
            service.open.set()
            await asyncio.gather(*calls)
            assert service.order[2:] == [str(n) for n in range(2, 20)] and server.connections == 2

    asyncio.run(main())


def test_closing_ends_those_that_wait():
    async def main():
        async with gate(h1(max_connections=1)) as (channel, service, _):
            calls = [asyncio.create_task(channel.unary(PASS, text(str(n)), wait_for_ready=n % 2)) for n in range(4)]
            await until(lambda: service.inside == 1 and channel._connections._pool.outstanding == 3)
            await channel.close()
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [error.code for error in errors] == [Code.CANCELLED] * 4

    asyncio.run(main())


def test_addresses_in_turn_over_http1():
    async def main():
        services = [Gate(), Gate()]
        servers = [Server([service]) for service in services]
        first = await servers[0].listen("tcp://127.0.0.1:0")
        port = first.url.rpartition(":")[2]
        await servers[1].listen(f"tcp://[::1]:{port}")

        async def both(host, port, **_):
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            ]

        asyncio.get_running_loop().getaddrinfo = both
        async with Channel(f"dns:///service.example:{port}", options=h1(keepalive_expiry=0.01)) as channel:
            async with asyncio.timeout(30):
                calls = [asyncio.create_task(channel.unary(PASS, text(str(n)))) for n in range(10)]
                await until(lambda: sum(service.inside for service in services) == 10)
                assert [service.inside for service in services] == [5, 5]
                for service in services:
                    service.open.set()
                await asyncio.gather(*calls)
                await until(lambda: [server.connections for server in servers] == [1, 1])  # those are kept
        for server in servers:
            await server.close()

    asyncio.run(main())


def test_streams_that_the_server_does_not_admit_wait_in_their_order():
    """HTTP/2: one connection, unless more are asked for."""

    async def main(shared):
        options = ChannelOptions(pool=PoolLimits(max_shared=shared))
        async with gate(options, options=ServerOptions(limits=Limits(max_streams=4))) as (channel, service, server):
            service.open.set()
            await channel.unary(PASS, text("settle"))
            service.open.clear()
            calls = [asyncio.create_task(channel.unary(PASS, text(str(n)))) for n in range(20)]
            await until(lambda: service.inside == 4 * shared)
            service.open.set()
            await asyncio.gather(*calls)
            assert server.connections == shared and service.most == 4 * shared
            assert shared > 1 or service.order[1:] == [str(n) for n in range(20)]

    asyncio.run(main(1))
    asyncio.run(main(2))


def test_in_a_world_idle_connections_are_closed_in_time():
    """Virtual time: ten calls at once take as long as one, and their connections are gone after the expiry."""
    seen = []

    async def server():
        running = Server([Echo()])
        await running.listen("tcp://:7000")
        await running.serve_forever()

    async def client():
        loop = asyncio.get_running_loop()
        options = h1(keepalive_expiry=5.0, max_keepalive=4)
        async with Channel("tcp://server:7000", options=options) as channel:
            started = loop.time()
            await asyncio.gather(*[channel.unary(SLEEP, text("1.0")) for _ in range(10)])
            seen.append(loop.time() - started)
            pool = channel._connections._pool
            seen.append(len(list(pool.members(""))))
            await asyncio.sleep(4.9)
            seen.append(len(list(pool.members(""))))
            await channel.unary(SAY, text("x"))
            await asyncio.sleep(0.2)
            seen.append(len(list(pool.members(""))))
            await asyncio.sleep(5.0)
            seen.append(len(list(pool.members(""))))
            assert (await channel.unary(SAY, text("x"))).value == "x"

    with World(1) as world:
        world.host("server").run(server, daemon=True)
        world.host("client").run(client, start=0.5)
        world.link("client", latency=0.01)
        world.run(60)
    assert 1.0 < seen[0] < 1.3
    assert seen[1:] == [4, 4, 1, 0]
