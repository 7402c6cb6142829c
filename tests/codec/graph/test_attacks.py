"""What strangers send: malformed, hostile, huge. ValueError or TypeError comes of it, soon, and nothing else."""

import json
import random
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from tests.codec.graph.shapes import TYPES, Colour, Frozen, FrozenStruct, Node, Pair, Plain, Struct

from catenet.codec import graph
from catenet.codec.graph import as_json, as_protobuf, as_xml, dumps, loads
from catenet.codec.graph.document import Array, Document, TypeEntry

FORMATS = {"json": as_json, "xml": as_xml, "protobuf": as_protobuf}
every_format = pytest.mark.parametrize("form", FORMATS)


def forged(form, nodes, root=None, types=(), order="little"):
    """A document that `dumps` would not write."""
    entries = [TypeEntry(name, tuple(fields)) for name, *fields in types]
    return FORMATS[form].write(Document(order, entries, [0] if root is None else root, nodes))


def refused(form, nodes, match, types=(), allowed=TYPES, kind=ValueError, **more):
    with pytest.raises(kind, match=match):
        loads(forged(form, nodes, types=types, **more), form, allowed)


@every_format
@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "Node.__init__",
        "type",
        "__main__.Node",
        "",
        "object",
        "Thread",
    ],
)
def test_no_type_is_found_by_its_name(form, name):
    refused(form, [["object", 0, ["true"]]], "not allowed", [(name, "args")], kind=TypeError)
    refused(form, [["list", [["enum", (0, "RED")]]]], "not allowed", [(name,)], kind=TypeError)
    # Not even of a type that nothing is made of.
    refused(form, [["list", []]], "not allowed", [(name,)], kind=TypeError)


@every_format
@pytest.mark.parametrize(
    "name", ["__class__", "__dict__", "__init__", "__reduce__", "__slots__", "method", "shown", "a b", "", "a.b", "0"]
)
def test_only_data_is_set(form, name):
    class Victim:
        def method(self) -> None:
            """Not to be replaced."""

        @property
        def shown(self) -> int:
            return 1

    refused(form, [["object", 0, [1]]], "no field", [("Victim", name)], [Victim])
    refused(form, [["object", 0, [1]]], "no field", [("Frozen", name)])
    refused(form, [["object", 0, [1]]], "no field", [("FrozenStruct", name)])


@every_format
def test_texts_that_look_like_tags_are_texts(form):
    value = {
        "graph": 1,
        "order": "little",
        "$ref": 0,
        "ref": [0],
        "py/object": "os.system",
        "__class__": "Node",
        "object": ["object", 0, ["list"]],
        "nodes": [["list", [0]], ["ref", 0], ["int", "0x1"]],
        "<ref node='0'/>": "]]></str><ref node='0'/>",
        "&#0;": '"/><enum type="0"/>',
    }
    assert loads(dumps(value, form), form) == value


@every_format
def test_references_lead_to_nodes(form):
    for index in (1, 2, 2**31, 2**40):
        refused(form, [["list", [[index]]]], "reference to no node")
    refused(form, [["value", [0]]], "reference|malformed")
    refused(form, [["list", [1]]], "reference to no node", root=[3])
    refused(form, [["value", [1]], ["value", "x"]], "reference")


def test_references_are_numbers():
    for index in ("true", "null", "-1", "1.0", '"0"', "[0]", "[[0]]", "{}"):
        data = b'{"graph":1,"order":"big","types":[],"root":[0],"nodes":[["list",[[%s]]]]}' % index.encode()
        with pytest.raises(ValueError):
            loads(data, "json")


@every_format
def test_what_is_meant_to_be_one_kind_is_no_other(form):
    """A reference to a list where a node is expected, an enumeration as an object, an object as an enumeration."""
    node = [("Node", "value", "next", "others")]
    refused(form, [["object", 0, [1, [1], [1]]], ["list", []]], r"Node\.next: must be", node)
    refused(form, [["object", 0, [1, None, None]]], r"Node\.others: must be list, not NoneType", node)
    refused(form, [["object", 0, []]], "is an enumeration", [("Colour",)])
    refused(form, [["list", [["enum", (0, "value")]]]], "malformed enumeration", node)
    refused(form, [["list", [["enum", (7, "RED")]]]], "malformed enumeration", [("Colour",)])
    for name in ("red", "__class__", "_missing_", "mro", "name", ""):
        refused(form, [["list", [["enum", (0, name)]]]], "no member", [("Colour",)])
    refused(form, [["list", [["enum", (0, 7)]]]], "no (value|member)", [("Colour",)])
    refused(form, [["object", 0, []]], "is an enumeration|no fields", [("Colour", "x")])


@every_format
def test_fields_fit_the_class(form):
    refused(form, [["object", 0, [1]]], "has a field twice", [("Frozen", "one", "one")])
    refused(form, [["object", 0, [1, 2]]], "another number of fields", [("Frozen", "one")])
    refused(form, [["object", 0, []]], "another number of fields", [("Frozen", "one")])
    refused(form, [["object", 0, []]], "lacks the field 'value'", [("Node",)])
    if form != "protobuf":  # whose writer looks the type up
        refused(form, [["object", 1, [1]]], "malformed object", [("Frozen", "one")])
    refused(form, [["object", 0, [["unset", None]]]], "lacks a field", [("Pair", "first")])
    refused(form, [["list", [["unset", None]]]], "malformed value")


@every_format
def test_what_cannot_be_is_refused(form):
    refused(form, [["tuple", [[0]]]], "cycle of tuples")
    refused(form, [["tuple", [[1]]], ["frozenset", [[0]]]], "cycle of tuples")
    refused(form, [["object", 0, [[0], 1]]], "cycle of tuples", [("Pair", "first", "second")])
    refused(form, [["dict", [1]]], "a key without a value")
    refused(form, [["dict", [1, 2, 1, 3]]], "a key twice")
    refused(form, [["dict", [1, 2, True, 3]]], "a key twice")
    refused(form, [["set", ["x", "x"]]], "a member twice")
    refused(form, [["frozenset", [0.0, -0.0]]], "a member twice")
    refused(form, [["set", [[0]]]], "cannot be hashed")
    refused(form, [["dict", [[1], 1]], ["list", []]], "cannot be hashed")
    refused(form, [["set", [["decimal", "sNaN"]]]], "cannot be hashed")
    refused(form, [["set", [[1]]], ["object", 0, [[1]]]], "nested too deeply", [("Frozen", "one")])
    refused(form, [["frozenset", [[1]]], ["object", 0, [[0]]]], "cycle of tuples", [("Frozen", "one")])


@every_format
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("decimal", "1" * 10 + "_0"),
        ("decimal", " 1"),
        ("decimal", "1e5"),
        ("decimal", "1E99999999999999999999"),
        ("decimal", "٣"),
        ("datetime", "2020-01-01"),
        ("datetime", "2020-13-01T00:00:00"),
        ("datetime", "2020-01-01T00:00:00[../../etc/passwd]"),
        ("datetime", "2020-01-01T00:00:00[/etc/passwd]"),
        ("datetime", "2020-01-01T00:00:00[Europe]"),
        ("datetime", "2020-01-01T00:00:00[UTC][UTC]"),
        ("datetime", "2020-01-01T00:00:00[UTC]x"),
        ("datetime", "2020-01-01T00:00:00+25:00"),
        ("datetime", "2020-01-01T00:00:00+01:00[UTC]"),
        ("date", "20200101"),
        ("time", "25:00:00"),
        ("timedelta", "99999999999999999999"),
        ("timedelta", "1.5"),
        ("uuid", "{00000000-0000-0000-0000-000000000000}"),
        ("uuid", "0" * 32),
    ],
)
def test_malformed_scalars(form, kind, text):
    refused(form, [["list", [[kind, text]]]], ".")


@every_format
@pytest.mark.parametrize(
    "found",
    [
        Array("numpy", "f64", (10**18,), b""),
        Array("numpy", "f64", (2**62, 2**62, 0), b"12345678"),
        Array("numpy", "f64", (1,) * 40, b"12345678"),
        Array("numpy", "O", (1,), b"12345678"),
        Array("numpy", "f64", (1,), b"1234567"),
        Array("pickle", "f64", (1,), b"12345678"),
        Array("array", "f16", (1,), b"12"),
        Array("array", "u8", (2, 2), b"1234"),
        Array("memoryview", "c64", (1,), b"12345678"),
        Array("memoryview", "u8", (0, 5), b""),
        Array("memoryview", "u8", (), b""),
    ],
)
def test_arrays_have_their_data(form, found):
    refused(form, [["array", found]], ".")


@every_format
def test_hashes_that_take_for_ever(form):
    for members in (lambda index: [[index + 1], [index + 1]], lambda index: [index, [index + 1], [index + 1]]):
        nodes = [["dict", [[1], 1]], *(["tuple", members(index)] for index in range(1, 24)), ["tuple", [1]]]
        refused(form, nodes, "too long")
    nodes = [["set", [[1]]], *(["object", 0, [[index + 1]]] for index in range(1, 3))]
    nodes += [["tuple", [[index], [index]]] for index in range(4, 27)] + [["tuple", []]]
    refused(form, nodes, "too long", [("Frozen", "one")])
    with pytest.raises(ValueError, match="too long"):
        loads(dumps({(1,) * 200: 1}, form), form, limits=graph.Limits(max_hash_work=100))


@every_format
def test_hashes_that_overflow_the_stack(form):
    count = 20_000
    deep = [["tuple", [[index + 1]]] for index in range(1, count)] + [["tuple", []]]
    refused(form, [["set", [[1]]], *deep], "nested more than 24 deep")
    refused(form, [["frozenset", [[1]]], *deep], "nested more than 24 deep")
    inside = [["set", [[count + 1]]], *deep, ["object", 0, [[1]]]]
    refused(form, inside, "deep within an object", [("Frozen", "one")])
    chain = [["set", [[1]]], *(["object", 0, [[index + 1]]] for index in range(1, 5000)), ["list", []]]
    refused(form, chain, "too deeply|cannot be hashed", [("Frozen", "one")])
    assert len(loads(forged(form, [["list", [[1]]], *deep]), form)) == 1


@every_format
def test_keys_of_one_hash(form):
    prime = sys.hash_info.modulus
    alike = [["int", number * prime] for number in range(1, 20_000)]
    refused(form, [["set", alike]], "have one hash")
    refused(form, [["dict", [cell for key in alike for cell in (key, None)]]], "have one hash")
    refused(form, [["frozenset", [["decimal", str(Decimal(number * prime))] for number in range(1, 5000)]]], "one hash")
    friendly = {number: str(number) for number in range(5000)}
    assert loads(dumps(friendly, form), form) == friendly


@every_format
def test_limits_hold_before_anything_is_built(form, monkeypatch):
    monkeypatch.setattr(sys.modules["catenet.codec.graph.restore"], "_Restorer", None)
    data = dumps([[None] * 10] * 5, form)
    for limits in (graph.Limits(max_values=12), graph.Limits(max_bytes=10)):
        with pytest.raises(ValueError, match="more than"):
            loads(data, form, limits=limits)
    types = [(f"T{number}",) for number in range(20)]
    with pytest.raises((ValueError, TypeError), match="more than"):
        loads(forged(form, [], types=types), form, limits=graph.Limits(max_types=10))


def test_bombs_in_json():
    digits = b"1" * 200_000
    head = b'{"graph":1,"order":"big","types":[],"root":%s,"nodes":[]}'
    for root in (
        digits,
        b"-" + digits,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"NaN",
        b'["int","%s"]' % digits,
    ):
        with pytest.raises(ValueError):
            loads(head % root, "json")
    for data in (
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"graph":1}',
        head % b"1" + b" x",
        head.replace(b'"order"', b'"graph"') % b"1",
    ):
        with pytest.raises(ValueError):
            loads(data, "json")
    # A name that occurs twice, so that two readers could read two graphs.
    with pytest.raises(ValueError, match="not just the names"):
        loads((head % b"1")[:-1] + b',"root":2}', "json")


def xml(inside, before=b""):
    return before + b'<graph xmlns="urn:catenet:graph:1" order="big">' + inside + b"</graph>"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (xml(b"<root><str>&a;</str></root>", b'<!DOCTYPE graph [<!ENTITY a "x">]>'), "document type"),
        (xml(b"<root><none/></root>", b'<!DOCTYPE graph SYSTEM "file:///etc/passwd">'), "document type"),
        (xml(b"<root><none/></root>", b"<?xml-stylesheet href='x'?>"), "processing instruction"),
        (xml(b"<root><none/></root>", b"<?xml version='1.0' encoding='utf-16'?>"), "UTF-8"),
        (xml(b"<root><str>&a;</str></root>"), "undefined entity"),
        (xml(b"<a>" * 100_000 + b"</a>" * 100_000), "nested|within"),
        (xml(b"<root><list><none/></list></root>"), "within a value"),
        (xml(b"<root><none/><none/></root>"), "holds one value"),
        (xml(b"<root><none/></root>" * 2), "one root"),
        (xml(b""), "one root"),
        (xml(b"<root>text<none/></root>"), "text between"),
        (xml(b"<root><none>text</none></root>"), "text where"),
        (xml(b"<root><int>1_0</int></root>"), "hexadecimal"),
        (xml(b"<root><int>" + b"1" * 100_000 + b"</int></root>"), "hexadecimal"),
        (xml(b"<root><float>1e999</float></root>"), "out of range"),
        (xml(b"<root><float>nan</float></root>"), "malformed float"),
        (xml(b"<root><none x='1'/></root>"), "attributes"),
        (xml(b"<root xmlns='urn:other'><none/></root>"), "another namespace"),
        (b"<graph order='big'/>", "another namespace"),
        (b"", "not XML"),
        (b"<", "not XML"),
    ],
)
def test_bombs_in_xml(data, match):
    with pytest.raises(ValueError, match=match):
        loads(data, "xml")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\x02",
        b"\x08\x01",
        b"\x08\x01\x22",
        b"\x08\x01\x22\xff\xff\xff\xff\x0f",
        b"\x08\x01\x22\x00",
        b"\x08\x01\x22\x04\x18\x02\x18\x02",  # two kinds in one value
        b"\x08\x01\x22\x02\x18\x02\x22\x02\x18\x02",  # two roots
        b"\x08\x01\x22\x02\x18\x02\x2a\x00",
        b"\x08\x01\x23\x24",  # a group
        b"\x08\x01\x23" * 100_000,
        b"\x08\x01\x22\x0b\x18" + b"\xff" * 10,
        b"\x08\x01\x22\x02\x18\x02\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x08\x01\x22\x02\x18\x02\x10\x02",
        b"\x08\x01\x22\x02\x08\x02",
        b"\x08\x01\x22\x04\x32\x02\xff\xff",
    ],
)
def test_bombs_in_protobuf(data):
    with pytest.raises(ValueError):
        loads(data, "protobuf")


@dataclass
class Refuses:
    value: int = 0

    def __received__(self):
        raise SystemError("no")


@every_format
def test_what_hooks_raise_is_a_value_error(form):
    with pytest.raises(ValueError, match="SystemError: no"):
        loads(dumps(Refuses(), form, [Refuses]), form, [Refuses])


def sample():
    loop: list[Any] = [1, -5, 2**70, 1.5, float("nan"), "text", "\0", b"bytes", None, True, Colour.RED]
    loop.append(loop)
    plain = Plain()
    plain.slot, plain.more = loop, Struct([1])
    keyed = {(1, Frozen(2)): {1, 2}, "x": frozenset({"y"}), 2: bytearray(b"z")}
    arrays = [memoryview(b"1234").cast("i"), __import__("array").array("d", [1]), __import__("numpy").ones((2, 2))]
    times = [Decimal("1.5"), *__import__("datetime").datetime.now().timetuple()[:2], __import__("uuid").UUID(int=5)]
    return [loop, plain, keyed, arrays, times, Node(1, Node(2)), Pair(1, (2,)), FrozenStruct("x" * 40)]


@every_format
def test_mutated_bytes(form):
    chance = random.Random(7)
    good = dumps(sample(), form, TYPES)
    loads(good, form, TYPES)
    survived = 0
    for _ in range(1200):
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 5))):
            place = chance.randrange(len(data))
            what = chance.random()
            if what < 0.5:
                data[place] = chance.randrange(256)
            elif what < 0.7:
                del data[place : place + chance.randrange(1, 9)]
            elif what < 0.9:
                other = chance.randrange(len(data))
                data[place:place] = data[other : other + chance.randrange(1, 30)]
            else:
                data[place] ^= 1 << chance.randrange(8)
        try:
            loads(bytes(data), form, TYPES)
            survived += 1
        except (ValueError, TypeError):
            pass
    assert survived < 1200


def test_mutated_structure():
    """JSON whose parts are exchanged, which gets further than noise does."""
    chance = random.Random(11)
    good = json.loads(dumps(sample(), "json", TYPES))
    odd = [
        None,
        True,
        -1,
        0,
        5,
        10**6,
        1.5,
        "",
        "list",
        "dict",
        "object",
        [],
        [0],
        [5],
        ["bytes", "AA=="],
        ["enum", [0, "RED"]],
        {},
    ]
    for _ in range(1000):
        document = json.loads(json.dumps(good))
        for _ in range(chance.choice((1, 2, 4))):
            where: Any = document["nodes"] if chance.random() < 0.9 else document
            for _ in range(chance.randrange(4)):
                following = (
                    list(where.values() if isinstance(where, dict) else where)
                    if isinstance(where, (list, dict))
                    else []
                )
                inner = [one for one in following if isinstance(one, (list, dict)) and one]
                if not inner:
                    break
                where = chance.choice(inner)
            if isinstance(where, list) and where:
                where[chance.randrange(len(where))] = chance.choice(odd)
        try:
            loads(json.dumps(document).encode(), "json", TYPES)
        except (ValueError, TypeError):
            pass


@pytest.mark.parametrize("data", [None, "text", 5, [b""]])
def test_data_are_bytes(data):
    with pytest.raises(TypeError, match="data must be bytes"):
        loads(data, "json")
