"""Calls over sessions: nothing is lost, nothing comes twice, and the program notices nothing of its connections."""

import asyncio
import contextlib
import itertools
import random
from collections import Counter

import pytest
from cutting import WHOLE, cutting
from echoservice import (
    COUNT,
    SAY,
    SLEEP,
    SUM,
    Certificates,
    Echo,
    failure,
    number,
    serving,
    text,
    until,
)
from google.protobuf.wrappers_pb2 import StringValue
from tests.cli.relaying import listening
from tests.net.loops import run

from catenet import session
from catenet.rpc import (
    Channel,
    ChannelOptions,
    Code,
    Kind,
    Method,
    Server,
    ServerOptions,
    ServiceDescriptor,
    SessionOptions,
    SyncChannel,
)
from catenet.rpc.client.service_config import parse_service_config
from catenet.rpc.policy.guard import Guard
from catenet.rpc.policy.limits import Limit
from catenet.rpc.server.away import Away, too_many
from catenet.session import wire

__all__ = ["run"]

pytestmark = pytest.mark.slow(10)

ADD = Method("test.Ledger", "Add", Kind.UNARY, StringValue, StringValue)
FOLLOW = Method("test.Ledger", "Follow", Kind.BIDI, StringValue, StringValue)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes(3) + b"\4" + bytes(5)


class Ledger:
    """Counts effects, and what comes out of order."""

    __service__ = ServiceDescriptor("test.Ledger", (ADD, FOLLOW))

    def __init__(self):
        self.effects = Counter()
        self.wrong = []
        self.streams = 0

    async def add(self, request, context):
        self.effects[request.value] += 1
        return request

    async def follow(self, requests, context):
        self.streams += 1
        expected = 0
        async for request in requests:
            if int(request.value.split()[0]) != expected:
                self.wrong.append((request.value[:10], expected))
            yield text(f"{expected} {'y' * 40}")
            expected += 1


def on_sessions(implementation, **given):
    return serving("session+grpc://127.0.0.1:0", implementation, **given)


def carrier(channel):
    """The transport of the session of a channel."""
    return channel.connections()._current.transport


async def follow(channel, count):
    """Send so many numbered messages, and hear as many."""
    async with channel.bidi(FOLLOW) as call:
        sending = asyncio.ensure_future(call.send_all(text(f"{n} {'x' * 40}") for n in range(count)))
        heard = [int(response.value.split()[0]) async for response in call]
        await sending
    assert heard == list(range(count))


@pytest.mark.parametrize("every", [700, 4096])
def test_thousands_of_messages_over_connections_cut_at_every_kth_byte(run, every):
    async def main():
        async with on_sessions(ledger := Ledger()) as (_, _, url):
            async with cutting(url, itertools.repeat((WHOLE, every))) as cutter, Channel(cutter.url) as channel:
                await follow(channel, 2000)
                assert carrier(channel).info.connections > 5
            assert (ledger.streams, ledger.wrong) == (1, [])

    run(main())


def test_thousands_of_messages_over_connections_cut_at_random(run):
    async def main():
        rng = random.Random(5)

        def length():
            return 70_000 + rng.randrange(30_000), rng.choice([300, 3000, 30_000]) + rng.randrange(3000)

        async with on_sessions(ledger := Ledger()) as (_, _, url):
            async with cutting(url, iter(length, None)) as cutter, Channel(cutter.url) as channel:
                await asyncio.gather(*(follow(channel, 1000) for _ in range(3)))
            assert (ledger.streams, ledger.wrong) == (3, [])

    run(main())


def test_a_first_connection_cut_at_each_byte():
    """One call over a connection that is cut at a byte, for the bytes of the exchange and of the call alike."""

    async def main():
        async with on_sessions(ledger := Ledger()) as (server, _, url):

            async def one(cut):
                lengths = (cut, WHOLE) if cut % 2 else (WHOLE, cut // 2)
                async with cutting(url, iter([lengths])) as cutter, Channel(cutter.url) as channel:
                    answer = await channel.unary(ADD, text(f"cut at {cut}"), wait_for_ready=True)
                    assert answer.value == f"cut at {cut}"

            await asyncio.gather(*map(one, range(1, 900, 11)))
            await until(lambda: server.connections == 0)
        assert set(ledger.effects.values()) == {1}

    asyncio.run(main())


def test_unary_calls_take_effect_once(run):
    async def main():
        rng = random.Random(6)
        lengths = iter(lambda: (WHOLE, rng.randrange(300, 3000)), None)
        async with on_sessions(ledger := Ledger()) as (_, _, url):
            async with cutting(url, lengths) as cutter, Channel(cutter.url) as channel:
                names = [f"call {n}" for n in range(500)]
                answers = await asyncio.gather(*(channel.unary(ADD, text(name)) for name in names))
                assert [answer.value for answer in answers] == names
                for name in names[:50]:
                    await channel.unary(ADD, text(f"{name} again"))
            assert set(ledger.effects.values()) == {1} and len(ledger.effects) == 550

    run(main())


@pytest.mark.parametrize(
    "options",
    [
        ChannelOptions(protocol="connect"),
        ChannelOptions(protocol="connect", http1=True, codec="json"),
        ChannelOptions(protocol="grpc-web", http1=True),
        ChannelOptions(compression="gzip", keepalive_time=0.5),
        ChannelOptions(balancing="round_robin"),
    ],
    ids=["connect", "connect-h1", "web-h1", "gzip", "round-robin"],
)
def test_all_wires(options):
    async def main():
        async with on_sessions(Echo()) as (_, _, url), Channel(url, options=options) as channel:
            assert (await channel.unary(SAY, text("hello"))).value == "hello"
            assert [value.value async for value in channel.server_stream(COUNT, number(300))] == list(range(300))
            assert (await channel.client_stream(SUM, [number(n) for n in range(100)])).value == 4950

    asyncio.run(main())


def test_beside_a_plain_port_and_without_asyncio():
    async def main():
        async with serving() as (server, _, plain):
            listener = await server.listen("session+grpc://127.0.0.1:0")
            assert server.urls == [plain, listener.url]

            def without():
                with SyncChannel(listener.url) as channel:
                    first = channel.unary(SAY, text("one")).value
                    return first, [value.value for value in channel.server_stream(COUNT, number(3))]

            assert await asyncio.to_thread(without) == ("one", [0, 1, 2])
            async with Channel(plain) as channel:
                assert (await channel.unary(SAY, text("two"))).value == "two"
            await until(lambda: server.connections == 0)

    asyncio.run(main())


def test_tls_and_the_identity_of_a_certificate(run):
    async def main():
        certificates = Certificates()
        seen = []

        class Peers(Echo):
            async def say(self, request, context):
                seen.append(context.peer)
                return request

        tls = certificates.server(mutual=True)
        async with serving("session+grpcs://127.0.0.1:0", Peers(), tls=tls) as (_, _, url):
            async with cutting(url) as cutter:
                async with Channel(cutter.url, tls=certificates.client(mutual=True)) as channel:
                    await channel.unary(SAY, text("1"))
                    cutter.cut()
                    await channel.unary(SAY, text("2"))
                    assert carrier(channel).info.connections == 2
                error = await failure(Channel(cutter.url, tls=certificates.client()).unary(SAY, text("3"), timeout=5))
                assert error.code is Code.UNAVAILABLE
        assert {peer.identity.name for peer in seen} == {"email:client@example"}
        assert seen[0].address != seen[1].address, "it has another connection now"

    run(main())


def test_a_deadline_and_a_cancellation_need_no_connection(run):
    async def main():
        async with on_sessions(Echo()) as (_, echo, url), cutting(url) as cutter, Channel(cutter.url) as channel:
            await channel.unary(SAY, text("1"))
            cutter.open = False
            cutter.cut()
            assert (await failure(channel.unary(SLEEP, text("30"), timeout=0.05))).code is Code.DEADLINE_EXCEEDED
            waiting = asyncio.ensure_future(channel.unary(SLEEP, text("30")))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            cutter.open = True
            carrier(channel).info.migrate()
            assert (await channel.unary(SAY, text("2"))).value == "2"
            await until(lambda: echo.heard.count("cancelled") == echo.heard.count("on_cancel"))

    run(main())


def test_a_handler_is_cancelled_over_the_next_connection(run):
    async def main():
        async with on_sessions(Echo()) as (_, echo, url), cutting(url) as cutter, Channel(cutter.url) as channel:
            waiting = asyncio.ensure_future(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            cutter.cut()
            waiting.cancel()
            await until(lambda: "cancelled" in echo.heard)

    run(main())


def test_a_drain_waits_for_calls_whose_caller_is_away(run):
    async def main():
        async with on_sessions(Echo()) as (server, echo, url), cutting(url) as cutter, Channel(cutter.url) as channel:
            waiting = asyncio.ensure_future(channel.unary(SLEEP, text("0.2")))
            await echo.started.wait()
            cutter.open = False
            cutter.cut()
            draining = asyncio.ensure_future(server.drain(20))
            await until(lambda: "cancelled" in echo.heard or not connection_of(server).running)
            cutter.open = True
            carrier(channel).info.migrate()
            assert (await waiting).value == "slept"
            await draining
            assert (await failure(channel.unary(SAY, text("1"), timeout=5))).code is Code.UNAVAILABLE

    run(main())


def connection_of(server):
    """The one session of a server, as the server has it."""
    (connection,) = server._session_listeners[0][1]._connections
    return connection


def test_a_drain_does_not_wait_for_who_is_away_and_has_no_calls():
    async def main():
        options = ChannelOptions(session=SessionOptions(close_timeout=0.01))
        async with on_sessions(Echo()) as (server, _, url), cutting(url) as cutter:
            async with Channel(cutter.url, options=options) as channel:
                await channel.unary(SAY, text("1"))
                cutter.open = False
                cutter.cut()
                await until(lambda: connection_of(server).away)
                await server.drain()

    asyncio.run(main())


def test_both_ends_log_what_becomes_of_their_connections(caplog):
    """That one is lost, that the session has resumed; nothing when it ends in order."""
    caplog.set_level("INFO", "catenet.session")

    def said(what):
        return sum(record.getMessage().startswith(what) for record in caplog.records)

    async def main():
        async with on_sessions(Echo()) as (_, _, url), cutting(url) as cutter, Channel(cutter.url) as channel:
            await channel.unary(SAY, text("1"))
            cutter.open = False
            cutter.cut()
            await until(lambda: said("connection lost: ") == 2)
            cutter.open = True
            carrier(channel).info.migrate()  # moves once more if the client has come back by itself meanwhile
            await until(lambda: said("resumed after ") == 2)
            carrier(channel).info.migrate()
            await until(lambda: said("moved to a new connection on 127.0.0.1:") >= 2)
            await channel.unary(SAY, text("2"))
        moved = said("moved to a new connection on 127.0.0.1:")
        assert (said(""), said("connection lost: "), said("resumed after ")) == (4 + moved, 2, 2)

    asyncio.run(main())


@pytest.mark.parametrize("away", [False, True])
def test_a_drain_ends_who_has_not_begun_and_nobody_else(away):
    """Somebody has opened a session and sent nothing on it; a call of another client still ends as it should."""

    async def main():
        async with on_sessions(Echo()) as (server, echo, url), cutting(url) as cutter:
            plain = await server.listen("tcp://127.0.0.1:0")
            _, writer = await session.connect(cutter.url.replace("+grpc", "+tcp"))
            await until(lambda: server._session_listeners[0][1].connections)
            if away:
                cutter.open = False
                cutter.cut()
                await until(lambda: connection_of(server).away)
            assert not connection_of(server).busy
            async with Channel(plain.url) as channel:
                waiting = asyncio.ensure_future(channel.unary(SLEEP, text("0.1")))
                await echo.started.wait()
                await server.drain(20)
                assert (await waiting).value == "slept"
            writer.transport.abort()

    asyncio.run(main())


def test_a_server_that_is_closed_tells_its_clients(run):
    async def main():
        async with on_sessions(Echo()) as (server, echo, url), Channel(url) as channel:
            waiting = asyncio.ensure_future(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            await server.close()
            error = await failure(waiting)
            assert (error.code, "the server shuts down" in error.message) == (Code.UNAVAILABLE, True)
            await until(lambda: "cancelled" in echo.heard)

    run(main())


def test_a_channel_that_is_closed_leaves_no_session_behind(run):
    async def main():
        async with on_sessions(Echo()) as (server, echo, url):
            channel = Channel(url)
            waiting = asyncio.ensure_future(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            await channel.close()
            assert (await failure(waiting)).code is Code.CANCELLED
            await until(lambda: server.connections == 0 and "cancelled" in echo.heard)

    run(main())


def test_a_server_that_restarts_ends_calls_and_the_channel_goes_on(run):
    async def main():
        async with on_sessions(Echo()) as (server, echo, url):
            async with Channel(url) as channel:
                waiting = asyncio.ensure_future(channel.unary(SLEEP, text("30")))
                await echo.started.wait()
                await server.close()
                assert (await failure(waiting)).code is Code.UNAVAILABLE
                async with serving(url, Echo()):
                    assert (await channel.unary(SAY, text("1"), wait_for_ready=True, timeout=20)).value == "1"

    run(main())


def test_a_session_that_expires_ends_its_calls():
    async def main():
        options = ChannelOptions(session=SessionOptions(expiry=1))
        async with on_sessions(Echo()) as (_, echo, url), cutting(url) as cutter:
            async with Channel(cutter.url, options=options) as channel:
                waiting = asyncio.ensure_future(channel.unary(SLEEP, text("30")))
                await echo.started.wait()
                cutter.open = False
                cutter.cut()
                error = await failure(waiting)
                assert (error.code, "expired" in error.message) == (Code.UNAVAILABLE, True)
                await until(lambda: "cancelled" in echo.heard)

    asyncio.run(main())


def test_limits_for_each_caller_hold():
    async def main():
        guard = Guard(limits=[Limit(concurrent=1)])
        async with on_sessions(Echo(), guard=guard) as (_, echo, url), cutting(url) as cutter:
            async with Channel(cutter.url) as channel:
                waiting = asyncio.ensure_future(channel.unary(SLEEP, text("30")))
                await echo.started.wait()
                cutter.cut()
                assert (await failure(channel.unary(SAY, text("1")))).code is Code.RESOURCE_EXHAUSTED
                waiting.cancel()

    asyncio.run(main())


# Attacks.


def test_another_key_or_none(run):
    async def main():
        key = bytes(range(16))
        options = ServerOptions(session=SessionOptions(key=key))
        async with on_sessions(Echo(), options=options) as (server, echo, url):
            for wrong in (None, bytes(16)):
                given = ChannelOptions(session=SessionOptions(key=wrong))
                async with Channel(url, options=given) as channel:
                    error = await failure(channel.unary(SAY, text("1"), timeout=5))
                    assert error.code is Code.UNAVAILABLE and "key" in error.message
            async with Channel(url, options=ChannelOptions(session=SessionOptions(key=key))) as channel:
                assert (await channel.unary(SAY, text("2"))).value == "2"
            assert echo.heard == ["say"] and server.counters.connections_opened == 1

    run(main())


class Recorder:
    """Passes a connection on, and keeps what the client says."""

    def __init__(self):
        self.said = []

    async def start(self, url):
        self._port = int(url.rpartition(":")[2])
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"session+grpc://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def _carry(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        said = bytearray()
        self.said.append(said)

        async def copy(source, sink, kept):
            while data := await source.read(65536):
                if kept is not None:
                    kept += data
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, far_writer, said), copy(far_reader, writer, None), return_exceptions=True)


def test_what_was_recorded_and_a_foreign_token_do_nothing():
    """Who has read everything says it again, word for word, and then with a token and proofs of another session."""

    async def main():
        async with on_sessions(ledger := Ledger()) as (server, _, url):
            recorder = Recorder()
            async with Channel(await recorder.start(url)) as channel:
                await channel.unary(ADD, text("1"))
                carrier(channel).connection.abort()
                await channel.unary(ADD, text("2"))
                first, second = map(bytes, recorder.said[:2])
                assert wire.frame(wire.RESUME, b"")[:1] == second[:1]
                before = server.counters.started
                answers = [await say(url, said) for said in (first, second, swapped(second, carrier(channel)))]
                assert answers[1][:1] == answers[2][:1] == bytes([wire.REFUSED])
                assert server.counters.started == before, "no call has begun"
                assert (await channel.unary(ADD, text("3"))).value == "3"
            assert ledger.effects == {"1": 1, "2": 1, "3": 1}

    asyncio.run(main())


async def say(url, data):
    """Say something on a connection of its own; return what comes until the server has nothing more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def swapped(said, transport):
    """The same with the token of a session that is not this client's."""
    token = transport.info.token
    assert token in said
    return said.replace(token, bytes(len(token)), 1)


def test_plain_http_on_the_port_of_sessions():
    async def main():
        async with on_sessions(Echo()) as (server, echo, url):
            answer = await say(url, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100))
            assert answer == b""
            async with Channel(url.removeprefix("session+grpc://")) as channel:
                await failure(channel.unary(SAY, text("1"), timeout=0.2))
            assert echo.heard == [] and server.connections == 0

    asyncio.run(main())


def test_sessions_that_are_left_behind_are_bounded():
    """A client begins sessions and calls, and goes; those that others have are not harmed."""

    async def main():
        options = ServerOptions(session=SessionOptions(max_away=5))
        async with on_sessions(Echo(), options=options) as (server, echo, url), cutting(url) as cutter:
            async with Channel(url) as mine:
                await mine.unary(SAY, text("1"))
                channels = [Channel(cutter.url) for _ in range(12)]
                waiting = [asyncio.ensure_future(each.unary(SLEEP, text("30"))) for each in channels]
                await until(lambda: server.counters.started == 13)
                cutter.open = False
                cutter.cut()
                await until(lambda: server.connections == 6)
                await until(lambda: echo.heard.count("cancelled") == 7)
                assert (await mine.unary(SAY, text("2"))).value == "2"
                for call in waiting:
                    call.cancel()
                cutter.open = True
                await asyncio.gather(*(each.close() for each in channels))
                await until(lambda: server.connections == 1)

    asyncio.run(main())


def test_no_more_sessions_than_one_address_may_have():
    async def main():
        options = ServerOptions(session=SessionOptions(max_of_peer=1))
        async with on_sessions(Echo(), options=options) as (server, _, url):
            async with Channel(url) as first:
                await first.unary(SAY, text("1"))
                async with Channel(url) as second:
                    error = await failure(second.unary(SAY, text("2"), timeout=5))
                    assert error.code is Code.UNAVAILABLE and server.connections == 1
                assert (await first.unary(SAY, text("3"))).value == "3"
            await until(lambda: server.connections == 0)
            async with Channel(url) as third:
                assert (await third.unary(SAY, text("4"), wait_for_ready=True)).value == "4"

    asyncio.run(main())


def test_who_leaves_most_behind_loses_them_first():
    away = [Away(n, "many", n, 10) for n in range(10)] + [Away("one", "few", 100, 3), Away("old", "few", -1, 0)]
    assert too_many(away, 12, 1000) == []
    assert too_many(away, 10, 1000) == [0, 1]
    assert too_many(away, 100, 83) == [0, 1]
    assert too_many(away, 100, 0) == [*range(10), "one"]
    assert len(too_many(away, 0, 0)) == 12
    assert too_many(away, 11, 73) == [0, 1, 2]


def test_a_client_that_is_slow_while_it_is_away_is_not_late():
    """What a connection begins with, and the rest of a message, have a time that stands still without a connection."""

    async def main():
        options = ServerOptions(handshake_timeout=0.3)
        async with on_sessions(ledger := Ledger(), options=options) as (server, _, url), cutting(url) as cutter:
            async with Channel(cutter.url) as channel:
                async with channel.bidi(FOLLOW) as call:
                    await call.send(text("0"))
                    await call.receive()
                    cutter.open = False
                    cutter.cut()
                    large = asyncio.ensure_future(call.send(text(f"1 {'x' * 1_000_000}")))
                    connection = connection_of(server)
                    await until(lambda: connection.away)
                    begun = asyncio.get_running_loop().time()
                    await until(lambda: asyncio.get_running_loop().time() > begun + 1.5)
                    cutter.open = True
                    carrier(channel).info.migrate()
                    await large
                    assert (await call.receive()).value.startswith("1 ")
            assert ledger.wrong == []

    asyncio.run(main())


@pytest.mark.parametrize("said", [b"PR", PREFACE + bytes(3), PREFACE + SETTINGS + b"\0\0\x10\1\4\0\0\0\1\x88"])
def test_a_client_that_is_there_and_slow_is_late(said):
    """Heartbeats are answered, so it can be reached; but what it has begun it does not finish."""

    async def main():
        options = ServerOptions(handshake_timeout=0.3)
        async with on_sessions(Echo(), options=options) as (server, _, url):
            reader, writer = await session.connect(url.replace("grpc", "tcp"), heartbeat=0.1)
            writer.write(said)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.transport.abort()
            await until(lambda: server.connections == 0)

    asyncio.run(main())


def test_idempotent_calls_are_repeated_when_the_session_is_lost():
    async def main():
        config = parse_service_config(
            {
                "methodConfig": [
                    {
                        "name": [{}],
                        "retryPolicy": {
                            "maxAttempts": 5,
                            "initialBackoff": "0.1s",
                            "maxBackoff": "1s",
                            "backoffMultiplier": 2,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ]
            }
        )
        options = ChannelOptions(service_config=config, wait_for_ready=True)
        async with on_sessions(Echo()) as (server, echo, url), Channel(url, options=options) as channel:
            waiting = asyncio.ensure_future(channel.unary(SLEEP, text("0.1")))
            await echo.started.wait()
            await server.close()
            async with serving(url, Echo()):
                assert (await waiting).value == "slept"

    asyncio.run(main())


def test_wrong_targets_are_said_at_once():
    with pytest.raises(ValueError, match="key: a shared key has 16 bytes"):
        Channel("session+grpc://localhost:1", options=ChannelOptions(session=SessionOptions(key=b"short")))
    with pytest.raises(ValueError, match="names no port"):
        Channel("session+grpc://localhost")

    async def main():
        with pytest.raises(ValueError, match=r"needs an ssl.SSLContext"):
            await Server().listen("session+grpcs://127.0.0.1:0")
        with pytest.raises(ValueError, match="one process"):
            await Server().listen("session+grpc://127.0.0.1:0", reuse_port=True)

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["--reset-after", "--cut"])
def test_through_a_relay_that_spoils_the_line(fault):
    """A process of `catenet listen` in between, which delays, and ends each connection in its middle."""

    async def main():
        async with on_sessions(ledger := Ledger()) as (_, _, url), contextlib.AsyncExitStack() as stack:
            words = ("-k", "tcp://127.0.0.1:0", url.replace("session+grpc", "tcp"), fault, "90kB", "--latency", "1ms")
            relay = listening(*words)
            process = await asyncio.to_thread(relay.__enter__)
            stack.push(relay)
            async with Channel(f"session+grpc://127.0.0.1:{process.port}") as channel:
                await asyncio.gather(follow(channel, 2000), follow(channel, 2000))
                assert carrier(channel).info.connections > 3
            assert (ledger.streams, ledger.wrong) == (2, [])

    asyncio.run(main())


# Programs for grpc.

SERIALIZERS = (StringValue.FromString, StringValue.SerializeToString)


async def shout(requests, context):
    async for request in requests:
        yield text(request.value.upper())


def aio_server(api):
    handler = api.stream_stream_rpc_method_handler(shout, *SERIALIZERS)
    server = api.aio.server()
    server.add_generic_rpc_handlers((api.method_handlers_generic_handler("test.Shout", {"Shout": handler}),))
    return server


@pytest.mark.parametrize("secure", [False, True])
def test_a_program_for_grpc_aio(secure):
    from catenet.rpc import grpc as api

    async def main():
        authority = Certificates().authority
        issued = authority.issue_cert("localhost", "127.0.0.1")
        pair = issued.private_key_pem.bytes(), b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        server = aio_server(api)
        if secure:
            credentials = api.ssl_server_credentials([pair])
            port = server.add_secure_port("session+grpc://127.0.0.1:0", credentials)
        else:
            port = server.add_insecure_port("session+grpc://127.0.0.1:0")
        await server.start()
        async with cutting(f"session+grpc://127.0.0.1:{port}", itertools.repeat((WHOLE, 5000))) as cutter:
            if secure:
                credentials = api.ssl_channel_credentials(authority.cert_pem.bytes())
                channel = api.aio.secure_channel(cutter.url, credentials)
            else:
                channel = api.aio.insecure_channel(cutter.url, options=[("catenet.session_expiry_ms", 60_000)])
            async with channel:
                call = channel.stream_stream("/test.Shout/Shout", *reversed(SERIALIZERS))()
                for n in range(500):
                    await call.write(text(f"message {n}"))
                    assert (await call.read()).value == f"MESSAGE {n}"
                await call.done_writing()
                assert await call.read() == api.aio.EOF
            assert cutter.connections > 3
        await server.stop(None)

    asyncio.run(main())


def test_a_program_for_grpc():
    import concurrent.futures

    from catenet.rpc import grpc as api

    def shout_on_threads(requests, context):
        for request in requests:
            yield text(request.value.upper())

    server = api.server(concurrent.futures.ThreadPoolExecutor(2), options=[("catenet.session_key", bytes(range(16)))])
    handler = api.stream_stream_rpc_method_handler(shout_on_threads, *SERIALIZERS)
    server.add_generic_rpc_handlers((api.method_handlers_generic_handler("test.Shout", {"Shout": handler}),))
    port = server.add_insecure_port("session+grpc://127.0.0.1:0")
    server.start()
    options = [("catenet.session_key", bytes(range(16)))]
    with api.insecure_channel(f"session+grpc://127.0.0.1:{port}", options=options) as channel:
        call = channel.stream_stream("/test.Shout/Shout", *reversed(SERIALIZERS))
        assert [one.value for one in call(text(f"m{n}") for n in range(100))] == [f"M{n}" for n in range(100)]
    with api.insecure_channel(f"session+grpc://127.0.0.1:{port}") as channel:
        with pytest.raises(api.RpcError) as caught:
            list(channel.stream_stream("/test.Shout/Shout", *reversed(SERIALIZERS))(iter([])))
        assert caught.value.code() is api.StatusCode.UNAVAILABLE
    server.stop(None)
