"""Graphs in fields of messages: by every wire and codec, from classes and from a .proto."""

import array
import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from catenet.codec.graph import GraphOf, Limits, pack, unpack
from catenet.codec.graph.graph_pb2 import FILE, Graph
from catenet.rpc import Channel, ChannelOptions, Code, RpcError, Server, client_of, proto_of, service
from catenet.rpc.compile import compile_protos
from catenet.rpc.compile.command import describe_protos

CODECS = ("proto", "json", "xml")


@dataclass(eq=False)
class Station:
    name: str
    next: "list[Station]" = field(default_factory=list)


@dataclass
class Stranger:
    name: str


@dataclass
class Plan:
    title: str
    stations: Annotated[list[Station], GraphOf(Station)]
    more: Annotated[Station | None, GraphOf(Station)] = None


@service("rail.v1")
class Rail:
    async def turn(self, plan: Plan) -> Plan:
        north, south = plan.stations
        assert north.next[0] is south
        assert south.next[0] is north
        return Plan(plan.title[::-1], [south, north], plan.more)

    async def size(self, graph: Annotated[object, GraphOf(Station, limits=Limits(max_values=1000))]) -> int:
        return len(graph)


async def connected(work, codec="proto", **options):
    async with Server([Rail()]) as server, asyncio.timeout(30):
        listener = await server.listen("tcp://127.0.0.1:0")
        async with Channel(listener.url, options=ChannelOptions(codec=codec, **options)) as channel:
            return await work(client_of(Rail, channel), channel)


def circle():
    north, south = Station("north"), Station("south")
    north.next, south.next = [south], [north]
    return [north, south]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("protocol", ["grpc", "connect"])
def test_cycles_cross(protocol, codec):
    async def work(rail, channel):
        back = await rail.turn(Plan("abc", circle()))
        assert (back.title, back.more) == ("cba", None)
        south, north = back.stations
        assert (south.name, north.name) == ("south", "north")
        assert south.next == [north]
        assert south.next[0] is north
        assert north.next[0] is south
        alone = Station("alone")
        alone.next = [alone]
        back = await rail.turn(Plan("", circle(), alone))
        assert back.more.next[0] is back.more

    async def main():
        await connected(work, codec, protocol=protocol)

    asyncio.run(main())


def test_what_is_not_allowed():
    async def work(rail, channel):
        with pytest.raises(TypeError, match="Stranger"):
            await rail.size([Stranger("x")])
        method = Rail.__service__.method("Size")
        request = method.request()
        pack(request.graph, [Stranger("x")], [Stranger])
        for attack in (request, method.request(graph={"version": 7})):
            with pytest.raises(RpcError) as caught:
                await channel.unary(method, attack)
            assert caught.value.code is Code.INVALID_ARGUMENT
        with pytest.raises(RpcError) as caught:
            await rail.size(list(range(5000)))
        assert caught.value.code is Code.INVALID_ARGUMENT
        assert await rail.size([1, 2]) == 2

    asyncio.run(connected(work))


def test_what_others_see():
    text = proto_of(Rail)
    assert 'import "catenet/codec/graph/graph.proto";' in text
    assert "catenet.graph.v1.Graph stations = 2;" in text


def test_the_messages_are_those_of_the_file(tmp_path):
    """The descriptor that is made of graph.proto is the one that protoc makes."""
    (tmp_path / "plan.proto").write_text(
        'syntax = "proto3"; package plan; import "catenet/codec/graph/graph.proto";\n'
        "message Plan { catenet.graph.v1.Graph route = 1; }"
    )
    files = {file.name: file for file in describe_protos([tmp_path / "plan.proto"])}
    theirs = FileDescriptorProto.FromString(files[FILE.name].SerializeToString())
    theirs.ClearField("source_code_info")
    assert theirs == FILE
    written = compile_protos([tmp_path / "plan.proto"], [], tmp_path / "out")
    assert [path.name for path in written] == ["plan_pb2.py", "plan_pb2.pyi"]
    code = (
        "from plan_pb2 import Plan; from catenet.codec.graph import pack, unpack; plan = Plan(); value = [1]\n"
        "value.append(value); pack(plan.route, value); back = unpack(Plan.FromString(plan.SerializeToString()).route)\n"
        "assert back[1] is back"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ["little", "big"])
def test_arrays_keep_their_order(order):
    message = Graph()
    pack(message, {"numbers": array.array("d", [1.5, -2.0]), "text": "\ud800", "big": 1 << 90}, order=order)
    assert message.order == {"little": 1, "big": 0}[order]
    assert unpack(Graph.FromString(message.SerializeToString())) == {
        "numbers": array.array("d", [1.5, -2.0]),
        "text": "\ud800",
        "big": 1 << 90,
    }
