"""Which Python names stand for what a .proto file names; modules are those that protoc's Python generator writes."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from catenet.rpc.method import attribute_name


@dataclass(frozen=True, slots=True)
class Module:
    """A module by its dotted name below the output folder."""

    package: tuple[str, ...]
    name: str

    @classmethod
    def of_proto(cls, proto: str, suffix: str) -> Module:
        """Return the module generated from ``a/b-c.proto``: package ``a``, name ``b_c`` and the suffix."""
        *package, name = proto.removesuffix(".proto").replace("-", "_").split("/")
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
        """Return the statement that binds this module to ``alias``; relative to ``importer`` unless that is None."""
        if importer is None:
            origin = ".".join(self.package)
        else:
            origin = relative_package(importer.package, self.package)
        binding = self.name if alias == self.name else f"{self.name} as {alias}"
        return f"from {origin} import {binding}" if origin else f"import {binding}"


def relative_package(importer: tuple[str, ...], target: tuple[str, ...]) -> str:
    """Return the package ``target`` as code in the package ``importer`` spells it: ``.``, ``..c``, ``.d.e``."""
    common = 0
    while common < min(len(importer), len(target)) and importer[common] == target[common]:
        common += 1
    return "." * (len(importer) - common + 1) + ".".join(target[common:])


def constant_name(name: str) -> str:
    """Return ``HiScore`` as ``HI_SCORE``."""
    return attribute_name(name).rstrip("_").upper()


def class_names(service: str, taken: frozenset[str]) -> tuple[str, str, str]:
    """Return the names of the base class and the two clients of a service.

    A service called ``ScoreService`` keeps its name as the base class, unless ``taken`` by a service called ``Score``.
    """
    base = (
        service if service.endswith("Service") and service.removesuffix("Service") not in taken else service + "Service"
    )
    return base, service + "Client", service + "SyncClient"


def is_importable(module: Module) -> bool:
    """Whether each part of the module's name can stand in an import statement."""
    return all(
        re.fullmatch(r"[A-Za-z_]\w*", part) and not keyword.iskeyword(part) for part in (*module.package, module.name)
    )
