"""What the editions' features of a descriptor come to: its own, those of what it is in, or the edition's defaults.

Source: protobuf's documentation, "Feature Settings for Editions"; proto2 and proto3 are editions too.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    EDITION_2023,
    EDITION_2024,
    EDITION_PROTO2,
    EDITION_PROTO3,
    FeatureSet,
    FileDescriptorProto,
)
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

__all__ = ["Features", "features_of_file"]

_CPP, _JAVA = 1000, 1001
"""Numbers of the extensions of FeatureSet for C++ and Java."""
_CPP_STRINGS, _JAVA_UTF8 = 2, 2
"""Numbers of `string_type` in the first, of `utf8_validation` in the second."""
_CPP_STRING_NAMES: Final = {1: "VIEW", 2: "CORD", 3: "STRING"}
_VARINT, _LENGTH_DELIMITED = 0, 2
_STRING, _VIEW = 3, 1
_JAVA_DEFAULT, _JAVA_VERIFY = 1, 2

_NAMES: Final = ("field_presence", "enum_type", "utf8_validation", "message_encoding", "json_format")
_S = FeatureSet
_DEFAULTS: Final[dict[int, tuple[int, ...]]] = {
    EDITION_PROTO2: (_S.EXPLICIT, _S.CLOSED, _S.NONE, _S.LENGTH_PREFIXED, _S.LEGACY_BEST_EFFORT),
    EDITION_PROTO3: (_S.IMPLICIT, _S.OPEN, _S.VERIFY, _S.LENGTH_PREFIXED, _S.ALLOW),
    EDITION_2023: (_S.EXPLICIT, _S.OPEN, _S.VERIFY, _S.LENGTH_PREFIXED, _S.ALLOW),
}


class Features:
    """The features of one descriptor, each resolved."""

    __slots__ = (
        *("cpp_string", "enum_type", "field_presence", "java_utf8", "json_format", "message_encoding"),
        "utf8_validation",
    )
    field_presence: int
    enum_type: int
    utf8_validation: int
    message_encoding: int
    json_format: int
    cpp_string: int
    java_utf8: int

    def within(self, options: Any) -> Features:
        """Return what holds for a descriptor in this one that has such options."""
        if not options.HasField("features"):
            return self
        inner = Features()
        for name in _NAMES:
            setattr(inner, name, getattr(options.features, name) or getattr(self, name))
        of_languages = _of_languages(options.features)
        inner.cpp_string = of_languages.get((_CPP, _CPP_STRINGS), self.cpp_string)
        inner.java_utf8 = of_languages.get((_JAVA, _JAVA_UTF8), self.java_utf8)
        return inner

    @property
    def cpp_string_name(self) -> str:
        """How C++ holds a text."""
        return _CPP_STRING_NAMES.get(self.cpp_string, str(self.cpp_string))

    @property
    def java_verifies_utf8(self) -> bool:
        """Whether Java refuses texts that are not UTF-8."""
        return self.java_utf8 == _JAVA_VERIFY or self.utf8_validation == _S.VERIFY


def edition_of(file: FileDescriptorProto) -> int:
    """Return the edition of a file; proto2 and proto3 have numbers too."""
    if file.syntax == "editions":
        return int(file.edition)
    return EDITION_PROTO3 if file.syntax == "proto3" else EDITION_PROTO2


def features_of_file(file: FileDescriptorProto) -> Features:
    """Return what holds for a file as a whole."""
    edition = edition_of(file)
    basis = Features()
    # A later edition than we know is taken for the last one that we do.
    for name, value in zip(_NAMES, _DEFAULTS.get(edition, _DEFAULTS[EDITION_2023]), strict=True):
        setattr(basis, name, value)
    basis.cpp_string = _VIEW if edition >= EDITION_2024 else _STRING
    # Java of proto2 verifies only if it is told to.
    told = edition == EDITION_PROTO2 and file.options.java_string_check_utf8
    basis.java_utf8 = _JAVA_VERIFY if told else _JAVA_DEFAULT
    return basis.within(file.options)


def _of_languages(features: FeatureSet) -> dict[tuple[int, int], int]:
    """Return features of C++ and Java, whose .proto files Python's package has not."""
    found: dict[tuple[int, int], int] = {}
    for field in _fields(features.SerializeToString()):
        if field.field_number in (_CPP, _JAVA) and field.wire_type == _LENGTH_DELIMITED:
            for one in _fields(field.data):
                if one.wire_type == _VARINT:
                    found[field.field_number, one.field_number] = one.data
    return found


def _fields(data: bytes) -> Iterable[Any]:
    """Return what is in an encoded message; to a message without fields all are unknown."""
    fields: Any = UnknownFieldSet(Empty.FromString(data))
    return typing.cast(Iterable[Any], fields)
