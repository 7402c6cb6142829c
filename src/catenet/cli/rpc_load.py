"""What catenet rpc serve serves: .proto files compiled for the moment, and the program's own modules."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError
from catenet.cli.load import load, run_program

if TYPE_CHECKING:
    from catenet.rpc import ServiceDescriptor

__all__ = ["implementations", "importable"]


@contextlib.contextmanager
def importable(what: Sequence[str], includes: Sequence[str]) -> Iterator[list[ServiceDescriptor]]:
    """Compile the .proto files to where modules can be imported from; yield the services they define."""
    protos = [name for name in what if name.endswith(".proto")]
    sys.path.insert(0, os.getcwd())
    with tempfile.TemporaryDirectory(prefix="catenet-") as scratch:
        if protos:
            _compile(protos, includes, scratch)
            # At the end: modules that were compiled beforehand come first.
            sys.path.append(scratch)
        yield _services(scratch)


def _compile(protos: Sequence[str], includes: Sequence[str], out: str) -> None:
    from catenet.rpc.compile import CompileError, compile_protos

    try:
        compile_protos(protos, includes, out, relative=False)
    except CompileError as error:
        raise UsageError(str(error).splitlines()[0]) from None


def _services(scratch: str) -> list[ServiceDescriptor]:
    from catenet.rpc import ServiceDescriptor

    found: dict[str, ServiceDescriptor] = {}
    for path in sorted(Path(scratch).rglob("*_rpc.py")):
        name = ".".join(path.relative_to(scratch).with_suffix("").parts)
        module = run_program(name, partial(importlib.import_module, name), explain=False)
        found |= {value.name: value for value in vars(module).values() if isinstance(value, ServiceDescriptor)}
    return list(found.values())


def implementations(what: Sequence[str], descriptors: Sequence[ServiceDescriptor], *, explain: bool) -> list[Any]:
    """Return what the names `MODULE:NAME` stand for; `explain`: show the traceback of one that fails.

    Raises `UsageError`, which names the line of the program that failed.
    """
    names = [name for name in what if not name.endswith(".proto")]
    if not names:
        raise UsageError("nothing implements the services: name it as MODULE:NAME")
    return [_implementation(name, descriptors, explain) for name in names]


def _implementation(name: str, descriptors: Sequence[ServiceDescriptor], explain: bool) -> Any:
    if ":" not in name:
        raise UsageError(f"{name!r}: write MODULE:NAME, or FILE.proto")
    value = load(name, explain)
    if inspect.isclass(value):
        value = run_program(name, _with_service(value, descriptors), explain)
    elif inspect.isroutine(value):
        value = run_program(name, value, explain)
    if not hasattr(value, "__service__"):
        raise UsageError(f"{name}: {type(value).__name__} implements no service (has no __service__)")
    return value


def _with_service(cls: type, descriptors: Sequence[ServiceDescriptor]) -> type:
    """A class without a generated base serves the service of its name, or the only one there is."""
    if hasattr(cls, "__service__"):
        return cls
    matches = [item for item in descriptors if item.name.rpartition(".")[2] == cls.__name__] or list(descriptors)
    if len(matches) != 1:
        raise UsageError(f"{cls.__name__}: derive it from a generated class, or name it after its service")
    return type(cls.__name__, (cls,), {"__service__": matches[0]})
