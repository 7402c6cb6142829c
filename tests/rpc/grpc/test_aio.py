"""Programs for `grpc.aio` on our stand-in: what they see is what grpcio lets them see."""

from __future__ import annotations

import asyncio
import contextlib

import pytest


@pytest.fixture(scope="module")
def noted():
    return []


@pytest.fixture(scope="module")
def servicer(api, generated, noted):
    Message = generated.Message

    class Echo(generated.EchoServicer):
        async def Unary(self, request, context):
            match request.text:
                case "abort":
                    await context.abort(api.StatusCode.NOT_FOUND, "no such", (("x-last", "1"),))
                case "code":
                    context.set_code(api.StatusCode.ALREADY_EXISTS)
                    context.set_details("there")
                    return Message()
                case "raise":
                    raise ValueError("bad thing")
                case "slow":
                    try:
                        await asyncio.sleep(30)
                    except asyncio.CancelledError:
                        noted.append("cancelled")
                        raise
                case "metadata":
                    await context.send_initial_metadata((("x-first", "1"),))
                    context.set_trailing_metadata((("x-last", "2"), ("x-last-bin", b"\0\1")))
                    seen = sorted((k, v) for k, v in context.invocation_metadata() if k.startswith("x-"))
                    return Message(text=repr(seen))
                case "done":
                    context.add_done_callback(lambda context: noted.append(context.done()))
            return Message(text=request.text.upper())

        async def Down(self, request, context):
            for number in range(request.count):
                if request.text == "fail" and number == 2:
                    await context.abort(api.StatusCode.DATA_LOSS, "lost")
                if request.text == "write":
                    await context.write(Message(count=number))
                else:
                    yield Message(count=number)

        async def Up(self, requests, context):
            return Message(count=sum([request.count async for request in requests]))

        async def Both(self, requests, context):
            while (request := await context.read()) is not api.aio.EOF:
                await context.write(Message(text=request.text * 2))

    return Echo()


@contextlib.asynccontextmanager
async def serving(api, generated, servicer, interceptors=(), client_interceptors=None):
    """A server and a channel to it."""
    server = api.aio.server(interceptors=interceptors)
    generated.add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with api.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=client_interceptors) as channel:
        yield generated.EchoStub(channel), channel
    await server.stop(5)
    assert await server.wait_for_termination(5) is False


@pytest.fixture
def run(api, generated, servicer):
    """Run a coroutine function of a stub and a channel against the server."""

    def run(body, **options):
        async def main():
            async with serving(api, generated, servicer, **options) as (stub, channel):
                await asyncio.wait_for(body(stub, channel), 30)

        asyncio.run(main())

    return run


@pytest.fixture(scope="module")
def Message(generated):
    return generated.Message


def test_each_kind_of_call(api, run, Message):
    async def body(stub, channel):
        assert (await stub.Unary(Message(text="hi"))).text == "HI"
        assert [answer.count async for answer in stub.Down(Message(count=3))] == [0, 1, 2]
        assert [answer.count async for answer in stub.Down(Message(text="write", count=2))] == [0, 1]

        async def requests():
            for number in range(4):
                yield Message(count=number)

        assert (await stub.Up(requests())).count == 6
        assert (await stub.Up([Message(count=1), Message(count=2)])).count == 3
        call = stub.Up()
        await call.write(Message(count=7))
        await call.done_writing()
        assert (await call).count == 7
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(Message())
        assert [answer.text async for answer in stub.Both(iter([Message(text="q")]))] == ["qq"]

    run(body)


def test_reading_and_writing_in_turn(api, run, Message):
    async def body(stub, channel):
        call = stub.Both()
        for text in "ab":
            await call.write(Message(text=text))
            assert (await call.read()).text == text * 2
        await call.done_writing()
        assert await call.read() is api.aio.EOF
        assert not api.aio.EOF
        assert (await call.code(), call.done(), call.cancelled()) == (api.StatusCode.OK, True, False)
        with pytest.raises(api.aio.UsageError):
            aiter(call)

    run(body)


@pytest.mark.parametrize(
    ("text", "code", "details", "trailing"),
    [
        ("abort", "NOT_FOUND", "no such", (("x-last", "1"),)),
        ("code", "ALREADY_EXISTS", "there", ()),
        ("raise", "UNKNOWN", "Unexpected <class 'ValueError'>: bad thing", ()),
    ],
)
def test_how_a_handler_ends_is_how_the_call_ends(api, run, Message, text, code, details, trailing):
    async def body(stub, channel):
        call = stub.Unary(Message(text=text))
        with pytest.raises(api.aio.AioRpcError) as raised:
            await call
        error = raised.value
        assert isinstance(error, api.RpcError)
        assert (error.code(), error.details()) == (api.StatusCode[code], details)
        assert tuple(error.trailing_metadata()) == tuple(await call.trailing_metadata()) == trailing
        assert (await call.code(), await call.details()) == (api.StatusCode[code], details)

    run(body)


def test_a_stream_that_fails(api, run, Message):
    async def body(stub, channel):
        got = []
        with pytest.raises(api.aio.AioRpcError) as raised:
            async for answer in stub.Down(Message(text="fail", count=4)):
                got += [answer.count]
        assert (got, raised.value.code(), raised.value.details()) == ([0, 1], api.StatusCode.DATA_LOSS, "lost")

    run(body)


def test_metadata(api, run, Message):
    async def body(stub, channel):
        call = stub.Unary(Message(text="metadata"), metadata=(("x-a", "1"), ("x-b-bin", b"\0")))
        assert (await call).text == "[('x-a', '1'), ('x-b-bin', b'\\x00')]"
        assert (await call.initial_metadata())["x-first"] == "1"
        trailing = await call.trailing_metadata()
        assert isinstance(trailing, api.aio.Metadata)
        assert trailing == api.aio.Metadata(("x-last", "2"), ("x-last-bin", b"\0\1"))

    run(body)


def test_metadata_is_a_mapping_of_lists(api):
    metadata = api.aio.Metadata(("a", "1"), ("b", "2"), ("a", "3"))
    assert list(metadata) == [("a", "1"), ("a", "3"), ("b", "2")]
    assert (metadata["a"], metadata.get_all("a"), metadata.get("c"), len(metadata)) == ("1", ["1", "3"], None, 3)
    metadata["a"] = "0"
    metadata.add("c", "4")
    del metadata["a"]
    assert metadata.get_all("a") == ["3"]
    metadata.set_all("b", ["x", "y"])
    metadata.delete_all("a")
    assert ("a" in metadata, list(metadata.keys()), list(metadata.values())) == (False, ["b", "c"], [["x", "y"], ["4"]])
    assert dict(metadata.items()) == {"b": ["x", "y"], "c": ["4"]}
    assert tuple(metadata.__add__((("d", "5"),))) == (("b", "x"), ("b", "y"), ("c", "4"), ("d", "5"))
    with pytest.raises(KeyError):
        metadata["a"]


def test_deadline_and_cancellation(api, run, Message, noted):
    async def body(stub, channel):
        with pytest.raises(api.aio.AioRpcError) as raised:
            await stub.Unary(Message(text="slow"), timeout=0.1)
        assert raised.value.code() is api.StatusCode.DEADLINE_EXCEEDED
        assert raised.value.details() == "Deadline Exceeded"
        noted.clear()
        call = stub.Unary(Message(text="slow"))
        await stub.Unary(Message())
        assert (call.cancel(), call.cancelled(), call.done()) == (True, True, True)
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await call.code(), await call.details()) == (
            api.StatusCode.CANCELLED,
            "Locally cancelled by application!",
        )
        while "cancelled" not in noted:
            await asyncio.sleep(0.01)
        noted.clear()
        task = asyncio.ensure_future(wait_for(stub.Unary(Message(text="slow"))))
        await stub.Unary(Message())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while "cancelled" not in noted:
            await asyncio.sleep(0.01)
        stream = stub.Down(Message(count=1_000_000))
        assert (await stream.read()).count == 0
        stream.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stream.read()

    async def wait_for(call):
        return await call

    run(body)


def test_done_callbacks(api, run, Message, noted):
    async def body(stub, channel):
        noted.clear()
        call = stub.Unary(Message(text="done"))
        call.add_done_callback(lambda call: noted.append(call))
        assert (await call).text == "DONE"
        while len(noted) < 2:
            await asyncio.sleep(0.01)
        assert call in noted and True in noted

    run(body)


def test_interceptors_of_servers(api, run, Message):
    names = []

    class Interceptor(api.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            names.append(details.method)
            if dict(details.invocation_metadata).get("x-deny"):

                async def deny(request, context):
                    await context.abort(api.StatusCode.PERMISSION_DENIED, "denied")

                return api.unary_unary_rpc_method_handler(deny)
            return await continuation(details)

    async def body(stub, channel):
        assert (await stub.Unary(Message(text="a"))).text == "A"
        for call in (stub.Unary, stub.Down):
            with pytest.raises(api.aio.AioRpcError) as raised:
                pending = call(Message(count=1), metadata=(("x-deny", "1"),))
                if call is stub.Unary:
                    await pending
                else:
                    await pending.read()
            assert (raised.value.code(), raised.value.details()) == (api.StatusCode.PERMISSION_DENIED, "denied")
        with pytest.raises(api.aio.AioRpcError) as raised:
            await channel.unary_unary("/dropin.Echo/Nope")(b"")
        assert raised.value.code() is api.StatusCode.UNIMPLEMENTED
        assert names == ["/dropin.Echo/Unary"] * 2 + ["/dropin.Echo/Down", "/dropin.Echo/Nope"]

    run(body, interceptors=[Interceptor()])


def test_interceptors_of_clients(api, run, Message):
    seen = []

    class Unary(api.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, details, request):
            metadata = api.aio.Metadata(*(details.metadata or ()))
            metadata.add("x-by", "interceptor")
            call = await continuation(details._replace(metadata=metadata), request)
            seen.append(await call.code())
            return call

    class Stream(api.aio.UnaryStreamClientInterceptor):
        async def intercept_unary_stream(self, continuation, details, request):
            call = await continuation(details, request)

            async def more():
                async for answer in call:
                    answer.count += 100
                    yield answer

            return more()

    class Both(api.aio.StreamStreamClientInterceptor):
        async def intercept_stream_stream(self, continuation, details, requests):
            seen.append("both")
            return await continuation(details, requests)

    class Up(api.aio.StreamUnaryClientInterceptor):
        async def intercept_stream_unary(self, continuation, details, requests):
            return await continuation(details, requests)

    async def body(stub, channel):
        assert (await stub.Unary(Message(text="metadata"))).text == "[('x-by', 'interceptor')]"
        with pytest.raises(api.aio.AioRpcError) as raised:
            await stub.Unary(Message(text="abort"))
        assert raised.value.details() == "no such"
        assert seen == [api.StatusCode.OK, api.StatusCode.NOT_FOUND]
        assert [answer.count async for answer in stub.Down(Message(count=2))] == [100, 101]
        call = stub.Both()
        await call.write(Message(text="w"))
        assert (await call.read()).text == "ww"
        await call.done_writing()
        assert await call.read() is api.aio.EOF
        assert seen[-1] == "both"
        call = stub.Up()
        await call.write(Message(count=3))
        await call.done_writing()
        assert (await call).count == 3
        call = stub.Unary(Message(text="slow"))
        await stub.Unary(Message())
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(body, client_interceptors=[Unary(), Stream(), Both(), Up()])


def test_connectivity(api, run, Message):
    async def body(stub, channel):
        assert channel.get_state() is api.ChannelConnectivity.IDLE
        await channel.channel_ready()
        assert channel.get_state() is api.ChannelConnectivity.READY
        await channel.close()
        assert channel.get_state() is api.ChannelConnectivity.SHUTDOWN
        with pytest.raises(api.aio.UsageError, match="Channel is closed"):
            stub.Unary(Message())

    run(body)


def test_handlers_that_are_plain_functions(api, generated, run, Message):
    class Plain(generated.EchoServicer):
        def Unary(self, request, context):
            if request.text == "abort":
                context.abort(api.StatusCode.ABORTED, "plain")
            return Message(text=request.text)

        def Down(self, request, context):
            for number in range(request.count):
                yield Message(count=number)

    async def main():
        async with serving(api, generated, Plain()) as (stub, _):
            assert (await stub.Unary(Message(text="a"))).text == "a"
            assert [answer.count async for answer in stub.Down(Message(count=2))] == [0, 1]
            with pytest.raises(api.aio.AioRpcError) as raised:
                await stub.Unary(Message(text="abort"))
            assert (raised.value.code(), raised.value.details()) == (api.StatusCode.ABORTED, "plain")

    asyncio.run(main())


def test_a_retry_policy(api, generated, Message):
    """The service config that programs give as an option (gRFC A6)."""
    policy = """{"methodConfig": [{"name": [{"service": "dropin.Echo"}], "retryPolicy": {
        "maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
    attempts = []

    class Flaky(generated.EchoServicer):
        async def Unary(self, request, context):
            attempts.append(dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts"))
            if len(attempts) < 3:
                await context.abort(api.StatusCode.UNAVAILABLE, "again")
            return request

    async def main():
        server = api.aio.server()
        generated.add(Flaky(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = [("grpc.service_config", policy), ("grpc.enable_retries", 1)]
        async with api.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            assert (await generated.EchoStub(channel).Unary(Message(text="x"), timeout=20)).text == "x"
        await server.stop(None)

    asyncio.run(main())
    assert attempts == [None, "1", "2"]


BALANCED = """{"loadBalancingConfig": [{"round_robin": {}}]}"""


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ([], [12, 0]),
        ([("grpc.lb_policy_name", "round_robin")], [6, 6]),
        ([("grpc.service_config", BALANCED)], [6, 6]),
        ([("grpc.service_config", BALANCED), ("grpc.lb_policy_name", "pick_first")], [6, 6]),
    ],
)
def test_several_servers(api, generated, options, shares):
    Message = generated.Message

    class Counting(generated.EchoServicer):
        def __init__(self):
            self.calls = 0

        async def Unary(self, request, context):
            self.calls += 1
            return request

    async def main():
        servicers, servers, places = [Counting(), Counting()], [], []
        for servicer in servicers:
            server = api.aio.server()
            generated.add(servicer, server)
            places.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            await server.start()
            servers.append(server)
        async with api.aio.insecure_channel("ipv4:" + ",".join(places), options=options) as channel:
            stub = generated.EchoStub(channel)
            async with asyncio.timeout(30):
                while not all(servicer.calls for servicer in servicers[: 2 if shares[1] else 1]):
                    await stub.Unary(Message(), wait_for_ready=True)
            for servicer in servicers:
                servicer.calls = 0
            for _ in range(12):
                await stub.Unary(Message())
        for server in servers:
            await server.stop(None)
        assert [servicer.calls for servicer in servicers] == shares

    asyncio.run(main())


def test_several_may_await_one_call(api, run, Message):
    async def body(stub, channel):
        call = stub.Unary(Message(text="x"))

        async def wait():
            return await call

        answers = await asyncio.gather(wait(), wait(), wait())
        assert [answer.text for answer in answers] == ["X"] * 3
        assert (await call).text == "X"

    run(body)
