"""Messages to canonical ProtoJSON: one function per field, made once per message type from its descriptor.

`google.protobuf.json_format` asks the descriptor for each value of each field, which costs tens of microseconds for a
small message. Here the questions are asked once. Rare things (extensions, groups, `Any`, `Struct`) are left to it.
"""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

__all__ = [
    "INTEGERS",
    "ODD",
    "TEXTS",
    "WRAPPERS",
    "Encode",
    "Encoders",
    "MessageEncoder",
    "spell_double",
    "spell_float",
]

Encode = Callable[[Any], str]

WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
"""Messages that JSON spells as the value of their one field."""
TEXTS = frozenset(f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask"))
"""Messages that JSON spells as text, and that know how."""
ODD = frozenset(f"google.protobuf.{name}" for name in ("Any", "Struct", "Value", "ListValue"))
"""Messages that are left to `json_format`."""

INTEGERS = (
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED32,
    FieldDescriptor.TYPE_SFIXED64,
)
"""Types of fields that hold integers."""

_FEW = 12
_SIGNED_ZEROS = (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)
"""-0.0 is false, and there nevertheless."""
_WIDE = frozenset(
    (
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    )
)


class MessageEncoder:
    """Spells messages of one type. Made on first use, as types may contain each other."""

    __slots__ = ("_descriptor", "_encoders", "_few", "_fields")

    def __init__(self, descriptor: Descriptor, encoders: Encoders) -> None:
        self._descriptor = descriptor
        self._encoders = encoders
        self._fields: dict[int, tuple[str, Encode]] | None = None
        self._few: list[tuple[str, str, Encode, bool]] | None = None
        """All fields, if they are few, and whether they have presence: then they are asked one by one."""

    def __call__(self, message: Any) -> str:
        """Return the message as a JSON object."""
        fields = self._fields
        if fields is None:
            fields = self._fields = self._plan()
            self._few = self._list_few(fields)
        try:
            few = self._few
            if few is not None:
                found = ""
                for attribute, name, encode, optional in few:
                    if optional:
                        if not message.HasField(attribute):
                            continue
                        value = getattr(message, attribute)
                    elif not (value := getattr(message, attribute)):
                        continue
                    found += f",{name}{encode(value)}" if found else name + encode(value)
                return f"{{{found}}}"
            parts = []
            for field, value in message.ListFields():
                name, encode = fields[field.number]
                parts.append(name + encode(value))
            return "{" + ",".join(parts) + "}"
        except KeyError:
            return by_json_format(message)

    def _plan(self) -> dict[int, tuple[str, Encode]]:
        return {
            field.number: (encode_basestring(field.json_name) + ":", self._encoders.of_field(field))
            for field in self._descriptor.fields
            # What is missing here (a group) sends the whole message to json_format.
            if field.type != FieldDescriptor.TYPE_GROUP
        }

    def _list_few(self, fields: dict[int, tuple[str, Encode]]) -> list[tuple[str, str, Encode, bool]] | None:
        """`ListFields` makes a list of pairs, which costs as much as to ask for several fields that are not there."""
        found = sorted(self._descriptor.fields, key=lambda field: field.number)
        if len(found) > _FEW or len(found) != len(fields) or cast(Any, self._descriptor).is_extendable:
            return None
        present = [bool(cast(Any, field).has_presence) for field in found]
        if any(field.type in _SIGNED_ZEROS and not has for field, has in zip(found, present, strict=True)):
            return None
        if any(hasattr(Message, field.name) for field in found):  # of several implementations, some find that
            return None
        return [(field.name, *fields[field.number], has) for field, has in zip(found, present, strict=True)]


class Encoders:
    """The encoders of all types seen so far."""

    def __init__(self) -> None:
        self._messages: dict[Descriptor, Encode] = {}

    def of_message(self, descriptor: Descriptor) -> Encode:
        """Return what spells messages of that type."""
        encode = self._messages.get(descriptor)
        if encode is None:
            encode = self._messages[descriptor] = self._make(descriptor)
        return encode

    def _make(self, descriptor: Descriptor) -> Encode:
        name = descriptor.full_name
        if name in ODD:
            return by_json_format
        if name in TEXTS:
            return _text
        if name in WRAPPERS:
            inner = self._single(descriptor.fields_by_name["value"])
            return lambda message: inner(message.value)
        return MessageEncoder(descriptor, self)

    def of_field(self, field: FieldDescriptor) -> Encode:
        """Return what spells the values of a field as `ListFields` returns them."""
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return _map(kind.fields_by_name["key"], self._single(kind.fields_by_name["value"]))
        single = self._single(field)
        return _repeated(single) if cast(Any, field).is_repeated else single

    def _single(self, field: FieldDescriptor) -> Encode:
        kind = field.type
        if kind == FieldDescriptor.TYPE_MESSAGE:
            return self.of_message(cast(Descriptor, field.message_type))
        if kind == FieldDescriptor.TYPE_ENUM:
            return _enum(cast(EnumDescriptor, field.enum_type))
        if kind in _WIDE:
            return _quoted
        return _SCALARS.get(kind, int.__repr__)


def by_json_format(message: Any) -> str:
    """Spell a message with protobuf's own converter."""
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False)


def _text(message: Any) -> str:
    try:
        return f'"{message.ToJsonString()}"'
    except ValueError as error:
        raise json_format.SerializeToJsonError(str(error)) from None


def _quoted(value: int) -> str:
    return f'"{value}"'


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _bytes(value: bytes) -> str:
    return f'"{b64encode(value).decode("ascii")}"'


def spell_double(value: float) -> str:
    """Return the shortest text of a double, as JSON has it."""
    if math.isfinite(value):
        return (
            str(int(value))
            if value == int(value) and abs(value) < 1e15 and math.copysign(1, value) > 0
            else repr(value)
        )
    return '"NaN"' if value != value else '"Infinity"' if value > 0 else '"-Infinity"'


def spell_float(value: float) -> str:
    """Return the shortest text that means the same 32 bits."""
    if not math.isfinite(value) or value == int(value):
        return spell_double(value)
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if struct.unpack("<f", struct.pack("<f", float(text)))[0] == value:
            return spell_double(float(text))
    return spell_double(float(f"{value:.9g}"))


def _enum(descriptor: EnumDescriptor) -> Encode:
    if descriptor.full_name == "google.protobuf.NullValue":
        return lambda value: "null"
    # Aliases: the first name given to a number is the one that is spelled.
    names = {value.number: f'"{value.name}"' for value in reversed(descriptor.values)}
    return lambda value: names.get(value) or str(value)


def _repeated(single: Encode) -> Encode:
    return lambda values: "[" + ",".join(map(single, values)) + "]"


def _map(key: FieldDescriptor, value: Encode) -> Encode:
    spell: Encode = encode_basestring if key.type == FieldDescriptor.TYPE_STRING else _quoted
    if key.type == FieldDescriptor.TYPE_BOOL:
        spell = lambda item: '"true"' if item else '"false"'  # noqa: E731
    # Sorted, so that equal messages give equal bytes.
    return lambda entries: "{" + ",".join(f"{spell(item)}:{value(entries[item])}" for item in sorted(entries)) + "}"


_SCALARS: dict[int, Encode] = {
    FieldDescriptor.TYPE_STRING: encode_basestring,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_DOUBLE: spell_double,
    FieldDescriptor.TYPE_FLOAT: spell_float,
}
