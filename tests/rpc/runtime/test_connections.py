"""Connections and servers: how they begin, how they end, what they do with bad input."""

import asyncio
import socket

import pytest
from echoservice import (
    COUNT,
    NAME,
    SAY,
    SLEEP,
    Certificates,
    Echo,
    calling,
    failure,
    number,
    serving,
    text,
    until,
)

from catenet.http.limits import Limits
from catenet.rpc import Channel, ChannelOptions, Code, RpcError, Server, ServerOptions
from catenet.rpc.client.connection import NetworkDialler


def test_drain_lets_running_calls_end_and_sends_new_ones_elsewhere():
    async def main():
        async with serving() as (first, echo, url):
            port = int(url.rpartition(":")[2])
            async with Channel(url) as channel:
                running = asyncio.create_task(channel.unary(SLEEP, text("0.3")))
                await echo.started.wait()
                draining = asyncio.create_task(first.drain(grace=5.0))
                await until(lambda: channel._connections._connections == {})
                second = Server([Echo()])
                await second.listen(f"tcp://127.0.0.1:{port}")
                assert (await channel.unary(SAY, text("to the second"), wait_for_ready=True)).value == "to the second"
                assert (await running).value == "slept"
                await draining
                assert first.connections == 0
                await second.close()

    asyncio.run(main())


def test_drain_gives_up_after_its_grace():
    async def main():
        async with calling() as (channel, echo):
            running = asyncio.create_task(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            await channel.server.drain(grace=0.05)
            assert (await failure(running)).code is Code.UNAVAILABLE
            await until(lambda: "cancelled" in echo.heard)

    asyncio.run(main())


@pytest.mark.parametrize("scheme", ["tcp", "tls", "unix"])
def test_a_connection_that_has_sent_nothing_can_be_asked_everything(scheme, tmp_path):
    """At the end, for its age, or for its place it is closed; another client's call goes on meanwhile."""

    async def main():
        certificates = Certificates()
        url = f"unix:{tmp_path}/s" if scheme == "unix" else f"{scheme}://127.0.0.1:0"
        given = {"tls": certificates.server() if scheme == "tls" else None, "options": ServerOptions(max_age=1e5)}
        async with serving(url, **given) as (server, echo, url):
            plain = await server.listen("tcp://127.0.0.1:0")
            tls = certificates.client() if scheme == "tls" else None
            for end in (
                lambda: server._make_room(server._shared.loop.time() + 1000),
                lambda: one(server).monitor.watch_age(server._shared.loop.time() + 1e6),
            ):
                reader, writer = await silent(url, tls)
                await until(lambda: server.connections == 1)
                properties_of(one(server))
                end()
                assert await reader.read() == b""
                writer.close()
                await until(lambda: server.connections == 0)
            reader, writer = await silent(url, tls)
            await until(lambda: server.connections == 1)
            async with Channel(plain.url) as channel:
                running = asyncio.create_task(channel.unary(SLEEP, text("0.1")))
                await echo.started.wait()
                await server.drain(20)
                assert (await running).value == "slept"
            assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


async def silent(url, tls):
    """Connect and say nothing; return reader and writer."""
    if url.startswith("unix:"):
        return await asyncio.open_unix_connection(url[5:])
    host, _, port = url.rpartition("/")[2].rpartition(":")
    return await asyncio.open_connection(host, int(port), ssl=tls, server_hostname=tls and "localhost")


def one(server):
    (connection,) = server._connections
    return connection


def properties_of(connection):
    """Ask a connection all that its server and its monitor ask."""
    assert not connection.busy
    assert not connection.failed
    assert not connection.owes()
    assert (connection.unit_since, connection.flowed, connection.queued) == (None, 0, 0)
    connection.was_active()
    connection.must_read(True)
    connection.close_if_idle()
    connection.check(connection.now)
    assert connection.rest(connection.now) is None


def test_a_connection_that_fails_at_the_end_is_cut_off_and_no_other_is():
    async def main():
        heard = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["exception"]))
        async with serving() as (server, echo, url), Channel(url) as broken, Channel(url) as channel:
            await broken.unary(SAY, text("1"))
            failing = one(server)
            running = asyncio.create_task(channel.unary(SLEEP, text("0.1")))
            await echo.started.wait()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(failing), "drain", failing_at(failing, type(failing).drain))
                await server.drain(20)
            assert (await running).value == "slept"
            assert [str(error) for error in heard] == ["as the test has it"]

    asyncio.run(main())


def failing_at(which, drain):
    def failing(self):
        if self is which:
            raise RuntimeError("as the test has it")
        drain(self)

    return failing


def test_wait_for_ready():
    async def main():
        async with serving() as (_, _, url):
            pass  # a port that nobody listens on any more
        async with Channel(url) as channel:
            assert (await failure(channel.unary(SAY, text("x"), timeout=5.0))).code is Code.UNAVAILABLE
            waiting = asyncio.create_task(channel.unary(SAY, text("x"), wait_for_ready=True, timeout=20.0))
            late = await failure(channel.unary(SAY, text("x"), wait_for_ready=True, timeout=0.05))
            assert late.code is Code.DEADLINE_EXCEEDED and "connect" in late.message
            async with serving(url):
                assert (await waiting).value == "x"

    asyncio.run(main())


@pytest.mark.parametrize("scheme", ["tcp", "dns"])
def test_a_connection_that_is_lost_before_it_is_used_is_made_again(monkeypatch, scheme):
    """A busy event loop learns in one turn that it is connected and that it is not any more."""
    dialled = []
    connect = NetworkDialler.connect

    async def lost_at_once(self, endpoint):
        connection = await connect(self, endpoint)
        dialled.append(endpoint)
        if len(dialled) % 2:
            connection.transport.abort()
            await until(lambda: connection.transport is None)
        return connection

    monkeypatch.setattr(NetworkDialler, "connect", lost_at_once)

    async def main():
        async with serving() as (_, _, url):
            target = url.replace("tcp://", "dns:///") if scheme == "dns" else url
            async with Channel(target) as channel, asyncio.timeout(20):
                assert "cannot connect" in (await failure(channel.unary(SAY, text("x")))).message
                assert (await channel.unary(SAY, text("x"), wait_for_ready=True)).value == "x"

    asyncio.run(main())


def test_a_request_that_ends_after_its_answer_does_not_end_the_connection():
    """A stream that fails early, in chunks, over HTTP/1.1; then a call on the same connection."""
    head = f"POST /{NAME}/%s HTTP/1.1\r\nhost: h\r\ncontent-type: application/%s\r\n".encode()
    message = text("X").SerializeToString()
    framed = len(message).to_bytes(5, "big") + message
    damaged = (9).to_bytes(5, "big") + b"not proto"

    async def main():
        async with serving() as (_, _, url), asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(head % (b"Chat", b"connect+proto") + b"transfer-encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%s\r\n" % (len(framed), framed))
            assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(framed)
            writer.write(b"%x\r\n%s\r\n" % (len(damaged), damaged))
            assert b"invalid_argument" in await reader.readuntil(b"\r\n0\r\n\r\n")
            writer.write(b"0\r\n\r\n" + head % (b"Say", b"json") + b'content-length: 3\r\n\r\n"x"')
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(main())


def test_closing_a_channel_ends_its_calls():
    async def main():
        async with calling() as (channel, echo):
            task = asyncio.create_task(channel.unary(SLEEP, text("30")))
            stream = channel.server_stream(COUNT, number(-1_000_000))
            await anext(stream)
            await echo.started.wait()
            await channel.close()
            assert (await failure(task)).code is Code.CANCELLED
            with pytest.raises(RpcError, match="CANCELLED"):
                async for _ in stream:
                    pass

    asyncio.run(main())


def test_dns_targets_are_called_in_turn():
    async def main():
        servers = [Server([Echo()]), Server([Echo()])]
        first = await servers[0].listen("tcp://127.0.0.1:0")
        port = first.url.rpartition(":")[2]
        await servers[1].listen(f"tcp://[::1]:{port}")
        loop = asyncio.get_running_loop()

        async def both(host, port, **_):
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            ]

        loop.getaddrinfo = both
        async with Channel(f"dns:///service.example:{port}") as channel:
            for _ in range(20):
                await channel.unary(SAY, text("x"))
            assert [server.counters.started for server in servers] == [10, 10]
            await servers[0].close()
            await until(lambda: len(channel._connections._connections) == 1)  # a call under way would fail, rightly
            for _ in range(10):
                await channel.unary(SAY, text("x"))
            assert servers[1].counters.started >= 19
        await servers[1].close()

    asyncio.run(main())


def test_happy_eyeballs_do_not_wait_for_a_dead_address():
    async def main():
        async with serving() as (_, _, url):
            port = int(url.rpartition(":")[2])
            loop = asyncio.get_running_loop()
            real = loop.sock_connect

            async def both(host, port, **_):
                return [
                    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
                    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
                ]

            async def connect(sock, address):
                if sock.family == socket.AF_INET6:
                    await asyncio.sleep(60)  # a black hole
                await real(sock, address)

            loop.sock_connect = connect
            loop.getaddrinfo = both
            async with Channel(f"tcp://service.example:{port}") as channel:
                assert (await channel.unary(SAY, text("x"), timeout=10.0)).value == "x"

    asyncio.run(main())


def test_keepalive_finds_a_server_that_is_silent():
    async def main():
        async def black_hole(reader, writer):
            await asyncio.sleep(60)

        server = await asyncio.start_server(black_hole, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        options = ChannelOptions(keepalive_time=0.05, keepalive_timeout=0.05)
        async with Channel(f"tcp://127.0.0.1:{port}", options=options) as channel:
            error = await failure(channel.unary(SAY, text("x"), timeout=20.0))
            assert error.code is Code.UNAVAILABLE
        server.close()

    asyncio.run(main())


def test_keepalive_leaves_a_server_that_answers_alone():
    async def main():
        options = ChannelOptions(keepalive_time=0.02, keepalive_timeout=5.0)
        async with calling(options) as (channel, _):
            assert (await channel.unary(SLEEP, text("0.3"))).value == "slept"
            assert channel.server.counters.connections_opened == 1

    asyncio.run(main())


def test_keepalive_does_not_take_a_server_of_http1_for_dead():
    async def main():
        options = ChannelOptions(protocol="connect", http1=True, keepalive_time=0.02, keepalive_timeout=0.02)
        async with calling(options) as (channel, _):
            assert (await channel.unary(SLEEP, text("0.3"))).value == "slept"
            assert channel.server.counters.connections_opened == 1

    asyncio.run(main())


def test_server_checks_its_connections():
    """Connections that never say anything, that idle too long, and peers that are gone."""

    async def main():
        options = ServerOptions(handshake_timeout=0.1, keepalive_time=0.1, keepalive_timeout=0.1)
        async with serving(options=options) as (server, _, url):
            port = int(url.rpartition(":")[2])
            silent = socket.create_connection(("127.0.0.1", port))
            half = socket.create_connection(("127.0.0.1", port))
            half.sendall(b"POST / HTTP/1.1\r\nHost:")
            gone = socket.create_connection(("127.0.0.1", port))
            gone.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            await until(lambda: server.counters.connections_opened == 3)
            await until(lambda: server.connections == 0)
            for sock in (silent, half, gone):
                sock.close()
        options = ServerOptions(max_idle=0.1)
        async with calling(options=options) as (channel, _):
            await channel.unary(SAY, text("x"))
            await until(lambda: channel.server.connections == 0)
            assert (await channel.unary(SAY, text("y"))).value == "y"

    asyncio.run(main())


def test_old_connections_are_retired_without_failing_a_call():
    async def main():
        async with calling(options=ServerOptions(max_age=0.05)) as (channel, _):
            done = 0
            while channel.server.counters.connections_opened < 3:
                assert (await channel.unary(SAY, text("x"))).value == "x"
                done += 1
                await asyncio.sleep(0.01)
            assert done > 3

    asyncio.run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense nonsense nonsense",
        b"PRI * HTTP/9\r\n\r\n",
        b"POST /test.Echo/Say HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{a}",
        b"POST /test.Echo/Say HTTP/1.1\r\nHost: h\r\nContent-Type: application/proto\r\nContent-Length: 1\r\n\r\n\xff",
        b"POST /test.Echo/Say HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /test.Echo/Say?encoding=json&message=%7b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_bad_input_is_answered_and_the_server_goes_on(garbage):
    async def main():
        async with calling() as (channel, _):
            port = channel.target.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            writer.write_eof()
            await reader.read()
            writer.close()
            assert (await channel.unary(SAY, text("x"))).value == "x"
            await until(lambda: channel.server.connections == 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\0\0\0\0\3\xff\xff\xff", Code.INVALID_ARGUMENT),
        (b"\0\0\0\0\3\xff", Code.INTERNAL),
        (b"\0\xff\xff\xff\xff", Code.RESOURCE_EXHAUSTED),
        (b"\x80\0\0\0\0", Code.INTERNAL),
        (b"\1\0\0\0\1x", Code.INTERNAL),
        (b"", Code.UNIMPLEMENTED),
        (b"\0\0\0\0\0" * 2, Code.UNIMPLEMENTED),
    ],
)
def test_bad_messages_get_the_right_status(frames, code):
    async def main():
        async with calling() as (channel, _):
            connection = await channel.connections().wait(False, None)
            call = channel.bidi(SAY)
            await call.start()
            connection.core.send_data(call._attempt.stream, frames, True)
            connection.touch()
            assert (await failure(call.receive())).code is code
            assert (await channel.unary(SAY, text("x"))).value == "x"

    asyncio.run(main())


def test_rapid_reset_costs_the_attacker_its_connection_and_others_nothing():
    async def main():
        limits = Limits(glitch_burst=200, glitch_rate=1.0)
        async with calling(options=ServerOptions(limits=limits)) as (channel, _):
            async with Channel(f"tcp://127.0.0.1:{channel.target.port}") as attacker:
                connection = await attacker.connections().wait(False, None)
                for _ in range(2000):
                    if not connection.alive:
                        break
                    call = attacker.bidi(SLEEP)
                    await call.start()
                    await call.send(text("30"))
                    call.cancel()
                    await asyncio.sleep(0)
                await until(lambda: not connection.alive)
            assert (await channel.unary(SAY, text("x"))).value == "x"
            assert channel.server.counters.protocol_errors == 1
            assert all(not connection.running for connection in channel.server._connections)

    asyncio.run(main())


@pytest.mark.parametrize("target", ["tcp://a..b:1", "dns:///a..b:1"])
def test_a_name_that_can_be_none_fails_like_one_that_does_not_exist(target):
    async def main():
        async with Channel(target) as channel, asyncio.timeout(20):
            with pytest.raises(RpcError, match=r"'a\.\.b' is no name of a host") as caught:
                await channel.unary(SAY, text("x"))
            assert caught.value.code is Code.UNAVAILABLE

    asyncio.run(main())
