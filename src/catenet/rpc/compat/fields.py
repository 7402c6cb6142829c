"""Rules of fields and extensions that both versions have, by their numbers."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import FeatureSet, FieldDescriptorProto, FieldOptions
from google.protobuf.text_encoding import CUnescape

from catenet.rpc.compat.model import Field, Version
from catenet.rpc.compat.rules import Finding
from catenet.rpc.compat.types import is_compatible_in_xml, is_compatible_json, is_compatible_wire, type_words

__all__ = ["field_findings"]

_F = FieldDescriptorProto
# Field numbers within FieldDescriptorProto, which make the paths of SourceCodeInfo.
_NAME, _TYPE, _TYPE_NAME, _DEFAULT, _OPTIONS, _JSON_NAME = 1, 5, 6, 7, 8, 10
_CTYPE, _JSTYPE, _FEATURES = 1, 6, 21
_UTF8, _CPP, _JAVA = 4, 1000, 1001
_LONG: Final = {_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64}
_TEXTS: Final = {_F.TYPE_STRING, _F.TYPE_BYTES}
_FLOATS: Final = {_F.TYPE_FLOAT, _F.TYPE_DOUBLE}

Value = int | float | bytes


def field_findings(old: Field, new: Field, before: Version, after: Version) -> Iterator[Finding]:
    """Compare two versions of a field."""
    yield from _cardinality(old, new)
    yield from _type(old, new, before, after)
    yield from _names(old, new)
    yield from _default(old, new, before, after)
    yield from _languages(old, new)
    if old.oneof != new.oneof:
        was, now = old.oneof or "none", new.oneof or "none"
        yield _changed("FIELD_SAME_ONEOF", old, new, "oneof", f"its oneof was {was}, is {now}")


def _changed(rule: str, old: Field, new: Field, aspect: str, text: str, *paths: tuple[int, ...]) -> Finding:
    subject = f"{old.owner}:{old.number}"
    return Finding(rule, new.place(*paths), subject, aspect, f"{new.label}: {text}", old.file.package)


_CARDINALITY_WORDS: Final = {
    "map": "a map",
    "repeated": "repeated",
    "required": "required",
    "explicit": "singular with presence",
    "implicit": "singular without presence",
}
_ON_THE_WIRE: Final = {"map": "repeated", "explicit": "singular", "implicit": "singular"}
_IN_TEXT: Final = {"explicit": "singular", "implicit": "singular"}


def _cardinality(old: Field, new: Field) -> Iterator[Finding]:
    one, other = old.cardinality, new.cardinality
    if one == other or (old.is_in_entry and new.is_in_entry):
        return
    rules = ["FIELD_SAME_CARDINALITY"]
    if _IN_TEXT.get(one, one) != _IN_TEXT.get(other, other):
        rules += ["FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY", "FIELD_XML_COMPATIBLE_CARDINALITY"]
    if _ON_THE_WIRE.get(one, one) != _ON_THE_WIRE.get(other, other):
        rules.append("FIELD_WIRE_COMPATIBLE_CARDINALITY")
    for rule in rules:
        text = f"it was {_CARDINALITY_WORDS[one]}, is {_CARDINALITY_WORDS[other]}"
        yield _changed(rule, old, new, "cardinality", text)


_COMPATIBLE: Final[dict[str, Callable[[Field, Field, Version, Version], bool]]] = {
    "FIELD_WIRE_JSON_COMPATIBLE_TYPE": is_compatible_json,
    "FIELD_WIRE_COMPATIBLE_TYPE": is_compatible_wire,
    "FIELD_XML_COMPATIBLE_TYPE": is_compatible_in_xml,
}


def _type(old: Field, new: Field, before: Version, after: Version) -> Iterator[Finding]:
    if old.type == new.type and old.type_name == new.type_name:
        return
    rules = ["FIELD_SAME_TYPE"]
    rules += (rule for rule, is_compatible in _COMPATIBLE.items() if not is_compatible(old, new, before, after))
    one, other = type_words(old), type_words(new)
    if one == other:
        one, other = old.type_name, new.type_name
    for rule in rules:
        yield _changed(rule, old, new, "type", f"its type was {one}, is {other}", (_TYPE_NAME,), (_TYPE,))


def _names(old: Field, new: Field) -> Iterator[Finding]:
    one, other = (field.full if field.is_extension else field.proto.name for field in (old, new))
    if one != other:
        yield _changed("FIELD_SAME_NAME", old, new, "name", f"it was called {one}", (_NAME,))
    if not old.is_extension and old.json_name != new.json_name:
        text = f"its name in JSON was {old.json_name}, is {new.json_name}"
        # Called otherwise in JSON because it is called otherwise: one change.
        paths = [(_JSON_NAME,)] if one == other else [(_JSON_NAME,), (_NAME,)]
        aspect = "json name" if one == other else "name"
        yield _changed("FIELD_SAME_JSON_NAME", old, new, aspect, text, *paths)


def _default(old: Field, new: Field, before: Version, after: Version) -> Iterator[Finding]:
    one, other = _default_of(old, before), _default_of(new, after)
    if one is None or other is None or (not one and not other):
        return
    if old.type == _F.TYPE_FLOAT or new.type == _F.TYPE_FLOAT:
        one, other = _as_float32(one), _as_float32(other)
    is_nan = [isinstance(value, float) and math.isnan(value) for value in (one, other)]
    if one != other and not all(is_nan):
        was, now = (_shown_default(field, version) for field, version in ((old, before), (new, after)))
        text = f"its default was {was}, is {now}"
        yield _changed("FIELD_SAME_DEFAULT", old, new, "default", text, (_DEFAULT,))


def _default_of(field: Field, version: Version) -> Value | None:
    """Return the value that stands for an absent one, None if the type has none."""
    proto, text = field.proto, field.proto.default_value
    if field.cardinality in ("map", "repeated") or proto.type in (_F.TYPE_MESSAGE, _F.TYPE_GROUP):
        return None
    if proto.type == _F.TYPE_ENUM:
        enum = version.enums.get(field.type_name)
        values = enum.proto.value if enum is not None else ()
        return next((value.number for value in values if not text or value.name == text), None)
    if proto.type == _F.TYPE_STRING:
        return text.encode()
    if proto.type == _F.TYPE_BYTES:
        return CUnescape(text)
    if proto.type == _F.TYPE_BOOL:
        return text == "true"
    return float(text or 0) if proto.type in _FLOATS else int(text or 0)


def _as_float32(value: Value) -> Value:
    if isinstance(value, bytes) or not math.isfinite(value):
        return value
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _shown_default(field: Field, version: Version) -> str:
    proto = field.proto
    if proto.type == _F.TYPE_ENUM and not proto.default_value:
        enum = version.enums.get(field.type_name)
        return enum.proto.value[0].name if enum is not None else "?"
    if proto.type in _TEXTS:
        return f'"{proto.default_value}"'
    return proto.default_value or ("false" if proto.type == _F.TYPE_BOOL else "0")


def _languages(old: Field, new: Field) -> Iterator[Finding]:
    types = {old.proto.type, new.proto.type}
    if types <= _TEXTS and (one := _cpp_string(old)) != (other := _cpp_string(new)):
        text = f"its string type in C++ was {one}, is {other}"
        paths = ((_OPTIONS, _CTYPE), (_OPTIONS, _FEATURES, _CPP, 2))
        yield _changed("FIELD_SAME_CPP_STRING_TYPE", old, new, "c++", text, *paths)
    if types <= _LONG and old.proto.options.jstype != new.proto.options.jstype:
        was, now = (FieldOptions.JSType.Name(field.proto.options.jstype) for field in (old, new))
        text = f"its jstype was {was}, is {now}"
        yield _changed("FIELD_SAME_JSTYPE", old, new, "jstype", text, (_OPTIONS, _JSTYPE))
    if types != {_F.TYPE_STRING}:
        return
    words = ("unchecked", "checked")
    checks = [field.features.utf8_validation == FeatureSet.VERIFY for field in (old, new)]
    if checks[0] != checks[1]:
        text = f"its UTF-8 was {words[checks[0]]}, is {words[checks[1]]}"
        yield _changed("FIELD_SAME_UTF8_VALIDATION", old, new, "utf-8", text, (_OPTIONS, _FEATURES, _UTF8))
    checks = [field.features.java_verifies_utf8 for field in (old, new)]
    if checks[0] != checks[1]:
        text = f"its UTF-8 was {words[checks[0]]} in Java, is {words[checks[1]]}"
        path = (_OPTIONS, _FEATURES, _JAVA, 2)
        yield _changed("FIELD_SAME_JAVA_UTF8_VALIDATION", old, new, "utf-8 in Java", text, path)


def _cpp_string(field: Field) -> str:
    if field.proto.options.HasField("ctype"):
        return FieldOptions.CType.Name(field.proto.options.ctype)
    return field.features.cpp_string_name
