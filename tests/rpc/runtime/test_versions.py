"""Older and newer programs: what one does not know comes back through it where its format can carry that."""

import asyncio
import contextlib

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from catenet.codec import JSON, XML
from catenet.rpc import Channel, ChannelOptions, Kind, Method, Server, ServiceDescriptor

F = FieldDescriptorProto
WIRES = [("grpc", False), ("grpc-web", True), ("connect", True), ("connect", False)]
CODECS = ("proto", "json", "xml")


def version(newer):
    """The class of `shop.Item` as an older or a newer program knows it."""
    file = FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    size = file.enum_type.add(name="Size")
    for number, name in enumerate(("SMALL", "LARGE", "HUGE")[: 3 if newer else 2]):
        size.value.add(name=name, number=number)
    maker = file.message_type.add(name="Maker")
    item = file.message_type.add(name="Item")
    maker.field.add(name="name", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    item.field.add(name="name", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    item.field.add(name="size", number=2, type=F.TYPE_ENUM, type_name=".shop.Size", label=F.LABEL_OPTIONAL)
    item.field.add(name="maker", number=3, type=F.TYPE_MESSAGE, type_name=".shop.Maker", label=F.LABEL_OPTIONAL)
    if newer:
        maker.field.add(name="country", number=2, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
        item.field.add(name="price", number=4, type=F.TYPE_SFIXED32, label=F.LABEL_OPTIONAL)
        item.field.add(name="tags", number=5, type=F.TYPE_STRING, label=F.LABEL_REPEATED)
        item.field.add(name="parts", number=6, type=F.TYPE_MESSAGE, type_name=".shop.Item", label=F.LABEL_REPEATED)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("shop.Item"))


Older, Newer = version(False), version(True)


def method(item):
    return Method("shop.Shop", "Keep", Kind.UNARY, item, item)


def new_item():
    item = Newer(name="table", size=2, price=-3, tags=["a", "b"], parts=[{"name": "leg", "price": 1}])
    item.maker.name, item.maker.country = "Ada", "NO"
    return item


KNOWN = Newer(name="table", size=2, maker={"name": "Ada"})
"""The same, as far as the older program knows it: a value of an open enum has its number."""


def shop(item, beyond, seen):
    """A server's implementation: it answers with the request, or with what a server beyond says to it."""

    class Shop:
        __service__ = ServiceDescriptor("shop.Shop", (method(item),))

        async def keep(self, request, context):
            seen.append(request)
            return request if beyond is None else await beyond.unary(method(item), request)

    return Shop()


def through(wire, request, *servers):
    """Send a message through servers, the nearest first: what each knows, and the codec by which it is asked.

    Returns the answer, and what the servers have seen.
    """
    protocol, http1 = wire

    async def main():
        channel, seen = None, []
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(30):
            for item, codec in reversed(servers):
                server = await stack.enter_async_context(Server([shop(item, channel, seen)]))
                listener = await server.listen("tcp://127.0.0.1:0")
                options = ChannelOptions(protocol=protocol, http1=http1, codec=codec)
                channel = await stack.enter_async_context(Channel(listener.url, options=options))
            return await channel.unary(method(type(request)), request), seen

    return asyncio.run(main())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("codec", CODECS)
def test_newer_client_and_older_server(codec, wire):
    """protobuf brings back all; what has no number in JSON and XML but a name, the older server passes over."""
    back, _ = through(wire, new_item(), (Older, codec))
    if codec == "proto":
        assert back == new_item()
    else:
        assert back == Newer(name="table", maker={"name": "Ada"})


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("codec", CODECS)
def test_older_client_and_newer_server(codec, wire):
    """What an older client has read as protobuf it can pass on, to a newer server too, as protobuf and as XML."""
    read = Older.FromString(new_item().SerializeToString())
    back, _ = through(wire, read, (Newer, codec))
    assert (back.name, back.maker.name) == ("table", "Ada")
    if codec == "proto":
        assert back.SerializeToString(deterministic=True) == read.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("onward", "expected"), [("proto", new_item()), ("xml", new_item()), ("json", KNOWN)], ids=["proto", "xml", "json"]
)
@pytest.mark.parametrize("wire", WIRES)
def test_older_program_between_newer_ones(wire, onward, expected):
    """It asks the next server in another format: XML carries what it does not know, JSON cannot."""
    _, seen = through(wire, new_item(), (Older, "proto"), (Newer, onward))
    assert seen[1] == expected


def test_what_json_keeps_of_an_enum():
    """A value that has no name here keeps its number; a name that is not known here is passed over."""
    assert JSON.encode(Older(size=2)) == b'{"size":2}'
    assert JSON.decode(Newer, JSON.encode(Older(size=2))) == Newer(size=2)
    assert JSON.decode(Older, JSON.encode(Newer(size=2))) == Older()
    assert XML.decode(Newer, XML.encode(Older(size=2))) == Newer(size=2)
    assert XML.decode(Older, XML.encode(Newer(size=2))) == Older()


def test_extra_in_xml_through_two_older_programs():
    """What was unknown stays so, however often it is written and read."""
    wire = new_item().SerializeToString()
    message = Older.FromString(wire)
    for _ in range(3):
        message = XML.decode(Older, XML.encode(message))
    assert XML.decode(Newer, XML.encode(message)) == new_item()
