"""One bad ending (text, details, metadata, code) harms only its own call, on each wire and both versions of HTTP."""

import asyncio
import contextlib
import logging

import hpack as oracle
import pytest
from echoservice import failure, serving, text, until
from google.protobuf.wrappers_pb2 import StringValue

from catenet.http.h2 import frames
from catenet.http.limits import Limits
from catenet.rpc import Channel, ChannelOptions, Code, Detail, Kind, Method, RpcError, ServerOptions, ServiceDescriptor

NAME = "test.Ending"
UNARY = Method(NAME, "Unary", Kind.UNARY, StringValue, StringValue)
STREAM = Method(NAME, "Stream", Kind.SERVER_STREAM, StringValue, StringValue)
WAIT = Method(NAME, "Wait", Kind.UNARY, StringValue, StringValue)
WIRES = [("grpc", False), ("grpc-web", False), ("grpc-web", True), ("connect", False), ("connect", True)]
wires = pytest.mark.parametrize(
    ("protocol", "http1"), WIRES, ids=lambda value: {False: "h2", True: "h1"}.get(value, value)
)


class Endings:
    """`end`: what the next calls do at their end. `Stream` sends one message before."""

    __service__ = ServiceDescriptor(NAME, (UNARY, STREAM, WAIT))

    def __init__(self, end=None) -> None:
        self.end = end
        self.go = asyncio.Event()
        self.waiting = asyncio.Event()

    async def unary(self, request, context):
        self.end(context)
        return request

    async def stream(self, request, context):
        if request.value != "at once":
            yield request
        self.end(context)

    async def wait(self, request, context):
        self.waiting.set()
        await self.go.wait()
        return request


@contextlib.asynccontextmanager
async def beside_another_call(protocol="grpc", http1=False, limits=None, **server):
    """Yield a channel whose connection another call uses; that call must end well."""
    async with serving(implementation=Endings(), **server) as (server, endings, url):
        options = ChannelOptions(protocol=protocol, http1=http1, **({} if limits is None else {"limits": limits}))
        async with Channel(url, options=options) as channel, asyncio.timeout(60):
            innocent = asyncio.create_task(channel.unary(WAIT, text("innocent")))
            await endings.waiting.wait()
            yield channel, endings
            endings.go.set()
            assert (await innocent).value == "innocent"
            assert http1 or server.connections == 1
            assert (await channel.unary(WAIT, text("afterwards"))).value == "afterwards"


async def errors_of(channel) -> list[RpcError]:
    """Return how a unary call ends, a stream that has begun, and one that has not."""
    found = [await failure(channel.unary(UNARY, text("x")))]
    for request in ("x", "at once"):
        stream = channel.server_stream(STREAM, text(request))
        if request == "x":
            assert (await anext(stream)).value == "x"
        found.append(await failure(anext(stream)))
    return found


def raising(*arguments, kind=RpcError, **named):
    def end(_):
        raise kind(*arguments, **named)

    return end


TEXTS = {
    "\ud800": "\ufffd",
    "a\udfffb\ud83d\ude00": "a\ufffdb\U0001f600",
    "\0\r\nx-evil: 1\r\n\r\n<script>%41 é \x7f": None,
    " blanks at both ends ": None,
    "100 %": None,
    "%": None,
    "": None,
    "  ": None,
    "\ufffe\uffff\U0010ffff": None,
}


@wires
def test_texts(protocol, http1):
    async def main():
        async with beside_another_call(protocol, http1) as (channel, endings):
            for given, sent in TEXTS.items():
                endings.end = raising(Code.NOT_FOUND, given, [Detail("test.\ud800", b"x"), text("y")])
                for error in await errors_of(channel):
                    assert (error.code, error.message) == (Code.NOT_FOUND, given if sent is None else sent)
                    assert error.details[0].value == b"x"

    asyncio.run(main())


@wires
@pytest.mark.parametrize("long", ["x" * 300_000, "€" * 200_000, "%" * 700_000], ids=["ascii", "euro", "percent"])
def test_long_texts(protocol, http1, long):
    async def main():
        async with beside_another_call(protocol, http1) as (channel, endings):
            for details in [], [text("detail")], [text("d" * 200_000)]:
                endings.end = raising(Code.NOT_FOUND, long, details)
                for error in await errors_of(channel):
                    assert error.code is Code.NOT_FOUND
                    if protocol == "grpc":
                        assert error.message.startswith(long[:2000]) and " bytes " in error.message[-50:]
                        assert len(error.details) == (details == [text("detail")])
                    else:  # there the text is in the body
                        assert error.message == long and len(error.details) == len(details)

    asyncio.run(main())


@wires
def test_too_much_metadata_of_a_handler(protocol, http1):
    """RESOURCE_EXHAUSTED for the call, as with gRPC; in a body there is room for the trailing one."""
    pairs = [(f"x-{number}", "v" * 1000) for number in range(80)]

    def trailing(context):
        context.set_trailing_metadata(pairs)

    def trailing_with_error(context):
        context.set_trailing_metadata(pairs)
        context.abort(Code.NOT_FOUND, "it was not there")

    async def main():
        async with beside_another_call(protocol, http1) as (channel, endings):
            for end in trailing, trailing_with_error, raising(Code.ABORTED, "x", metadata=pairs):
                endings.end = end
                in_body = protocol == "grpc-web"
                if end is trailing and in_body:
                    await channel.unary(UNARY, text("x"))
                    continue
                error = await failure(channel.unary(UNARY, text("x")))
                assert error.code is Code.RESOURCE_EXHAUSTED or in_body
                assert end is not trailing_with_error or http1 or "it was not there" in error.message
            endings.end = lambda context: context.set_initial_metadata(pairs)
            assert (await failure(channel.unary(UNARY, text("x")))).code is Code.RESOURCE_EXHAUSTED
            if not http1:
                assert (await failure(anext(channel.server_stream(STREAM, text("at once"))))).code is (
                    Code.RESOURCE_EXHAUSTED
                )

    asyncio.run(main())


@wires
def test_too_much_metadata_of_a_caller(protocol, http1):
    pairs = [(f"x-{number}", "v" * 1000) for number in range(80)]

    async def main():
        async with beside_another_call(protocol, http1) as (channel, endings):
            endings.end = lambda _: None
            error = await failure(channel.unary(UNARY, text("x"), metadata=pairs))
            assert error.code is (Code.UNKNOWN if http1 else Code.RESOURCE_EXHAUSTED)  # HTTP status 431 means nothing
            error = await failure(anext(channel.server_stream(STREAM, text("x"), metadata=pairs)))
            assert error.code is (Code.UNKNOWN if http1 else Code.RESOURCE_EXHAUSTED)

    asyncio.run(main())


def test_a_first_call_with_much_metadata_waits_for_what_the_server_takes():
    pairs = [(f"x-{number}", "v" * 1000) for number in range(80)]

    async def main(limit, expected):
        options = ServerOptions(limits=Limits(max_header_list=limit))
        async with serving(implementation=Endings(lambda _: None), options=options) as (_, _, url):
            async with Channel(url) as channel, asyncio.timeout(20):
                calls = [channel.unary(UNARY, text("x"), metadata=pairs), channel.unary(UNARY, text("y"))]
                first, second = await asyncio.gather(*calls, return_exceptions=True)
                assert second.value == "y"
                assert getattr(first, "code", None) is expected

    asyncio.run(main(1 << 20, None))
    asyncio.run(main(30_000, Code.RESOURCE_EXHAUSTED))


def test_a_server_that_never_says_what_it_takes():
    async def main():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        async with server, Channel(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}") as channel:
            call = channel.unary(UNARY, text("x"), metadata=[("x", "v" * 100_000)], timeout=0.2)
            assert (await failure(call)).code is Code.DEADLINE_EXCEEDED

    asyncio.run(main())


@wires
def test_what_only_a_faulty_handler_gives(protocol, http1, caplog):
    """Wrong types in details and metadata, codes that do not exist, errors that have no text."""
    caplog.set_level(logging.INFO, "catenet.rpc")

    class Mute(RpcError):
        def __str__(self):
            raise KeyError("no text")

    def changed(_):
        error = RpcError(Code.ABORTED, "x")
        error.code = 99
        raise error

    cases = [
        (raising(Code.ABORTED, "x", [Detail(5, b"")]), Code.INTERNAL if protocol != "connect" else None),
        (raising(Code.ABORTED, "x", [Detail("a", "not bytes")]), Code.INTERNAL),
        (raising(Code.ABORTED, "x", [None]), Code.UNKNOWN),
        (raising(99, "x"), Code.UNKNOWN),
        (raising(-1, "x"), Code.UNKNOWN),
        (raising(0, "x"), Code.UNKNOWN),
        (raising("NOT_FOUND", "x"), Code.UNKNOWN),
        (raising(5, "x"), Code.NOT_FOUND),
        (raising(Code.ABORTED, KeyError("x")), Code.ABORTED),
        (raising(Code.ABORTED, None), Code.ABORTED),
        (raising(Code.ABORTED, b"\xff"), Code.ABORTED),
        (raising(Code.ABORTED, "x", metadata=[("x", 5), (b"x", "v"), 7, ("x-bin", "text"), ("x", "\n")]), Code.ABORTED),
        (lambda context: context.set_trailing_metadata([("x", None)]), Code.UNKNOWN),
        (lambda context: context.set_initial_metadata([("x-bin", bytearray(b"x"))]), Code.UNKNOWN),
        (lambda context: context.set_trailing_metadata([("grpc-status", "0")]), Code.UNKNOWN),
        (changed, None),
        (raising(Code.ABORTED, "x", kind=Mute), Code.ABORTED),
    ]

    async def main():
        async with beside_another_call(protocol, http1) as (channel, endings):
            for number, (end, code) in enumerate(cases):
                endings.end = end
                for error in await errors_of(channel):
                    assert code is None or error.code is code, (number, error)

    asyncio.run(main())


def test_good_metadata_of_an_error_survives_bad_beside_it():
    async def main():
        async with beside_another_call() as (channel, endings):
            endings.end = raising(Code.ABORTED, "x", metadata=[("x", "\n"), ("y", "v"), ("z-bin", b"\0")])
            error = await failure(channel.unary(UNARY, text("x")))
            assert error.metadata == (("y", "v"), ("z-bin", b"\0"))

    asyncio.run(main())


@pytest.mark.parametrize(
    "bad", [[("x", None)], [("x", 5)], [(b"x", "v")], [("x", "\ud800")], [("x-bin", "v")], [("", "v")]]
)
def test_bad_metadata_of_a_caller_names_itself(bad):
    async def main():
        async with beside_another_call() as (channel, _):
            with pytest.raises(ValueError, match="metadata"):
                await channel.unary(UNARY, text("x"), metadata=bad)

    asyncio.run(main())


@pytest.mark.parametrize("limit", [0, 1, 1024, 2000, 5000, 8192, 70_000])
def test_the_limit_that_a_client_announces_is_kept(limit):
    """A client made of frames, with the hpack library: every field section fits, whatever the handler gives."""
    head = [
        (":method", "POST"), (":scheme", "http"), (":path", f"/{NAME}/Unary"), (":authority", "h"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    ]  # fmt: skip
    endings = [
        raising(Code.NOT_FOUND, "ä" * 100_000),
        raising(Code.NOT_FOUND, "ä" * 100_000, [text("d" * 700)]),
        raising(Code.NOT_FOUND, "short", [text("d" * 100_000)]),
        raising(Code.NOT_FOUND, "ä" * 100_000, metadata=[("x", "v" * 100_000)]),
        lambda context: context.set_trailing_metadata([("x", "v" * 1000)] * 90),
        lambda context: context.set_initial_metadata([("x", "v" * 1000)] * 90),
        raising(Code.NOT_FOUND, "short"),
    ]

    async def main():
        async with serving(implementation=Endings()) as (_, service, url), asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(frames.PREFACE + frames.settings({frames.MAX_HEADER_LIST_SIZE: limit}))
            encoder, decoder = oracle.Encoder(), oracle.Decoder(max_header_list_size=1 << 30)
            decoder.max_allowed_table_size = 4096
            for number, service.end in enumerate(endings):
                stream = 2 * number + 1
                writer.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, encoder.encode(head)))
                writer.write(frames.frame(frames.DATA, frames.END_STREAM, stream, bytes(5)))
                status = await read_status(reader, decoder, stream, max(limit, 1024))
                expected = Code.RESOURCE_EXHAUSTED if number in (3, 4, 5) else Code.NOT_FOUND
                assert int(status["grpc-status"]) == expected
                assert number != 1 or limit < 5000 or "grpc-status-details-bin" in status
            writer.close()

    asyncio.run(main())


async def read_status(reader, decoder, stream, limit) -> dict[str, str]:
    """Read one response; each field section must be within the limit."""
    found: dict[str, str] = {}
    block, end = b"", False
    while not end or block:
        high, low, kind, flags, number = frames.HEADER.unpack(await reader.readexactly(9))
        payload = await reader.readexactly(high << 8 | low)
        assert kind not in (frames.RST_STREAM, frames.GOAWAY) or found
        if kind in (frames.HEADERS, frames.CONTINUATION):
            assert number == stream
            block += payload
            end = end or (kind == frames.HEADERS and bool(flags & frames.END_STREAM))
            if flags & frames.END_HEADERS:
                fields = decoder.decode(block)
                block = b""
                assert sum(len(name) + len(value) + 32 for name, value in fields) <= limit
                found |= dict(fields)
    return found


def test_a_method_with_a_long_name_is_refused_in_few_words():
    async def main():
        async with beside_another_call() as (channel, _):
            unknown = Method(NAME, "X" * 20_000, Kind.UNARY, StringValue, StringValue)
            error = await failure(channel.unary(unknown, text("x")))
            assert error.code is Code.UNIMPLEMENTED and len(error.message) < 300
            assert (await failure(channel.unary(unknown, text("x")))).message == error.message
            await until(lambda: True)

    asyncio.run(main())


def test_grpcio_understands_what_is_left():
    """It rejects at random what is over its soft limit, half or four fifths of what it announces."""
    grpc = pytest.importorskip("grpc")
    endings = [
        (raising(Code.NOT_FOUND, "x" * 300_000), "NOT_FOUND", "bytes cut)"),
        (raising(Code.NOT_FOUND, "€" * 300_000, [text("d")]), "NOT_FOUND", "bytes cut)"),
        (raising(Code.NOT_FOUND, "€", [text("d" * 300_000)]), "NOT_FOUND", "left out)"),
        (raising(Code.NOT_FOUND, "\ud800"), "NOT_FOUND", "\ufffd"),
        (lambda context: context.set_trailing_metadata([("x", "v" * 10_000)] * 200), "RESOURCE_EXHAUSTED", ""),
        (lambda context: context.set_initial_metadata([("x", "v" * 10_000)] * 200), "RESOURCE_EXHAUSTED", ""),
    ]

    async def main(options):
        async with serving(implementation=Endings()) as (server, service, url), asyncio.timeout(60):
            async with grpc.aio.insecure_channel(url.removeprefix("tcp://"), options=options) as channel:

                def call(method, value):
                    return channel.unary_unary(
                        method.path, StringValue.SerializeToString, response_deserializer=StringValue.FromString
                    )(text(value))

                innocent = asyncio.ensure_future(call(WAIT, "innocent"))
                await service.waiting.wait()
                for service.end, code, remark in endings:
                    for _ in range(5):
                        with pytest.raises(grpc.aio.AioRpcError) as caught:
                            await call(UNARY, "x")
                        assert caught.value.code().name == code, caught.value
                        assert caught.value.details().endswith(remark)
                service.go.set()
                assert (await innocent).value == "innocent" and server.connections == 1

    for options in (), (("grpc.max_metadata_size", 1 << 18),), (("grpc.absolute_max_metadata_size", 1 << 18),):
        asyncio.run(main(options))


def test_grpcio_as_a_server_is_not_sent_more_than_it_takes():
    grpc = pytest.importorskip("grpc")
    reply = ("x-reply", "v" * 100_000)

    async def say(request, context):
        if request.value == "wait":
            await release.wait()
        elif request.value == "abort":
            await context.abort(grpc.StatusCode.NOT_FOUND, "x" * 300_000)
        elif request.value == "metadata":
            context.set_trailing_metadata((reply,))
        return request

    async def main():
        global release
        release = asyncio.Event()
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            say, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, {"Unary": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with Channel(f"tcp://127.0.0.1:{port}") as channel, asyncio.timeout(60):
            assert (await channel.unary(UNARY, text("settle"))).value == "settle"
            innocent = asyncio.create_task(channel.unary(UNARY, text("wait")))
            error = await failure(channel.unary(UNARY, text("x"), metadata=[("x", "v" * 1000)] * 40))
            assert error.code is Code.RESOURCE_EXHAUSTED and "peer's limit of 16384" in error.message
            for request in "abort", "metadata":  # grpcio does not send what we would not take, whatever it says then
                await failure(channel.unary(UNARY, text(request)))
            release.set()
            assert (await innocent).value == "wait"
            assert len(list(channel._connections._pool.members(""))) == 1
        await server.stop(None)

    asyncio.run(main())
