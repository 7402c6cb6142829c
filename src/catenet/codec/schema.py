"""Python classes as an interface description: type hints to protobuf's descriptors, objects to messages and back.

A dataclass, an attrs class or a msgspec struct is a message; its fields have the numbers 1, 2, 3 in their order, or
what `Annotated[T, Number(n)]` says. Those marked as not to be sent (`codec.graph`) have none. Messages are trees: what
is shared is sent twice, what has a cycle is refused; graphs are `codec.graph`'s.
"""

from __future__ import annotations

import array
import enum
import importlib
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, Final
from uuid import UUID

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from catenet.codec.graph.integers import FloatWidth, IntWidth
from catenet.codec.graph.messages import GraphOf
from catenet.codec.graph.registry import Shape
from catenet.codec.packed import packed
from catenet.codec.schema_fields import Field, Kind, Map, Oneof, Repeated, Run, Single

__all__ = ["Number", "Schema"]

_F = FieldDescriptorProto


@dataclass(frozen=True, slots=True)
class Number:
    """The number of a field: `Annotated[str, Number(5)]`."""

    number: int


def _fill_timestamp(value: datetime, message: Any) -> None:
    if value.tzinfo is None:
        raise ValueError("a datetime without time zone is no point in time")
    message.FromDatetime(value)


def _datetime_back(message: Any) -> datetime:
    return typing.cast(datetime, message.ToDatetime(tzinfo=UTC))


def _fill_duration(value: timedelta, message: Any) -> None:
    message.FromTimedelta(value)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"no decimal: {text[:40]!r}") from None


_TIMESTAMP, _DURATION = ".google.protobuf.Timestamp", ".google.protobuf.Duration"
_SCALARS: Final[dict[Any, Kind]] = {
    bool: Kind(_F.TYPE_BOOL),
    int: Kind(_F.TYPE_INT64),
    float: Kind(_F.TYPE_DOUBLE),
    str: Kind(_F.TYPE_STRING),
    bytes: Kind(_F.TYPE_BYTES),
    datetime: Kind(_F.TYPE_MESSAGE, _TIMESTAMP, None, _datetime_back, _fill_timestamp),
    timedelta: Kind(_F.TYPE_MESSAGE, _DURATION, None, lambda message: message.ToTimedelta(), _fill_duration),
    date: Kind(_F.TYPE_STRING, "", date.isoformat, date.fromisoformat),
    time: Kind(_F.TYPE_STRING, "", time.isoformat, time.fromisoformat),
    Decimal: Kind(_F.TYPE_STRING, "", str, _decimal),
    UUID: Kind(_F.TYPE_STRING, "", str, UUID),
}
_KEYS: Final = (_F.TYPE_BOOL, _F.TYPE_STRING, _F.TYPE_INT64)
_LISTS: Final[dict[Any, Callable[[Iterable[Any]], Any]]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    tuple: tuple,
    Sequence: list,
    Iterable: list,
}
_RUNS: Final = {"f8": "double", "f4": "float", "u4": "fixed32", "u8": "fixed64", "i4": "sfixed32", "i8": "sfixed64"}
"""What protobuf calls the numbers of arrays, by numpy's names."""
_WIDTHS: Final = ("f64", "f32", "fixed32", "fixed64", "sfixed32", "sfixed64")
_GRAPH: Final = ".catenet.graph.v1.Graph"
_IMPORTS: Final = {
    _TIMESTAMP: "google.protobuf.timestamp_pb2",
    _DURATION: "google.protobuf.duration_pb2",
    _GRAPH: "catenet.codec.graph.graph_pb2",
}
"""The modules of messages that are not ours to describe."""


def _numbers(name: str, hints: Mapping[str, Any]) -> set[int]:
    """Return the numbers that fields ask for; raise `TypeError` for one that protobuf has not, or that two have."""
    taken: dict[int, str] = {}
    for field, hint in hints.items():
        for one in _extras(hint):
            if not isinstance(one, Number):
                continue
            if not 1 <= one.number < 1 << 29 or 19_000 <= one.number < 20_000:
                raise TypeError(f"{name}.{field}: {one.number} is no number for a field (1 to 536870911, not 19000s)")
            if one.number in taken:
                raise TypeError(f"{name}.{field}: {taken[one.number]} has the number {one.number} already")
            taken[one.number] = field
    return set(taken)


class Schema:
    """The messages of one .proto file that is made of classes. `seal` makes the message classes."""

    def __init__(self, package: str, name: str) -> None:
        self.file = FileDescriptorProto(name=name, package=package, syntax="proto3")
        self.pool = DescriptorPool()
        self._prefix = f".{package}." if package else "."
        self._names: dict[str, Any] = {}
        self._fields: dict[type, list[Field]] = {}
        self._made: dict[type, Any] = {}
        self._enums: dict[type, Kind] = {}

    def is_message(self, hint: Any) -> bool:
        """Whether a hint is a class with fields of its own."""
        return (
            isinstance(hint, type)
            and not issubclass(hint, (enum.Enum, tuple))
            and any(hasattr(hint, name) for name in ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__"))
        )

    def add(self, cls: type) -> str:
        """Describe a class and what its fields are of; return the full name of the message. Raises `TypeError`."""
        if cls not in self._fields:
            shape = Shape(cls.__name__, cls)
            shape.annotate({cls.__name__: cls})
            hints = typing.get_type_hints(cls, include_extras=True)
            self._add(cls.__name__, cls, {name: hints.get(name, Any) for name in shape.sent}, shape.defaults)
        return self._prefix + cls.__name__

    def add_record(self, name: str, fields: Mapping[str, Any], may_lack: Mapping[str, Any]) -> type:
        """Describe a message that no class is for; return one for it, whose objects are dictionaries.

        What `may_lack` names is left out of the dictionary if it does not come.
        """
        record = type(name, (dict,), {})
        self._add(name, record, fields, {one: partial(_same, default) for one, default in may_lack.items()})
        return record

    def _add(self, name: str, cls: type, hints: Mapping[str, Any], defaults: Mapping[str, Callable[[], Any]]) -> None:
        self._claim(name, cls)
        found = self._fields[cls] = []
        message = self.file.message_type.add(name=name)
        taken = _numbers(name, hints)
        free = (number for number in range(1, 1 << 29) if number not in taken and not 19_000 <= number < 20_000)
        for field, hint in hints.items():
            try:
                found.append(self._field(message, field, hint, defaults.get(field), free))
            except TypeError as error:
                raise TypeError(f"{name}.{field}: {error}") from None
        # The oneofs that stand for `optional` come after all others.
        for described in message.field:
            if described.proto3_optional:
                described.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{described.name}")

    def _claim(self, name: str, what: Any) -> None:
        if self._names.setdefault(name, what) is not what:
            raise TypeError(f"two types are called {name}")

    def _field(
        self, message: DescriptorProto, name: str, hint: Any, default: Callable[[], Any] | None, free: Any
    ) -> Field:
        extras = _extras(hint)
        number = next((one.number for one in extras if isinstance(one, Number)), 0)
        hint, optional = _without_none(hint)
        if isinstance(hint, tuple):
            return self._oneof(message, name, hint, free)
        if (run := _array_of(hint)) is not None:
            form, wire = run
            kind = getattr(_F, f"TYPE_{wire.upper()}")
            message.field.add(name=name, number=number or next(free), type=kind, label=_F.LABEL_REPEATED)
            return Run(name, form)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (dict, Mapping) and len(arguments) == 2:
            return self._map(message, name, arguments, number or next(free))
        made = _LISTS.get(origin)
        if made is not None and (origin is not tuple or arguments[1:] == (Ellipsis,)):
            kind = self._kind(arguments[0])
            message.field.add(
                name=name,
                number=number or next(free),
                type=kind.type,
                type_name=kind.type_name or None,
                label=_F.LABEL_REPEATED,
            )
            return Repeated(name, kind, made)
        kind = self._kind(hint)
        field = message.field.add(
            name=name,
            number=number or next(free),
            type=kind.type,
            type_name=kind.type_name or None,
            label=_F.LABEL_OPTIONAL,
        )
        # What has a default must be told from zero.
        if (optional or default is not None) and kind.type != _F.TYPE_MESSAGE:
            field.proto3_optional = True
        return Single(name, kind, optional, default)

    def _map(self, message: DescriptorProto, name: str, arguments: Any, number: int) -> Field:
        key, value = (self._kind(one) for one in arguments)
        if key.type not in _KEYS or key.to is not None:
            raise TypeError("keys of a dict are texts, integers or booleans")
        entry = "".join(word.capitalize() for word in name.split("_")) + "Entry"
        inner = message.nested_type.add(name=entry)
        inner.options.map_entry = True
        for label, index, kind in (("key", 1, key), ("value", 2, value)):
            inner.field.add(
                name=label, number=index, type=kind.type, type_name=kind.type_name or None, label=_F.LABEL_OPTIONAL
            )
        message.field.add(
            name=name,
            number=number,
            type=_F.TYPE_MESSAGE,
            label=_F.LABEL_REPEATED,
            type_name=f"{self._prefix}{message.name}.{entry}",
        )
        return Map(name, value)

    def _oneof(self, message: DescriptorProto, name: str, members: tuple[Any, ...], free: Any) -> Field:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=name)
        kinds: list[tuple[str, type, Kind]] = []
        for member in members:
            cls = typing.get_origin(member) or member
            if not isinstance(cls, type) or any(cls is one for _, one, _ in kinds):
                raise TypeError(f"a union of {members} is none of classes")
            kind = self._kind(member)
            one = f"{name}_{cls.__name__.lower()}"
            message.field.add(
                name=one,
                number=next(free),
                type=kind.type,
                type_name=kind.type_name or None,
                label=_F.LABEL_OPTIONAL,
                oneof_index=index,
            )
            kinds.append((one, cls, kind))
        return Oneof(name, kinds)

    def _kind(self, hint: Any) -> Kind:
        for one in _extras(hint):
            if isinstance(one, GraphOf):
                return Kind(_F.TYPE_MESSAGE, _GRAPH, None, one.unpack, one.pack)
            if isinstance(one, (IntWidth, FloatWidth)):
                return Kind(getattr(_F, f"TYPE_{one.wire.upper()}"))
        hint = _bare(hint)
        if hint in _SCALARS:
            return _SCALARS[hint]
        if isinstance(hint, typing.NewType):
            return self._kind(hint.__supertype__)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._enum(hint)
        if self.is_message(hint):
            name = self.add(hint)
            return Kind(_F.TYPE_MESSAGE, name, None, partial(self.back, hint), partial(self._fill, hint))
        raise TypeError(f"{hint!r} cannot be in a message")

    def _enum(self, cls: type[enum.Enum]) -> Kind:
        """Members that are integers keep their numbers, others count from 1; 0 means that none is given."""
        if cls in self._enums:
            return self._enums[cls]
        self._claim(cls.__name__, cls)
        members = list(cls)
        whole = all(type(member.value) is int and -(1 << 31) <= member.value < 1 << 31 for member in members)
        numbers = {member: member.value if whole else place for place, member in enumerate(members, 1)}
        prefix = "".join("_" + one if one.isupper() else one.upper() for one in cls.__name__).lstrip("_")
        described = self.file.enum_type.add(name=cls.__name__)
        zero = next((member for member, number in numbers.items() if number == 0), None)
        described.value.add(name=f"{prefix}_{zero.name if zero is not None else 'UNSPECIFIED'}", number=0)
        for member, number in numbers.items():
            if member is not zero:
                described.value.add(name=f"{prefix}_{member.name}", number=number)
        back = {number: member for member, number in numbers.items()}

        def member_of(number: int) -> enum.Enum:
            if number not in back:
                raise ValueError(f"{cls.__name__} has no value {number}")
            return back[number]

        kind = self._enums[cls] = Kind(_F.TYPE_ENUM, self._prefix + cls.__name__, numbers.__getitem__, member_of)
        return kind

    def seal(self) -> None:
        """Make the message classes; call it when all is added, services too."""
        kinds = {field.type_name for message in self.file.message_type for field in message.field}
        kinds |= {
            f.type_name for message in self.file.message_type for inner in message.nested_type for f in inner.field
        }
        for name in sorted(kinds & set(_IMPORTS)):
            described = importlib.import_module(_IMPORTS[name]).DESCRIPTOR
            self.file.dependency.append(described.name)
            self.pool.AddSerializedFile(described.serialized_pb)
        self.pool.Add(self.file)
        for cls in self._fields:
            made = GetMessageClass(self.pool.FindMessageTypeByName(self._prefix[1:] + cls.__name__))
            has_runs = any(isinstance(field, Run) for field in self._fields[cls])
            self._made[cls] = packed(made) if has_runs else made

    def message_class(self, cls: type) -> Any:
        """Return the class of messages for a class that has been added."""
        return self._made[cls]

    def to_message(self, cls: type, value: Any) -> Any:
        """Return an object as a message; raise `TypeError` or `ValueError` for what does not fit."""
        message = self._made[cls]()
        try:
            self._fill(cls, value, message)
        except RecursionError:
            raise ValueError(f"{cls.__name__} is nested too deeply, or has a cycle") from None
        return message

    def _fill(self, cls: type, value: Any, message: Any) -> None:
        if not isinstance(value, cls):
            raise TypeError(f"must be {cls.__name__}, not {type(value).__name__}")
        get: Any = dict.__getitem__ if isinstance(value, dict) else getattr
        for field in self._fields[cls]:
            try:
                field.put(message, get(value, field.name))
            except (TypeError, ValueError, KeyError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"{field.name}: {error}") from None

    def back(self, cls: type, message: Any) -> Any:
        """Return a message as an object, by its constructor; raise what that raises."""
        values: dict[str, Any] = {}
        for field in self._fields[cls]:
            try:
                field.take(message, values)
            except ValueError as error:
                raise ValueError(f"{field.name}: {error}") from None
        return cls(**values)


def _same(value: Any) -> Any:
    return value


def _array_of(hint: Any) -> tuple[Any, str] | None:
    """Return the class of an array that a hint means, and the type of its numbers in protobuf."""
    bare = _bare(hint)
    numpy: Any = sys.modules.get("numpy")
    form = typing.get_origin(bare) or bare
    if form not in (array.array, memoryview) and (numpy is None or form is not numpy.ndarray):
        return None
    for one in _extras(hint):
        if isinstance(one, (IntWidth, FloatWidth)) and one.wire in _RUNS.values():
            return form, one.wire
    for one in typing.get_args(bare):
        dtype = next(iter(typing.get_args(one)), None)
        if numpy is not None and isinstance(dtype, type) and issubclass(dtype, numpy.generic):
            found = _RUNS.get(numpy.dtype(dtype).str[1:])
            if found is not None:
                return form, found
    raise TypeError(f"an array needs the width of its numbers: one of {', '.join(_WIDTHS)}")


def _extras(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())


def _bare(hint: Any) -> Any:
    return hint.__origin__ if _extras(hint) else hint


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Return what a hint means beside None, a tuple if it is several, and whether None is one of it."""
    bare = _bare(hint)
    if typing.get_origin(bare) not in (typing.Union, UnionType):
        return hint, False
    members = typing.get_args(bare)
    left = tuple(one for one in members if one is not NoneType)
    extras = _extras(hint)
    if any(isinstance(one, GraphOf) for one in extras):
        return hint, len(left) < len(members)
    if len(left) == 1:
        return (Annotated[left[0], *extras] if extras else left[0]), len(left) < len(members)
    return left, len(left) < len(members)
