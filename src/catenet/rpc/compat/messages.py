"""Rules of messages: fields and oneofs that are deleted, required fields, reserved and extension ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import FeatureSet, FieldDescriptorProto

from catenet.rpc.compat.model import Message
from catenet.rpc.compat.ranges import Ranges, shown
from catenet.rpc.compat.rules import Finding

__all__ = ["message_findings"]

_OPTIONS, _FEATURES, _JSON_FORMAT, _NO_ACCESSOR = 7, 12, 6, 2
_F = FieldDescriptorProto
_LAST: Final = (1 << 29) - 1


def message_findings(old: Message, new: Message) -> Iterator[Finding]:
    """Compare two versions of a message, but not the fields that both have."""
    yield from _deleted_fields(old, new)
    yield from _oneofs(old, new)
    yield from _required(old, new)
    yield from _reserved(old, new)
    yield from _extension_ranges(old, new)
    if not old.proto.options.no_standard_descriptor_accessor and new.proto.options.no_standard_descriptor_accessor:
        text = f"message {new.full} loses its standard descriptor accessor"
        yield Finding(
            "MESSAGE_NO_REMOVE_STANDARD_DESCRIPTOR_ACCESSOR",
            new.place((_OPTIONS, _NO_ACCESSOR)),
            *(new.full, "accessor", text, old.file.package),
        )
    if (old.features.json_format, new.features.json_format) == (FeatureSet.ALLOW, FeatureSet.LEGACY_BEST_EFFORT):
        text = f"message {new.full} had JSON without exceptions, now has it as far as it goes (LEGACY_BEST_EFFORT)"
        place = new.place((_OPTIONS, _FEATURES, _JSON_FORMAT))
        yield Finding("MESSAGE_SAME_JSON_FORMAT", place, new.full, "json format", text, old.file.package)


def _deleted_fields(old: Message, new: Message) -> Iterator[Finding]:
    names, reserved = set(new.proto.reserved_name), Ranges(_reserved_ranges(new))
    for number, field in old.fields.items():
        if number in new.fields:
            continue
        lacks = []
        if number not in reserved:
            lacks.append(("FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED", "number"))
        if field.proto.name not in names:
            lacks.append(("FIELD_NO_DELETE_UNLESS_NAME_RESERVED", "name"))
        text = f"field {number}, {field.proto.name}, of {old.full}{field.place().before} is deleted"
        if lacks:
            text += f", its {' and '.join(what for _, what in lacks)} not reserved"
        for rule in ("FIELD_NO_DELETE", *(rule for rule, _ in lacks)):
            yield Finding(rule, new.place(), f"{old.full}:{number}", "deleted", text, old.file.package)


def _oneofs(old: Message, new: Message) -> Iterator[Finding]:
    for name in old.oneofs:
        if name not in new.oneofs:
            text = f"oneof {name} of {old.full} is deleted"
            yield Finding("ONEOF_NO_DELETE", new.place(), f"{old.full}.{name}", "deleted", text, old.file.package)


def _required(old: Message, new: Message) -> Iterator[Finding]:
    one, other = (
        {number: field for number, field in message.fields.items() if field.proto.label == _F.LABEL_REQUIRED}
        for message in (old, new)
    )
    for number in one.keys() ^ other.keys():
        added = number in other
        field = (other if added else one)[number]
        text = f"required field {number}, {field.proto.name}, of {new.full} is {'new' if added else 'so no more'}"
        place = field.place() if added else new.place()
        subject = f"{new.full}:{number}"
        yield Finding("MESSAGE_SAME_REQUIRED_FIELDS", place, subject, "required", text, old.file.package)


def _reserved_ranges(message: Message) -> list[tuple[int, int]]:
    return [(one.start, one.end - 1) for one in message.proto.reserved_range]


def _reserved(old: Message, new: Message) -> Iterator[Finding]:
    names, ranges = set(new.proto.reserved_name), Ranges(_reserved_ranges(new))
    for name in old.proto.reserved_name:
        if name not in names:
            text = f'"{name}" is not reserved any more in {new.full}'
            yield _not_reserved(old, new, name, text)
    for one in _reserved_ranges(old):
        if lost := ranges.missing(one):
            numbers = shown(lost, _LAST)
            yield _not_reserved(old, new, numbers, f"{numbers} not reserved any more in {new.full}")


def _not_reserved(old: Message, new: Message, what: str, text: str) -> Finding:
    subject = f"{new.full} reserved {what}"
    return Finding("RESERVED_MESSAGE_NO_DELETE", new.place(), subject, "reserved", text, old.file.package)


def _extension_ranges(old: Message, new: Message) -> Iterator[Finding]:
    ranges = Ranges((one.start, one.end - 1) for one in new.proto.extension_range)
    for one in old.proto.extension_range:
        if lost := ranges.missing((one.start, one.end - 1)):
            numbers = shown(lost, _LAST)
            text = f"{numbers} of {new.full} no longer for extensions"
            subject = f"{new.full} extensions {numbers}"
            yield Finding("EXTENSION_MESSAGE_NO_DELETE", new.place(), subject, "extensions", text, old.file.package)
