"""Where messages and enums live in Python: their module, their names at run time, their names for a type checker.

A message may be called `from`. At run time it is an attribute like others, reached by `getattr`; no stub can
declare it, so there it has an underscore behind (`from_`), in a class that only type checkers see.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

from catenet.rpc.compile.naming import FreshNames, Module, is_name

__all__ = ["Imports", "TypeName", "Types", "identifiers", "members"]

INSTALLED: Final = (
    "google/api/", "google/cloud/", "google/gapic/", "google/logging/", "google/longrunning/", "google/protobuf/",
    "google/rpc/", "google/type/",
)  # fmt: skip
"""What protobuf and googleapis-common-protos bring; their modules are always imported by their absolute names."""


@dataclass(frozen=True, slots=True)
class TypeName:
    """A message or an enum: its file and module, its names from the outermost message on, and as stubs have them."""

    proto: str
    module: Module
    path: tuple[str, ...]
    stub_path: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether `module.Outer.Inner` is all there is to say."""
        return self.path == self.stub_path

    def at_run_time(self, module: str) -> str:
        """Return the expression of the class, given the name of its module."""
        made = module
        for name in self.path:
            made = f"{made}.{name}" if is_name(name) else f'getattr({made}, "{name}")'
        return made


class Types:
    """All types of some files, by their full names with a dot in front, as descriptors refer to them."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._types: dict[str, TypeName] = {}
        for file in files:
            module = Module.of_proto(file.name, "_pb2")
            prefix = f".{file.package}" if file.package else ""
            values = [value.name for enum in file.enum_type for value in enum.value]
            others = [*values, *(extension.name for extension in file.extension)]
            self._add(file.name, module, prefix, TypeName(file.name, module, (), ()), file, others)

    def __getitem__(self, name: str) -> TypeName:
        return self._types[name]

    def _add(
        self,
        proto: str,
        module: Module,
        prefix: str,
        outer: TypeName,
        scope: FileDescriptorProto | DescriptorProto,
        others: Iterable[str],
    ) -> None:
        messages = scope.message_type if isinstance(scope, FileDescriptorProto) else scope.nested_type
        kinds: list[DescriptorProto | EnumDescriptorProto] = [*messages, *scope.enum_type]
        fresh = FreshNames([*(kind.name for kind in kinds), *others])
        for kind in kinds:
            shown = kind.name if is_name(kind.name) else fresh.take(kind.name)
            made = TypeName(proto, module, (*outer.path, kind.name), (*outer.stub_path, shown))
            self._types[f"{prefix}.{kind.name}"] = made
            if isinstance(kind, DescriptorProto):
                values = [value.name for enum in kind.enum_type for value in enum.value]
                inner = [*values, *(field.name for field in (*kind.field, *kind.extension))]
                self._add(proto, module, f"{prefix}.{kind.name}", made, kind, inner)


class Imports:
    """How a generated module imports others: those compiled with it as `relative` says, the rest absolutely.

    `compiled` are the .proto files whose modules lie in the same output folder; None: all but the installed ones.
    """

    def __init__(self, importer: Module, relative: bool, compiled: Collection[str] | None) -> None:
        self._importer = importer if relative else None
        self._compiled = compiled

    def is_ours(self, proto: str) -> bool:
        """Whether the module of that file lies in the same output folder."""
        return proto in self._compiled if self._compiled is not None else not proto.startswith(INSTALLED)

    def statement(self, proto: str, module: Module, alias: str) -> str:
        """Return the statement that binds the module of `proto` to `alias`."""
        return module.import_from(self._importer if self.is_ours(proto) else None, alias)

    def origin(self, proto: str, module: Module) -> str:
        """Return the module as `from ... import` spells it."""
        if self._importer is None or not self.is_ours(proto):
            return module.dotted
        statement = module.import_from(self._importer, module.name)
        package = statement.removeprefix("from ").partition(" import ")[0]
        return f"{package}{'' if package.endswith('.') else '.'}{module.name}"


def identifiers(file: FileDescriptorProto) -> Iterator[str]:
    """Yield every name that a stub of the file may declare, at any depth."""
    for enum in file.enum_type:
        yield enum.name
        yield from (value.name for value in enum.value)
    yield from _extensions(file)
    yield from (service.name for service in file.service)
    for message in file.message_type:
        yield message.name
        yield from members(message)


def members(message: DescriptorProto) -> Iterator[str]:
    """Yield every name that the class of a message may declare, at any depth."""
    for field in message.field:
        yield field.name
        yield f"{field.name.upper()}_FIELD_NUMBER"
    for enum in message.enum_type:
        yield enum.name
        yield from (value.name for value in enum.value)
    yield from _extensions(message)
    for nested in message.nested_type:
        yield nested.name
        yield from members(nested)


def _extensions(scope: FileDescriptorProto | DescriptorProto) -> Iterator[str]:
    for extension in scope.extension:
        yield extension.name
        yield f"{extension.name.upper()}_FIELD_NUMBER"
