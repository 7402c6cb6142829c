"""Messages whose packed fields of fixed width are arrays: given and taken as they lie in memory.

protobuf writes `repeated double` (and `float`, `fixed32`, `fixed64`, `sfixed32`, `sfixed64`) as one run of numbers in
little-endian order, which is how most machines have them. So an array goes into a message without a look at its
numbers, and what came is read in place: a view of the bytes of the message. Machines of the other order swap.

`packed(cls)` is a class to take the place of a message class in a method. JSON and XML get an ordinary message.
"""

from __future__ import annotations

import array
from functools import lru_cache
from typing import Any, ClassVar, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from catenet.codec.graph.arrays import describe, is_numpy, swapped

__all__ = ["CODES", "PackedMessage", "has_packed", "packed"]

_F = FieldDescriptor
_KINDS: Final = {
    _F.TYPE_DOUBLE: ("f64", "d", 8),
    _F.TYPE_FLOAT: ("f32", "f", 4),
    _F.TYPE_FIXED32: ("u32", "I", 4),
    _F.TYPE_FIXED64: ("u64", "Q", 8),
    _F.TYPE_SFIXED32: ("i32", "i", 4),
    _F.TYPE_SFIXED64: ("i64", "q", 8),
}
"""The array that a field is: its kind (docs/graph.md), how `memoryview` calls a number of it, and its size."""
CODES: Final = {kind: code for kind, (_, code, _) in _KINDS.items()}
"""What `array` and `memoryview` call the numbers of a type."""
_MOST_FIELDS: Final = 1000
"""Fields of the outermost level that are looked at here; beyond it protobuf reads all, and numbers are copied."""


class _Run:
    """A field that is an array."""

    __slots__ = ("code", "head", "kind", "name", "number", "size")

    def __init__(self, field: FieldDescriptor) -> None:
        self.name = field.name
        self.number = field.number
        self.kind, self.code, self.size = _KINDS[field.type]
        self.head = _varint(field.number << 3 | 2)

    def view(self, pieces: list[memoryview]) -> memoryview:
        """Return the numbers that came; of one piece nothing is copied."""
        data = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
        return memoryview(swapped(data, self.size, "little")).cast("B").cast(self.code)  # type: ignore[call-overload, no-any-return]

    def data(self, value: Any) -> Any:
        """Return an array as it is written; raise `TypeError` for one of other numbers."""
        if not isinstance(value, (array.array, memoryview)) and not is_numpy(value):
            if isinstance(value, (str, bytes, bytearray)):
                raise TypeError(f"{self.name} is an array of {self.kind}, not {type(value).__name__}")
            value = array.array(self.code, value)
        found = describe(value, "little")
        if found.kind != self.kind or len(found.shape) != 1:
            shape = "" if len(found.shape) == 1 else f" of {len(found.shape)} dimensions"
            raise TypeError(f"{self.name} is an array of {self.kind}, not of {found.kind}{shape}")
        return found.data


class PackedMessage:
    """A message with arrays: `message.values` is a memoryview of numbers, all else is as in the message."""

    __slots__ = ("_arrays", "_message")
    DESCRIPTOR: ClassVar[Descriptor]
    __plain_class__: ClassVar[Any]
    _runs: ClassVar[dict[str, _Run]]
    _arrays: dict[str, Any]
    _message: Any

    def __init__(self, message: Any = None, /, **fields: Any) -> None:
        arrays = {name: fields.pop(name) for name in self._runs if name in fields}
        object.__setattr__(self, "_message", self.__plain_class__(**fields) if message is None else message)
        object.__setattr__(self, "_arrays", {})
        if message is not None:
            self._take_lists()
        for name, value in arrays.items():
            setattr(self, name, value)

    def _take_lists(self) -> None:
        for name, run in self._runs.items():
            if found := getattr(self._message, name):
                numbers = array.array(run.code, found)
                self._arrays[name] = memoryview(numbers)
                self._message.ClearField(name)

    @classmethod
    def FromString(cls, data: Any) -> PackedMessage:
        """Return the message in `data`; its arrays are views of it. Raises protobuf's `DecodeError`."""
        split = _split(memoryview(data).cast("B"), cls._runs.values())
        if split is None:
            return cls(cls.__plain_class__.FromString(bytes(data)))
        rest, pieces = split
        made = cls(cls.__plain_class__.FromString(rest))
        for name, found in pieces.items():
            made._arrays[name] = cls._runs[name].view(found)
        return made

    def SerializeToString(self, deterministic: bool = False) -> bytes:
        """Return the message as bytes, into which each array is copied once."""
        parts = [self._message.SerializeToString(deterministic=deterministic)]
        for name, value in self._arrays.items():
            run = self._runs[name]
            data = run.data(value)
            if len(data):
                parts += (run.head, _varint(len(data)), data)
        return b"".join(parts)

    def __plain__(self) -> Any:
        """Return an ordinary message with the same numbers."""
        message = self.__plain_class__()
        message.CopyFrom(self._message)
        for name, value in self._arrays.items():
            run = self._runs[name]
            data = memoryview(swapped(run.data(value), run.size, "little"))
            getattr(message, name).extend(data.cast("B").cast(run.code) if len(data) else ())  # type: ignore[call-overload]
        return message

    def __getattr__(self, name: str) -> Any:
        run = self._runs.get(name)
        if run is None:
            return getattr(self._message, name)
        return self._arrays[name] if name in self._arrays else memoryview(array.array(run.code))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._runs:
            self._runs[name].data(value)
            self._arrays[name] = value
        else:
            setattr(self._message, name, value)

    def __eq__(self, other: object) -> bool:
        plain: Any = other.__plain__() if isinstance(other, PackedMessage) else other
        return bool(self.__plain__() == plain)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        arrays = "".join(f"{name}: {len(value)} numbers\n" for name, value in self._arrays.items())
        return f"{self._message}{arrays}"


def has_packed(message_class: Any) -> bool:
    """Whether a message has fields that can be arrays."""
    return any(_is_run(field) for field in message_class.DESCRIPTOR.fields)


def packed(message_class: Any) -> Any:
    """Return a class whose objects are messages of `message_class` with arrays. Raises `TypeError` if it has none."""
    return _packed(message_class)


@lru_cache(maxsize=1024)
def _packed(message_class: Any) -> Any:
    runs = {field.name: _Run(field) for field in message_class.DESCRIPTOR.fields if _is_run(field)}
    if not runs:
        raise TypeError(f"{message_class.DESCRIPTOR.full_name} has no repeated field of numbers of fixed width")
    members = {
        "__slots__": (),
        "__plain_class__": message_class,
        "DESCRIPTOR": message_class.DESCRIPTOR,
        "_runs": runs,
        "__module__": message_class.__module__,
    }
    return type(message_class.__name__, (PackedMessage,), members)


def _is_run(field: Any) -> bool:
    return bool(field.is_repeated) and field.type in _KINDS


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return a number and the position after it; raise `IndexError` at the end, `ValueError` if it is too long."""
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
        if shift > 63:
            raise ValueError("a varint is too long")


def _split(data: memoryview, runs: Any) -> tuple[bytes, dict[str, list[memoryview]]] | None:
    """Return all but the arrays, and the pieces of each; None for what protobuf itself had better read."""
    by_number = {run.number: run for run in runs}
    rest: list[memoryview] = []
    pieces: dict[str, list[memoryview]] = {}
    position = kept = fields = 0
    try:
        while position < len(data):
            fields += 1
            start = position
            tag, position = _read_varint(data, position)
            run, wire = by_number.get(tag >> 3), tag & 7
            if wire == 0:
                _, position = _read_varint(data, position)
                continue
            size, begins = _read_varint(data, position) if wire == 2 else ({1: 8, 5: 4}[wire], position)
            position = begins + size
            if position > len(data) or fields > _MOST_FIELDS:
                return None
            if run is not None and (size == run.size if wire != 2 else size % run.size == 0):
                rest.append(data[kept:start])
                kept = position
                if size:
                    pieces.setdefault(run.name, []).append(data[begins:position])
    except (IndexError, ValueError, KeyError):
        return None
    rest.append(data[kept:])
    return b"".join(rest), pieces
