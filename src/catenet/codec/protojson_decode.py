"""ProtoJSON to messages: one function per field, made once per message type; the converse of `protojson_encode`.

Stricter than `json_format`, which takes a list for a message and noise for base64; and its errors name the field.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from catenet.codec.base import CodecError
from catenet.codec.protojson_encode import INTEGERS, ODD, TEXTS, WRAPPERS

__all__ = ["DEEPEST", "Decoders", "MessageDecoder", "Store", "UnknownName", "enum_converter", "parse_json"]

DEEPEST = 100
"""Messages in messages beyond this depth are refused, as protobuf's parsers do."""

Convert = Callable[[Any], Any]
"""From a JSON value to what a field can be set to."""
Store = Callable[[Any, Any, int], None]
"""Put a JSON value, not null, into a message: `store(message, value, depth)`."""

_INTEGER = re.compile(r"-?[0-9]+").fullmatch
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch
_URL_SAFE = str.maketrans("-_", "+/")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LARGEST_FLOAT = 3.4028235677973366e38


class UnknownName(CodecError):
    """A name of an enum value that the program does not know: an error, or ignored like an unknown field."""


def parse_json(data: bytes) -> Any:
    """Return the JSON value in `data`; raise `CodecError`, also for names that occur twice in one object."""
    try:
        text = data.decode()
        try:
            value, end = _scan(text, 0)
        except StopIteration:  # there is space before it, or nothing
            return _parse(text)
        return value if end == len(text) else _parse(text)
    except CodecError:
        raise
    except RecursionError:
        raise CodecError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise CodecError(f"not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        raise CodecError(f"{next(name for name in names if names.count(name) > 1)}: occurs twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise CodecError(f"not JSON: {name} stands without quotes")


# `json.loads` with hooks makes a decoder for each call, which costs more than reading a small message.
_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_parse = _decoder.decode
# What `decode` does without looking for space around the value.
_scan = cast(Any, _decoder).scan_once


class MessageDecoder:
    """Fills messages of one type. Planned on first use, as types may contain each other."""

    __slots__ = ("_decoders", "_descriptor", "_fields", "_single")

    def __init__(self, descriptor: Descriptor, decoders: Decoders) -> None:
        self._descriptor = descriptor
        self._decoders = decoders
        self._fields: dict[str, _Field] | None = None
        self._single = False
        """Whether each field has one name, and no oneof has several: then a field is set once, as names are."""

    def __call__(self, message: Any, value: Any, depth: int) -> None:
        """Fill `message`, which is empty, from a JSON object."""
        if type(value) is not dict:
            raise CodecError(f"must be a JSON object, not {_shown(value)}")
        if depth > DEEPEST:
            raise CodecError(f"messages are nested more than {DEEPEST} deep")
        fields = self._fields
        if fields is None:
            fields = self._fields = self._plan()
        seen: set[object] = set()
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                self._unknown(message, name, item)
                continue
            if item is None and not field.takes_null:
                continue
            if not self._single:
                if field.claim in seen:
                    raise CodecError(f"{name}: a field or a oneof is set twice")
                seen.add(field.claim)
            try:
                if type(item) is field.plain:
                    setattr(message, field.name, item)
                else:
                    field.store(message, item, depth)
            # A name of its own for each type, which compiled they keep.
            except UnknownName as unknown:
                if not self._decoders.ignore_unknown:
                    raise CodecError(f"{name}: {unknown}") from None
            except CodecError as error:
                raise CodecError(f"{name}{'' if str(error).startswith('[') else ': '}{error}") from None
            except (ValueError, TypeError) as wrong:
                raise CodecError(f"{name}: {wrong}") from None

    def _unknown(self, message: Any, name: str, value: Any) -> None:
        if name.startswith("[") and name.endswith("]"):
            _by_json_format(message, {name: value}, self._decoders.ignore_unknown)
        elif not self._decoders.ignore_unknown:
            raise CodecError(f"{self._descriptor.full_name} has no field {name!r}")

    def _plan(self) -> dict[str, _Field]:
        fields = {}
        for descriptor in self._descriptor.fields:
            field = _Field(descriptor, self._decoders)
            fields[descriptor.name] = field
            fields[descriptor.json_name] = field
        self._single = len(fields) == len({field.claim for field in fields.values()})
        return fields


class _Field:
    """What to do with one field: `claim` is what may be set once only, the field itself or its oneof.

    `plain`: JSON values of just this type are what protobuf takes and checks; None: there are none.
    """

    __slots__ = ("claim", "name", "plain", "store", "takes_null")

    def __init__(self, field: FieldDescriptor, decoders: Decoders) -> None:
        oneof = field.containing_oneof
        self.claim: object = ("oneof", oneof.name) if oneof is not None else field.name
        single = not cast(Any, field).is_repeated
        self.takes_null = single and (
            (field.message_type is not None and field.message_type.full_name == "google.protobuf.Value")
            or (field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue")
        )
        self.store: Store = decoders.of_field(field)
        self.name: str = field.name
        self.plain: type | None = _PLAIN.get(field.type) if single else None


class Decoders:
    """The decoders of all types seen so far."""

    def __init__(self, ignore_unknown: bool) -> None:
        self.ignore_unknown = ignore_unknown
        self._messages: dict[Descriptor, Store] = {}

    def of_message(self, descriptor: Descriptor) -> Store:
        """Return what fills messages of that type."""
        decode = self._messages.get(descriptor)
        if decode is None:
            decode = self._messages[descriptor] = self._make(descriptor)
        return decode

    def _make(self, descriptor: Descriptor) -> Store:
        name = descriptor.full_name
        if name in ODD:
            return lambda message, value, depth: _by_json_format(message, value, self.ignore_unknown)
        if name in TEXTS:
            return _text
        if name in WRAPPERS:
            convert = _converter(descriptor.fields_by_name["value"])
            return lambda message, value, depth: setattr(message, "value", convert(value))
        return MessageDecoder(descriptor, self)

    def of_field(self, field: FieldDescriptor) -> Store:
        """Return what puts a JSON value into a field."""
        name, kind = field.name, field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            return self._map(name, kind.fields_by_name["key"], kind.fields_by_name["value"])
        if cast(Any, field).is_repeated:
            return self._repeated(name, field)
        if kind is not None:
            return self._message(name, kind)
        convert = _converter(field)
        return lambda message, value, depth: setattr(message, name, convert(value))

    def _message(self, name: str, kind: Descriptor) -> Store:
        decode = self.of_message(kind)

        def store(message: Any, value: Any, depth: int) -> None:
            child = getattr(message, name)
            child.SetInParent()
            decode(child, value, depth + 1)

        return store

    def _repeated(self, name: str, field: FieldDescriptor) -> Store:
        decode = self.of_message(field.message_type) if field.message_type is not None else None
        convert = None if decode else _converter(field)

        def store(message: Any, value: Any, depth: int) -> None:
            if type(value) is not list:
                raise CodecError(f"must be a list, not {_shown(value)}")
            items = getattr(message, name)
            for index, item in enumerate(value):
                try:
                    if decode:
                        decode(items.add(), item, depth + 1)
                    elif convert:
                        items.append(convert(item))
                except UnknownName:
                    if not self.ignore_unknown:
                        raise
                except CodecError as error:
                    raise _at(f"[{index}]", error) from None

        return store

    def _map(self, name: str, key: FieldDescriptor, field: FieldDescriptor) -> Store:
        decode = self.of_message(field.message_type) if field.message_type is not None else None
        convert = None if decode else _converter(field)
        convert_key: Convert = _KEYS.get(key.type, _integer)

        def store(message: Any, value: Any, depth: int) -> None:
            if type(value) is not dict:
                raise CodecError(f"must be a JSON object, not {_shown(value)}")
            entries = getattr(message, name)
            for text, item in value.items():
                try:
                    if decode:
                        decode(entries[convert_key(text)], item, depth + 1)
                    elif convert:
                        entries[convert_key(text)] = convert(item)
                except UnknownName:
                    if not self.ignore_unknown:
                        raise
                except CodecError as error:
                    raise _at(f"[{text!r}]", error) from None

        return store


def _at(place: str, error: CodecError) -> CodecError:
    return CodecError(f"{place}{'' if str(error).startswith('[') else ': '}{error}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:37] + "..."


def _by_json_format(message: Any, value: Any, ignore_unknown: bool) -> None:
    try:
        json_format.ParseDict(value, message, ignore_unknown_fields=ignore_unknown, max_recursion_depth=DEEPEST)
    except RecursionError:
        raise CodecError("the JSON is nested too deeply") from None
    except (json_format.ParseError, ValueError) as error:
        raise CodecError(str(error) or type(error).__name__) from None
    except Exception:  # json_format promises ParseError, but odd input makes it raise half a dozen others
        raise CodecError(f"must be {message.DESCRIPTOR.full_name}, not {_shown(value)}") from None


def _text(message: Any, value: Any, depth: int) -> None:
    if type(value) is not str:
        raise CodecError(f"must be text, not {_shown(value)}")
    message.FromJsonString(value)


def _integer(value: Any) -> int:
    kind = type(value)
    if kind is int:
        return cast(int, value)
    if kind is float and value.is_integer():
        return int(value)
    if kind is str and len(value) < 400:
        if _INTEGER(value):
            return int(value)
        if _NUMBER(value) and float(value).is_integer():
            return int(float(value))
    raise CodecError(f"must be a whole number, not {_shown(value)}")


def _double(value: Any) -> float:
    kind = type(value)
    if kind is float or kind is int:
        number = float(value)
    elif kind is str and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    elif kind is str and _NUMBER(value):
        number = float(value)
    else:
        raise CodecError(f"must be a number, not {_shown(value)}")
    if not math.isfinite(number):
        raise CodecError(f"{_shown(value)} is beyond the range of a double")
    return number


def _float(value: Any) -> float:
    number = _double(value)
    if math.isfinite(number) and abs(number) > _LARGEST_FLOAT:
        raise CodecError(f"{_shown(value)} is beyond the range of a float")
    return number


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise CodecError(f"must be true or false, not {_shown(value)}")
    return value


def _string(value: Any) -> str:
    if type(value) is not str:
        raise CodecError(f"must be text, not {_shown(value)}")
    return value


def _bytes(value: Any) -> bytes:
    text = _string(value).translate(_URL_SAFE).rstrip("=")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise CodecError(f"must be base64, not {_shown(value)}") from None


def _bool_key(text: str) -> bool:
    if text not in ("true", "false"):
        raise CodecError("a key must be true or false")
    return text == "true"


def enum_converter(descriptor: EnumDescriptor) -> Convert:
    """Return what makes a number of the name of a value, or of its number."""
    numbers = {value.name: value.number for value in descriptor.values}
    known = frozenset(numbers.values())
    closed = cast(Any, descriptor).is_closed
    is_null = descriptor.full_name == "google.protobuf.NullValue"

    def convert(value: Any) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        if value is None and is_null:
            return 0
        if type(value) is str and not _INTEGER(value):
            raise UnknownName(f"{descriptor.full_name} has no value {value!r}")
        number = _integer(value)
        if closed and number not in known:
            raise UnknownName(f"{descriptor.full_name} has no value {number}")
        return number

    return convert


def _converter(field: FieldDescriptor) -> Convert:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_converter(cast(EnumDescriptor, field.enum_type))
    return _CONVERTERS.get(field.type, _integer)


_CONVERTERS: dict[int, Convert] = {
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_FLOAT: _float,
}
_PLAIN: dict[int, type] = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BOOL: bool,
    **dict.fromkeys(INTEGERS, int),
}
_KEYS: dict[int, Convert] = {FieldDescriptor.TYPE_STRING: _string, FieldDescriptor.TYPE_BOOL: _bool_key}
