"""The program of a process: a callable, or a command line as `python` takes it."""

from __future__ import annotations

import asyncio
import importlib.machinery
import importlib.util
import inspect
import os
import shlex
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from catenet.world.scenario.console_scripts import find_console_script

__all__ = ["Command", "Program", "find_module", "make_program"]

Command: TypeAlias = str | Sequence[str] | Callable[..., Any]


@dataclass(frozen=True)
class Program:
    """One runnable thing: `argv` as the program sees it, `directory` where its private modules are (or None).

    `words` are the arguments of the interpreter that runs it; a callable has none.
    """

    label: str
    argv: tuple[str, ...]
    directory: str | None
    run: Callable[[types.ModuleType], object] = field(repr=False)
    is_callable: bool = False
    words: tuple[str, ...] = ()


def make_program(command: Command, args: tuple[Any, ...], directory: Path | None = None) -> Program:
    """Make a program of a callable with arguments or of a command line; ValueError naming what cannot be run.

    A command is `SCRIPT ARGS…`, `-m MODULE ARGS…` or `-c CODE ARGS…`, with or without `python` in front, as one text or
    as words. A script's path is relative to `directory` (the working directory when None); a name that is none there
    may be a console script of the environment, as `uvicorn`.
    """
    if callable(command):
        return _of_callable(command, args)
    words = shlex.split(command) if isinstance(command, str) else [os.fspath(word) for word in command]
    words += [str(arg) for arg in args]
    if words and Path(words[0]).name.startswith("python"):
        words = words[1:]
    while words and words[0] in ("-u", "-B", "-E", "-I", "-s"):
        words = words[1:]
    if not words:
        raise ValueError("the command to run is empty")
    if words[0] == "catenet" and not (directory or Path()).joinpath("catenet").is_file():
        words = ["-m", *words]
    if words[0] in ("-m", "-c"):
        if len(words) < 2:
            raise ValueError(f"the command {words[0]} lacks its argument")
        program = (_of_module if words[0] == "-m" else _of_code)(words[1], words[2:], directory)
    elif (installed := _installed(words[0], directory)) is not None:
        # Its modules are sought as those of a script beside the world file, not in the folder of installed scripts.
        program = replace(_of_script([installed, *words[1:]], None), directory=str((directory or Path()).resolve()))
    else:
        program = _of_script(words, directory)
    return replace(program, words=tuple(words))


def _of_callable(function: Callable[..., Any], args: tuple[Any, ...]) -> Program:
    label = getattr(function, "__name__", None) or type(function).__name__

    def run(_: types.ModuleType) -> object:
        result = function(*args)
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    return Program(label, (label, *map(str, args)), None, run, is_callable=True)


def _of_script(words: list[str], directory: Path | None) -> Program:
    path = (directory or Path()).joinpath(words[0])
    if path.is_dir():
        path = path / "__main__.py"
    if not path.is_file():
        raise ValueError(f"there is no program {words[0]!r} in {path.parent}")
    resolved = path.resolve()

    def run(module: types.ModuleType) -> None:
        module.__file__ = str(path)
        exec(_read_script(resolved), module.__dict__)

    return Program(path.name, (words[0], *words[1:]), str(resolved.parent), run)


def _installed(name: str, directory: Path | None) -> str | None:
    """The console script of this name, unless there is a program of this name in the directory."""
    return None if os.path.exists((directory or Path()).joinpath(name)) else find_console_script(name)


def _read_script(path: Path) -> types.CodeType:
    """The code of a script; one that cannot be read (any more) ends the process as it ends `python`, with status 2."""
    try:
        return _compile(str(path), path.read_bytes())
    except OSError as error:
        reason = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: can't open file {str(path)!r}: {reason}", file=sys.stderr)
        raise SystemExit(2) from None


@lru_cache(maxsize=256)
def _compile(path: str, source: bytes) -> types.CodeType:
    """Compile a script once for all processes that run it."""
    return compile(source, path, "exec", dont_inherit=True)


def _of_module(name: str, args: list[str], directory: Path | None) -> Program:
    def run(module: types.ModuleType) -> None:
        spec, code = find_module(name)
        module.__file__ = spec.origin
        module.__spec__ = spec
        module.__loader__ = spec.loader
        module.__package__ = spec.parent
        sys.argv[0] = spec.origin or name
        exec(code, module.__dict__)

    return Program(f"-m {name}", (name, *args), str((directory or Path()).resolve()), run)


def find_module(name: str) -> tuple[importlib.machinery.ModuleSpec, types.CodeType]:
    """What `python -m name` runs: the module's spec, of a package that of its `__main__`, and its code.

    Raises:
        SystemExit: nothing can be run by this name; its code is the line that `python -m` ends with.
    """
    try:
        spec = _find_spec(name)
        if spec.submodule_search_locations is not None:
            if name.rpartition(".")[2] == "__main__":
                raise _CannotRun("Cannot use package as __main__ module")
            try:
                spec = _find_spec(f"{name}.__main__")
            except _CannotRun as error:
                raise _CannotRun(f"{error}; {name!r} is a package and cannot be directly executed") from None
        return spec, _get_code(spec)
    except _CannotRun as error:
        raise SystemExit(f"{sys.executable}: {error}") from None


class _CannotRun(Exception):
    """There is no such module, or it has no code."""


def _find_spec(name: str) -> importlib.machinery.ModuleSpec:
    """Import the packages that a module is in and find it; what their own code raises goes through."""
    if name.startswith("."):
        raise _CannotRun("Relative module names not supported")
    package = name.rpartition(".")[0]
    try:
        if package:
            importlib.import_module(package)
    except ImportError as error:
        # Of a package that is not there the search below says so.
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        hint = f". Try using '{name[:-3]}' instead of '{name}' as the module name." if name.endswith(".py") else ""
        reason = f"{type(error).__name__}: {error}"
        raise _CannotRun(f"Error while finding module specification for {name!r} ({reason}){hint}") from None
    if spec is None:
        raise _CannotRun(f"No module named {name}")
    if not hasattr(spec.loader, "get_code") and (spec.origin or "").endswith(".py"):
        # Found by a hook that only imports, as pytest's for modules of packages that bring plugins.
        return importlib.machinery.PathFinder.find_spec(name, _folders_of(package)) or spec
    return spec


def _folders_of(package: str) -> Sequence[str] | None:
    """Where the modules of a package are sought; None: where all are that are in none."""
    return sys.modules[package].__path__ if package else None


def _get_code(spec: importlib.machinery.ModuleSpec) -> types.CodeType:
    code: types.CodeType | None = None
    get_code = getattr(spec.loader, "get_code", None)
    if get_code is not None:
        try:
            code = get_code(spec.name)
        except ImportError as error:
            raise _CannotRun(str(error)) from None
    if code is None:
        raise _CannotRun(f"No code object available for {spec.name}")
    return code


def _of_code(code: str, args: list[str], directory: Path | None) -> Program:
    def run(module: types.ModuleType) -> None:
        exec(compile(code, "<string>", "exec", dont_inherit=True), module.__dict__)

    return Program("-c", ("-c", *args), str((directory or Path()).resolve()), run)
