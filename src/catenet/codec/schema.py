"""Python classes as an interface description: type hints to protobuf's descriptors, objects to messages and back.

A dataclass, an attrs class or a msgspec struct is a message; its fields have the numbers 1, 2, 3 in their order, or
what `Annotated[T, Number(n)]` says. Those marked as not to be sent (`codec.graph`) have none. Messages are trees: what
is shared is sent twice, what has a cycle is refused; graphs are `codec.graph`'s.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from types import NoneType, UnionType
from typing import Any, Final
from uuid import UUID

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from catenet.codec.graph.integers import FloatWidth, IntWidth
from catenet.codec.graph.registry import Shape

__all__ = ["Number", "Schema"]

_F = FieldDescriptorProto
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Number:
    """The number of a field: `Annotated[str, Number(5)]`."""

    number: int


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a value is in protobuf. `to` and `back` convert single values, None: as they are; `fill` is for messages."""

    type: int
    type_name: str = ""
    to: Convert | None = None
    back: Convert | None = None
    fill: Callable[[Any, Any], None] | None = None


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
_SCALARS: Final[dict[Any, _Kind]] = {
    bool: _Kind(_F.TYPE_BOOL),
    int: _Kind(_F.TYPE_INT64),
    float: _Kind(_F.TYPE_DOUBLE),
    str: _Kind(_F.TYPE_STRING),
    bytes: _Kind(_F.TYPE_BYTES),
    datetime: _Kind(_F.TYPE_MESSAGE, _TIMESTAMP, None, _datetime_back, _fill_timestamp),
    timedelta: _Kind(_F.TYPE_MESSAGE, _DURATION, None, lambda message: message.ToTimedelta(), _fill_duration),
    date: _Kind(_F.TYPE_STRING, "", date.isoformat, date.fromisoformat),
    time: _Kind(_F.TYPE_STRING, "", time.isoformat, time.fromisoformat),
    Decimal: _Kind(_F.TYPE_STRING, "", str, _decimal),
    UUID: _Kind(_F.TYPE_STRING, "", str, UUID),
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
_IMPORTS: Final = {
    _TIMESTAMP: ("google/protobuf/timestamp.proto", timestamp_pb2),
    _DURATION: ("google/protobuf/duration.proto", duration_pb2),
}


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
        self._fields: dict[type, list[_Field]] = {}
        self._made: dict[type, Any] = {}
        self._enums: dict[type, _Kind] = {}

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
    ) -> _Field:
        extras = _extras(hint)
        number = next((one.number for one in extras if isinstance(one, Number)), 0)
        hint, optional = _without_none(hint)
        if isinstance(hint, tuple):
            return self._oneof(message, name, hint, free)
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
            return _Repeated(name, kind, made)
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
        return _Single(name, kind, optional, default)

    def _map(self, message: DescriptorProto, name: str, arguments: Any, number: int) -> _Field:
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
        return _Map(name, value)

    def _oneof(self, message: DescriptorProto, name: str, members: tuple[Any, ...], free: Any) -> _Field:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=name)
        kinds: list[tuple[str, type, _Kind]] = []
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
        return _Oneof(name, kinds)

    def _kind(self, hint: Any) -> _Kind:
        for one in _extras(hint):
            if isinstance(one, (IntWidth, FloatWidth)):
                return _Kind(getattr(_F, f"TYPE_{one.wire.upper()}"))
        hint = _bare(hint)
        if hint in _SCALARS:
            return _SCALARS[hint]
        if isinstance(hint, typing.NewType):
            return self._kind(hint.__supertype__)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._enum(hint)
        if self.is_message(hint):
            name = self.add(hint)
            return _Kind(_F.TYPE_MESSAGE, name, None, partial(self.back, hint), partial(self._fill, hint))
        raise TypeError(f"{hint!r} cannot be in a message")

    def _enum(self, cls: type[enum.Enum]) -> _Kind:
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

        kind = self._enums[cls] = _Kind(_F.TYPE_ENUM, self._prefix + cls.__name__, numbers.__getitem__, member_of)
        return kind

    def seal(self) -> None:
        """Make the message classes; call it when all is added, services too."""
        kinds = {field.type_name for message in self.file.message_type for field in message.field}
        kinds |= {
            f.type_name for message in self.file.message_type for inner in message.nested_type for f in inner.field
        }
        for name in sorted(kinds & set(_IMPORTS)):
            path, module = _IMPORTS[name]
            self.file.dependency.append(path)
            self.pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        self.pool.Add(self.file)
        for cls in self._fields:
            self._made[cls] = GetMessageClass(self.pool.FindMessageTypeByName(self._prefix[1:] + cls.__name__))

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


class _Field:
    """How a field goes into a message, and out of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def put(self, message: Any, value: Any) -> None:
        """Set it in a message that is empty."""
        raise NotImplementedError

    def take(self, message: Any, values: dict[str, Any]) -> None:
        """Note what the object has; nothing if that is the class's default."""
        raise NotImplementedError


class _Single(_Field):
    def __init__(self, name: str, kind: _Kind, optional: bool, default: Callable[[], Any] | None) -> None:
        super().__init__(name)
        self._kind, self._optional, self._default = kind, optional, default
        self._has_presence = optional or default is not None or kind.fill is not None

    def put(self, message: Any, value: Any) -> None:
        if value is None and self._optional:
            if self._default is not None and self._default() is not None:
                raise ValueError("None would be taken for the default")
            return
        if self._kind.fill is not None:
            child = getattr(message, self.name)
            child.SetInParent()
            self._kind.fill(value, child)
        else:
            setattr(message, self.name, value if self._kind.to is None else self._kind.to(value))

    def take(self, message: Any, values: dict[str, Any]) -> None:
        if self._has_presence and not message.HasField(self.name):
            if self._default is not None:
                return
            if self._optional:
                values[self.name] = None
                return
        value = getattr(message, self.name)
        values[self.name] = value if self._kind.back is None else self._kind.back(value)


class _Repeated(_Field):
    def __init__(self, name: str, kind: _Kind, made: Callable[[Iterable[Any]], Any]) -> None:
        super().__init__(name)
        self._kind, self._made = kind, made

    def put(self, message: Any, value: Any) -> None:
        if isinstance(value, (str, bytes)):
            raise TypeError(f"must be a list, not {type(value).__name__}")
        items = getattr(message, self.name)
        if self._kind.fill is not None:
            for item in value:
                self._kind.fill(item, items.add())
        else:
            items.extend(value if self._kind.to is None else map(self._kind.to, value))

    def take(self, message: Any, values: dict[str, Any]) -> None:
        found = getattr(message, self.name)
        values[self.name] = self._made(found if self._kind.back is None else map(self._kind.back, found))


class _Map(_Field):
    def __init__(self, name: str, kind: _Kind) -> None:
        super().__init__(name)
        self._kind = kind

    def put(self, message: Any, value: Any) -> None:
        entries = getattr(message, self.name)
        for key, item in value.items():
            if self._kind.fill is not None:
                self._kind.fill(item, entries[key])
            else:
                entries[key] = item if self._kind.to is None else self._kind.to(item)

    def take(self, message: Any, values: dict[str, Any]) -> None:
        found, back = getattr(message, self.name), self._kind.back
        values[self.name] = {key: found[key] if back is None else back(found[key]) for key in found}


class _Oneof(_Field):
    def __init__(self, name: str, kinds: list[tuple[str, type, _Kind]]) -> None:
        super().__init__(name)
        self._kinds = kinds

    def put(self, message: Any, value: Any) -> None:
        if value is None:
            return
        for name, cls, kind in self._kinds:
            if type(value) is cls or (isinstance(value, cls) and cls is not int):
                _Single(name, kind, False, None).put(message, value)
                return
        raise TypeError(f"must be one of {', '.join(cls.__name__ for _, cls, _ in self._kinds)}")

    def take(self, message: Any, values: dict[str, Any]) -> None:
        chosen = message.WhichOneof(self.name)
        values[self.name] = None
        for name, _, kind in self._kinds:
            if name == chosen:
                value = getattr(message, name)
                values[self.name] = value if kind.back is None else kind.back(value)


def _same(value: Any) -> Any:
    return value


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
    return (left[0] if len(left) == 1 else left), len(left) < len(members)
