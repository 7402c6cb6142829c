"""What catenet rpc serve serves: .proto files compiled for the moment, and the program's own modules."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError
from catenet.printable import printable

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
        module = _run(name, partial(importlib.import_module, name), explain=False)
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
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise UsageError(f"{name!r}: write MODULE:NAME, or FILE.proto")
    module = _run(name, partial(importlib.import_module, module_name), explain)
    try:
        value = getattr(module, attribute)
    except AttributeError:
        raise UsageError(f"{name}: module {module_name} has no {attribute!r}{_nearest(attribute, module)}") from None
    if inspect.isclass(value):
        value = _run(name, _with_service(value, descriptors), explain)
    elif inspect.isroutine(value):
        value = _run(name, value, explain)
    if not hasattr(value, "__service__"):
        raise UsageError(f"{name}: {type(value).__name__} implements no service (has no __service__)")
    return value


def _run(name: str, work: Callable[[], Any], explain: bool) -> Any:
    """Run code of the program; what it raises is one line that names the place, `explain`: behind its traceback."""
    try:
        return work()
    except SystemExit as stop:
        raise UsageError(f"{name}: {_place(stop)}ends the process, with {printable(repr(stop.code))}") from None
    except Exception as error:
        if explain:
            traceback.print_exc()
        raise UsageError(f"{name}: {_place(error)}{type(error).__name__}: {printable(str(error))}") from None


def _with_service(cls: type, descriptors: Sequence[ServiceDescriptor]) -> type:
    """A class without a generated base serves the service of its name, or the only one there is."""
    if hasattr(cls, "__service__"):
        return cls
    matches = [item for item in descriptors if item.name.rpartition(".")[2] == cls.__name__] or list(descriptors)
    if len(matches) != 1:
        raise UsageError(f"{cls.__name__}: derive it from a generated class, or name it after its service")
    return type(cls.__name__, (cls,), {"__service__": matches[0]})


def _place(error: BaseException) -> str:
    """Where the program failed: its innermost line that is not a library's, or if all are, the innermost of all."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    others = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    libraries = tuple(sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    own = [frame for frame in others if not frame.filename.startswith(libraries)] or others
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


def _nearest(name: str, module: object) -> str:
    import difflib

    near = difflib.get_close_matches(name, dir(module), n=1)
    return f"; do you mean {near[0]}?" if near else ""
