"""Documents as protobuf's wire format, after `graph.proto`. Written by hand: arrays are not copied when read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from catenet.codec.graph.document import CONTAINERS, UNSET, Array, Document, Limits, TypeEntry

_NODES: Final = {
    **{kind: number for number, kind in enumerate(CONTAINERS, 1)},
    "object": 6,
    "array": 7,
    "value": 8,
    "bytearray": 9,
}
_TEXTS: Final = {"decimal": 9, "datetime": 10, "date": 11, "time": 12, "timedelta": 13, "uuid": 14}
_ALIGNMENT: Final = 8
_MASK: Final = (1 << 64) - 1


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return ((value << 1) ^ (value >> 63)) & _MASK


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _block(number: int, data: bytes | bytearray) -> bytes:
    return b"".join((_tag(number, 2), _varint(len(data)), data))


def _big(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


# Writing.


def write(document: Document) -> bytes:
    """Return the document as bytes."""
    head = bytearray(b"\x08\x01")
    if document.order == "little":
        head += b"\x10\x01"
    for entry in document.types:
        fields = b"".join(_block(2, name.encode("utf-8", "surrogatepass")) for name in entry.fields)
        head += _block(3, _block(1, entry.name.encode("utf-8", "surrogatepass")) + fields)
    head += _block(4, _value(document.root))
    parts: list[Any] = [head]
    current = head
    offset = 0
    for node in document.nodes:
        if node[0] == "array":
            offset += len(current)
            before = _array_head(node[1], offset)
            current = bytearray()
            parts += [before, node[1].data, current]
            offset += len(before) + len(node[1].data)
        else:
            current += _block(5, _node(node, document.types))
    return b"".join(parts)


def _array_head(array: Array, offset: int) -> bytes:
    """Everything of an array's node but its data, which begin at a multiple of eight bytes."""
    fields = _block(1, array.form.encode()) + _block(2, array.kind.encode())
    if array.shape:
        fields += _block(3, b"".join(map(_varint, array.shape)))
    if array.hint:
        fields += _block(4, array.hint.encode())
    size = len(array.data)
    for padding in range(2 * _ALIGNMENT):
        inner = fields + _block(5, bytes(padding)) + _tag(6, 2) + _varint(size)
        middle = _tag(7, 2) + _varint(len(inner) + size) + inner
        head = _tag(5, 2) + _varint(len(middle) + size) + middle
        if (offset + len(head)) % _ALIGNMENT == 0:
            return head
    return head


def _node(node: list[Any], types: list[TypeEntry]) -> bytes:
    kind, payload = node[0], node[-1]
    number = _NODES[kind]
    if kind == "object":
        values = _values(payload, types[node[1]].widths)
        if node[1]:
            values += _tag(2, 0) + _varint(node[1])
        return _block(number, values)
    if kind == "value":
        return _block(number, _value(payload))
    if kind == "bytearray":
        return _block(number, payload)
    return _block(number, _values(payload, ()))


def _values(cells: list[Any], widths: tuple[str, ...]) -> bytearray:
    out = bytearray()
    for position, cell in enumerate(cells):
        if widths and widths[position] and type(cell) in (int, float, list):
            body = _wide(cell, widths[position])
        else:
            body = _value(cell)
        size = len(body)
        out.append(0x0A)
        if size < 0x80:
            out.append(size)
        else:
            out += _varint(size)
        out += body
    return out


def _value(cell: Any) -> bytes:
    kind: type = type(cell)
    if kind is int:
        coded = (cell << 1) ^ (cell >> 63)
        return b"\x18" + (bytes((coded,)) if coded < 0x80 else _varint(coded))
    if kind is str:
        try:
            data: bytes = cell.encode()
        except UnicodeEncodeError:
            return _block(26, cell.encode("utf-8", "surrogatepass"))
        return b"\x32" + _varint(len(data)) + data
    if kind is list:
        if len(cell) == 1:
            return b"\x40" + _varint(cell[0])
        return _special(*cell)
    if kind is float:
        return b"\x29" + struct.pack("<d", cell)
    return b"\x08\x01" if cell is None else b"\x10\x01" if cell else b"\x10\x00"


def _special(kind: str, payload: Any) -> bytes:
    if kind == "bytes":
        return _block(7, payload)
    if kind == "int":
        return _block(4, _big(payload))
    if kind == "float":
        return b"\x29" + struct.pack("<d", payload)
    if kind == "enum":
        index, value = payload
        member = _block(2, value.encode("utf-8", "surrogatepass")) if type(value) is str else _block(3, _big(value))
        return _block(15, (_tag(1, 0) + _varint(index) if index else b"") + member)
    if kind == "unset":
        return _tag(16, 0) + b"\x01"
    return _block(_TEXTS[kind], payload.encode())


_PACKED: Final = {"fixed32": (21, "<I"), "fixed64": (22, "<Q"), "sfixed32": (23, "<i"), "sfixed64": (24, "<q")}
_VARIED: Final = {"uint32": 17, "uint64": 18, "sint32": 19, "sint64": 20}


def _wide(cell: Any, wire: str) -> bytes:
    """A number of annotated width, which has been checked; anything else is as elsewhere."""
    number = cell[1] if type(cell) is list and len(cell) == 2 and cell[0] in ("int", "float") else cell
    if type(number) is int and wire in _PACKED:
        tag, form = _PACKED[wire]
        return _tag(tag, 5 if wire.endswith("32") else 1) + struct.pack(form, number)
    if type(number) is int and wire in _VARIED:
        return _tag(_VARIED[wire], 0) + _varint(number if wire.startswith("u") else _zigzag(number))
    if (
        type(number) is float
        and wire == "float"
        and struct.unpack("<f", packed := struct.pack("<f", number))[0] == number
    ):
        return _tag(25, 5) + packed
    return _value(cell)


# Reading.


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
        for number, value, end in self._fields(0, len(self._buffer)):
            if number == 5 and end >= 0:
                document.nodes.append(self._node(value, end))
                self._count(1)
            elif number == 3 and end >= 0:
                document.types.append(self._type(value, end))
                if len(document.types) > self._limits.max_types:
                    raise ValueError(f"more than {self._limits.max_types} types")
            elif number == 4 and end >= 0 and not roots:
                document.root, roots = self._value(value, end), 1
            elif number == 1 and end == _VARINT:
                version = value
            elif number == 2 and end == _VARINT and value <= 1:
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

    def _fields(self, position: int, end: int) -> Any:
        """Yield number, value and kind of each field; of a block, begin and end (which is not negative)."""
        buffer = self._buffer
        while position < end:
            tag = buffer[position]
            position += 1
            if tag >= 0x80:
                tag, position = self._varint(position - 1, end)
            number, wire = tag >> 3, tag & 7
            if wire == 2:
                size, position = self._varint(position, end)
                if size > end - position:
                    raise ValueError("a field ends behind its message")
                yield number, position, position + size
                position += size
            elif wire == 0:
                value, position = self._varint(position, end)
                yield number, value, _VARINT
            elif wire == 1 or wire == 5:
                size = 8 if wire == 1 else 4
                if size > end - position:
                    raise ValueError("a field ends behind its message")
                yield number, bytes(buffer[position : position + size]), _FIXED64 if wire == 1 else _FIXED32
                position += size
            else:
                raise ValueError("malformed field")

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
        found = list(self._fields(start, end)) if start < end else []
        if len(found) != 1 or found[0][2] < 0:
            raise ValueError("malformed node")
        number, inner, inner_end = found[0]
        if 1 <= number <= 5:
            return [CONTAINERS[number - 1], self._values(inner, inner_end)[0]]
        if number == 6:
            values, index = self._values(inner, inner_end, may_have_type=True)
            return ["object", index, values]
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
        index = 0
        read_value = self._value
        while position < end:
            if buffer[position] != 0x0A:
                if not may_have_type or buffer[position] != 0x10:
                    raise ValueError("malformed values")
                index, position = self._varint(position + 1, end)
                may_have_type = False
                continue
            position += 1
            if position < end and buffer[position] < 0x80:
                size = buffer[position]
                position += 1
            else:
                size, position = self._varint(position, end)
            following = position + size
            if following > end:
                raise ValueError("a field ends behind its message")
            values.append(read_value(position, following))
            position = following
        self._count(len(values))
        return values, index

    def _value(self, start: int, end: int) -> Any:
        buffer = self._buffer
        if start >= end:
            raise ValueError("an empty value")
        tag = buffer[start]
        # The most frequent kinds at once, in their shortest form.
        if end - start == 2:
            second = buffer[start + 1]
            if second < 0x80:
                if tag == 0x18:
                    return (second >> 1) ^ -(second & 1)
                if tag == 0x40:
                    return [second]
        if tag == 0x32:
            size, position = self._varint(start + 1, end)
            if position + size == end:
                return self._text(position, end)
        found = list(self._fields(start, end))
        if len(found) != 1:
            raise ValueError("a value is one field")
        number, value, kind = found[0]
        read = _READERS.get((number, kind if kind < 0 else _BLOCK))
        if read is None:
            raise ValueError("malformed value")
        if kind < 0:
            return read(value)
        if number == 15:
            return self._enum(value, kind)
        return read(bytes(buffer[value:kind]))

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
    **{(number, _BLOCK): _tagged(kind) for kind, number in _TEXTS.items()},
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
