"""Deadlines, cancellation, retries, hedging, the ends of connections and servers."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading

import pytest
from echoservice import (
    CHAT,
    COUNT,
    FLAKY,
    SAY,
    SLEEP,
    SUM,
    Echo,
    calling,
    failure,
    number,
    serving,
    text,
)

from catenet.http.limits import Limits
from catenet.rpc import (
    CallInfo,
    Channel,
    ChannelOptions,
    Code,
    RpcError,
    Server,
    ServerOptions,
    SyncChannel,
)
from catenet.rpc.service_config import parse_service_config

H1 = ChannelOptions(protocol="connect", http1=True)


async def until(condition):
    """Wait until something holds; the test's own time limit ends it if it never does."""
    while not condition():
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("options", [ChannelOptions(), ChannelOptions(protocol="connect"), H1])
def test_a_deadline_ends_the_call_on_both_sides(options):
    async def main():
        async with calling(options) as (channel, echo):
            error = await failure(channel.unary(SLEEP, text("30"), timeout=0.05))
            assert error.code is Code.DEADLINE_EXCEEDED
            await until(lambda: "cancelled" in echo.heard)
            assert "on_cancel" in echo.heard
            assert (await channel.unary(SAY, text("next"))).value == "next"

    asyncio.run(main())


def test_the_server_enforces_the_deadline_of_a_client_that_does_not():
    async def main():
        async with calling() as (channel, echo):
            connections = channel.connections()
            connection = await connections.wait(False, None)
            call = channel.bidi(SLEEP, timeout=0.05)
            await call._open()
            call._attempt.start(None)  # the head says 50 ms, the client's own timer is not set
            await call._attempt.send(text("30"))
            call._attempt.end_requests()
            error = await failure(call.receive())
            assert error.code is Code.DEADLINE_EXCEEDED and "handler" in error.message
            assert connection.alive and "cancelled" in echo.heard

    asyncio.run(main())


@pytest.mark.parametrize("options", [ChannelOptions(), ChannelOptions(protocol="connect"), H1])
def test_cancelling_the_callers_task_cancels_the_handler(options):
    async def main():
        async with calling(options) as (channel, echo):
            task = asyncio.create_task(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: "cancelled" in echo.heard)
            assert (await channel.unary(SAY, text("next"))).value == "next"

    asyncio.run(main())


def test_leaving_a_stream_in_the_middle_stops_the_server():
    async def main():
        async with calling() as (channel, _):
            async for value in channel.server_stream(COUNT, number(-1_000_000)):
                if value.value == 3:
                    break
            gc.collect()
            (connection,) = channel.server._connections
            await until(lambda: not connection.running)

    asyncio.run(main())


def test_a_lost_connection_cancels_handlers_and_fails_calls():
    async def main():
        async with calling() as (channel, echo):
            task = asyncio.create_task(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            for connection in list(channel.server._connections):
                connection.transport.abort()
            assert (await failure(task)).code is Code.UNAVAILABLE
            await until(lambda: "cancelled" in echo.heard)
            assert (await channel.unary(SAY, text("again"))).value == "again"  # connected anew

    asyncio.run(main())


def test_idempotent_calls_are_repeated_and_say_so():
    async def main():
        async with calling() as (channel, echo):
            info = CallInfo()
            assert (await channel.unary(FLAKY, text("3"), info=info)).value == "'2'"
            assert info.attempts == 3
            echo.failures = -100
            assert (await failure(channel.unary(FLAKY, text("3")))).message.startswith("failure")

    asyncio.run(main())


def test_other_calls_are_made_once():
    async def main():
        async with calling() as (channel, echo):
            assert (await failure(channel.unary(SAY, text("fail:UNAVAILABLE")))).code is Code.UNAVAILABLE
            assert echo.heard == ["say"]

    asyncio.run(main())


RETRY = {
    "methodConfig": [
        {
            "name": [{"service": "test.Echo"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def test_retries_as_the_service_config_says():
    async def main():
        async with calling(ChannelOptions(service_config=parse_service_config(RETRY))) as (channel, echo):
            await failure(channel.unary(SAY, text("fail:UNAVAILABLE")))
            assert len(echo.heard) == 3
            await failure(channel.unary(SAY, text("fail:NOT_FOUND")))
            assert len(echo.heard) == 4
            info = CallInfo()
            assert (await failure(channel.unary(SAY, text("fail:UNAVAILABLE"), timeout=0.001, info=info))).code in (
                Code.UNAVAILABLE,
                Code.DEADLINE_EXCEEDED,
            )

    asyncio.run(main())


def test_hedging_sends_more_attempts_and_takes_the_first_answer():
    config = {
        "methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.02s"}}],
    }
    calls = []

    class SlowAtFirst(Echo):
        async def say(self, request, context):
            calls.append(context)
            await asyncio.sleep(30 if len(calls) == 1 else 0)
            return text(str(len(calls)))

    async def main():
        options = ChannelOptions(service_config=parse_service_config(config))
        async with calling(options, implementation=SlowAtFirst()) as (channel, _):
            assert (await channel.unary(SAY, text("x"), timeout=5.0)).value == "2"
            await until(lambda: calls[0].cancelled)

    asyncio.run(main())


def test_refused_streams_are_repeated_transparently():
    """RFC 9113 section 8.7: REFUSED_STREAM promises that nothing was done, so even SAY may go again, once."""

    async def main():
        async with calling() as (channel, echo):
            await channel.unary(SAY, text("warm up"))
            (connection,) = channel.server._connections
            original, refused = connection.on_head, []

            class Once:
                def __init__(self, inner):
                    self.inner = inner

                def __call__(self, stream, head, end):
                    if not refused:
                        refused.append(stream)
                        from catenet.http.driver import IGNORE

                        stream.owner = IGNORE
                        connection.core.reset(stream, 7)
                    else:
                        self.inner(stream, head, end)

            type(connection).on_head, kept = Once(original), type(connection).on_head
            try:
                info = CallInfo()
                assert (await channel.unary(SAY, text("x"), info=info)).value == "x"
                assert (info.attempts, len(echo.heard), len(refused)) == (2, 2, 1)
            finally:
                type(connection).on_head = kept

    asyncio.run(main())


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


# The synchronous face, threads, loops, processes.


class Background:
    """A server on a thread of its own, for callers that block."""

    def __enter__(self):
        started = threading.Event()

        async def serve():
            async with serving() as (_, self.echo, self.url):
                self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
                started.set()
                await self.stop.wait()

        self.thread = threading.Thread(target=asyncio.run, args=(serve(),))
        self.thread.start()
        started.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)


def test_the_synchronous_face():
    with Background() as server, SyncChannel(server.url) as channel:
        assert channel.unary(SAY, text("hello"), timeout=5.0).value == "hello"
        assert [value.value for value in channel.server_stream(COUNT, number(5))] == list(range(5))
        assert channel.client_stream(SUM, [number(1), number(2)]).value == 3
        with channel.bidi(CHAT) as call:
            call.send(text("a"))
            assert call.receive().value == "A"
            call.done()
            assert list(call) == []
        with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
            channel.unary(SLEEP, text("30"), timeout=0.05)
        stream = channel.server_stream(COUNT, number(-1_000_000))
        assert next(stream).value == 0
        stream.close()
        results = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(channel.unary(SAY, text(str(n))).value))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(results) == [str(n) for n in range(8)]


def test_the_synchronous_face_says_no_within_a_loop():
    async def main():
        with SyncChannel("tcp://127.0.0.1:1") as channel, pytest.raises(RuntimeError, match="loop"):
            channel.unary(SAY, text("x"))

    asyncio.run(main())


def test_a_channel_in_one_loop_after_another():
    with Background() as server:
        channel = Channel(server.url)

        async def once():
            return (await channel.unary(SAY, text("x"))).value

        assert [asyncio.run(once()) for _ in range(3)] == ["x"] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_after_fork_begins_anew():
    with Background() as server, SyncChannel(server.url) as channel:
        assert channel.unary(SAY, text("parent")).value == "parent"
        child = os.fork()
        if child == 0:
            try:
                ok = channel.unary(SAY, text("child"), timeout=10.0).value == "child"
            finally:
                os._exit(0 if ok else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert channel.unary(SAY, text("parent again")).value == "parent again"


SCRIPT = """
import asyncio, sys
sys.path.insert(0, {folder!r})
from echoservice import *
async def main():
    async with calling() as (channel, _):
        await channel.unary(SAY, text("x"))
        await failure(channel.unary(SAY, text("raise:")))
        await failure(channel.unary(SLEEP, text("30"), timeout=0.01))
        task = asyncio.create_task(channel.unary(SLEEP, text("30")))
        await asyncio.sleep(0.01)
        await channel.close()
        await failure(task)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""


def test_nothing_is_printed():
    """Failing handlers go to logging, which has no handler; what a loop leaves behind says nothing."""
    script = SCRIPT.format(folder=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    path = f"{tmp_path}/s.sock"

    async def main():
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        async with calling(url=f"unix:{path}") as (channel, _):
            assert (await channel.unary(SAY, text("x"))).value == "x"
            other = Server([Echo()])
            with pytest.raises(OSError, match="in use"):
                await other.listen(f"unix:{path}")
        assert not os.path.exists(path)
        open(path, "w").close()
        with pytest.raises(OSError, match="in use"):
            await Server([Echo()]).listen(f"unix:{path}")

    asyncio.run(main())
