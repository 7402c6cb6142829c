"""Rules of enumerations: values that are deleted or renamed, reserved ranges, open and closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import FeatureSet

from catenet.rpc.compat.model import Enum
from catenet.rpc.compat.ranges import Ranges, shown
from catenet.rpc.compat.rules import Finding

__all__ = ["enum_findings"]

_OPTIONS, _FEATURES, _ENUM_TYPE, _JSON_FORMAT = 3, 7, 2, 6
_LAST: Final = (1 << 31) - 1


def enum_findings(old: Enum, new: Enum) -> Iterator[Finding]:
    """Compare two versions of an enumeration."""
    yield from _values(old, new)
    yield from _reserved(old, new)
    if old.features.enum_type != new.features.enum_type:
        words: dict[int, str] = {FeatureSet.OPEN: "open", FeatureSet.CLOSED: "closed"}
        one, other = (words.get(enum.features.enum_type, "?") for enum in (old, new))
        text = f"enum {new.full} was {one}, is {other}"
        place = new.place((_OPTIONS, _FEATURES, _ENUM_TYPE))
        yield Finding("ENUM_SAME_TYPE", place, new.full, "type", text, old.file.package)
    if (old.features.json_format, new.features.json_format) == (FeatureSet.ALLOW, FeatureSet.LEGACY_BEST_EFFORT):
        text = f"enum {new.full} had JSON without exceptions, now has it as far as it goes (LEGACY_BEST_EFFORT)"
        place = new.place((_OPTIONS, _FEATURES, _JSON_FORMAT))
        yield Finding("ENUM_SAME_JSON_FORMAT", place, new.full, "json format", text, old.file.package)


def _values(old: Enum, new: Enum) -> Iterator[Finding]:
    reserved = Ranges(_ranges(new)), set(new.proto.reserved_name)
    for number, names in old.names.items():
        subject = f"{old.full}:{number}"
        there = new.names.get(number)
        if there is None:
            yield from _deleted(old, new, number, names, *reserved)
        elif not set(names) <= set(there):
            text = f"value {number} of enum {new.full} was {' and '.join(names)}, is {' and '.join(there)}"
            for place in new.places(number):
                yield Finding("ENUM_VALUE_SAME_NAME", place, subject, "name", text, old.file.package)


def _deleted(
    old: Enum, new: Enum, number: int, names: list[str], numbers: Ranges, reserved: set[str]
) -> Iterator[Finding]:
    lacks = []
    if number not in numbers:
        lacks.append(("ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED", "number"))
    if not set(names) <= reserved:
        lacks.append(("ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED", "name"))
    text = f"value {number}, {' and '.join(names)}, of enum {old.full}{old.place_of_value(names[0]).before} is deleted"
    if lacks:
        text += f", its {' and '.join(what for _, what in lacks)} not reserved"
    for rule in ("ENUM_VALUE_NO_DELETE", *(rule for rule, _ in lacks)):
        yield Finding(rule, new.place(), f"{old.full}:{number}", "deleted", text, old.file.package)


def _ranges(enum: Enum) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in enum.proto.reserved_range]


def _reserved(old: Enum, new: Enum) -> Iterator[Finding]:
    names, ranges = set(new.proto.reserved_name), Ranges(_ranges(new))
    for name in old.proto.reserved_name:
        if name not in names:
            yield _not_reserved(old, new, name, f'"{name}" is not reserved any more in enum {new.full}')
    for one in _ranges(old):
        if lost := ranges.missing(one):
            numbers = shown(lost, _LAST)
            yield _not_reserved(old, new, numbers, f"{numbers} not reserved any more in enum {new.full}")


def _not_reserved(old: Enum, new: Enum, what: str, text: str) -> Finding:
    subject = f"{new.full} reserved {what}"
    return Finding("RESERVED_ENUM_NO_DELETE", new.place(), subject, "reserved", text, old.file.package)
