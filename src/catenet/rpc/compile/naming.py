"""Which Python names stand for what a .proto file names; modules are those that protoc's Python generator writes.

A name depends on nothing but the thing that it names: to rename one method renames no other. So where two things get
the same name, none gives way; that is an error (`claims.py`), and the user gives one of them another name.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from catenet.rpc.model.method import attribute_name, snake_case

__all__ = [
    "FreshNames",
    "Module",
    "Names",
    "class_names",
    "constant_name",
    "full_name",
    "is_dunder",
    "is_importable",
    "is_name",
    "relative_package",
]


@dataclass(frozen=True, slots=True)
class Module:
    """A module by its dotted name below the output folder."""

    package: tuple[str, ...]
    name: str

    @classmethod
    def of_proto(cls, proto: str, suffix: str) -> Module:
        """Return the module generated from `a/b-c.proto`: package `a`, name `b_c` and the suffix.

        A dot in the name of a file or folder is one between packages, as protoc has it.
        """
        *package, name = re.split("[./]", proto.removesuffix(".proto").replace("-", "_"))
        return cls(tuple(package), name + suffix)

    @property
    def dotted(self) -> str:
        """The name in an absolute import."""
        return ".".join((*self.package, self.name))

    @property
    def path(self) -> str:
        """The file, relative to the output folder."""
        return "/".join((*self.package, self.name)) + ".py"

    def import_from(self, importer: Module | None, alias: str) -> str:
        """Return the statement that binds this module to `alias`; relative to `importer` unless that is None."""
        if importer is None:
            origin = ".".join(self.package)
        else:
            origin = relative_package(importer.package, self.package)
        binding = self.name if alias == self.name else f"{self.name} as {alias}"
        return f"from {origin} import {binding}" if origin else f"import {binding}"


def relative_package(importer: tuple[str, ...], target: tuple[str, ...]) -> str:
    """Return the package `target` as code in the package `importer` spells it: `.`, `..c`, `.d.e`."""
    common = 0
    while common < min(len(importer), len(target)) and importer[common] == target[common]:
        common += 1
    return "." * (len(importer) - common + 1) + ".".join(target[common:])


def constant_name(name: str) -> str:
    """Return `HiScore` as `HI_SCORE`."""
    return snake_case(name).upper()


def class_names(service: str, taken: frozenset[str]) -> tuple[str, str, str]:
    """Return the names of the base class and the two clients of a service.

    A service called `ScoreService` keeps its name as the base class, unless `taken` by a service called `Score`.
    """
    base = (
        service if service.endswith("Service") and service.removesuffix("Service") not in taken else service + "Service"
    )
    return base, service + "Client", service + "SyncClient"


@dataclass(frozen=True, slots=True)
class Names:
    """How services and methods are called in Python; `given` has what the user says instead of the rules.

    Its keys are `package.Service` and `package.Service/Method`.
    """

    given: Mapping[str, str] = field(default_factory=dict)

    def service(self, package: str, name: str) -> str:
        """Return the name that classes and constants of a service begin with."""
        return self.given.get(full_name(package, name), name)

    def method(self, package: str, service: str, name: str) -> str:
        """Return what handlers and clients call a method."""
        return self.given.get(f"{full_name(package, service)}/{name}") or attribute_name(name)

    def method_constant(self, package: str, service: str, name: str) -> str:
        """Return the name of a method's descriptor: with that of its service in front."""
        own = self.given.get(f"{full_name(package, service)}/{name}") or snake_case(name)
        made = f"{constant_name(self.service(package, service))}_{own.upper()}"
        # Within the classes that use it a name with two underscores in front would be another one.
        return "_" + made.lstrip("_") if made.startswith("__") and made.strip("_") else made


def full_name(package: str, name: str) -> str:
    """Return the name with its package."""
    return f"{package}.{name}" if package else name


def is_importable(module: Module) -> bool:
    """Whether each part of the module's name can stand in an import statement."""
    return all(is_name(part) for part in (*module.package, module.name))


def is_name(text: str) -> bool:
    """Whether Python takes the text as a name; protobuf's names are of ASCII."""
    return re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII) is not None and not keyword.iskeyword(text)


def is_dunder(text: str) -> bool:
    """Whether a name is one that Python keeps for itself."""
    return len(text) > 4 and text.startswith("__") and text.endswith("__")


class FreshNames:
    """Names of our own in a generated module: an underscore behind those that something there has already."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def take(self, wanted: str) -> str:
        """Return the name, made other than all that are taken; it is taken from now on."""
        while wanted in self._taken or keyword.iskeyword(wanted):
            wanted += "_"
        self._taken.add(wanted)
        return wanted
