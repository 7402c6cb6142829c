"""Protobuf's wire format to documents, after `graph.proto`. Written by hand: arrays are not copied."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from catenet.codec.graph.document import CONTAINERS, UNSET, Array, Document, Limits, TypeEntry
from catenet.codec.graph.scalars import TEXT_FIELDS

__all__ = ["read"]

_MASK: Final = (1 << 64) - 1


def read(data: bytes | bytearray | memoryview, limits: Limits) -> Document:
    """Return the document in `data`; raise `ValueError`."""
    buffer = data if type(data) is bytes else memoryview(data).cast("B")
    return _Reader(buffer, limits).run()


class _Reader:
    def __init__(self, buffer: Any, limits: Limits) -> None:
        self._buffer = buffer
        self._limits = limits
        self._left = limits.max_values

    def run(self) -> Document:
        """Read the whole."""
        version, order, roots = 0, "big", 0
        document = Document(order)
        nodes = document.nodes
        buffer, position, end = self._buffer, 0, len(self._buffer)
        while position < end:
            if buffer[position] == _NODE_TAG:
                size, position = self._varint(position + 1, end)
                if size > end - position:
                    raise ValueError("a field ends behind its message")
                nodes.append(self._node(position, position + size))
                position += size
                self._count(1)
                continue
            number, value, kind, position = self._field(position, end)
            if number == 5 and kind >= 0:
                nodes.append(self._node(value, kind))
                self._count(1)
            elif number == 3 and kind >= 0:
                document.types.append(self._type(value, kind))
                if len(document.types) > self._limits.max_types:
                    raise ValueError(f"more than {self._limits.max_types} types")
            elif number == 4 and kind >= 0 and not roots:
                document.root, roots = self._value(value, kind), 1
            elif number == 1 and kind == _VARINT:
                version = value
            elif number == 2 and kind == _VARINT and value <= 1:
                order = "little" if value else "big"
            else:
                raise ValueError("malformed graph")
        if version != 1 or not roots:
            raise ValueError("not a graph of version 1")
        document.order = order
        return document

    def _count(self, number: int) -> None:
        self._left -= number
        if self._left < 0:
            raise ValueError(f"more than {self._limits.max_values} values")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        buffer = self._buffer
        if position < end and (value := buffer[position]) < 0x80:
            return value, position + 1
        value = shift = 0
        while position < end and shift < 70:
            byte = buffer[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > _MASK:
                    break
                return value, position
            shift += 7
        raise ValueError("malformed varint")

    def _field(self, position: int, end: int) -> tuple[int, Any, int, int]:
        """Return number, value and kind of a field, and where the next begins; of a block, begin and end.

        The end of a block is not negative, as kinds are.
        """
        tag, position = self._varint(position, end)
        number, wire = tag >> 3, tag & 7
        if wire == 2:
            size, position = self._varint(position, end)
            if size > end - position:
                raise ValueError("a field ends behind its message")
            return number, position, position + size, position + size
        if wire == 0:
            value, position = self._varint(position, end)
            return number, value, _VARINT, position
        if wire == 1 or wire == 5:
            size = 8 if wire == 1 else 4
            if size > end - position:
                raise ValueError("a field ends behind its message")
            kind = _FIXED64 if wire == 1 else _FIXED32
            return number, bytes(self._buffer[position : position + size]), kind, position + size
        raise ValueError("malformed field")

    def _fields(self, position: int, end: int) -> Iterator[tuple[int, Any, int]]:
        """Yield number, value and kind of each field."""
        while position < end:
            number, value, kind, position = self._field(position, end)
            yield number, value, kind

    def _text(self, start: int, end: int) -> str:
        return bytes(self._buffer[start:end]).decode()

    def _type(self, start: int, end: int) -> TypeEntry:
        name, fields = "", []
        for number, value, kind in self._fields(start, end):
            if number == 1 and kind >= 0:
                name = self._text(value, kind)
            elif number == 2 and kind >= 0:
                fields.append(self._text(value, kind))
                self._count(1)
            else:
                raise ValueError("malformed type")
        return TypeEntry(name, tuple(fields))

    def _node(self, start: int, end: int) -> list[Any]:
        if start >= end:
            raise ValueError("malformed node")
        number, inner, inner_end, following = self._field(start, end)
        if inner_end < 0 or following != end:
            raise ValueError("malformed node")
        if number == 6:
            values, index = self._values(inner, inner_end, may_have_type=True)
            return ["object", index, values]
        if 1 <= number <= 5:
            return [CONTAINERS[number - 1], self._values(inner, inner_end)[0]]
        if number == 7:
            return ["array", self._array(inner, inner_end)]
        if number == 8:
            return ["value", self._value(inner, inner_end)]
        if number == 9:
            return ["bytearray", bytes(self._buffer[inner:inner_end])]
        raise ValueError("malformed node")

    def _values(self, position: int, end: int, may_have_type: bool = False) -> tuple[list[Any], int]:
        buffer = self._buffer
        values: list[Any] = []
        append, read_value = values.append, self._value
        index = 0
        while position < end:
            if buffer[position] != 0x0A:
                if not may_have_type or buffer[position] != 0x10:
                    raise ValueError("malformed values")
                index, position = self._varint(position + 1, end)
                may_have_type = False
                continue
            position += 1
            if position < end and (size := buffer[position]) < 0x80:
                position += 1
            else:
                size, position = self._varint(position, end)
            following = position + size
            if following > end:
                raise ValueError("a field ends behind its message")
            # The most frequent kinds at once, in their shortest form: small numbers, references, texts, floats.
            tag = buffer[position] if size else 0
            if size == 2 and tag == 0x18 and (second := buffer[position + 1]) < 0x80:
                append((second >> 1) ^ -(second & 1))
            elif size == 2 and tag == 0x40 and (second := buffer[position + 1]) < 0x80:
                append([second])
            elif size == 3 and tag == 0x40 and (second := buffer[position + 1]) >= 0x80 > buffer[position + 2]:
                append([second & 0x7F | buffer[position + 2] << 7])
            elif tag == 0x32 and size > 1 and buffer[position + 1] == size - 2 < 0x80:
                append(str(buffer[position + 2 : following], "utf-8"))
            elif size == 9 and tag == 0x29:
                append(_read_double(buffer, position + 1)[0])
            else:
                append(read_value(position, following))
            position = following
        self._count(len(values))
        return values, index

    def _value(self, start: int, end: int) -> Any:
        if start >= end:
            raise ValueError("an empty value")
        number, value, kind, following = self._field(start, end)
        if following != end:
            raise ValueError("a value is one field")
        read = _READERS.get((number, kind if kind < 0 else _BLOCK))
        if read is None:
            raise ValueError("malformed value")
        if kind < 0:
            return read(value)
        if number == 15:
            return self._enum(value, kind)
        return read(bytes(self._buffer[value:kind]))

    def _enum(self, start: int, end: int) -> Any:
        index = 0
        member: str | int | None = None
        for number, value, kind in self._fields(start, end):
            if number == 1 and kind == _VARINT:
                index = value
            elif number == 2 and kind >= 0 and member is None:
                member = self._text(value, kind)
            elif number == 3 and kind >= 0 and member is None:
                member = int.from_bytes(self._buffer[value:kind], "big", signed=True)
            else:
                raise ValueError("malformed enumeration")
        if member is None:
            raise ValueError("malformed enumeration")
        return ["enum", (index, member)]

    def _array(self, start: int, end: int) -> Array:
        found = Array("", "", (), b"")
        for number, value, kind in self._fields(start, end):
            if kind < 0 and not (number == 3 and kind == _VARINT):
                raise ValueError("malformed array")
            if number == 1:
                found.form = self._text(value, kind)
            elif number == 2:
                found.kind = self._text(value, kind)
            elif number == 3:
                found.shape += self._shape(value, kind)
                if len(found.shape) > 64:
                    raise ValueError("malformed shape of an array")
            elif number == 4:
                found.hint = self._text(value, kind)
            elif number == 6:
                found.data = memoryview(self._buffer)[value:kind]
            elif number != 5:
                raise ValueError("malformed array")
        return found

    def _shape(self, value: int, kind: int) -> tuple[int, ...]:
        if kind < 0:
            return (value,)
        if kind - value > 640:
            raise ValueError("malformed shape of an array")
        shape = []
        while value < kind:
            one, value = self._varint(value, kind)
            shape.append(one)
        return tuple(shape)


_NODE_TAG: Final = 5 << 3 | 2
_read_double = struct.Struct("<d").unpack_from
_VARINT, _FIXED64, _FIXED32, _BLOCK = -1, -2, -3, -4


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _unsigned(value: int) -> Any:
    return value if value < 1 << 63 else ["int", value]


def _boolean(value: int) -> bool:
    if value > 1:
        raise ValueError("malformed bool")
    return bool(value)


def _unpacked(form: str) -> Callable[[bytes], Any]:
    one = struct.Struct(form)
    return lambda data: one.unpack(data)[0]


def _one(cell: Any) -> Callable[[int], Any]:
    def read(value: int) -> Any:
        if value != 1:
            raise ValueError("malformed value")
        return cell

    return read


def _tagged(kind: str) -> Callable[[bytes], Any]:
    return lambda data: [kind, data.decode()]


_READERS: Final[dict[tuple[int, int], Callable[[Any], Any]]] = {
    (1, _VARINT): _one(None),
    (2, _VARINT): _boolean,
    (3, _VARINT): _unzigzag,
    (4, _BLOCK): lambda data: ["int", int.from_bytes(data, "big", signed=True)],
    (5, _FIXED64): _unpacked("<d"),
    (6, _BLOCK): lambda data: data.decode(),
    (7, _BLOCK): lambda data: ["bytes", data],
    (8, _VARINT): lambda value: [value],
    **{(number, _BLOCK): _tagged(kind) for kind, number in TEXT_FIELDS.items()},
    (15, _BLOCK): lambda data: None,
    (16, _VARINT): _one(UNSET),
    (17, _VARINT): _unsigned,
    (18, _VARINT): _unsigned,
    (19, _VARINT): _unzigzag,
    (20, _VARINT): _unzigzag,
    (21, _FIXED32): _unpacked("<I"),
    (22, _FIXED64): lambda data: _unsigned(struct.unpack("<Q", data)[0]),
    (23, _FIXED32): _unpacked("<i"),
    (24, _FIXED64): _unpacked("<q"),
    (25, _FIXED32): _unpacked("<f"),
    (26, _BLOCK): lambda data: data.decode("utf-8", "surrogatepass"),
}
