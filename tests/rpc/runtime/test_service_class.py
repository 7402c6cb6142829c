"""Classes as services: no .proto, and one for those who need it."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc
from pythonic import Colour, Item, Level, Place, Shop, Tag

from catenet.codec.schema import Schema
from catenet.rpc import Channel, ChannelOptions, Code, RpcError, Server, SyncChannel, client_of, proto_of, service

ITEM = Item(
    "first",
    [Item("part", [Item("deep")])],
    datetime(2020, 1, 2, 3, 4, 5, 678_000, UTC),
    timedelta(days=-1, microseconds=5),
    Colour.DARK_BLUE,
    (Level.HIGH, Level.LOW, Level.BELOW),
    {"a": 1, "": -1},
    {-1: Place("p", 0.25)},
    Place("either"),
    2**32 - 1,
    2**64 - 1,
    0,
    data=b"\0\xff",
    good=True,
    tag=Tag("t"),
)


def serving(work, options=None):
    async def run():
        async with Server([Shop()]) as server:
            listener = await server.listen("tcp://127.0.0.1:0")
            async with Channel(listener.url, options=options) as channel:
                await work(client_of(Shop, channel), listener)

    asyncio.run(run())


@pytest.mark.parametrize("codec", ["proto", "json", "xml"])
def test_typed_calls_in_all_codecs(codec):
    async def work(shop, listener):
        assert await shop.echo(ITEM, timeout=60) == ITEM
        for either in (5, "text", None):
            assert (await shop.echo(item=Item("x", either=either))).either == either
        assert (await shop.echo(Item("x", cache="local"))).cache is None
        assert await shop.add_up(1) == 3
        assert await shop.add_up(1, other=5) == 6
        assert [number async for number in shop.count(3)] == [0, 1, 2]
        assert await shop.total([1, 2, 3]) == 6
        assert [name async for name in shop.names([ITEM, Item("second")])] == ["first", "second"]
        assert await shop.shout("a") == "A"
        assert [letter async for letter in shop.letters("abc")] == ["a", "b", "c"]
        assert await shop.longest(["a", "bc"]) == "bc"
        assert await shop.longest([]) is None
        assert await shop.nothing() is None

    serving(work, ChannelOptions(codec=codec))


def test_without_asyncio():
    async def work(_, listener):
        def call():
            with SyncChannel(listener.url) as channel:
                shop = client_of(Shop, channel)
                assert (shop.shout("b"), list(shop.letters("xy")), shop.longest(["b"])) == ("B", ["x", "y"], "b")

        await asyncio.to_thread(call)

    serving(work)


def test_what_does_not_fit():
    async def work(shop, listener):
        odd = ({"name": 5}, {"count": -1}, {"parts": "ab"}, {"either": 1.5}, {"places": {"a": 1}})
        for wrong in (Item(**{"name": "x", **fields}) for fields in odd):
            with pytest.raises((TypeError, ValueError)):
                await shop.echo(wrong)
        loop = Item("x")
        loop.parts.append(loop)
        with pytest.raises(ValueError, match="has a cycle"):
            await shop.echo(loop)
        with pytest.raises(ValueError, match="when: a datetime without time zone"):
            await shop.echo(Item("x", when=datetime(2020, 1, 1)))
        with pytest.raises(TypeError, match=r"add_up\(\) misses 'one'"):
            await shop.add_up()
        method = Shop.__service__.method("Echo")
        async with Channel(listener.url) as channel:
            for text in ({"key": "no uuid"}, {"price": "x"}, {"colour": 77}, {"day": "x"}):
                with pytest.raises(RpcError) as caught:
                    await channel.unary(method, method.request(**text))
                assert caught.value.code is Code.INVALID_ARGUMENT
                assert next(iter(text)) in caught.value.message

    serving(work)


def test_a_derived_class_serves():
    class Mine(Shop):
        async def add_up(self, one: int, other: int = 2) -> int:
            return one * other

    async def run():
        async with Server([Mine()]) as server:
            listener = await server.listen("tcp://127.0.0.1:0")
            async with Channel(listener.url) as channel:
                assert await client_of(Shop, channel).add_up(5, 6) == 30

    asyncio.run(run())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What grpcio's tools make of the .proto that we write."""
    out = tmp_path_factory.mktemp("written")
    (out / "written_shop.proto").write_text(proto_of(Shop))
    include = Path(protoc.__file__).parent / "_proto"
    words = [f"-I{out}", f"-I{include}", f"--python_out={out}", f"--grpc_python_out={out}"]
    words += [f"--descriptor_set_out={out}/set", "--include_imports"]
    assert protoc.main(["protoc", *words, "written_shop.proto"]) == 0
    sys.path.insert(0, str(out))
    try:
        yield out, importlib.import_module("written_shop_pb2"), importlib.import_module("written_shop_pb2_grpc")
    finally:
        sys.path.remove(str(out))


def test_the_written_proto_says_the_same(compiled):
    out, _, _ = compiled
    theirs = FileDescriptorSet.FromString((out / "set").read_bytes()).file[-1]
    ours = Shop.__service_class__.file
    for one in (*theirs.message_type, *(inner for message in theirs.message_type for inner in message.nested_type)):
        for field in one.field:
            field.ClearField("json_name")
    theirs.name = ours.name
    assert theirs == ours


def test_grpcio_calls_by_the_written_proto(compiled):
    _, pb, stubs = compiled

    async def work(_, listener):
        async with grpc.aio.insecure_channel(listener.url.removeprefix("tcp://")) as channel:
            shop = stubs.ShopStub(channel)
            item = pb.Item(name="x", parts=[pb.Item(name="y")], colour="COLOUR_DARK_BLUE", either_str="z")
            assert (await shop.Echo(item)).parts[0].name == "y"
            assert (await shop.Echo(pb.Item(name="z"))).price == "1.50"
            assert (await shop.AddUp(pb.AddUpRequest(one=1))).value == 3
            assert (await shop.AddUp(pb.AddUpRequest(one=1, other=4))).value == 5
            assert [answer.value async for answer in shop.Count(pb.CountRequest(to=2))] == [0, 1]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await shop.Echo(pb.Item(key="x"))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    serving(work)


def test_classes_that_cannot_be_services():
    @dataclass
    class Odd:
        value: object

    @dataclass
    class Nested:
        value: list[list[int]]

    @dataclass
    class Keyed:
        value: dict[float, int]

    wrong = (
        (Odd, r"Bad\.go \(.*:\d+\): Odd\.value: .*object"),
        (Nested, "list.int. cannot"),
        (Keyed, "keys of a dict"),
    )
    for hint, complaint in wrong:

        class Bad:
            async def go(self, value):
                return value

        Bad.go.__annotations__.update(value=hint)
        with pytest.raises(TypeError, match=complaint):
            service("p")(Bad)

    class Untyped:
        async def go(self, value):
            return value

    with pytest.raises(TypeError, match=r"Untyped\.go \(.*test_service_class\.py:\d+\): value has no type hint"):
        service("p")(Untyped)
    with pytest.raises(TypeError, match="has no methods"):
        service("p")(type("Empty", (), {}))
    with pytest.raises(TypeError, match="decorate it with @service"):
        client_of(Untyped, None)
    schema = Schema("p", "p.proto")
    schema.add_record("Odd", {}, {})
    with pytest.raises(TypeError, match="two types are called Odd"):
        schema.add(Odd)


def test_what_a_function_returns_is_named_with_its_line(caplog):
    @dataclass
    class Item:
        name: str

    @service("careless")
    class Shop:
        async def get(self, key: int) -> Item:
            return {"name": "secret"}

        async def each(self) -> AsyncIterator[Item]:
            return [Item("secret")]

        def all(self) -> Iterator[Item]:
            return 5

    async def main():
        async with Server([Shop()]) as server, Channel((await server.listen("tcp://127.0.0.1:0")).url) as channel:
            client = client_of(Shop, channel)
            for call in (client.get(1), anext(aiter(client.each())), anext(aiter(client.all()))):
                with pytest.raises(RpcError):
                    await call

    asyncio.run(main())
    records = [record for record in caplog.records if record.levelname == "ERROR"]
    assert all(record.exc_info is None for record in records)
    ends = ["returned dict, not Item", "returned list, not an asynchronous iterator", "returned int, not an iterator"]
    for record, name, end in zip(records, ("get", "each", "all"), ends, strict=True):
        line = getattr(Shop, name).__code__.co_firstlineno
        assert f"Shop.{name} ({__file__}:{line}) {end}" in record.getMessage()
