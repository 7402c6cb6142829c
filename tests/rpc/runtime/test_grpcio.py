"""Interoperation with grpcio, both ways, on its synchronous and its asynchronous interface."""

import asyncio
import concurrent.futures

import grpc
import pytest
from echoservice import BLOB, CHAT, COUNT, SAY, SLEEP, SUM, Certificates, failure, number, serving, text
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue
from google.rpc import status_pb2
from grpc_status import rpc_status

from catenet.http.limits import Limits
from catenet.rpc import CallInfo, Channel, ChannelOptions, Code, Kind, ServerOptions

CODERS = {"request_serializer": lambda message: message.SerializeToString()}
SHAPES = {Kind.UNARY: "unary_unary", Kind.SERVER_STREAM: "unary_stream", Kind.CLIENT_STREAM: "stream_unary",
          Kind.BIDI: "stream_stream"}  # fmt: skip


def stub(channel, method):
    """Return grpcio's callable for one of our methods."""
    make = getattr(channel, SHAPES[method.kind])
    return make(method.path, response_deserializer=method.response.FromString, **CODERS)


# grpcio calls us.


def test_grpc_aio_calls_all_kinds():
    async def main():
        async with serving() as (_, _, url), grpc.aio.insecure_channel(url.removeprefix("tcp://")) as channel:
            assert (await stub(channel, SAY)(text("hello"))).value == "hello"
            assert [value.value async for value in stub(channel, COUNT)(number(5000))] == list(range(5000))
            assert (await stub(channel, SUM)([number(n) for n in range(1000)])).value == 499500
            call = stub(channel, CHAT)()
            for word in ("a", "b"):
                await call.write(text(word))
                assert (await call.read()).value == word.upper()
            await call.done_writing()
            assert await call.read() == grpc.aio.EOF
            blob = bytes(range(256)) * 12_000
            assert (await stub(channel, BLOB)(BytesValue(value=blob))).value == blob

    asyncio.run(main())


def test_grpc_aio_sees_metadata_errors_and_details():
    async def main():
        async with serving() as (_, _, url), grpc.aio.insecure_channel(url.removeprefix("tcp://")) as channel:
            call = stub(channel, SAY)(text("meta:"), metadata=[("a-text", "x"), ("a-bin", b"\0\1\xff")])
            assert (await call).value == repr([("a-text", "x"), ("a-bin", b"\0\1\xff")])
            assert ("x-bin", b"\0\xff") in tuple(await call.initial_metadata())
            assert ("x-last", "2") in tuple(await call.trailing_metadata())
            for code in Code:
                if code is Code.OK:
                    continue
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub(channel, SAY)(text(f"fail:{code.name}"))
                assert caught.value.code().value[0] == code
                assert caught.value.details() == "as you wish: 100 %\n"
            status = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
            detail = status_pb2.Status.FromString(status).details[0]
            assert StringValue.FromString(detail.value).value == "detail"

    asyncio.run(main())


def test_grpc_aio_deadlines_and_cancellation():
    async def main():
        async with serving() as (_, echo, url), grpc.aio.insecure_channel(url.removeprefix("tcp://")) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub(channel, SLEEP)(text("30"), timeout=0.1)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            call = stub(channel, SLEEP)(text("30"))
            echo.started.clear()
            await asyncio.sleep(0)
            task = asyncio.ensure_future(call)
            await echo.started.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while echo.heard.count("cancelled") < 2:
                await asyncio.sleep(0.01)

    asyncio.run(main())


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_grpc_aio_compresses(compression):
    async def main():
        async with serving(options=ServerOptions(compression="gzip")) as (_, _, url):
            async with grpc.aio.insecure_channel(url.removeprefix("tcp://"), compression=compression) as channel:
                assert (await stub(channel, SAY)(text("x" * 10_000))).value == "x" * 10_000

    asyncio.run(main())


def test_grpc_aio_with_many_streams_at_once():
    async def main():
        async with serving(options=ServerOptions(limits=Limits(max_streams=2000))) as (_, _, url):
            async with grpc.aio.insecure_channel(url.removeprefix("tcp://")) as channel:
                say = stub(channel, SAY)
                values = await asyncio.gather(*(say(text(f"later:{n}")) for n in range(2000)))
                assert [value.value for value in values] == [f"later:{n}" for n in range(2000)]

    asyncio.run(main())


def test_grpc_aio_goes_on_over_a_drain():
    async def main():
        async with serving() as (server, echo, url), grpc.aio.insecure_channel(url.removeprefix("tcp://")) as channel:
            running = asyncio.ensure_future(stub(channel, SLEEP)(text("0.3")))
            await echo.started.wait()
            await server.drain(grace=5.0)
            assert (await running).value == "slept"

    asyncio.run(main())


def test_grpcio_calls_over_tls_and_unix_sockets(tmp_path):
    certificates = Certificates()
    roots = certificates.authority.cert_pem.bytes()

    def call(channel):
        with channel:
            assert stub(channel, SAY)(text("hello"), timeout=60).value == "hello"
            assert [value.value for value in stub(channel, COUNT)(number(5))] == list(range(5))
            assert stub(channel, SUM)(iter([number(1), number(2)])).value == 3
            with pytest.raises(grpc.RpcError) as caught:
                stub(channel, SAY)(text("fail:ABORTED"))
            assert rpc_status.from_call(caught.value).code == Code.ABORTED

    async def main():
        loop = asyncio.get_running_loop()
        async with serving("tls://localhost:0", tls=certificates.server()) as (_, _, url):
            credentials = grpc.ssl_channel_credentials(roots)
            await loop.run_in_executor(None, call, grpc.secure_channel(url.removeprefix("tls://"), credentials))
        async with serving(f"unix:{tmp_path}/s.sock") as (_, _, url):
            await loop.run_in_executor(None, call, grpc.insecure_channel(url))

    asyncio.run(main())


# We call grpcio.


def theirs():
    """grpcio's generic handlers for the same methods."""

    async def say(request, context):
        command, _, rest = request.value.partition(":")
        if command == "fail":
            await context.abort(next(code for code in grpc.StatusCode if code.name == rest), "as you wish: é %\n")
        if command == "meta":
            await context.send_initial_metadata((("x-bin", b"\0\xff"),))
            context.set_trailing_metadata((("x-last", "2"),))
            return text(repr([tuple(pair) for pair in context.invocation_metadata() if pair[0].startswith("a-")]))
        if command == "deadline":
            return text(f"{context.time_remaining():.1f}")
        return text(request.value)

    async def blob(request, context):
        return request

    async def count(request, context):
        for value in range(request.value):
            yield number(value)

    async def total(requests, context):
        return number(sum([request.value async for request in requests]))

    async def chat(requests, context):
        async for request in requests:
            yield text(request.value.upper())

    async def sleep(request, context):
        await asyncio.sleep(float(request.value))
        return request

    def handler(kind, function, request, response):
        make = getattr(grpc, f"{SHAPES[kind]}_rpc_method_handler")
        return make(function, request_deserializer=request.FromString, response_serializer=response.SerializeToString)

    return grpc.method_handlers_generic_handler(
        "test.Echo",
        {
            "Say": handler(Kind.UNARY, say, StringValue, StringValue),
            "Blob": handler(Kind.UNARY, blob, BytesValue, BytesValue),
            "Count": handler(Kind.SERVER_STREAM, count, Int64Value, Int64Value),
            "Sum": handler(Kind.CLIENT_STREAM, total, Int64Value, Int64Value),
            "Chat": handler(Kind.BIDI, chat, StringValue, StringValue),
            "Sleep": handler(Kind.UNARY, sleep, StringValue, StringValue),
        },
    )


def against_grpcio(test, **options):
    async def main():
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((theirs(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with Channel(f"tcp://127.0.0.1:{port}", options=ChannelOptions(**options)) as channel:
                await test(channel)
        finally:
            await server.stop(0)

    asyncio.run(main())


def test_we_call_grpc_aio():
    async def test(channel):
        assert (await channel.unary(SAY, text("hello"))).value == "hello"
        assert [v.value async for v in channel.server_stream(COUNT, number(3000))] == list(range(3000))
        assert (await channel.client_stream(SUM, [number(n) for n in range(1000)])).value == 499500
        async with channel.bidi(CHAT) as call:
            await call.send(text("a"))
            assert (await call.receive()).value == "A"
            await call.done()
            assert await call.receive() is None
        blob = bytes(range(256)) * 12_000
        assert (await channel.unary(BLOB, BytesValue(value=blob))).value == blob

    against_grpcio(test)


def test_we_understand_what_grpc_aio_says_beside_its_messages():
    async def test(channel):
        info = CallInfo()
        reply = await channel.unary(SAY, text("meta:"), metadata=[("a-bin", b"\1"), ("a-text", "x")], info=info)
        assert sorted(eval(reply.value)) == [("a-bin", b"\1"), ("a-text", "x")]
        assert ("x-bin", b"\0\xff") in info.initial_metadata
        assert ("x-last", "2") in info.trailing_metadata
        for code in Code:
            if code is not Code.OK:
                error = await failure(channel.unary(SAY, text(f"fail:{code.name}")))
                assert (error.code, error.message) == (code, "as you wish: é %\n")
        assert (await channel.unary(SAY, text("deadline:"), timeout=7.0)).value == "7.0"
        assert (await failure(channel.unary(SLEEP, text("30"), timeout=0.1))).code is Code.DEADLINE_EXCEEDED

    against_grpcio(test)


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_we_compress_for_grpc_aio(compression):
    async def test(channel):
        assert (await channel.unary(SAY, text("x" * 10_000))).value == "x" * 10_000

    against_grpcio(test, compression=compression)


def test_we_call_a_synchronous_grpcio_server():
    def say(request, context):
        return text(request.value)

    pool = concurrent.futures.ThreadPoolExecutor(2)
    server = grpc.server(pool)
    handler = grpc.unary_unary_rpc_method_handler(
        say, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Say": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def main():
        async with Channel(f"tcp://127.0.0.1:{port}") as channel:
            replies = await asyncio.gather(*(channel.unary(SAY, text(str(n))) for n in range(200)))
            assert [reply.value for reply in replies] == [str(n) for n in range(200)]

    asyncio.run(main())
    server.stop(0).wait()
