"""One version of an interface: what a set of files declares, by full name and by number, and where it stands.

Made of descriptors as protoc writes them, not of a pool: two versions have the same names, places are wanted, and
options of languages that nobody has registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FeatureSet,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    OneofDescriptorProto,
    ServiceDescriptorProto,
)

from catenet.rpc.compat.features import Features, features_of_file

__all__ = ["Enum", "Field", "File", "Message", "Method", "Place", "Service", "Version"]

# Field numbers of the descriptors, which make the paths of SourceCodeInfo.
_MESSAGE, _ENUM, _SERVICE, _EXTENSION = 4, 5, 6, 7
_FIELD, _NESTED, _NESTED_ENUM, _NESTED_EXTENSION = 2, 3, 4, 6
_METHOD, _VALUE = 2, 2

Path = tuple[int, ...]
_F = FieldDescriptorProto


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a file and, where that is known, line and column, counted from 1."""

    file: str
    line: int = 0
    column: int = 0

    @property
    def before(self) -> str:
        """What a text says of where something was in the older version."""
        return f" (was in line {self.line})" if self.line else ""


class File:
    """A file and where its parts stand."""

    def __init__(self, proto: FileDescriptorProto) -> None:
        self.proto = proto
        self.name = proto.name
        self.package = proto.package
        self.features = features_of_file(proto)

    @cached_property
    def _spans(self) -> Mapping[Path, tuple[int, int]]:
        return {
            tuple(item.path): (item.span[0] + 1, item.span[1] + 1)
            for item in self.proto.source_code_info.location
            if item.span
        }

    def place(self, *paths: Path) -> Place:
        """Return where the first of the paths that has a place stands; the file if none has."""
        for path in paths:
            if path in self._spans:
                return Place(self.name, *self._spans[path])
        return Place(self.name)


@dataclass(eq=False)
class _Part:
    """What all parts of a file have. `full` is the full name, `nested` the name within the package."""

    file: File
    path: Path
    nested: str
    features: Features

    @property
    def full(self) -> str:
        """The name with its package."""
        return f"{self.file.package}.{self.nested}" if self.file.package else self.nested

    def place(self, *inner: Path) -> Place:
        """Return where a part of it stands, the first that has a place, or else it itself."""
        return self.file.place(*((*self.path, *one) for one in inner), self.path)


@dataclass(eq=False)
class Enum(_Part):
    """An enumeration."""

    proto: EnumDescriptorProto

    @cached_property
    def names(self) -> Mapping[int, list[str]]:
        """The names of each number, sorted."""
        values = self.proto.value
        return {number: sorted(values[index].name for index in found) for number, found in self._indices.items()}

    @cached_property
    def _indices(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for index, value in enumerate(self.proto.value):
            found.setdefault(value.number, []).append(index)
        return found

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {value.name: index for index, value in enumerate(self.proto.value)}

    def places(self, number: int) -> list[Place]:
        """Return where the values of a number stand."""
        return [self.place((_VALUE, index, 2), (_VALUE, index)) for index in self._indices.get(number, ())]

    def place_of_value(self, name: str) -> Place:
        """Return where a value stands."""
        return self.place((_VALUE, self._index_of[name]))


@dataclass(eq=False)
class Message(_Part):
    """A message. `holder`: where the field stands that it is the entry or the group of."""

    proto: DescriptorProto
    fields: dict[int, Field] = field(default_factory=dict)
    holder: Path | None = None

    @property
    def is_map_entry(self) -> bool:
        """Whether it was made for a map."""
        return bool(self.proto.options.map_entry)

    @cached_property
    def oneofs(self) -> Mapping[str, int]:
        """The oneofs that somebody wrote, and their places in the list."""
        made = {one.proto.oneof_index for one in self.fields.values() if one.proto.proto3_optional}
        return {one.name: index for index, one in enumerate(self.proto.oneof_decl) if index not in made}

    def oneof(self, index: int) -> OneofDescriptorProto:
        """Return one of its oneofs."""
        return self.proto.oneof_decl[index]

    def place(self, *inner: Path) -> Place:
        """Return where a part of it stands, or it, or the field that it was made for."""
        paths = [(*self.path, *one) for one in inner]
        return self.file.place(*paths, *([self.holder] if self.holder else []), self.path)


@dataclass(eq=False)
class Field(_Part):
    """A field or an extension. `owner`: the full name of the message that has it; `home`: the message it stands in."""

    proto: FieldDescriptorProto
    owner: str
    home: Message | None
    is_extension: bool
    entry: Message | None = None
    """Of a map: the message of its entries."""

    @property
    def number(self) -> int:
        """The number."""
        return self.proto.number

    @property
    def label(self) -> str:
        """What to call it in a text."""
        name = self.full if self.is_extension else self.proto.name
        return f"{'extension' if self.is_extension else 'field'} {self.number}, {name}, of {self.owner}"

    @property
    def oneof(self) -> str:
        """The name of the oneof that it is in, if somebody wrote one."""
        if self.home is None or self.is_extension or not self.proto.HasField("oneof_index"):
            return ""
        return "" if self.proto.proto3_optional else self.home.oneof(self.proto.oneof_index).name

    @property
    def json_name(self) -> str:
        """The name in JSON; descriptors that no protoc has made may lack the one that is the default."""
        first, *rest = self.proto.name.split("_")
        return self.proto.json_name or first + "".join(word[:1].upper() + word[1:] for word in rest)

    @property
    def type_name(self) -> str:
        """The full name of its message or enum, if it has one."""
        return self.proto.type_name.removeprefix(".")

    @property
    def cardinality(self) -> str:
        """`map`, `repeated`, `required`, `explicit` or `implicit` (whether absence is told from zero)."""
        proto = self.proto
        if self.entry is not None:
            return "map"
        if proto.label == _F.LABEL_REPEATED:
            return "repeated"
        if proto.label == _F.LABEL_REQUIRED or self.features.field_presence == FeatureSet.LEGACY_REQUIRED:
            return "required"
        if proto.type in (_F.TYPE_MESSAGE, _F.TYPE_GROUP) or proto.HasField("oneof_index") or self.is_extension:
            return "explicit"
        return "implicit" if self.features.field_presence == FeatureSet.IMPLICIT else "explicit"

    @property
    def type(self) -> int:
        """The type; a message between tags is a group, however it is said."""
        delimited = self.features.message_encoding == FeatureSet.DELIMITED and self.entry is None
        if self.proto.type == _F.TYPE_MESSAGE and delimited and not self.is_in_entry:
            return _F.TYPE_GROUP
        return self.proto.type

    @property
    def is_in_entry(self) -> bool:
        """Whether it is the key or the value of a map."""
        return self.home is not None and self.home.is_map_entry

    def place(self, *inner: Path) -> Place:
        """Return where a part of it stands, or it, or the map that it was made for."""
        paths = [(*self.path, *one) for one in inner]
        holder = self.home.holder if self.home is not None and not self.is_extension else None
        return self.file.place(*paths, self.path, *([holder] if holder else []))


@dataclass(eq=False)
class Method(_Part):
    """A method of a service."""

    proto: MethodDescriptorProto


@dataclass(eq=False)
class Service(_Part):
    """A service."""

    proto: ServiceDescriptorProto

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        """The methods by name."""
        return {
            method.name: Method(
                self.file, (*self.path, _METHOD, index), f"{self.nested}.{method.name}", self.features, method
            )
            for index, method in enumerate(self.proto.method)
        }


class Version:
    """All files of one version, and what is in them by full name."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self.files: dict[str, File] = {}
        self.messages: dict[str, Message] = {}
        self.enums: dict[str, Enum] = {}
        self.services: dict[str, Service] = {}
        self.extensions: list[Field] = []
        for proto in files:
            file = self.files[proto.name] = File(proto)
            self._add(file)

    def _add(self, file: File) -> None:
        proto, features = file.proto, file.features
        for index, message in enumerate(proto.message_type):
            self._add_message(file, message, (_MESSAGE, index), message.name, features)
        for index, enum in enumerate(proto.enum_type):
            self._add_enum(file, enum, (_ENUM, index), enum.name, features)
        for index, service in enumerate(proto.service):
            part = Service(file, (_SERVICE, index), service.name, features.within(service.options), service)
            self.services[part.full] = part
        for index, extension in enumerate(proto.extension):
            self.extensions.append(_extension(file, extension, (_EXTENSION, index), features, None))

    def _add_enum(self, file: File, enum: EnumDescriptorProto, path: Path, nested: str, features: Features) -> None:
        part = Enum(file, path, nested, features.within(enum.options), enum)
        self.enums[part.full] = part

    def _add_message(self, file: File, proto: DescriptorProto, path: Path, nested: str, outer: Features) -> Message:
        features = outer.within(proto.options)
        message = Message(file, path, nested, features, proto)
        self.messages[message.full] = message
        for index, enum in enumerate(proto.enum_type):
            self._add_enum(file, enum, (*path, _NESTED_ENUM, index), f"{nested}.{enum.name}", features)
        inner = {}
        for index, one in enumerate(proto.nested_type):
            made = self._add_message(file, one, (*path, _NESTED, index), f"{nested}.{one.name}", features)
            inner[made.full] = made
        for index, described in enumerate(proto.field):
            part = _field(message, described, (*path, _FIELD, index))
            message.fields[part.number] = part
            kind = inner.get(part.type_name)
            if kind is not None and kind.is_map_entry:
                part.entry = kind
                kind.holder = part.path
        for index, extension in enumerate(proto.extension):
            place = (*path, _NESTED_EXTENSION, index)
            self.extensions.append(_extension(file, extension, place, features, message))
        return message

    def types_of_package(self, package: str) -> Iterator[_Part]:
        """Return messages, enums and services of a package."""
        for parts in (self.messages, self.enums, self.services):
            yield from (part for part in parts.values() if part.file.package == package)


def _field(message: Message, proto: FieldDescriptorProto, path: Path) -> Field:
    outer = message.features
    if proto.HasField("oneof_index"):
        outer = outer.within(message.oneof(proto.oneof_index).options)
    features = outer.within(proto.options)
    return Field(message.file, path, f"{message.nested}.{proto.name}", features, proto, message.full, message, False)


def _extension(file: File, proto: FieldDescriptorProto, path: Path, outer: Features, home: Message | None) -> Field:
    nested = f"{home.nested}.{proto.name}" if home is not None else proto.name
    owner = proto.extendee.removeprefix(".")
    return Field(file, path, nested, outer.within(proto.options), proto, owner, home, True)
