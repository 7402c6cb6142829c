"""Documents as protobuf's wire format, after `graph.proto`."""

from __future__ import annotations

import struct
from typing import Any, Final

from catenet.codec.graph.document import CONTAINERS, Array, Document, TypeEntry
from catenet.codec.graph.from_protobuf import read as read
from catenet.codec.graph.scalars import TEXT_FIELDS

_NODES: Final = {
    **{kind: number for number, kind in enumerate(CONTAINERS, 1)},
    "object": 6,
    "array": 7,
    "value": 8,
    "bytearray": 9,
}
_ALIGNMENT: Final = 8
_MASK: Final = (1 << 64) - 1


_BYTES: Final = [bytes((one,)) for one in range(0x80)]


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _BYTES[value]
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
    size = len(data)
    tag = _BYTES[number << 3 | 2] if number < 16 else _tag(number, 2)
    return b"".join((tag, _BYTES[size] if size < 0x80 else _varint(size), data))


def _big(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


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
    append = parts.append
    offset = len(head)
    for node in document.nodes:
        if node[0] == "array":
            before = _array_head(node[1], offset)
            append(before)
            append(node[1].data)
            offset += len(before) + len(node[1].data)
            continue
        body = _node(node, document.types)
        size = len(body)
        before = b"\x2a" + (_BYTES[size] if size < 0x80 else _varint(size))
        append(before)
        append(body)
        offset += len(before) + size
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


def _values(cells: list[Any], widths: tuple[str, ...]) -> bytes:
    if widths:
        return b"".join([_cell(body) for body in map(_wide, cells, widths)])
    parts: list[bytes] = []
    append = parts.append
    for cell in cells:
        # The most frequent kinds at once: a value in a field of its own.
        kind = type(cell)
        if kind is int and -0x40 <= cell < 0x40:
            append(_SMALL[cell])
        elif kind is list and len(cell) == 1 and (index := cell[0]) < 0x4000:
            append(
                b"\x0a\x02\x40" + _BYTES[index]
                if index < 0x80
                else _REFERENCE(10, 3, 0x40, index & 0x7F | 0x80, index >> 7)
            )
        elif kind is float:
            append(_DOUBLE(10, 9, 0x29, cell))
        else:
            append(_cell(_value(cell)))
    return b"".join(parts)


def _cell(body: bytes) -> bytes:
    size = len(body)
    return b"\x0a" + (_BYTES[size] if size < 0x80 else _varint(size)) + body


def _value(cell: Any) -> bytes:
    kind: type = type(cell)
    if kind is int:
        return b"\x18" + _varint((cell << 1) ^ (cell >> 63))
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


_SMALL: Final = {cell: b"\x0a\x02\x18" + _BYTES[(cell << 1) ^ (cell >> 63)] for cell in range(-0x40, 0x40)}
_REFERENCE: Final = struct.Struct("5B").pack
_DOUBLE: Final = struct.Struct("<3Bd").pack


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
    return _block(TEXT_FIELDS[kind], payload.encode())


_PACKED: Final = {"fixed32": (21, "<I"), "fixed64": (22, "<Q"), "sfixed32": (23, "<i"), "sfixed64": (24, "<q")}
_VARIED: Final = {"uint32": 17, "uint64": 18, "sint32": 19, "sint64": 20}


def _wide(cell: Any, wire: str) -> bytes:
    """A number of annotated width, which has been checked; anything else is as elsewhere."""
    if not wire:
        return _value(cell)
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
