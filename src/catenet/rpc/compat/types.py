"""Which types may take each other's place, on the wire, in JSON and in XML."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from catenet.rpc.compat.model import Enum, Field, Version

__all__ = ["is_compatible_in_xml", "is_compatible_json", "is_compatible_wire", "type_words"]

_F = FieldDescriptorProto
_WIRE: Final[tuple[set[int], ...]] = (
    {_F.TYPE_INT32, _F.TYPE_UINT32, _F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_BOOL},
    {_F.TYPE_SINT32, _F.TYPE_SINT64},
    {_F.TYPE_FIXED32, _F.TYPE_SFIXED32},
    {_F.TYPE_FIXED64, _F.TYPE_SFIXED64},
)
_JSON: Final[tuple[set[int], ...]] = (
    {_F.TYPE_INT32, _F.TYPE_UINT32},
    {_F.TYPE_INT64, _F.TYPE_UINT64},
    {_F.TYPE_FIXED32, _F.TYPE_SFIXED32},
    {_F.TYPE_FIXED64, _F.TYPE_SFIXED64},
)
_XML: Final[tuple[set[int], ...]] = (
    {
        *(_F.TYPE_INT32, _F.TYPE_UINT32, _F.TYPE_SINT32, _F.TYPE_FIXED32, _F.TYPE_SFIXED32),
        *(_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64),
    },
    {_F.TYPE_FLOAT, _F.TYPE_DOUBLE},
    {_F.TYPE_MESSAGE, _F.TYPE_GROUP},
)
"""An element says only what is in it: all integers are decimals."""

_WRAPPED: Final = {
    "google.protobuf.DoubleValue": _F.TYPE_DOUBLE,
    "google.protobuf.FloatValue": _F.TYPE_FLOAT,
    "google.protobuf.Int64Value": _F.TYPE_INT64,
    "google.protobuf.UInt64Value": _F.TYPE_UINT64,
    "google.protobuf.Int32Value": _F.TYPE_INT32,
    "google.protobuf.UInt32Value": _F.TYPE_UINT32,
    "google.protobuf.BoolValue": _F.TYPE_BOOL,
    "google.protobuf.StringValue": _F.TYPE_STRING,
    "google.protobuf.BytesValue": _F.TYPE_BYTES,
}


def is_compatible_wire(old: Field, new: Field, before: Version, after: Version) -> bool:
    """Whether what is written as one is read as the other in protobuf's encoding."""
    if old.type == _F.TYPE_STRING and new.type == _F.TYPE_BYTES:
        return True
    return _in_one(_WIRE, old.type, new.type) or _same_named(old, new, before, after)


def is_compatible_json(old: Field, new: Field, before: Version, after: Version) -> bool:
    """Whether what is written as one is read as the other in both protobuf's encoding and JSON."""
    return _in_one(_JSON, old.type, new.type) or _same_named(old, new, before, after)


def is_compatible_in_xml(old: Field, new: Field, before: Version, after: Version) -> bool:
    """Whether what is written as one is read as the other in XML."""
    if old.entry is not None and new.entry is not None:
        # The entries' own name, which comes from the field's, is not written.
        pairs = ((old.entry.fields[number], new.entry.fields[number]) for number in (1, 2))
        return all(is_compatible_in_xml(one, other, before, after) for one, other in pairs)
    if "repeated" not in (old.cardinality, new.cardinality):
        one, other = _WRAPPED.get(old.type_name, old.type), _WRAPPED.get(new.type_name, new.type)
        if one != old.type or other != new.type:
            return one == other or _in_one(_XML[:2], one, other)
    if _in_one(_XML[:2], old.type, new.type):
        return True
    both_messages = _in_one(_XML[2:], old.type, new.type)
    return (both_messages and old.type_name == new.type_name) or _same_named(old, new, before, after)


def _in_one(groups: tuple[set[int], ...], one: int, other: int) -> bool:
    return any(one in group and other in group for group in groups)


def _same_named(old: Field, new: Field, before: Version, after: Version) -> bool:
    """Whether both are of one type, of one name where it has a name; an enum may be another one that has all values."""
    if old.type != new.type:
        return False
    if old.type_name == new.type_name:
        return True
    one, other = before.enums.get(old.type_name), after.enums.get(new.type_name)
    return one is not None and other is not None and _has_all(one, other)


def _has_all(old: Enum, new: Enum) -> bool:
    values = {(value.name, value.number) for value in new.proto.value}
    return old.proto.name == new.proto.name and {(one.name, one.number) for one in old.proto.value} <= values


def type_words(field: Field) -> str:
    """Return a field's type as a text calls it."""
    if field.entry is not None:
        return f"map<{type_words(field.entry.fields[1])}, {type_words(field.entry.fields[2])}>"
    if field.type == _F.TYPE_GROUP:
        return f"group {field.type_name}"
    return field.type_name or _F.Type.Name(field.proto.type).removeprefix("TYPE_").lower()
