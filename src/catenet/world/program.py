"""What a process runs: a callable, or a command line as one would give it to `python`."""

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
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Command", "Program", "make_program"]

Command: TypeAlias = str | Sequence[str] | Callable[..., Any]


@dataclass(frozen=True)
class Program:
    """One runnable thing: `argv` as the program sees it, `directory` where its private modules are (or None)."""

    label: str
    argv: tuple[str, ...]
    directory: str | None
    run: Callable[[types.ModuleType], object] = field(repr=False)
    is_callable: bool = False


def make_program(command: Command, args: tuple[Any, ...], directory: Path | None = None) -> Program:
    """Make a program of a callable with arguments or of a command line; ValueError naming what cannot be run.

    A command is `SCRIPT ARGS…`, `-m MODULE ARGS…` or `-c CODE ARGS…`, with or without `python` in front, as one text or
    as words. A script's path is relative to `directory` (the working directory when None).
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
    if words[0] in ("-m", "-c"):
        if len(words) < 2:
            raise ValueError(f"the command {words[0]} lacks its argument")
        return (_of_module if words[0] == "-m" else _of_code)(words[1], words[2:], directory)
    return _of_script(words, directory)


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
        status = resolved.stat()
        exec(_compile(str(resolved), status.st_mtime_ns, status.st_size), module.__dict__)

    return Program(path.name, (words[0], *words[1:]), str(resolved.parent), run)


@lru_cache(maxsize=256)
def _compile(path: str, modified: int, size: int) -> types.CodeType:
    """Compile a script once for all processes that run it."""
    return compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)


def _of_module(name: str, args: list[str], directory: Path | None) -> Program:
    def run(module: types.ModuleType) -> None:
        spec = _find_main(name)
        loader = spec.loader
        code = loader.get_code(spec.name) if hasattr(loader, "get_code") else None  # type: ignore[union-attr]
        if code is None:
            raise ImportError(f"no code of module {name!r} can be run", name=name)
        module.__file__ = spec.origin
        module.__spec__ = spec
        module.__loader__ = loader
        module.__package__ = spec.parent
        sys.argv[0] = spec.origin or name
        exec(code, module.__dict__)

    return Program(f"-m {name}", (name, *args), str((directory or Path()).resolve()), run)


def _find_main(name: str) -> importlib.machinery.ModuleSpec:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    if spec is None:
        raise ImportError(f"No module named {name}", name=name)
    return spec


def _of_code(code: str, args: list[str], directory: Path | None) -> Program:
    def run(module: types.ModuleType) -> None:
        exec(compile(code, "<string>", "exec", dont_inherit=True), module.__dict__)

    return Program("-c", ("-c", *args), str((directory or Path()).resolve()), run)
