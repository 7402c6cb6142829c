"""Graphs of objects in all three encodings: what comes back is the same graph."""

import array
import enum
import gc
import math
import struct
import sys
import time as clock
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Optional
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.codec.graph.shapes import (
    OBJECTS,
    TYPES,
    Attr,
    Colour,
    Frozen,
    FrozenAttr,
    FrozenStruct,
    Node,
    Pair,
    Plain,
    Rights,
    Slotted,
    Struct,
    fields,
    isomorphic,
)

from catenet.codec import graph
from catenet.codec.graph import dumps, loads

FORMATS = ("json", "xml", "protobuf")
every_format = pytest.mark.parametrize("form", FORMATS)


def again(value, form, types=TYPES, **options):
    return loads(dumps(value, form, types, **options), form, types)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.text(max_size=50),
    st.text(st.characters(), max_size=5),
    st.binary(max_size=10),
    st.decimals(),
    st.datetimes(timezones=st.none() | st.just(UTC) | st.just(ZoneInfo("Europe/Berlin"))),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Colour, Rights.READ, Rights.READ | Rights.RUN, Rights(0)]),
)
KEYS = st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.binary(max_size=3), st.dates(), st.none())


def hashable(value):
    try:
        hash(value)
        repr(value)
    except TypeError:
        return False
    return True


@st.composite
def graphs(draw):
    """Make objects, then let them refer to each other at random."""
    shells = [draw(st.sampled_from([list, dict, Plain, *OBJECTS])) for _ in range(draw(st.integers(1, 6)))]
    made = [cls(None) if cls is Node else cls() for cls in shells]
    parts = [draw(SCALARS) for _ in range(draw(st.integers(1, 5)))]
    for _ in range(draw(st.integers(0, 4))):
        pool = [*made, *parts]
        members = draw(st.lists(st.integers(0, len(pool) - 1).map(pool.__getitem__), max_size=3))
        parts.append(draw(st.sampled_from([tuple, Pair._make]))(members) if len(members) == 2 else tuple(members))
    parts.append(frozenset(draw(st.lists(KEYS, max_size=3))))
    parts.append(draw(st.sets(KEYS, max_size=3)))
    pool = [*made, *parts]
    anything = st.integers(0, len(pool) - 1).map(pool.__getitem__)
    for one in made:
        if isinstance(one, list):
            one += draw(st.lists(anything, max_size=4))
        elif isinstance(one, dict):
            one.update(draw(st.dictionaries(KEYS, anything, max_size=4)))
        elif isinstance(one, Plain):
            one.left = draw(anything)
            one.slot = draw(anything)
        else:
            for name in fields(one):
                value = draw(anything)
                if name == "next":
                    nodes = [None, *(item for item in made if type(item) is Node)]
                    value = nodes[draw(st.integers(0, len(nodes) - 1))]
                if name == "others":
                    value = [value]
                put = msgspec.structs.force_setattr if isinstance(one, msgspec.Struct) else object.__setattr__
                put(one, name, value)
    return made[draw(st.integers(0, len(made) - 1))]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(value=graphs())
def test_a_random_graph_comes_back_as_the_same_graph(value):
    for form in FORMATS:
        data = dumps(value, form, TYPES)
        back = loads(data, form, TYPES)
        isomorphic(value, back)
        assert len(dumps(back, form, TYPES)) == len(data)


@every_format
@given(value=SCALARS)
def test_scalars(form, value):
    isomorphic([value], again([value], form))


@every_format
@pytest.mark.parametrize("bits", ["7ff8000000000000", "fff8000000000001", "7ff800000000beef", "8000000000000000"])
def test_floats_bit_by_bit(form, bits):
    value = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert struct.pack(">d", again(value, form)).hex() == bits
    assert struct.pack(">d", again(Frozen(value), form).one).hex() == bits


@every_format
def test_odd_scalars(form):
    berlin = ZoneInfo("Europe/Berlin")
    for value in (
        10**6000,
        -(2**63),
        2**64,
        Decimal("-0E-12"),
        Decimal("sNaN12"),
        datetime(2020, 10, 25, 2, 30, tzinfo=berlin, fold=1),
        datetime(1, 1, 1),
        datetime(9999, 12, 31, 23, 59, 59, 999999, timezone(timedelta(seconds=-3601))),
        time(1, 2, 3, 4, tzinfo=UTC, fold=1),
        time(1, tzinfo=berlin),
        date.max,
        timedelta.max,
        timedelta.min,
        UUID(int=0),
        "\0\r\n\t\x0b<&>]]>\ud800\uffff",
        " ",
        "",
        b"",
    ):
        back = again([value], form)[0]
        assert hex(back) == hex(value) if isinstance(value, int) else repr(back) == repr(value)
        if isinstance(value, (datetime, time)):
            assert (back.fold, back.tzinfo) == (value.fold, value.tzinfo)


@every_format
def test_one_object_stays_one_object(form):
    shared = [
        [],
        {},
        set(),
        (1,),
        frozenset({1}),
        Node(1),
        b"abc",
        Decimal(1),
        datetime.now(),
        "x" * 33,
        2**70 and b"z",
    ]
    back = again([shared, list(shared), shared], form)
    assert back[0] is back[2]
    assert back[0] is not back[1]
    assert all(one is other for one, other in zip(back[0], back[1], strict=True))
    twins = again([[], [], (1, 2), (1, 3), b"ab", bytes([97, 98])], form)
    assert twins[0] is not twins[1]
    assert twins[4] is not twins[5]


@every_format
def test_a_list_as_long_as_it_likes(form):
    first = last = Node(0)
    for number in range(1, 20_000):
        last.next = Node(number)
        last = last.next
    last.next = first
    deep: Any = ()
    for _ in range(20_000):
        deep = (deep,)
    limit = sys.getrecursionlimit()
    back, nest = again((first, deep), form)
    assert sys.getrecursionlimit() == limit
    for number in range(20_000):
        assert back.value == number
        back = back.next
    assert back.value == 0
    depth = 0
    while nest:
        depth, nest = depth + 1, nest[0]
    assert depth == 20_000


@every_format
def test_cycles_through_what_cannot_change(form):
    loop: list[Any] = []
    loop.append((loop, (loop,)))
    frozen = Frozen([])
    frozen.one.append(frozen)
    itself = Frozen()
    object.__setattr__(itself, "one", (itself,))
    pair = Pair([], 1)
    pair.first.append(pair)
    attr = FrozenAttr()
    object.__setattr__(attr, "one", (attr,))
    struct_ = FrozenStruct({})
    struct_.one["self"] = struct_
    for value in (loop, frozen, itself, pair, attr, struct_):
        isomorphic(value, again(value, form))


class Named:
    """Hashed by its name, so it may be in a set that it refers to."""

    def __init__(self, name):
        self.name = name
        self.friends = set()

    def __eq__(self, other):
        return self.name == other.name

    def __hash__(self):
        return hash(self.name)


@every_format
def test_sets_of_objects_that_refer_to_the_sets(form):
    one, other = Named("one"), Named("other")
    one.friends, other.friends = {one, other}, frozenset({one, other})
    back = again(one, form, [Named])
    assert {friend.name for friend in back.friends} == {"one", "other"}
    second = next(friend for friend in back.friends if friend.name == "other")
    assert back in second.friends
    assert second in back.friends
    table = {one: 1, (other, 1): 2}
    assert {type(key) for key in again(table, form, [Named])} == {Named, tuple}


@every_format
def test_keys_of_any_kind(form):
    value = {1: "a", 2.5: "b", None: "c", (1, (2,)): "d", b"x": "e", Frozen(Frozen(3)): "f", Colour.RED: "g", "ref": 1}
    value |= {
        frozenset({1, Frozen(2)}): "h",
        Decimal(9): "i",
        UUID(int=1): "j",
        date(2000, 1, 1): "k",
        "graph": {"0": 0},
    }
    back = again(value, form)
    assert back == value
    assert list(back) == list(value)


@dataclass
class Tree:
    children: "list[Tree]" = field(default_factory=list)
    size: int = field(default=0, metadata={"send": False})
    secret: str = field(default="", metadata={"send": False})

    def __post_init__(self):
        self.size = 1 + sum(child.size for child in self.children)


class Marked(msgspec.Struct):
    width: int
    area: Annotated[int, graph.NOT_SENT] = 0

    def __post_init__(self):
        self.area = self.width**2


@attrs.define
class Told:
    name: str
    lock: Any = attrs.field(default=None, metadata={"send": False})

    def __received__(self):
        self.lock = "new"


@dataclass
class WithInitVar:
    seed: InitVar[int]
    value: int = 0
    rest: Annotated[Any, graph.NOT_SENT] = None

    def __post_init__(self, seed):
        self.value = seed


@every_format
def test_what_is_not_sent_is_computed_again(form):
    types = [Tree, Marked, Told, WithInitVar]
    tree = Tree([Tree([Tree(), Tree()]), Tree()])
    tree.secret = "password"
    told = Told("x", lock=object())
    data = dumps([tree, Marked(3), told, WithInitVar(5)], form, types)
    assert b"password" not in data
    assert b"secret" not in data
    back, square, heard, seeded = loads(data, form, types)
    assert (back.size, back.children[0].size, back.secret) == (5, 3, "")
    assert square.area == 9
    assert heard.lock == "new"
    assert (seeded.value, seeded.rest) == (5, None)


def test_what_is_not_sent_cannot_be_sent():
    data = (
        dumps(Tree(), "json", [Tree]).replace(b'["children"]', b'["children","secret"]').replace(b"[[1]]", b'[[1],"x"]')
    )
    with pytest.raises(ValueError, match="no field 'secret'"):
        loads(data, "json", [Tree])


@dataclass
class Version1:
    name: str


@dataclass
class Version2:
    name: str
    age: int = 7


@every_format
def test_a_field_that_does_not_come_has_its_default(form):
    assert loads(dumps(Version1("x"), form, {"V": Version1}), form, {"V": Version2}) == Version2("x", 7)
    with pytest.raises(ValueError, match="V has no field 'age'"):
        loads(dumps(Version2("x"), form, {"V": Version2}), form, {"V": Version1})


@dataclass
class Widths:
    a: Annotated[int, graph.u8] = 0
    b: Annotated[int, graph.i16] = 0
    c: Annotated[int, graph.fixed32] = 0
    d: Annotated[int, graph.sfixed64] = 0
    e: Annotated[int, graph.u64] | None = None
    f: Annotated[float, graph.f32] = 0.0
    g: Annotated[int, graph.sfixed32] = 0
    h: Annotated[int, graph.fixed64] = 0


@every_format
def test_integers_of_annotated_width(form):
    for value in (
        Widths(),
        Widths(255, -32768, 2**32 - 1, -(2**63), 2**64 - 1, 0.1, -(2**31), 2**64 - 1),
        Widths(f=math.inf),
    ):
        assert again(value, form, [Widths]) == value
    for wrong in ({"a": 256}, {"a": -1}, {"b": 32768}, {"c": 2**32}, {"d": 2**63}, {"e": -1}, {"f": 1e300}, {"a": "x"}):
        with pytest.raises(ValueError, match=rf"Widths\.{next(iter(wrong))}: must be|beyond"):
            dumps(Widths(**wrong), form, [Widths])


def test_fixed_width_is_fixed_width():
    small, large = (dumps(Widths(c=value), "protobuf", [Widths]) for value in (0, 2**32 - 1))
    assert len(small) == len(large)


@dataclass
class Hinted:
    number: int = 0
    real: float = 0.0
    names: list[str] = field(default_factory=list)
    table: dict[str, int] = field(default_factory=dict)
    maybe: Optional["Hinted"] = None
    pair: tuple[int, str] = (0, "")
    unset: str = None  # type: ignore[assignment]


@every_format
@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "1"},
        {"real": "x"},
        {"names": [1]},
        {"names": ("a",)},
        {"table": {"a": "b"}},
        {"maybe": []},
        {"pair": (1, 2)},
    ],
)
def test_a_field_holds_what_its_hint_says(form, wrong):
    with pytest.raises(ValueError, match=rf"Hinted\.{next(iter(wrong))}: must"):
        dumps(Hinted(**wrong), form, [Hinted])
    forged = type("Hinted", (), {})()
    vars(forged).update(vars(Hinted(**wrong)))
    data = dumps(forged, form, {"Hinted": type(forged)})
    with pytest.raises(ValueError):
        loads(data, form, [Hinted])
    assert again(Hinted(real=1, number=True), form, [Hinted]) == Hinted(real=1, number=True)


@every_format
@pytest.mark.parametrize("order", ["little", "big"])
def test_arrays(form, order):
    values = [
        array.array("d", [1.5, -0.0, math.nan]),
        array.array("l", [-1, 2]),
        array.array("B", b"abc"),
        array.array("h"),
        memoryview(b"bytes"),
        memoryview(array.array("i", range(6))).cast("B").cast("i", (2, 3)),
        numpy.arange(12, dtype="<u2").reshape(3, 4),
        numpy.arange(12, dtype=">f8").reshape(3, 4).T,
        numpy.array(7.5),
        numpy.zeros((0, 3), "i1"),
        numpy.array([True, False]),
        numpy.array([1 + 2j], "c8"),
        numpy.array([0.5], "f2"),
    ]
    back = again(values, form, order=order)
    for one, other in zip(values, back, strict=True):
        assert type(one) is type(other)
        if isinstance(one, numpy.ndarray):
            assert one.shape == other.shape
            assert one.dtype.newbyteorder("=") == other.dtype
            assert numpy.array_equal(one, other)
        elif isinstance(one, memoryview):
            assert (one.tolist(), one.format) == (other.tolist(), other.format)
        else:
            assert (one.tobytes(), one.typecode) == (other.tobytes(), other.typecode)


def test_an_array_crosses_without_a_copy():
    numbers = numpy.arange(1000.0)
    data = dumps([numbers, "x", array.array("i", [1]), memoryview(b"abc")], "protobuf")
    back, _, _, view = loads(data, "protobuf")
    whole = numpy.frombuffer(data, "u1")
    assert numpy.shares_memory(whole, back)
    assert numpy.shares_memory(whole, numpy.frombuffer(view, "u1"))
    assert (back.ctypes.data - whole.ctypes.data) % 8 == 0
    swapped = dumps(numbers, "protobuf", order="big")
    assert not numpy.shares_memory(numpy.frombuffer(swapped, "u1"), loads(swapped, "protobuf"))
    assert graph.agree("little", "little") == "little"
    assert graph.agree("little", "big") == graph.agree("little", None) == "big"


@every_format
def test_classes_without_fields_and_attributes_that_are_not_there(form):
    plain = Plain()
    plain.slot, plain.more, plain.me = 1, [2], plain
    back = again(plain, form)
    assert (back.slot, back.more) == (1, [2])
    assert back.me is back
    bare = Slotted.__new__(Slotted)
    bare.two = 2
    half = again(bare, form)
    assert half.two == 2
    assert not hasattr(half, "one")


@every_format
def test_no_constructor_is_called(form):
    back = again([Struct(1), Attr(2)], form)
    assert back[0].two == "only a constructor does this"
    object.__new__(Plain)
    struct_ = Struct(1)
    struct_.two = 5
    assert again(struct_, form).two == 5


@every_format
def test_only_what_is_allowed_is_sent(form):
    class Other(enum.IntEnum):
        ONE = 1

    class Text(str):
        __slots__ = ()

    for value in (object(), print, Other.ONE, Text("x"), int, iter([]), numpy.float64(1), array.array("u", "x"), Node):
        with pytest.raises(TypeError, match="not allowed"):
            dumps([value], form, [Frozen])
    for cls in (
        type,
        object,
        Exception,
        Text,
        list[int] and OSError,
        type(print),
        dict[str, int] and type("D", (dict,), {}),
    ):
        with pytest.raises(TypeError, match="cannot be sent"):
            dumps(1, form, [cls])
    with pytest.raises(ValueError, match="two classes are called Node"):
        dumps(1, form, [Node, type("Node", (), {})])
    with pytest.raises(ValueError, match="there are json, xml, protobuf"):
        dumps(1, "yaml")


def test_the_collector_finds_structs_in_cycles():
    data = dumps(Struct(), "json", TYPES)
    back = loads(data, "json", TYPES)
    back.one = back
    assert gc.is_tracked(back)


@pytest.mark.parametrize("form", FORMATS)
def test_time_grows_with_size_only(form):
    """Not measured: a graph whose cost were quadratic would not end within the time that a test has."""
    started = clock.process_time()
    value = [{"k": [Node(number)], "t": (number, (number,))} for number in range(5000)]
    isomorphic(value, again(value, form))
    assert clock.process_time() - started < 250
