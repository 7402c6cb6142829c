"""Calls of all kinds, over all wires and transports, between our client and our server."""

import asyncio

import pytest
from echoservice import (
    BLOB,
    CHAT,
    COUNT,
    MISSING,
    SAY,
    SUM,
    Certificates,
    Echo,
    Threaded,
    calling,
    failure,
    number,
    serving,
    text,
)
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from catenet.http.limits import Limits
from catenet.rpc import CallInfo, Channel, ChannelOptions, Code, Interceptor, RpcError, Server, ServerOptions

WIRES = [
    ChannelOptions(),
    ChannelOptions(codec="json"),
    ChannelOptions(compression="gzip"),
    ChannelOptions(protocol="grpc-web"),
    ChannelOptions(protocol="grpc-web", http1=True),
    ChannelOptions(protocol="connect"),
    ChannelOptions(protocol="connect", compression="zstd"),
    ChannelOptions(protocol="connect", codec="json", http1=True),
    ChannelOptions(codec="xml"),
    ChannelOptions(protocol="connect", codec="xml", http1=True),
]


def name_of(options):
    return "-".join((options.protocol, options.codec, options.compression, "h1" if options.http1 else "h2"))


@pytest.fixture(params=WIRES, ids=name_of)
def wire(request):
    return request.param


async def all_kinds(channel, bidi=True):
    assert (await channel.unary(SAY, text("hello"))).value == "hello"
    assert (await channel.unary(SAY, text("later: hello"), timeout=5.0)).value == "later: hello"
    assert [value.value async for value in channel.server_stream(COUNT, number(300))] == list(range(300))
    assert [value.value async for value in channel.server_stream(COUNT, number(0))] == []
    assert (await channel.client_stream(SUM, [number(n) for n in range(100)])).value == 4950

    async def slowly():
        for n in range(5):
            await asyncio.sleep(0.001)
            yield number(n)

    assert (await channel.client_stream(SUM, slowly())).value == 10
    assert (await channel.client_stream(SUM, [])).value == 0
    if bidi:
        async with channel.bidi(CHAT) as call:
            for word in ("a", "b"):
                await call.send(text(word))
                assert (await call.receive()).value == word.upper()
            await call.done()
            assert await call.receive() is None


def test_all_kinds_over_all_wires(wire):
    async def main():
        async with calling(wire) as (channel, _):
            await all_kinds(channel, bidi=not wire.http1)

    asyncio.run(main())


@pytest.mark.parametrize("transport", ["unix", "abstract", "tls", "mtls", "ipv6"])
def test_all_kinds_over_all_transports(transport, tmp_path):
    certificates = Certificates()
    urls = {
        "unix": f"unix:{tmp_path}/s.sock",
        "abstract": f"unix:@catenet-test-{tmp_path.name}",
        "ipv6": "tcp://[::1]:0",
    }
    secure = transport in ("tls", "mtls")

    async def main():
        async with calling(
            url=urls.get(transport, "tls://localhost:0" if secure else "tcp://127.0.0.1:0"),
            tls=certificates.server(transport == "mtls") if secure else None,
            channel_tls=certificates.client(transport == "mtls") if secure else None,
        ) as (channel, _):
            await all_kinds(channel)

    asyncio.run(main())


def test_tls_that_does_not_verify_is_unavailable():
    async def main():
        server_side, client_side = Certificates(), Certificates()
        async with serving("tls://localhost:0", tls=server_side.server(mutual=True)) as (_, _, url):
            for tls in (client_side.client(mutual=True), server_side.client()):
                async with Channel(url, tls=tls) as channel:
                    assert (await failure(channel.unary(SAY, text("x"), timeout=5.0))).code is Code.UNAVAILABLE

    asyncio.run(main())


def test_connect_over_tls_negotiates_http2():
    async def main():
        certificates = Certificates()
        async with calling(
            ChannelOptions(protocol="connect", http1=True),
            url="tls://localhost:0",
            tls=certificates.server(),
            channel_tls=certificates.client(),
        ) as (channel, _):
            await all_kinds(channel)

    asyncio.run(main())


def test_metadata_both_ways(wire):
    async def main():
        async with calling(wire) as (channel, _):
            info = CallInfo()
            sent = [("a-text", "x y"), ("a-bin", b"\1\2\xff"), ("a-text", "second")]
            reply = await channel.unary(SAY, text("meta:"), metadata=sent, info=info)
            assert reply.value == repr(sent)
            assert {("x-first", "1"), ("x-bin", b"\0\xff")} <= set(info.initial_metadata)
            assert {("x-last", "2"), ("y-bin", b"")} <= set(info.trailing_metadata)

    asyncio.run(main())


@pytest.mark.parametrize(
    "bad", [("Content-Type", "x"), ("a b", "x"), ("x", b"bytes"), ("x-bin", "text"), ("x", "a\nb")]
)
def test_wrong_metadata_is_the_callers_error(bad):
    async def main():
        async with calling() as (channel, _):
            with pytest.raises(ValueError, match="metadata"):
                await channel.unary(SAY, text("x"), metadata=[bad])

    asyncio.run(main())


def test_errors_with_code_message_and_details(wire):
    async def main():
        async with calling(wire) as (channel, _):
            for code in Code:
                if code is Code.OK:
                    continue
                error = await failure(channel.unary(SAY, text(f"fail:{code.name}")))
                assert (error.code, error.message) == (code, "as you wish: 100 %\n")
                assert error.detail(StringValue).value == "detail"

    asyncio.run(main())


def test_failures_of_the_handler_say_no_secrets(wire):
    async def main():
        async with calling(wire) as (channel, _):
            error = await failure(channel.unary(SAY, text("raise:")))
            assert error.code is Code.UNKNOWN and "secret" not in error.message
            error = await failure(channel.unary(SAY, text("wrong:")))
            assert error.code is Code.INTERNAL and "StringValue" in error.message
            assert (await failure(channel.unary(MISSING, text("x")))).code is Code.UNIMPLEMENTED

    asyncio.run(main())


def test_a_stream_that_fails_in_the_middle(wire):
    async def main():
        async with calling(wire) as (channel, _):
            info, seen = CallInfo(), []
            with pytest.raises(RpcError) as caught:
                async for value in channel.server_stream(COUNT, number(13), info=info):
                    seen.append(value.value)  # noqa: PERF401 - it must hold what came before the error
            assert seen == list(range(13))
            assert (caught.value.code, caught.value.message) == (Code.OUT_OF_RANGE, "unlucky")
            assert ("x-last", "13") in info.trailing_metadata

    asyncio.run(main())


def test_a_request_stream_that_the_server_ends(wire):
    async def main():
        async with calling(wire) as (channel, _):

            async def endless():
                while True:
                    yield number(9_999_999)
                    await asyncio.sleep(0)

            if not wire.http1:
                error = await failure(channel.client_stream(SUM, endless(), timeout=10.0))
                assert (error.code, error.message) == (Code.OUT_OF_RANGE, "enough")

    asyncio.run(main())


def test_requests_that_raise_end_the_call():
    async def main():
        async with calling() as (channel, _):

            def broken():
                yield number(1)
                raise ValueError("mine")

            with pytest.raises(ValueError, match="mine"):
                await channel.client_stream(SUM, broken())
            assert (await channel.unary(SAY, text("still here"))).value == "still here"

    asyncio.run(main())


def test_large_messages_and_their_limits(wire):
    async def main():
        blob = bytes(range(256)) * 12_000
        async with calling(wire) as (channel, _):
            assert (await channel.unary(BLOB, BytesValue(value=blob), timeout=20.0)).value == blob
            error = await failure(channel.unary(BLOB, BytesValue(value=bytes(6_000_000)), timeout=20.0))
            assert error.code is Code.RESOURCE_EXHAUSTED
            assert (await channel.unary(SAY, text("alive"))).value == "alive"

    asyncio.run(main())


def test_responses_over_the_clients_limit():
    async def main():
        async with calling(ChannelOptions(max_receive=1000)) as (channel, _):
            error = await failure(channel.unary(BLOB, BytesValue(value=bytes(2000))))
            assert error.code is Code.RESOURCE_EXHAUSTED
            assert (await channel.unary(SAY, text("alive"))).value == "alive"

    asyncio.run(main())


def test_parts_of_large_messages_are_limited_together():
    options = ServerOptions(max_receive=1 << 20, max_assembly=3 << 20)

    async def main():
        async with calling(options=options) as (channel, _):
            calls = [channel.bidi(CHAT) for _ in range(8)]
            for call in calls:
                await call.start()
                core = call._attempt.connection.core
                core.send_data(call._attempt.stream, b"\0" + (1 << 20).to_bytes(4, "big") + bytes(500_000))
                call._attempt.connection.touch()
            results = await asyncio.gather(*(call.done() for call in calls), *map(failure_of_stream, calls))
            codes = [result.code for result in results[8:]]
            assert Code.RESOURCE_EXHAUSTED in codes
            (server_side,) = channel.server._connections
            assert server_side.assembling == 0

    asyncio.run(main())


async def failure_of_stream(call):
    try:
        while await call.receive() is not None:
            pass
    except RpcError as error:
        return error
    return None


@pytest.mark.parametrize("coding", ["gzip", "zstd", "deflate", "identity", "unknown"])
def test_handlers_choose_the_compression_of_their_answer(coding):
    async def main():
        async with calling() as (channel, _):
            assert (await channel.unary(SAY, text(f"zip:{coding}"))).value == "z" * 5000

    asyncio.run(main())


def test_server_compresses_where_the_caller_accepts_it():
    async def main():
        for accepts in (("gzip",), ()):
            async with calling(ChannelOptions(accepts=accepts), implementation=Echo()) as (channel, _):
                channel.server.options = ServerOptions(compression="gzip")
                assert (await channel.unary(SAY, text("x" * 1000))).value == "x" * 1000

    asyncio.run(main())


def test_a_bomb_does_not_expand():
    async def main():
        async with calling(ChannelOptions(compression="gzip"), options=ServerOptions(max_receive=100_000)) as (
            channel,
            _,
        ):
            error = await failure(channel.unary(BLOB, BytesValue(value=bytes(50_000_000))))
            assert error.code is Code.RESOURCE_EXHAUSTED

    asyncio.run(main())


def test_plain_functions_run_on_threads(wire):
    async def main():
        async with calling(wire, implementation=Threaded()) as (channel, _):
            assert (await channel.unary(SAY, text("hello"))).value == "hello!"
            assert [v.value async for v in channel.server_stream(COUNT, number(5))] == list(range(5))
            assert (await channel.client_stream(SUM, [number(n) for n in range(5)])).value == 10
            if not wire.http1:
                async with channel.bidi(CHAT) as call:
                    await call.send(text("a"))
                    assert (await call.receive()).value == "A"

    asyncio.run(main())


def test_what_the_handler_knows_of_its_caller():
    async def main():
        async with calling() as (channel, _):
            assert (await channel.unary(SAY, text("peer:"))).value.startswith("127.0.0.1:")
            assert (await channel.unary(SAY, text("deadline:"))).value == "none"
            assert (await channel.unary(SAY, text("deadline:"), timeout=7.0)).value == "7.0"

    asyncio.run(main())


def test_backpressure_reaches_the_handler():
    """A caller that does not read stops the handler long before all is produced."""
    produced = []

    class Eager(Echo):
        async def count(self, request, context):
            for value in range(request.value):
                produced.append(value)
                yield number(1 << 60)

    async def main():
        limits = Limits(max_streams=0, stream_window=65_535, connection_window=65_535)
        async with calling(ChannelOptions(limits=limits), implementation=Eager()) as (channel, _):
            stream = channel.server_stream(COUNT, number(1_000_000))
            assert (await anext(stream)).value == 1 << 60
            await asyncio.sleep(0.2)
            assert 10 < len(produced) < 50_000
            assert (await channel.unary(SAY, text("others are served"))).value == "others are served"
            stream.cancel()

    asyncio.run(main())


def test_ten_thousand_calls_at_once():
    async def main():
        options = ServerOptions(limits=Limits(max_streams=10_000))
        async with calling(options=options) as (channel, _):
            values = await asyncio.gather(*(channel.unary(SAY, text(f"later:{n}")) for n in range(10_000)))
            assert [value.value for value in values] == [f"later:{n}" for n in range(10_000)]

    asyncio.run(main())


def test_calls_beyond_the_servers_limit_wait_their_turn():
    async def main():
        async with calling(options=ServerOptions(limits=Limits(max_streams=7))) as (channel, _):
            values = await asyncio.gather(*(channel.unary(SAY, text(f"later:{n}")) for n in range(200)))
            assert len(values) == 200
            assert channel.server.counters.connections_opened == 1

    asyncio.run(main())


def test_interceptors_enclose_calls_and_see_messages():
    seen = []

    class Log(Interceptor):
        def __init__(self, name):
            self.name = name

        async def around(self, call, proceed):
            seen.append(f"{self.name} in {call.method.name}")
            try:
                return await proceed()
            finally:
                seen.append(f"{self.name} out")

        def request(self, call, message):
            return text(message.value + self.name) if isinstance(message, StringValue) else message

    class Deny(Interceptor):
        async def around(self, call, proceed):
            if call.get("a-token") is None:
                raise RpcError(Code.UNAUTHENTICATED, "who are you?")
            return await proceed()

    async def main():
        async with calling(interceptors=[Log("c")], implementation=Echo()) as (channel, _):
            assert (await channel.unary(SAY, text(""))).value == "c"
        assert seen == ["c in Say", "c out"]
        seen.clear()
        server = Server([Echo()], interceptors=[Deny(), Log("1"), Log("2")])
        listener = await server.listen("tcp://127.0.0.1:0")
        async with Channel(listener.url) as channel:
            assert (await failure(channel.unary(SAY, text("")))).code is Code.UNAUTHENTICATED
            assert (await channel.unary(SAY, text(""), metadata=[("a-token", "t")])).value == "12"
            assert seen == ["1 in Say", "2 in Say", "2 out", "1 out"]
            stream = channel.server_stream(COUNT, number(3), metadata=[("a-token", "t")])
            assert len([value async for value in stream]) == 3
            with pytest.raises(RpcError, match="UNAUTHENTICATED"):
                await anext(channel.server_stream(COUNT, number(3)))
        await server.close()

    asyncio.run(main())


def test_counters():
    async def main():
        async with calling() as (channel, _):
            await channel.unary(SAY, text("x"))
            await failure(channel.unary(SAY, text("fail:NOT_FOUND")))
            await failure(channel.unary(MISSING, text("x")))
            counters = channel.server.counters
            assert (counters.started, counters.succeeded, counters.failed, counters.refused) == (2, 1, 1, 1)
            assert counters.connections_opened == 1

    asyncio.run(main())


def test_an_implementation_must_be_one():
    class Empty:
        pass

    with pytest.raises(ValueError, match="__service__"):
        Server([Empty()])
    with pytest.raises(ValueError, match="twice"):
        Server([Threaded(), Threaded()])


def test_interceptors_of_the_client_enclose_streams_too():
    seen = []

    class Log(Interceptor):
        async def around(self, call, proceed):
            seen.append("in")
            call.metadata = (*call.metadata, ("a-added", "x"))
            try:
                return await proceed()
            except RpcError as error:
                seen.append(error.code.name)
                raise
            finally:
                seen.append("out")

    class Deny(Interceptor):
        async def around(self, call, proceed):
            raise RpcError(Code.PERMISSION_DENIED, "not from here")

    async def main():
        async with calling(interceptors=[Log()]) as (channel, _):
            assert len([value async for value in channel.server_stream(COUNT, number(3))]) == 3
            assert (await channel.client_stream(SUM, [number(1)])).value == 1
            assert seen == ["in", "out"] * 2
            seen.clear()
            with pytest.raises(RpcError, match="unlucky"):
                async for _value in channel.server_stream(COUNT, number(13)):
                    pass
            assert seen == ["in", "OUT_OF_RANGE", "out"]
            seen.clear()
            async with channel.bidi(CHAT) as call:
                await call.send(text("a"))
                assert (await call.receive()).value == "A"
            await asyncio.sleep(0.01)
            assert seen == ["in", "CANCELLED", "out"]
        async with calling(interceptors=[Deny()]) as (channel, _):
            with pytest.raises(RpcError, match="not from here"):
                await anext(channel.server_stream(COUNT, number(3)))
            assert channel.server.counters.started == 0

    asyncio.run(main())


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_what_is_known_of_a_call_does_not_depend_on_whether_there_was_one_like_it(timeout):
    async def main():
        async with calling() as (channel, _):
            seen = []
            for _ in range(3):
                info = CallInfo()
                await channel.unary(SAY, text("meta"), timeout=timeout, info=info)
                seen.append((info.method, info.attempts, info.timeout, info.metadata))
                assert (("x-first", "1") in info.initial_metadata, info.trailing_metadata[0]) == (True, ("x-last", "2"))
            assert seen == [(SAY, 1, timeout, ())] * 3

    asyncio.run(main())


def test_a_call_without_a_timeout_has_none_where_the_channel_has_one():
    async def main():
        async with calling(ChannelOptions(timeout=50.0)) as (channel, _):
            for _ in range(2):
                assert (await channel.unary(SAY, text("deadline"))).value.startswith(("49", "50"))
                assert (await channel.unary(SAY, text("deadline"), timeout=None)).value == "none"

    asyncio.run(main())
