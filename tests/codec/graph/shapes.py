"""Classes of all kinds that the tests send, and what it means that two graphs are the same."""

from __future__ import annotations

import array
import enum
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import numpy

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Rights(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    RUN = enum.auto()


@dataclass
class Node:
    value: Any
    next: Node | None = None
    others: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    one: Any = None
    two: Any = None


@dataclass(frozen=True)
class Frozen:
    one: Any = None


@dataclass(frozen=True, eq=False, slots=True)
class Heir(Frozen, Generic[T]):
    more: Any = None


@attrs.define
class Attr:
    one: Any = None
    two: Any = attrs.field(default=None)


@attrs.frozen
class FrozenAttr:
    one: Any = None


class Struct(msgspec.Struct):
    one: Any = None
    two: Any = None

    def __post_init__(self) -> None:
        self.two = "only a constructor does this"


class FrozenStruct(msgspec.Struct, frozen=True):
    one: Any = None


class Pair(NamedTuple):
    first: Any
    second: Any = 2


class Plain:
    __slots__ = ("__dict__", "slot")


TYPES = [Colour, Rights, Node, Slotted, Frozen, Heir, Attr, FrozenAttr, Struct, FrozenStruct, Pair, Plain]
OBJECTS: list[type] = [Node, Slotted, Frozen, Heir, Attr, FrozenAttr, Struct, FrozenStruct]


def fields(value: Any) -> list[str]:
    if isinstance(value, (Struct, FrozenStruct)):
        return list(value.__struct_fields__)
    if isinstance(value, (Attr, FrozenAttr)):
        return [one.name for one in attrs.fields(type(value))]
    if isinstance(value, Plain):
        return [*vars(value), *(["slot"] if hasattr(value, "slot") else [])]
    return list(getattr(value, "__dataclass_fields__", ()))


def isomorphic(one: Any, other: Any) -> None:
    """Assert that two graphs are the same: types, values bit by bit, order, and which references are to one object."""
    to: dict[int, Any] = {}
    back: dict[int, Any] = {}
    kept = []
    stack = [(one, other)]
    while stack:
        left, right = stack.pop()
        assert type(left) is type(right), (left, right)
        if isinstance(left, (int, str, float, bool, enum.Enum, type(None))):
            assert _bits(left) == _bits(right)
            continue
        if id(left) in to or id(right) in back:
            assert to.get(id(left)) is right
            assert back.get(id(right)) is left
            continue
        to[id(left)], back[id(right)] = right, left
        kept += [left, right]
        insides = list(_inside(left)), list(_inside(right))
        assert len(insides[0]) == len(insides[1]), (left, right)
        stack += zip(*insides, strict=True)


def _bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.items():
            yield from item
    elif isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, (set, frozenset)):
        # Their order may differ; what is in sets of the tests has a text of its own.
        yield from sorted(value, key=_told)
    elif isinstance(value, (numpy.ndarray, array.array, memoryview)):
        yield value.tobytes().hex()
        yield str(getattr(value, "dtype", getattr(value, "typecode", getattr(value, "format", ""))))
        yield str(getattr(value, "shape", len(value)) if not isinstance(value, array.array) else len(value))
    elif names := fields(value):
        yield ",".join(names)
        for name in names:
            yield getattr(value, name, "absent")
    else:
        yield repr(value)


def _told(value: Any) -> str:
    return f"{type(value).__name__} {value!r}" if not math.isnan(value if isinstance(value, float) else 0) else "nan"
