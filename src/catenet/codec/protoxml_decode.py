"""XML to messages, while the parser reports it; the converse of `protoxml_encode`. Errors name the path."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from catenet.codec.base import CodecError
from catenet.codec.protojson_decode import DEEPEST, UnknownName, enum_converter
from catenet.codec.protojson_encode import WRAPPERS
from catenet.codec.protoxml_encode import ANY, DURATION, EXTRAS, TIMESTAMP, namespace_of, root_name
from catenet.codec.safe_xml import parse_xml

__all__ = ["XmlDecoders"]

MOST_ELEMENTS: Final = 10_000_000

Convert = Callable[[str], Any]
Attributes = dict[str, str]

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}").fullmatch
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?").fullmatch
_DURATION = re.compile(r"(-?)PT([0-9]{1,12}(?:\.[0-9]{1,9})?)S").fullmatch
_NOT_FINITE = {"NaN": math.nan, "INF": math.inf, "-INF": -math.inf}
_LARGEST_FLOAT = 3.4028235677973366e38
_SPACE = " \t\r\n"


class _Field:
    """What to do with the elements of one field.

    `is_leaf`: an element without attributes is one value. `nests`: it holds the elements of a message, `inner`.
    """

    __slots__ = (
        "claim", "convert", "inner", "is_leaf", "is_text", "key", "key_is_text", "kind", "name", "nests", "repeated",
    )  # fmt: skip

    def __init__(self, field: FieldDescriptor) -> None:
        self.name = field.name
        self.kind: Descriptor | None = field.message_type
        self.repeated = bool(cast(Any, field).is_repeated)
        oneof = field.containing_oneof
        self.claim: object = ("oneof", oneof.name) if oneof is not None else field.name
        self.key: Convert | None = None
        self.key_is_text = False
        if self.kind is not None and self.kind.GetOptions().map_entry:
            key = self.kind.fields_by_name["key"]
            field = self.kind.fields_by_name["value"]
            self.key_is_text = key.type == FieldDescriptor.TYPE_STRING
            self.key = _string if self.key_is_text else _bool if key.type == FieldDescriptor.TYPE_BOOL else _integer
            self.kind = field.message_type
        self.is_text = field.type == FieldDescriptor.TYPE_STRING
        self.convert = _string if self.kind is not None else _converter(field)
        self.is_leaf = self.kind is None and self.key is None
        self.nests = self.kind is not None and self.key is None and not _is_special(self.kind.full_name)
        self.inner: dict[str, _Field] | None = None


class _Frame:
    """One open element. `fields` are those that may be in it, None if it holds text; `ends` takes that text."""

    __slots__ = ("ends", "fields", "label", "message", "seen")

    def __init__(self, label: str) -> None:
        self.label = label
        self.message: Any = None
        self.fields: dict[str, _Field] | None = None
        self.ends: Callable[[str], None] | None = None
        self.seen: set[object] | None = None
        """The fields and oneofs that have been set, made when the first is."""

    def set_once(self, claim: object, name: str) -> None:
        """Note that a field is set; raise `CodecError` if it is already."""
        if self.seen is None:
            self.seen = {claim}
        elif claim in self.seen:
            raise CodecError(f"{name}: a field or a oneof is set twice")
        else:
            self.seen.add(claim)


class XmlDecoders:
    """The plans of all types seen so far."""

    def __init__(self, ignore_unknown: bool) -> None:
        self.ignore_unknown = ignore_unknown
        self._plans: dict[Descriptor, dict[str, _Field]] = {}

    def plan(self, descriptor: Descriptor) -> dict[str, _Field]:
        """Return the fields of a message type by the names of their elements."""
        plan = self._plans.get(descriptor)
        if plan is None:
            plan = self._plans[descriptor] = {field.name: _Field(field) for field in descriptor.fields}
        return plan

    def fill(self, message: Any, data: bytes) -> None:
        """Fill an empty message; raise `CodecError` that names the place."""
        reading = _Reading(message, self)
        try:
            parse_xml(data, reading.start, reading.end, reading.text, deepest=None, most_elements=MOST_ELEMENTS)
        except (ValueError, TypeError, DecodeError) as error:
            raise CodecError(reading.place() + str(error)) from None


class _Reading:
    """The state of one document."""

    def __init__(self, message: Any, decoders: XmlDecoders) -> None:
        self._root = message
        self._decoders = decoders
        self._namespace = namespace_of(message.DESCRIPTOR.file.package)
        self._stack: list[_Frame] = []
        self._leaf: _Field | None = None
        """The field of an open element that is one value of the innermost message; it needs no frame."""
        self._text: list[str] = []
        """Since the last tag."""
        self._skipped = 0

    def place(self) -> str:
        """Return where the reader is: the path of elements below the root."""
        path = [frame.label for frame in self._stack[1:]]
        if self._leaf is not None:
            path.append(self._leaf.name)
        return f"{'/'.join(path)}: " if path else ""

    def start(self, name: str, attributes: Attributes) -> None:
        """An element begins."""
        if len(self._stack) + self._skipped > DEEPEST:
            raise CodecError(f"elements are nested more than {DEEPEST + 1} deep")
        if self._skipped:
            self._skipped += 1
            return
        if not self._stack:
            namespace, _, local = name.rpartition(" ")
            self._begin(namespace, local, attributes)
            return
        parent = self._stack[-1]
        if parent.fields is None or self._leaf is not None:
            raise CodecError(f"an element {name.rpartition(' ')[2]} within text")
        if self._text:
            self._no_text()
        field = parent.fields.get(name)
        if field is None:
            namespace, _, local = name.rpartition(" ")
            if namespace == EXTRAS:
                self._extra(parent, local, attributes)
                return
            if namespace == self._namespace:
                field = parent.fields.get(local)
            if field is None:
                self._unknown(parent, local)
                return
        if not field.repeated:
            parent.set_once(field.claim, field.name)
        if field.is_leaf and not attributes:
            self._leaf = field
        else:
            frame = _Frame(field.name)
            self._stack.append(frame)
            self._open(frame, field, parent.message, attributes)

    def _no_text(self) -> None:
        text = "".join(self._text).strip(_SPACE)
        self._text.clear()
        if text:
            raise CodecError(f"text {text[:40]!r} where elements are expected")

    def _begin(self, namespace: str, local: str, attributes: Attributes) -> None:
        wanted = root_name(self._root.DESCRIPTOR)
        if local != wanted or namespace not in ("", self._namespace):
            raise CodecError(f"the root must be {wanted} of {self._namespace or 'no namespace'}, not {local}")
        frame = _Frame(local)
        self._stack.append(frame)
        self._fill(frame, self._root, attributes)

    def _unknown(self, parent: _Frame, local: str) -> None:
        if not self._decoders.ignore_unknown:
            raise CodecError(f"{parent.message.DESCRIPTOR.full_name} has no field {local!r}")
        self._skipped = 1

    def _open(self, frame: _Frame, field: _Field, message: Any, attributes: Attributes) -> None:
        name = field.name
        if field.key is not None:
            self._open_entry(frame, field, getattr(message, name), attributes)
        elif field.kind is not None:
            if field.repeated:
                child = getattr(message, name).add()
            else:
                child = getattr(message, name)
                child.SetInParent()
            if field.nests:
                if field.inner is None:
                    field.inner = self._decoders.plan(field.kind)
                frame.message, frame.fields = child, field.inner
            else:
                self._fill(frame, child, attributes)
        else:
            convert = _encoded(attributes) if field.is_text and attributes else field.convert
            if field.repeated:
                items = getattr(message, name)
                frame.ends = items.append if convert is _string else lambda text: items.append(convert(text))
            else:
                frame.ends = lambda text: setattr(message, name, convert(text))

    def _open_entry(self, frame: _Frame, field: _Field, entries: Any, attributes: Attributes) -> None:
        if "key" not in attributes:
            raise CodecError("an entry of a map needs the attribute key")
        key: Any
        if field.key_is_text and attributes.get("key-encoding") == "base64":
            key = _bytes(attributes["key"]).decode()
        else:
            key = cast(Convert, field.key)(attributes["key"])
        if key in entries:
            raise CodecError(f"the key {key!r} occurs twice")
        if field.kind is not None:
            self._fill(frame, entries[key], attributes)
        else:
            convert = _encoded(attributes) if field.is_text else field.convert
            frame.ends = lambda text: entries.__setitem__(key, convert(text))

    def _fill(self, frame: _Frame, message: Any, attributes: Attributes) -> None:
        """Let what is in an element go into a message."""
        descriptor = message.DESCRIPTOR
        name = descriptor.full_name
        if name == ANY:
            self._fill_any(frame, message, attributes)
        elif name == TIMESTAMP:
            frame.ends = lambda text: message.FromJsonString(text.strip(_SPACE))
        elif name == DURATION:
            frame.ends = lambda text: message.FromJsonString(_seconds(text))
        elif name in WRAPPERS:
            value = descriptor.fields_by_name["value"]
            text_like = value.type == FieldDescriptor.TYPE_STRING
            convert = _encoded(attributes) if text_like else _converter(value)
            frame.ends = lambda text: setattr(message, "value", convert(text))
        else:
            frame.message = message
            frame.fields = self._decoders.plan(descriptor)

    def _fill_any(self, frame: _Frame, message: Any, attributes: Attributes) -> None:
        url = attributes.get("type", "")
        if not url:
            frame.ends = _nothing
            return
        message.type_url = url
        if attributes.get("encoding") == "base64":
            frame.ends = lambda text: setattr(message, "value", _bytes(text))
            return
        try:
            kind = message.DESCRIPTOR.file.pool.FindMessageTypeByName(url.rpartition("/")[2])
        except KeyError:
            raise CodecError(f"no message type {url!r} here") from None
        if kind.full_name == ANY:
            raise CodecError("an Any in an Any is in base64")
        inner = GetMessageClass(kind)()
        self._fill(frame, inner, attributes)
        ends = frame.ends

        def finish(text: str) -> None:
            if ends is not None:
                ends(text)
            message.value = inner.SerializePartialToString(deterministic=True)

        frame.ends = finish

    def _extra(self, parent: _Frame, local: str, attributes: Attributes) -> None:
        frame = _Frame(local)
        self._stack.append(frame)
        if local == "unknown":
            frame.ends = lambda text: self._merge_unknown(parent, _bytes(text))
            return
        if local != "extension":
            raise CodecError(f"{EXTRAS} has no {local}")
        name = attributes.get("name", "")
        message = parent.message
        try:
            found = message.DESCRIPTOR.file.pool.FindExtensionByName(name)
        except KeyError:
            found = None
        if found is None or found.containing_type is not message.DESCRIPTOR:
            self._stack.pop()
            self._unknown(parent, name)
            return
        frame.label = name
        if not found.is_repeated:
            parent.set_once(f"[{name}]", name)
        self._open_extension(frame, _Field(found), message.Extensions, found, attributes)

    def _merge_unknown(self, parent: _Frame, wire: bytes) -> None:
        """Take over what the writer did not know: fields that we may know, but none that has an element too."""
        message = parent.message
        descriptor = message.DESCRIPTOR
        try:
            other = GetMessageClass(descriptor).FromString(wire)
        except DecodeError:
            raise CodecError("malformed unknown fields") from None
        plan = self._decoders.plan(descriptor)
        for field, _ in other.ListFields():
            name = f"[{field.full_name}]" if field.is_extension else field.name
            if not field.is_repeated:
                parent.set_once(name if field.is_extension else plan[name].claim, name)
            elif len(message.Extensions[field] if field.is_extension else getattr(message, name)):
                raise CodecError(f"{name}: a field has elements and is unknown too")
        unknown: Any = UnknownFieldSet(other)
        for one in unknown:
            found = descriptor.fields_by_number.get(one.field_number)
            if found is not None and found.enum_type is None:
                raise CodecError(f"field {one.field_number} of {descriptor.full_name} is not unknown")
        message.MergeFrom(other)

    def _open_extension(self, frame: _Frame, field: _Field, values: Any, found: Any, attributes: Attributes) -> None:
        if field.kind is not None:
            child = values[found].add() if field.repeated else values[found]
            child.SetInParent()
            self._fill(frame, child, attributes)
            return
        convert = _encoded(attributes) if field.is_text else field.convert
        if field.repeated:
            frame.ends = lambda text: values[found].append(convert(text))
        else:
            frame.ends = lambda text: values.__setitem__(found, convert(text))

    def text(self, text: str) -> None:
        """Text, in pieces."""
        if not self._skipped:
            self._text.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        if self._skipped:
            self._skipped -= 1
            return
        if self._leaf is not None:
            self._end_leaf(self._leaf)
            return
        frame = self._stack[-1]
        if frame.fields is not None and self._text:
            self._no_text()
        if frame.ends is not None:
            text = "".join(self._text)
            self._text.clear()
            try:
                frame.ends(text)
            except UnknownName:
                if not self._decoders.ignore_unknown:
                    raise
        self._stack.pop()

    def _end_leaf(self, field: _Field) -> None:
        text = "".join(self._text)
        self._text.clear()
        message = self._stack[-1].message
        try:
            value = text if field.is_text else field.convert(text)
            if field.repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        except UnknownName:
            if not self._decoders.ignore_unknown:
                raise
        self._leaf = None


def _is_special(name: str) -> bool:
    """Whether messages of that type are more than the elements of their fields."""
    return name in (ANY, TIMESTAMP, DURATION) or name in WRAPPERS


def _nothing(text: str) -> None:
    if text.strip(_SPACE):
        raise CodecError("an Any needs the attribute type")


def _encoded(attributes: Attributes) -> Convert:
    encoding = attributes.get("encoding")
    if encoding is None:
        return _string
    if encoding != "base64":
        raise CodecError(f"encoding {encoding!r}: there is base64")
    return lambda text: _bytes(text).decode()


def _seconds(text: str) -> str:
    found = _DURATION(text.strip(_SPACE))
    if found is None:
        raise CodecError("must be a duration as PT1.5S")
    return f"{found[1]}{found[2]}s"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _string(text: str) -> str:
    return text


def _integer(text: str) -> int:
    if len(text) <= 20 and text.isdecimal() and text.isascii():
        return int(text)
    text = text.strip(_SPACE)
    if not _INTEGER(text):
        raise CodecError(f"must be a whole number, not {_shown(text)}")
    return int(text)


def _double(text: str) -> float:
    text = text.strip(_SPACE)
    if not _NUMBER(text):
        if text in _NOT_FINITE:
            return _NOT_FINITE[text]
        raise CodecError(f"must be a number, not {_shown(text)}")
    number = float(text)
    if not math.isfinite(number):
        raise CodecError(f"{_shown(text)} is beyond the range of a double")
    return number


def _float(text: str) -> float:
    number = _double(text)
    if math.isfinite(number) and abs(number) > _LARGEST_FLOAT:
        raise CodecError(f"{_shown(text)} is beyond the range of a float")
    return number


def _bool(text: str) -> bool:
    text = text.strip(_SPACE)
    if text not in ("true", "false", "1", "0"):
        raise CodecError(f"must be true or false, not {_shown(text)}")
    return text in ("true", "1")


def _bytes(text: str) -> bytes:
    try:
        return b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise CodecError(f"must be base64, not {_shown(text)}") from None


def _converter(field: FieldDescriptor) -> Convert:
    if field.type == FieldDescriptor.TYPE_ENUM:
        convert = enum_converter(cast(EnumDescriptor, field.enum_type))
        return lambda text: convert(text.strip(_SPACE))
    return _CONVERTERS.get(field.type, _integer)


_CONVERTERS: Final[dict[int, Convert]] = {
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_FLOAT: _float,
}
