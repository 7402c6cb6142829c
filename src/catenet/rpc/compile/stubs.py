"""The stub of a module of messages, as text; protoc's own is no Python where names are unusual.

It says what protoc's says, and differs in this: builtins and types are named so that no field, message or enum value
of the file hides them; what is no name in Python (`from`) is left out where it is a field or value, and has an
underscore behind where it is a class (`typenames.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from catenet.rpc.compile.naming import FreshNames, Module, is_dunder, is_name
from catenet.rpc.compile.typenames import Imports, TypeName, Types, identifiers, members

__all__ = ["generate_stub"]

Field = FieldDescriptorProto

_SCALARS: Final = {
    Field.TYPE_DOUBLE: "float",
    Field.TYPE_FLOAT: "float",
    Field.TYPE_BOOL: "bool",
    Field.TYPE_STRING: "str",
    Field.TYPE_BYTES: "bytes",
}
"""The others are int."""

_HELPERS: Final = {
    "_abc": "from collections import abc as {}",
    "_builtins": "import builtins as {}",
    "_containers": "from google.protobuf.internal import containers as {}",
    "_datetime": "import datetime as {}",
    "_descriptor": "from google.protobuf import descriptor as {}",
    "_enum": "from google.protobuf.internal import enum_type_wrapper as {}",
    "_message": "from google.protobuf import message as {}",
    "_typing": "import typing as {}",
}

_ALSO_TAKEN: Final = {".google.protobuf.Timestamp": "datetime", ".google.protobuf.Duration": "timedelta"}
"""Classes of the module datetime that protobuf takes for a message."""

_OF_MESSAGE: Final = frozenset(
    (
        *("ByteSize", "Clear", "ClearExtension", "ClearField", "CopyFrom", "DESCRIPTOR", "DiscardUnknownFields"),
        *("Extensions", "FindInitializationErrors", "FromString", "HasExtension", "HasField", "IsInitialized"),
        *("ListFields", "MergeFrom", "MergeFromString", "ParseFromString", "RegisterExtension", "SetInParent"),
        *("SerializePartialToString", "SerializeToString", "UnknownFields", "WhichOneof"),
    )
)
_OF_INT: Final = frozenset(
    (
        *("as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag"),
        *("is_integer", "numerator", "real", "to_bytes"),
    )
)
_OF_WRAPPER: Final = frozenset(("DESCRIPTOR", "Name", "Value", "items", "keys", "values"))
"""What an enum has beside its values, and keeps if a value has that name."""

_LIKE_BUILTIN: Final = re.compile(
    "^[a-z_]|^(Ellipsis|NotImplemented)$|(Error|Exception|Exit|Group|Interrupt|Iteration|Warning)$"
)
"""What builtins may be called: mypy takes a name for the builtin until it has come to the class of that name.

Not what this interpreter has, as a stub must not depend on that.
"""

_HIDES: Final = "  # type: ignore[assignment, misc, override, unused-ignore]"


def generate_stub(
    file: FileDescriptorProto,
    others: Iterable[FileDescriptorProto],
    relative: bool = True,
    compiled: Collection[str] | None = None,
) -> str:
    """Return the source of `NAME_pb2.pyi` for `file`; the arguments are those of `generate`."""
    return _Stub(file, list(others), relative, compiled).text()


class _Stub:
    """One stub in the making; `_imports` fills while types are named."""

    def __init__(
        self,
        file: FileDescriptorProto,
        others: list[FileDescriptorProto],
        relative: bool,
        compiled: Collection[str] | None,
    ) -> None:
        self._file = file
        self._others = {other.name: other for other in others}
        self._types = Types([file, *others])
        self._module = Module.of_proto(file.name, "_pb2")
        self._imports = Imports(self._module, relative, compiled)
        self._fresh = FreshNames(identifiers(file))
        self._helpers: dict[str, str] = {}
        self._modules: dict[str, tuple[str, str]] = {}
        self._aliases: dict[str, str] = {}
        self._hidden = {name for message in file.message_type for name in members(message)}
        self._hidden |= {value.name for enum in file.enum_type for value in enum.value}

    def text(self) -> str:
        """Return the whole stub."""
        body = [f"DESCRIPTOR: {self._helper('_descriptor')}.FileDescriptor"]
        prefix = f".{self._file.package}" if self._file.package else ""
        declared: set[str] = set()
        for enum in self._file.enum_type:
            body += self._enum(enum, self._types[f"{prefix}.{enum.name}"], declared)
        body += self._extensions(self._file.extension, declared, self._builtin("int"))
        for message in self._file.message_type:
            body += ["", *self._message(message, f"{prefix}.{message.name}")]
        body += self._aliased()
        head = [_HELPERS[name].format(alias) for name, alias in sorted(self._helpers.items())]
        head += [statement for _, (_, statement) in sorted(self._modules.items())]
        head += self._public()
        return "\n".join([*head, "", *body]) + "\n"

    # Names.

    def _helper(self, name: str) -> str:
        if name not in self._helpers:
            self._helpers[name] = self._fresh.take(name)
        return self._helpers[name]

    def _builtin(self, name: str) -> str:
        return f"{self._helper('_builtins')}.{name}"

    def _type(self, kind: TypeName) -> str:
        """How a type is called at any depth of this stub."""
        if kind.proto != self._file.name:
            if kind.proto not in self._modules:
                alias = self._fresh.take("_" + kind.module.name)
                self._modules[kind.proto] = (alias, self._imports.statement(kind.proto, kind.module, alias))
            return ".".join((self._modules[kind.proto][0], *kind.stub_path))
        top = kind.stub_path[0]
        if top in self._hidden or _LIKE_BUILTIN.search(top):
            if top not in self._aliases:
                self._aliases[top] = self._fresh.take("_" + top)
            top = self._aliases[top]
        return ".".join((top, *kind.stub_path[1:]))

    def _aliased(self) -> Iterator[str]:
        """Names for what something within a class hides."""
        for name, alias in self._aliases.items():
            yield f"{alias}: {self._helper('_typing')}.TypeAlias = {name}"

    def _public(self) -> Iterator[str]:
        """What `import public` brings into this module: all names that do not begin with an underscore."""
        own = set(_top_names(self._file))
        for index in self._file.public_dependency:
            name = self._file.dependency[index]
            for other in self._publicly(name, set()):
                module = Module.of_proto(other.name, "_pb2")
                for found in _top_names(other):
                    if found not in own and is_name(found) and not found.startswith("_"):
                        own.add(found)
                        yield f"from {self._imports.origin(other.name, module)} import {found} as {found}"

    def _publicly(self, name: str, seen: set[str]) -> Iterator[FileDescriptorProto]:
        file = self._others.get(name)
        if file is None or name in seen:
            return
        seen.add(name)
        yield file
        for index in file.public_dependency:
            yield from self._publicly(file.dependency[index], seen)

    # Declarations.

    def _enum(self, enum: EnumDescriptorProto, kind: TypeName, declared: set[str]) -> list[str]:
        """An enum and its values, which stand in the scope of the enum too."""
        made, name = self._type(kind), kind.stub_path[-1]
        head = f"class {name}({self._builtin('int')}, metaclass={self._helper('_enum')}.EnumTypeWrapper):"
        lines = [*self._only_for_checkers(kind), head, "    __slots__ = ()"]
        values = [value.name for value in enum.value if is_name(value.name) and not is_dunder(value.name)]
        for value in values:
            if value not in _OF_WRAPPER:
                hides = _HIDES if value in _OF_INT else ""
                lines.append(f"    {value}: {self._class_variable(made)}{hides}")
        declared.add(name)
        for value in values:
            if value not in declared:
                declared.add(value)
                lines.append(f"{value}: {made}{_HIDES if len(kind.path) > 1 and value in _OF_MESSAGE else ''}")
        return lines

    def _class_variable(self, kind: str) -> str:
        return f"{self._helper('_typing')}.ClassVar[{kind}]"

    def _only_for_checkers(self, kind: TypeName) -> list[str]:
        return (
            [] if kind.plain or kind.path[-1] == kind.stub_path[-1] else [f"@{self._helper('_typing')}.type_check_only"]
        )

    def _extensions(self, extensions: Iterable[FieldDescriptorProto], declared: set[str], number: str) -> Iterator[str]:
        for extension in extensions:
            yield from self._number(extension, declared, number)
            if _is_declared(extension) and extension.name not in declared:
                declared.add(extension.name)
                yield f"{extension.name}: {self._helper('_descriptor')}.FieldDescriptor"

    def _number(self, field: FieldDescriptorProto, declared: set[str], kind: str) -> Iterator[str]:
        name = f"{field.name.upper()}_FIELD_NUMBER"
        if name not in declared:
            declared.add(name)
            yield f"{name}: {kind}"

    def _message(self, message: DescriptorProto, full_name: str) -> list[str]:
        kind = self._types[full_name]
        head = [
            *self._only_for_checkers(kind),
            f"class {kind.stub_path[-1]}({self._helper('_message')}.Message):{_hides(kind)}",
        ]
        nested = message.nested_type
        declared = {self._types[f"{full_name}.{one.name}"].stub_path[-1] for one in nested}
        fields = [field for field in message.field if _is_declared(field)]
        declared |= {field.name for field in fields}
        lines: list[str] = []
        for enum in message.enum_type:
            lines += self._enum(enum, self._types[f"{full_name}.{enum.name}"], declared)
        for one in nested:
            lines += self._message(one, f"{full_name}.{one.name}")
        number = self._class_variable(self._builtin("int"))
        for field in message.field:
            lines += self._number(field, declared, number)
        lines += self._extensions(message.extension, declared, number)
        maps = {f"{full_name}.{one.name}": one for one in message.nested_type if one.options.map_entry}
        lines += [
            f"{field.name}: {self._field(field, maps)}{_HIDES if field.name in _OF_MESSAGE else ''}" for field in fields
        ]
        lines.append(self._constructor(fields, len(fields) < len(message.field), maps))
        return [*head, *(f"    {line}" for line in lines)]

    def _constructor(self, fields: list[FieldDescriptorProto], more: bool, maps: dict[str, DescriptorProto]) -> str:
        myself = FreshNames(field.name for field in fields).take("self")
        arguments = [myself, *(["*"] if fields else [])]
        arguments += [f"{field.name}: {self._given(field, maps)} | None = ..." for field in fields]
        if more:  # fields that are keywords of Python can only be given so
            others = FreshNames([myself, *(field.name for field in fields)]).take("kwargs")
            arguments.append(f"**{others}: {self._helper('_typing')}.Any")
        return f"def __init__({', '.join(arguments)}) -> None: ..."

    # Types of fields.

    def _single(self, field: FieldDescriptorProto) -> str:
        if field.type_name:
            return self._type(self._types[field.type_name])
        return self._builtin(_SCALARS.get(field.type, "int"))

    def _field(self, field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
        """What is read from a field."""
        containers = self._helper("_containers") if field.label == Field.LABEL_REPEATED else ""
        if field.type_name in maps:
            key, value = maps[field.type_name].field
            name = "MessageMap" if _is_message(value) else "ScalarMap"
            return f"{containers}.{name}[{self._single(key)}, {self._single(value)}]"
        if containers:
            name = "RepeatedCompositeFieldContainer" if _is_message(field) else "RepeatedScalarFieldContainer"
            return f"{containers}.{name}[{self._single(field)}]"
        return self._single(field)

    def _given(self, field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
        """What a constructor takes for a field."""
        if field.type_name in maps:
            key, value = maps[field.type_name].field
            return f"{self._helper('_abc')}.Mapping[{self._single(key)}, {self._single(value)}]"
        kinds = [self._single(field)]
        if _is_message(field):
            if field.type_name in _ALSO_TAKEN:
                kinds.append(f"{self._helper('_datetime')}.{_ALSO_TAKEN[field.type_name]}")
            kinds.append(f"{self._helper('_abc')}.Mapping[{self._builtin('str')}, {self._builtin('object')}]")
        elif field.type == Field.TYPE_ENUM:
            kinds.append(self._builtin("str"))
        taken = " | ".join(kinds)
        return f"{self._helper('_abc')}.Iterable[{taken}]" if field.label == Field.LABEL_REPEATED else taken


def _is_declared(field: FieldDescriptorProto) -> bool:
    """Whether a class can declare a field of that name; `getattr` reaches it in any case."""
    return is_name(field.name) and not is_dunder(field.name)


def _is_message(field: FieldDescriptorProto) -> bool:
    return field.type in (Field.TYPE_MESSAGE, Field.TYPE_GROUP)


def _hides(kind: TypeName) -> str:
    return _HIDES if len(kind.path) > 1 and kind.path[-1] in _OF_MESSAGE else ""


def _top_names(file: FileDescriptorProto) -> Iterator[str]:
    for enum in file.enum_type:
        yield enum.name
        yield from (value.name for value in enum.value)
    yield from (extension.name for extension in file.extension)
    yield from (message.name for message in file.message_type)
