"""Arrays in calls: by every wire and codec, in generated services and in those of classes."""

import array
import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Annotated

import numpy
import numpy.typing
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from catenet.codec.graph import f32, f64, sfixed32, u32
from catenet.rpc import (
    Channel,
    ChannelOptions,
    Server,
    client_of,
    proto_of,
    service,
    service_from_protobuf,
    with_arrays,
)

WIRES = [("grpc", False), ("grpc-web", True), ("connect", True)]
CODECS = ("proto", "json", "xml")


@dataclass
class Inner:
    numbers: Annotated[memoryview, sfixed32]


@dataclass
class Samples:
    sensor: str
    values: numpy.typing.NDArray[numpy.float64]
    rates: Annotated[array.array, f32] = field(default_factory=lambda: array.array("f"))
    inner: Inner | None = None


@service("lab.v1")
class Lab:
    async def double(self, samples: Samples) -> Samples:
        return Samples(samples.sensor, samples.values * 2, samples.rates, samples.inner)

    async def total(self, numbers: Annotated[memoryview, f64]) -> float:
        return float(numpy.asarray(numbers).sum())


@contextlib.asynccontextmanager
async def connected(implementation, **options):
    async with Server([implementation]) as server, asyncio.timeout(30):
        listener = await server.listen("tcp://127.0.0.1:0")
        async with Channel(listener.url, options=ChannelOptions(**options)) as channel:
            yield channel


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("protocol", "http1"), WIRES)
def test_classes(protocol, http1, codec):
    async def main():
        async with connected(Lab(), protocol=protocol, http1=http1, codec=codec) as channel:
            lab = client_of(Lab, channel)
            inner = Inner(memoryview(array.array("i", [-1, 5])))
            back = await lab.double(Samples("x", numpy.arange(5.0), array.array("f", [0.5]), inner))
            assert isinstance(back.values, numpy.ndarray)
            assert back.values.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
            assert (back.rates, back.inner.numbers.tolist()) == (array.array("f", [0.5]), [-1, 5])
            assert await lab.total(memoryview(array.array("d", [1.0, 2.5]))) == 3.5
            empty = await lab.double(Samples("x", numpy.zeros(0)))
            assert (len(empty.values), len(empty.rates), empty.inner) == (0, 0, None)

    asyncio.run(main())


def test_the_proto_of_it():
    text = proto_of(Lab)
    for line in ("repeated double values = 2;", "repeated float rates = 3;", "repeated sfixed32 numbers = 1;"):
        assert line in text


def test_what_the_handler_gets_is_a_view():
    seen = []

    @service("lab.v1")
    class Watching:
        async def keep(self, values: numpy.typing.NDArray[numpy.float64]) -> int:
            seen.append(values)
            return len(values)

    async def main():
        async with connected(Watching()) as channel:
            assert await client_of(Watching, channel).keep(numpy.arange(100_000.0)) == 100_000

    asyncio.run(main())
    (values,) = seen
    assert not values.flags.owndata
    assert values.base is not None
    assert values[-1] == 99_999.0


def generated():
    """A service as a .proto would make it."""
    file = FileDescriptorProto(name="feed.proto", package="feed", syntax="proto3")
    message = file.message_type.add(name="Block")
    kinds = FieldDescriptorProto
    message.field.add(name="values", number=1, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_REPEATED)
    message.field.add(name="name", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    file.message_type.add(name="Nothing")
    made = file.service.add(name="Feed")
    made.method.add(name="Keep", input_type=".feed.Block", output_type=".feed.Block", server_streaming=True)
    made.method.add(name="Drop", input_type=".feed.Block", output_type=".feed.Nothing")
    pool = DescriptorPool()
    pool.Add(file)
    return service_from_protobuf(pool.FindServiceByName("feed.Feed"))


@pytest.mark.parametrize("codec", CODECS)
def test_generated_services(codec):
    """One side has arrays, the other lists: what is on the wire is the same."""
    plain = generated()
    arrays = with_arrays(plain)
    assert [method.path for method in arrays] == [method.path for method in plain]
    keep, drop = arrays.methods
    assert drop.response is plain.methods[1].response

    class Feed:
        __service__ = arrays

        async def keep(self, request, context):
            for _ in range(2):
                yield keep.response(values=numpy.asarray(request.values) + 1, name=request.name)

    async def main():
        async with connected(Feed(), codec=codec) as channel:
            request = plain.methods[0].request(values=[1.0, 2.0], name="x")
            answers = [answer async for answer in channel.server_stream(plain.methods[0], request)]
            assert answers == [plain.methods[0].response(values=[2.0, 3.0], name="x")] * 2
            request = keep.request(values=array.array("d", [1.0, 2.0]), name="x")
            answers = [answer async for answer in channel.server_stream(keep, request)]
            assert [answer.values.tolist() for answer in answers] == [[2.0, 3.0]] * 2

    asyncio.run(main())


def test_what_does_not_fit():
    with pytest.raises(TypeError, match="an array needs the width of its numbers: one of f64"):

        @service("lab.v1")
        class Bare:
            async def take(self, values: memoryview) -> int:
                return 0

    with pytest.raises(TypeError, match="an array needs the width"):

        @service("lab.v1")
        class Varied:
            async def take(self, values: Annotated[memoryview, u32]) -> int:
                return 0

    async def main():
        async with connected(Lab()) as channel:
            with pytest.raises(TypeError, match="values is an array of f64, not of i64"):
                await client_of(Lab, channel).double(Samples("x", numpy.arange(3)))

    asyncio.run(main())
