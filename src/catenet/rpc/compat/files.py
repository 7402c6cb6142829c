"""Rules of files and of packages: what is deleted from them, syntax, options of languages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from catenet.rpc.compat.model import Enum, Field, File, Message, Place, Service, Version
from catenet.rpc.compat.rules import Finding

__all__ = ["file_findings", "package_findings"]

_PACKAGE, _OPTIONS, _SYNTAX = 2, 8, 12
_OPTION_NAMES: Final = (
    *("cc_enable_arenas", "cc_generic_services", "csharp_namespace", "go_package", "java_generic_services"),
    *("java_multiple_files", "java_outer_classname", "java_package", "objc_class_prefix", "optimize_for"),
    *("php_class_prefix", "php_metadata_namespace", "php_namespace", "py_generic_services", "ruby_package"),
    "swift_prefix",
)
Part = Message | Enum | Service | Field


def file_findings(before: Version, after: Version) -> Iterator[Finding]:
    """Compare files of one name: what has left them, what they say of themselves."""
    for name, old in before.files.items():
        new = after.files.get(name)
        if new is None:
            yield Finding("FILE_NO_DELETE", Place(name), name, "deleted", f"file {name} is deleted", old.package)
            continue
        yield from _syntax(old, new)
        yield from _options(old, new)
    for kind, old_parts, new_parts in _kinds(before, after):
        there = {(part.file.name, part.nested) for part in new_parts}
        for part in old_parts:
            if part.file.name in after.files and (part.file.name, part.nested) not in there:
                yield _deleted(f"{kind.upper()}_NO_DELETE", kind, part, after, f"from {part.file.name}")


def package_findings(before: Version, after: Version) -> Iterator[Finding]:
    """Compare packages, wherever in their files things are."""
    packages = {file.package for file in after.files.values()}
    gone: dict[str, File] = {}
    for file in before.files.values():
        if file.package not in packages:
            gone.setdefault(file.package, file)
    for package, file in gone.items():
        text = f"package {package or '(none)'} is deleted"
        yield Finding("PACKAGE_NO_DELETE", _here(file.name, after), f"package {package}", "deleted", text, package)
    for kind, old_parts, new_parts in _kinds(before, after):
        there = {part.full for part in new_parts}
        # As buf has it: of a package that has no message (enum, extension) any more nothing is said one by one.
        left = packages if kind == "service" else {part.file.package for part in new_parts}
        for part in old_parts:
            package = part.file.package
            if package in left and part.full not in there:
                yield _deleted(f"PACKAGE_{kind.upper()}_NO_DELETE", kind, part, after, f"from package {package}")


def _kinds(before: Version, after: Version) -> Iterator[tuple[str, Iterable[Part], Iterable[Part]]]:
    yield "message", before.messages.values(), after.messages.values()
    yield "enum", before.enums.values(), after.enums.values()
    yield "service", before.services.values(), after.services.values()
    yield "extension", before.extensions, after.extensions


def _deleted(rule: str, kind: str, part: Part, after: Version, where: str) -> Finding:
    text = f"{kind} {part.full}{part.place().before} is deleted {where}"
    return Finding(rule, _parent(part, after), part.full, "deleted", text, part.file.package)


def _parent(part: Part, after: Version) -> Place:
    """The place of the message that it was in, if that is still there; else its file."""
    file = after.files.get(part.file.name)
    if file is None:
        return Place(part.file.name)
    nested = part.nested
    while "." in nested:
        nested = nested.rpartition(".")[0]
        parent = after.messages.get(f"{file.package}.{nested}" if file.package else nested)
        if parent is not None and parent.file is file:
            return parent.place()
    return Place(file.name)


def _here(name: str, after: Version) -> Place:
    return after.files[name].place() if name in after.files else Place(name)


def _syntax(old: File, new: File) -> Iterator[Finding]:
    one, other = old.proto.syntax or "proto2", new.proto.syntax or "proto2"
    if one != other:
        text = f"the syntax was {one}, is {other}"
        yield Finding("FILE_SAME_SYNTAX", new.place((_SYNTAX,)), new.name, "syntax", text, old.package)
    if old.package != new.package:
        text = f"the package was {old.package or '(none)'}, is {new.package or '(none)'}"
        yield Finding("FILE_SAME_PACKAGE", new.place((_PACKAGE,)), new.name, "package", text, old.package)


def _options(old: File, new: File) -> Iterator[Finding]:
    for name in _OPTION_NAMES:
        one, other = getattr(old.proto.options, name), getattr(new.proto.options, name)
        if one != other:
            field = new.proto.options.DESCRIPTOR.fields_by_name[name]
            text = f"option {name} was {_shown(field, one)}, is {_shown(field, other)}"
            place = new.place((_OPTIONS, field.number))
            yield Finding(f"FILE_SAME_{name.upper()}", place, new.name, name, text, old.package)


def _shown(field: Any, value: Any) -> str:
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
