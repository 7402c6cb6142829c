"""`python -m benchmarks marshalling`: objects and messages as bytes, beside what other packages make of them.

Processor time of this process, the best of several rounds; one object or message at a time.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.goals import Goal, summary
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave
from catenet.codec import JSON, PROTO, XML, graph
from catenet.codec.packed import packed
from catenet.codec.schema import Schema

COLUMNS = [Column("write", "write, us", 1), Column("read", "read, us", 1), Column("size", "bytes")]
RATIOS = [
    *(
        Goal(f"{title}, {verb}: {ours} by {theirs}", table, f"catenet, {ours}", theirs, verb)
        for title, table, ours, theirs in (
            ("a message", "A message", "xml", "lxml, tree and values"),
            ("a message", "A message", "xml", "xsdata, lxml"),
            ("a message", "A message", "xml", "catenet, json"),
            ("a message", "A message", "xml", "catenet, proto"),
            ("a message", "A message", "json", "protobuf, json_format"),
            ("a cyclic graph", "A cyclic graph: 100", "protobuf", "pickle, protocol 5"),
            ("trees", "Trees", "json", "jsonpickle"),
            ("trees", "Trees", "json", "msgspec, JSON"),
            ("an array", "An array", "protobuf, one byte order", "catenet, protobuf, network order"),
            ("an array", "An array", "protobuf, one byte order", "pickle, protocol 5"),
        )
        for verb in ("write", "read")
    ),
    Goal("a call with an array by one with a list", "A call", "catenet, arrays", "catenet, protobuf's lists", "call"),
]
PEERS = ("jsonpickle", "msgspec", "lxml", "xsdata", "protobuf")

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]


@dataclass(slots=True)
class Vertex:
    """A vertex of a random graph; several may have an edge to one."""

    number: int
    name: str
    weight: float
    edges: list[Vertex] = field(default_factory=list)


@dataclass
class Leg:
    """A part of a journey."""

    origin: str = ""
    destination: str = ""
    minutes: int = 0


@dataclass
class Ticket:
    """A message of medium size."""

    passenger: str = ""
    number: int = 0
    price: float = 0.0
    legs: list[Leg] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


TICKET = Ticket(
    "Ada & Co.", 4711, 129.5, [Leg(f"Station {n}", f"Station {n + 1}", 30 + n) for n in range(20)], ["window", "table"]
)


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 5)
    size = 10 << 20
    tables = [_graphs(100), _graphs(2000), _trees(), _arrays(size), _packed(size), _calls(size), _messages()]
    for table in tables:
        table.contenders = [row for row in table.contenders if only is None or only in row.name]
        interleave(table.contenders, rounds)
    found = [summary(tables, RATIOS), *tables]
    return Report("marshalling", "Objects and messages to bytes and back.", found, _versions(), rounds)


def _versions() -> dict[str, str]:
    found = {}
    for name in PEERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _row(name: str, value: Any, pair: Callable[[], Pair]) -> Contender:
    def measure() -> Sample:
        try:
            write, read = pair()
        except ImportError as error:
            raise Unavailable(f"pip install {error.name}") from None
        try:
            data = write(value)
            return {"write": _time(partial(write, value)), "read": _time(partial(read, data)), "size": float(len(data))}
        except RecursionError:
            raise Failed("recursion too deep") from None

    return Contender(name, measure)


def _time(work: Callable[[], Any]) -> float:
    """Microseconds of processor time for one run, the best of those that fit into a tenth of a second."""
    best, ends = float("inf"), time.perf_counter() + 0.1
    while best == float("inf") or time.perf_counter() < ends:
        started = time.process_time_ns()
        work()
        best = min(best, (time.process_time_ns() - started) / 1000)
    return best


def _ours(form: str, types: list[Any], **options: Any) -> Pair:
    return (
        lambda value: graph.dumps(value, form, types, **options),
        lambda data: graph.loads(data, form, types),
    )


def _pickle() -> Pair:
    return lambda value: pickle.dumps(value, 5), pickle.loads


def _jsonpickle() -> Pair:
    import jsonpickle

    return lambda value: jsonpickle.encode(value).encode(), jsonpickle.decode


def _msgspec(format: str, cls: Any) -> Pair:
    import msgspec

    module = getattr(msgspec, format)
    return module.Encoder().encode, module.Decoder(cls).decode


def _graphs(count: int) -> Table:
    vertices = [Vertex(number, f"vertex {number}", number / 7) for number in range(count)]
    for number, vertex in enumerate(vertices):
        vertex.edges = [vertices[(number * 31 + step * 17 + 1) % count] for step in range(3)]
    rows = [_row(f"catenet, {form}", vertices, partial(_ours, form, [Vertex])) for form in ("protobuf", "json", "xml")]
    rows += [_row("pickle, protocol 5", vertices, _pickle), _row("jsonpickle", vertices, _jsonpickle)]
    note = "pickle runs what the sender says; msgspec has no references. pickle and jsonpickle recurse."
    return Table(f"A cyclic graph: {count:,} dataclasses, {3 * count:,} edges", COLUMNS, rows, note)


def _trees() -> Table:
    tickets = [Ticket(**vars(TICKET)) for _ in range(100)]
    for ticket in tickets:
        ticket.legs = [Leg(**vars(leg)) for leg in TICKET.legs]
    rows = [
        _row(f"catenet, {form}", tickets, partial(_ours, form, [Ticket, Leg])) for form in ("protobuf", "json", "xml")
    ]
    rows.append(_row("msgspec, JSON", tickets, partial(_msgspec, "json", list[Ticket])))
    rows.append(_row("msgspec, MessagePack", tickets, partial(_msgspec, "msgpack", list[Ticket])))
    rows += [_row("pickle, protocol 5", tickets, _pickle), _row("jsonpickle", tickets, _jsonpickle)]
    return Table("Trees: 100 dataclasses with 20 others each", COLUMNS, rows)


def _arrays(size: int) -> Table:
    import numpy

    numbers = numpy.arange(size // 8, dtype="<f8")
    rows = [
        _row("catenet, protobuf, one byte order", numbers, partial(_ours, "protobuf", [], order="little")),
        _row("catenet, protobuf, network order", numbers, partial(_ours, "protobuf", [], order="big")),
        _row("catenet, json", numbers, partial(_ours, "json", [])),
        _row("pickle, protocol 5", numbers, _pickle),
    ]
    note = "In one byte order the receiver's array is a view of the bytes that came."
    return Table(f"An array: {size >> 20} MB of doubles, numpy", COLUMNS, rows, note)


def _block() -> Any:
    """The class of messages with a field `repeated double values`."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    kind = FieldDescriptorProto
    file = FileDescriptorProto(name="block.proto", package="block", syntax="proto3")
    message = file.message_type.add(name="Block")
    message.field.add(name="values", number=1, type=kind.TYPE_DOUBLE, label=kind.LABEL_REPEATED)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("block.Block"))


def _as_arrays(message_class: Any) -> Pair:
    import numpy

    kind = packed(message_class)
    return (
        lambda numbers: PROTO.encode(kind(values=numbers)),
        lambda data: numpy.asarray(PROTO.decode(kind, data).values),
    )


def _as_lists(message_class: Any) -> Pair:
    import numpy

    return (
        lambda numbers: PROTO.encode(message_class(values=numbers)),
        lambda data: numpy.array(PROTO.decode(message_class, data).values),
    )


def _packed(size: int) -> Table:
    import numpy

    numbers, block = numpy.arange(size // 8, dtype="f8"), _block()
    rows = [
        _row("catenet, arrays", numbers, partial(_as_arrays, block)),
        _row("catenet, arrays of the other order", numbers.astype(">f8"), partial(_as_arrays, block)),
        _row("protobuf's lists", numbers, partial(_as_lists, block)),
    ]
    note = "From a numpy array to the bytes of a message, and back. protobuf's order is little-endian."
    return Table(f"A field `repeated double` of {size >> 20} MB", COLUMNS, rows, note)


def _calls(size: int) -> Table:
    import numpy

    numbers, block = numpy.arange(size // 8, dtype="f8"), _block()

    def row(name: str, kind: Any, wrap: Callable[[Any], Any]) -> Contender:
        def measure() -> Sample:
            with asyncio.Runner() as runner:
                call, close = runner.run(_echo(kind))
                # Runner.run shows its result to signal.signal, which makes a text of it.
                run = runner.get_loop().run_until_complete
                try:
                    return {"call": _time(lambda: numpy.asarray(run(call(wrap(numbers))).values))}
                finally:
                    runner.run(close())

        return Contender(name, measure)

    arrays = packed(block)
    rows = [
        row("catenet, arrays", arrays, lambda value: arrays(values=value)),
        row("catenet, protobuf's lists", block, lambda value: block(values=value)),
    ]
    note = "gRPC over a Unix socket, both ends in this process; the server looks at the array and sends it back."
    return Table(
        f"A call with {size >> 20} MB of doubles each way", [Column("call", "processor time, us", 1)], rows, note
    )


async def _echo(kind: Any) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    """Start a server that answers with what it gets; return how to call it and how to stop it."""
    import tempfile

    import numpy

    from catenet.rpc import Channel, ChannelOptions, Kind, Method, Server, ServerOptions, ServiceDescriptor

    method = Method("block.Blocks", "Keep", Kind.UNARY, kind, kind)

    class Blocks:
        __service__ = ServiceDescriptor("block.Blocks", (method,))

        async def keep(self, request: Any, context: Any) -> Any:
            return kind(values=numpy.asarray(request.values))

    folder = tempfile.TemporaryDirectory()
    server = Server([Blocks()], options=ServerOptions(max_receive=1 << 30))
    listener = await server.listen(f"unix:{folder.name}/s")
    channel = Channel(listener.url, options=ChannelOptions(max_receive=1 << 30))

    async def call(message: Any) -> Any:
        return await channel.unary(method, message)

    async def close() -> None:
        await channel.close()
        await server.close()
        folder.cleanup()

    return call, close


def _messages() -> Table:
    schema = Schema("bench", "bench.proto")
    schema.add(Ticket)
    schema.seal()
    message = schema.to_message(Ticket, TICKET)
    kind = type(message)

    def codec(one: Any) -> Pair:
        return one.encode, partial(one.decode, kind)

    rows = [_row(f"catenet, {one.name}", message, partial(codec, one)) for one in (PROTO, JSON, XML)]
    rows += [
        _row("protobuf (upb)", message, lambda: (kind.SerializeToString, kind.FromString)),
        _row("protobuf, json_format", message, partial(_json_format, kind)),
        _row("msgspec, JSON", TICKET, partial(_msgspec, "json", Ticket)),
        _row("lxml, tree and values", TICKET, _lxml_values),
        _row("lxml, tree only", XML.encode(message), _lxml),
        _row("xsdata, lxml", TICKET, partial(_xsdata, "lxml")),
        _row("xsdata, expat's ElementTree", TICKET, partial(_xsdata, "native")),
    ]
    note = (
        "The tree only is parsed and written, without making values of the texts; tree and values is what one would "
        "write by hand for this type, without checking anything. msgspec and xsdata have dataclasses, others messages."
    )
    return Table("A message: a ticket of 20 legs", COLUMNS, rows, note)


def _json_format(kind: Any) -> Pair:
    from google.protobuf import json_format

    return (
        lambda message: json_format.MessageToJson(message, indent=None).encode(),
        lambda data: json_format.Parse(data, kind()),
    )


def _lxml() -> Pair:
    from lxml import etree

    trees: dict[bytes, Any] = {}

    def write(data: bytes) -> bytes:
        if data not in trees:
            trees[data] = etree.fromstring(data)
        written: bytes = etree.tostring(trees[data])
        return written

    return write, etree.fromstring


def _lxml_values() -> Pair:
    from lxml import etree

    def write(ticket: Ticket) -> bytes:
        root = etree.Element("{proto:bench}Ticket", nsmap={"m": "proto:bench"})
        for name in ("passenger", "number", "price"):
            etree.SubElement(root, name).text = str(getattr(ticket, name))
        for leg in ticket.legs:
            inner = etree.SubElement(root, "legs")
            for name in ("origin", "destination", "minutes"):
                etree.SubElement(inner, name).text = str(getattr(leg, name))
        for remark in ticket.remarks:
            etree.SubElement(root, "remarks").text = remark
        written: bytes = etree.tostring(root)
        return written

    def read(data: bytes) -> Ticket:
        ticket = Ticket()
        for child in etree.fromstring(data):
            name = child.tag
            if name == "legs":
                origin, destination, minutes = (each.text for each in child)
                ticket.legs.append(Leg(origin, destination, int(minutes)))
            elif name == "remarks":
                ticket.remarks.append(child.text)
            else:
                setattr(ticket, name, _AS[name](child.text))
        return ticket

    return write, read


_AS: dict[str, Callable[[str], Any]] = {"passenger": str, "number": int, "price": float}


def _xsdata(backend: str) -> Pair:
    from xsdata.formats.dataclass.parsers import XmlParser
    from xsdata.formats.dataclass.parsers.handlers import LxmlEventHandler, XmlEventHandler
    from xsdata.formats.dataclass.serializers import XmlSerializer
    from xsdata.formats.dataclass.serializers.writers import LxmlEventWriter, XmlEventWriter

    handler = LxmlEventHandler if backend == "lxml" else XmlEventHandler
    writer = LxmlEventWriter if backend == "lxml" else XmlEventWriter
    parser, serializer = XmlParser(handler=handler), XmlSerializer(writer=writer)
    return (
        lambda value: serializer.render(value).encode(),
        lambda data: parser.from_bytes(data, Ticket),
    )
