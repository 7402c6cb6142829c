"""Messages to XML: one function per field, made once per message type; docs/rpc-xml.md has the mapping.

The content of a message is the elements of its fields, in the order of their numbers. Local elements have no namespace;
the root has that of the package.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from catenet.codec.base import CodecError
from catenet.codec.protojson_encode import INTEGERS, WRAPPERS, spell_double, spell_float
from catenet.codec.safe_xml import attribute_text, element_text, is_xml_text

__all__ = ["ANY", "DURATION", "EXTRAS", "TIMESTAMP", "XmlEncoders", "namespace_of", "root_name"]

EXTRAS: Final = "urn:catenet:xml"
"""The namespace of what is no field: unknown fields and extensions."""
ANY: Final = "google.protobuf.Any"
TIMESTAMP: Final = "google.protobuf.Timestamp"
DURATION: Final = "google.protobuf.Duration"

Element = Callable[[Any], str]
"""From a value as `ListFields` has it to its elements."""
Spell = Callable[[Any], tuple[str, str]]
"""From a single value to the attributes (behind a space each) and the content of its element."""


def namespace_of(package: str) -> str:
    """Return the namespace of the messages of a package; none for what is in no package."""
    return f"proto:{package}" if package else ""


def root_name(descriptor: Descriptor) -> str:
    """Return the name of a message within its package, `Outer.Inner`."""
    package = descriptor.file.package
    return descriptor.full_name[len(package) + 1 :] if package else descriptor.full_name


class XmlEncoders:
    """The encoders of all types seen so far."""

    def __init__(self) -> None:
        self._plans: dict[Descriptor, dict[int, Element]] = {}
        self._spells: dict[Descriptor, Spell] = {}

    def document(self, message: Any) -> str:
        """Return a message as a whole document."""
        descriptor = message.DESCRIPTOR
        attributes, content = self.of_message(descriptor)(message)
        name, namespace = root_name(descriptor), namespace_of(descriptor.file.package)
        if namespace:
            return f'<m:{name} xmlns:m="{namespace}"{attributes}>{content}</m:{name}>'
        return f"<{name}{attributes}>{content}</{name}>"

    def of_message(self, descriptor: Descriptor) -> Spell:
        """Return what spells messages of that type."""
        spell = self._spells.get(descriptor)
        if spell is None:
            spell = self._spells[descriptor] = self._make(descriptor)
        return spell

    def _make(self, descriptor: Descriptor) -> Spell:
        name = descriptor.full_name
        if name in WRAPPERS:
            inner = self._single(descriptor.fields_by_name["value"])
            return lambda message: inner(message.value)
        if name == TIMESTAMP:
            return lambda message: ("", message.ToJsonString())
        if name == DURATION:
            return lambda message: ("", _duration(message))
        if name == ANY:
            return self._any
        return lambda message: ("", self._content(descriptor, message))

    def _content(self, descriptor: Descriptor, message: Any) -> str:
        plan = self._plans.get(descriptor)
        if plan is None:
            plan = self._plans[descriptor] = {field.number: self._element(field) for field in descriptor.fields}
        parts = []
        extensions = []
        for field, value in message.ListFields():
            if field.is_extension:
                extensions.append(self._extension(field, value))
            else:
                parts.append(plan[field.number](value))
        unknown = UnknownFieldSet(message)
        if len(unknown):
            extensions.append(f'<x:unknown xmlns:x="{EXTRAS}">{_base64(_wire(unknown))}</x:unknown>')
        return "".join(parts + extensions)

    def _extension(self, field: FieldDescriptor, value: Any) -> str:
        spell = self._single(field)
        values = value if cast(Any, field).is_repeated else [value]
        return "".join(
            f'<x:extension xmlns:x="{EXTRAS}" name="{field.full_name}"{attributes}>{content}</x:extension>'
            for attributes, content in map(spell, values)
        )

    def _element(self, field: FieldDescriptor) -> Element:
        kind, name = field.message_type, field.name
        if kind is not None and kind.GetOptions().map_entry:
            return self._map(name, kind.fields_by_name["key"], self._single(kind.fields_by_name["value"]))
        simple = _SIMPLE.get(field.type)
        if simple is not None:
            begin, end = f"<{name}>", f"</{name}>"
            if cast(Any, field).is_repeated:
                between = end + begin
                return lambda values: begin + between.join(map(simple, values)) + end
            return lambda value: begin + simple(value) + end
        spell = self._single(field)

        def one(value: Any) -> str:
            attributes, content = spell(value)
            return f"<{name}{attributes}>{content}</{name}>" if content else f"<{name}{attributes}/>"

        if cast(Any, field).is_repeated:
            return lambda values: "".join(map(one, values))
        return one

    def _map(self, name: str, key: FieldDescriptor, value: Spell) -> Element:
        spell_key = _text_key if key.type == FieldDescriptor.TYPE_STRING else _plain_key

        def entries(items: Any) -> str:
            parts = []
            # Sorted, so that equal messages give equal bytes.
            for item in sorted(items):
                attributes, content = value(items[item])
                parts.append(f"<{name}{spell_key(item)}{attributes}>{content}</{name}>")
            return "".join(parts)

        return entries

    def _single(self, field: FieldDescriptor) -> Spell:
        if field.message_type is not None:
            return self.of_message(field.message_type)
        if field.type == FieldDescriptor.TYPE_ENUM:
            return _enum(cast(EnumDescriptor, field.enum_type))
        if field.type == FieldDescriptor.TYPE_STRING:
            return _text
        simple = _SIMPLE[field.type]
        return lambda value: ("", simple(value))

    def _any(self, message: Any) -> tuple[str, str]:
        url = message.type_url
        if not url and not message.value:
            return "", ""
        kind_attribute = _attribute("type", url)
        try:
            kind = message.DESCRIPTOR.file.pool.FindMessageTypeByName(url.rpartition("/")[2])
            inner = GetMessageClass(kind).FromString(message.value)
        except (KeyError, DecodeError):
            return f'{kind_attribute} encoding="base64"', _base64(message.value)
        attributes, content = ("", "") if kind.full_name == ANY else self.of_message(kind)(inner)
        if kind.full_name == ANY or attributes:
            # What it says of itself would stand in the same attributes.
            return f'{kind_attribute} encoding="base64"', _base64(message.value)
        return kind_attribute, content


def _attribute(name: str, value: str) -> str:
    if not is_xml_text(value):
        raise CodecError(f"{name}: XML cannot say {value!r}")
    return f' {name}="{attribute_text(value)}"'


def _text_key(key: str) -> str:
    if is_xml_text(key):
        return f' key="{attribute_text(key)}"'
    return f' key="{_base64(key.encode())}" key-encoding="base64"'


def _plain_key(key: Any) -> str:
    return f' key="{_bool(key) if type(key) is bool else key}"'


def _text(value: str) -> tuple[str, str]:
    if is_xml_text(value):
        return "", element_text(value)
    return ' encoding="base64"', _base64(value.encode())


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _double(value: float) -> str:
    if math.isfinite(value):
        return spell_double(value)
    return "NaN" if value != value else "INF" if value > 0 else "-INF"


def _float(value: float) -> str:
    return spell_float(value) if math.isfinite(value) else _double(value)


def _enum(descriptor: EnumDescriptor) -> Spell:
    names = {value.number: ("", value.name) for value in reversed(descriptor.values)}
    return lambda value: names.get(value) or ("", str(value))


def _duration(message: Any) -> str:
    """As xs:duration has it: `PT1.5S`."""
    text: str = message.ToJsonString()
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return f"{sign}PT{digits[:-1]}S"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _wire(fields: Any) -> bytes:
    """Unknown fields as they came, in protobuf's wire format."""
    out = bytearray()
    for field in fields:
        number, wire, data = field.field_number, field.wire_type, field.data
        out += _varint(number << 3 | wire)
        if wire == 0:
            out += _varint(data)
        elif wire == 1:
            out += data.to_bytes(8, "little")
        elif wire == 2:
            out += _varint(len(data)) + data
        elif wire == 3:
            out += _wire(data) + _varint(number << 3 | 4)
        else:
            out += data.to_bytes(4, "little")
    return bytes(out)


_SIMPLE: Final[dict[int, Callable[[Any], str]]] = {
    FieldDescriptor.TYPE_BYTES: _base64,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_FLOAT: _float,
    **dict.fromkeys(INTEGERS, int.__repr__),
}
"""What needs no attributes."""
