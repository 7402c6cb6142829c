"""Who claims which Python name: what two would share, or protobuf's modules need, is a problem with two places.

Problems are told before anything is written. Each is one line: both sides with file and line, and what may be done.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

from catenet.rpc.compile.naming import Module, Names, class_names, constant_name, full_name, is_dunder, is_importable

__all__ = ["Claim", "file_problems", "module_problems", "unknown_names"]

MODULE_NEEDS: Final = frozenset(
    (
        *("DESCRIPTOR", "_descriptor", "_globals", "__all__", "__builtins__", "__cached__", "__dir__", "__doc__"),
        *("__file__", "__getattr__", "__loader__", "__name__", "__package__", "__path__", "__spec__"),
        *("__annotations__", "__class__", "__dict__"),
    )
)
"""Names that a module of protoc's must keep for itself to be imported and used."""

CODEC_NEEDS: Final = frozenset(
    ("DESCRIPTOR", "FromString", "ListFields", "SerializeToString", "SetInParent", "__class__")
)
"""What the codecs ask of a message class and its instances; a member of that name would hide it."""

# Field numbers of the descriptors, which make the paths of SourceCodeInfo.
_MESSAGE, _ENUM, _SERVICE, _EXTENSION, _OPTIONS = 4, 5, 6, 7, 8
_FIELD, _NESTED, _NESTED_ENUM, _METHOD, _VALUE = 2, 3, 4, 2, 2
_PY_GENERIC_SERVICES = 18

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A name and who wants it; `key` is how `--name` calls it."""

    name: str
    who: str
    key: str = ""


class _File:
    """A file and where its parts stand."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self.file = file
        self._lines = {tuple(item.path): item.span[0] + 1 for item in file.source_code_info.location if item.span}

    def place(self, path: Path) -> str:
        line = self._lines.get(path)
        return self.file.name if line is None else f"{self.file.name}:{line}"

    def who(self, what: str, path: Path) -> str:
        return f"{what} ({self.place(path)})"


def file_problems(file: FileDescriptorProto, others: Iterable[FileDescriptorProto], names: Names) -> list[str]:
    """Return what makes the modules of a file unusable, one line each."""
    located = _File(file)
    return [
        *_module_of_messages(located),
        *_dunders(located, file.message_type, (_MESSAGE,)),
        *_hidden_members([file, *others], file),
        *_conflicts(_module_of_services(located, names)),
        *(line for claims in _methods(located, names) for line in _conflicts(claims)),
    ]


def module_problems(files: Sequence[FileDescriptorProto], absolute: bool, packages: Collection[str] = ()) -> list[str]:
    """Return what keeps the modules of files that are compiled together from being imported.

    `absolute`: they import each other by absolute names; `packages` are the folders at the top of the output that
    are packages of their own (have an `__init__.py`).
    """
    problems = []
    taken: dict[str, str] = {}
    modules = {name: Module.of_proto(name, "_pb2") for name in sorted(file.name for file in files)}
    for proto, module in modules.items():
        if not is_importable(module):
            problems.append(f"{proto}: a Python module cannot have such a name")
        elif module.dotted in taken:
            problems.append(f"{proto} and {taken[module.dotted]} both make the module {module.dotted}; rename one")
        elif absolute and (owner := _shadowed(module)) and module.package[0] not in packages:
            problems.append(
                f"{proto}: 'import {module.dotted}' finds {owner}; write to a folder with an __init__.py, or with "
                "relative imports"
            )
        taken.setdefault(module.dotted, proto)
    for proto, module in modules.items():
        for depth in range(1, len(module.package) + 1):
            other = taken.get(".".join(module.package[:depth]))
            if other is not None:
                name = ".".join(module.package[:depth])
                problems.append(f"{proto} needs the package {name}, which is the module of {other}; rename one")
    return problems


def _shadowed(module: Module) -> str:
    """Whose package an absolute import finds in place of the generated one; empty if the generated one."""
    top = module.package[0] if module.package else ""
    if top in sys.stdlib_module_names:
        return f"Python's own {top}"
    if top == "catenet" or module.package[:2] == ("google", "protobuf"):
        return f"the package {'catenet' if top == 'catenet' else 'protobuf'}"
    return ""


def _conflicts(claims: Iterable[Claim]) -> Iterator[str]:
    taken: dict[str, Claim] = {}
    for claim in claims:
        first = taken.setdefault(claim.name, claim)
        if first is not claim:
            key = claim.key or first.key
            yield f"{first.who} and {claim.who} are both {claim.name} in Python; give one a name with --name {key}=NAME"


def _module_of_services(located: _File, names: Names) -> Iterator[Claim]:
    """The classes and constants of NAME_rpc.py."""
    file = located.file
    taken = frozenset(names.service(file.package, service.name) for service in file.service)
    for index, service in enumerate(file.service):
        key = full_name(file.package, service.name)
        name = names.service(file.package, service.name)
        who = located.who(f"service {service.name}", (_SERVICE, index))
        for made in (*class_names(name, taken), constant_name(name)):
            yield Claim(made, who, key)
        seen = set()
        for number, method in enumerate(service.method):
            constant = names.method_constant(file.package, service.name, method.name)
            attribute = names.method(file.package, service.name, method.name)
            what = located.who(f"rpc {service.name}.{method.name}", (_SERVICE, index, _METHOD, number))
            if attribute not in seen:  # else that is the problem
                yield Claim(constant, what, f"{key}/{method.name}")
            seen.add(attribute)


def _methods(located: _File, names: Names) -> Iterator[list[Claim]]:
    """What handlers and clients call the methods, for each service."""
    file = located.file
    for index, service in enumerate(file.service):
        key = full_name(file.package, service.name)
        yield [
            Claim(
                names.method(file.package, service.name, method.name),
                located.who(f"rpc {service.name}.{method.name}", (_SERVICE, index, _METHOD, number)),
                f"{key}/{method.name}",
            )
            for number, method in enumerate(service.method)
        ]


def _module_of_messages(located: _File) -> Iterator[str]:
    """Names of NAME_pb2.py that would in the end not be what they say, in the order in which protobuf sets them."""
    file = located.file
    wanted: list[tuple[Claim, bool]] = []
    for index, message in enumerate(file.message_type):
        wanted += _descriptors(located, message, "_", (_MESSAGE, index))
    for index, enum in enumerate(file.enum_type):
        wanted += _enum(located, enum, (_ENUM, index))
    for index, extension in enumerate(file.extension):
        who = located.who(f"extension {extension.name}", (_EXTENSION, index))
        wanted.append((Claim(f"{extension.name.upper()}_FIELD_NUMBER", f"the number of {who}"), False))
        wanted.append((Claim(extension.name, who), True))
    for index, service in enumerate(file.service):
        who = located.who(f"service {service.name}", (_SERVICE, index))
        wanted.append((Claim(f"_{service.name.upper()}", f"the descriptor of {who}"), False))
    for index, message in enumerate(file.message_type):
        wanted.append((Claim(message.name, located.who(f"message {message.name}", (_MESSAGE, index))), True))
    module = Module.of_proto(file.name, "_pb2").dotted
    last = {claim.name: claim for claim, _ in wanted}
    for claim, public in wanted:
        if public and last[claim.name] is not claim:
            yield f"{claim.who} and {last[claim.name].who} are both {claim.name} in {module}; rename one"
        elif public and claim.name in MODULE_NEEDS:
            yield f"{claim.who} has a name that {module}, as protoc makes it, needs for itself; rename it"
    if file.options.py_generic_services and not _has_generic_services():
        yield f"{located.place((_OPTIONS, _PY_GENERIC_SERVICES))}: protobuf has py_generic_services no more; drop it"


def _has_generic_services() -> bool:
    import importlib.util

    return importlib.util.find_spec("google.protobuf.service") is not None


def _descriptors(located: _File, message: DescriptorProto, prefix: str, path: Path) -> list[tuple[Claim, bool]]:
    """The descriptors of a message and of what is in it, which stand in the module under private names."""
    name = prefix + message.name.upper()
    found = [(Claim(name, f"the descriptor of {located.who(f'message {message.name}', path)}"), False)]
    for index, nested in enumerate(message.nested_type):
        found += _descriptors(located, nested, name + "_", (*path, _NESTED, index))
    for index, enum in enumerate(message.enum_type):
        who = located.who(f"enum {enum.name}", (*path, _NESTED_ENUM, index))
        found.append((Claim(f"{name}_{enum.name.upper()}", f"the descriptor of {who}"), False))
    return found


def _enum(located: _File, enum: EnumDescriptorProto, path: Path) -> list[tuple[Claim, bool]]:
    who = located.who(f"enum {enum.name}", path)
    found = [(Claim(f"_{enum.name.upper()}", f"the descriptor of {who}"), False), (Claim(enum.name, who), True)]
    for number, value in enumerate(enum.value):
        found.append((Claim(value.name, located.who(f"enum value {value.name}", (*path, _VALUE, number))), True))
    return found


def _dunders(located: _File, messages: Iterable[DescriptorProto], path: Path) -> Iterator[str]:
    """Types within messages under names that mean something in a Python class."""
    for index, message in enumerate(messages):
        inside = (*path, index)
        found = [(one.name, (*inside, _NESTED, number)) for number, one in enumerate(message.nested_type)]
        found += [(one.name, (*inside, _NESTED_ENUM, number)) for number, one in enumerate(message.enum_type)]
        for name, place in found:
            if is_dunder(name):
                who = located.who(f"type {message.name}.{name}", place)
                yield f"{who} has a name that Python keeps for itself within a class; rename it"
        yield from _dunders(located, message.nested_type, (*inside, _NESTED))


def _hidden_members(files: Sequence[FileDescriptorProto], file: FileDescriptorProto) -> Iterator[str]:
    """Members of messages that the services use, under names that the codecs need."""
    known = dict(_messages(files))
    wanted = [
        name
        for service in file.service
        for method in service.method
        for name in (method.input_type, method.output_type)
    ]
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        located, message, path = known[name]
        wanted += [field.type_name for field in message.field if field.type_name]
        yield from _hiding(located, message, path)


def _hiding(located: _File, message: DescriptorProto, path: Path) -> Iterator[str]:
    for index, field in enumerate(message.field):
        if field.name in CODEC_NEEDS - {"FromString"}:
            who = located.who(f"field {message.name}.{field.name}", (*path, _FIELD, index))
            yield f"{who} hides what protobuf's class Message has under that name; rename it"
    for index, nested in enumerate(message.nested_type):
        if nested.name in CODEC_NEEDS:
            who = located.who(f"message {message.name}.{nested.name}", (*path, _NESTED, index))
            yield f"{who} hides what protobuf's class Message has under that name; rename it"


def _messages(files: Sequence[FileDescriptorProto]) -> Iterator[tuple[str, tuple[_File, DescriptorProto, Path]]]:
    def walk(
        located: _File, prefix: str, messages: Iterable[DescriptorProto], path: Path
    ) -> Iterator[tuple[str, tuple[_File, DescriptorProto, Path]]]:
        for index, message in enumerate(messages):
            name = f"{prefix}.{message.name}"
            yield name, (located, message, (*path, index))
            yield from walk(located, name, message.nested_type, (*path, index, _NESTED))

    for file in files:
        yield from walk(_File(file), f".{file.package}" if file.package else "", file.message_type, (_MESSAGE,))


def unknown_names(files: Iterable[FileDescriptorProto], given: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the names that the user gives: of nothing that there is, or no names."""
    import difflib

    from catenet.rpc.compile.naming import is_name

    keys = {full_name(file.package, service.name) for file in files for service in file.service}
    keys |= {
        f"{full_name(file.package, service.name)}/{method.name}"
        for file in files
        for service in file.service
        for method in service.method
    }
    problems = []
    for key, name in given.items():
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            problems.append(
                f"--name {key}={name}: no such service or method{f'; do you mean {near[0]}?' if near else ''}"
            )
        elif (
            not is_name(name) or name.startswith("__") or ("/" in key and (name != name.lower() or name == "_channel"))
        ):
            problems.append(
                f"--name {key}={name}: {name!r} cannot be the name of a {'method' if '/' in key else 'service'}"
            )
    return problems
