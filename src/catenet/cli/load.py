"""What a verb takes from the program's own modules: `MODULE:NAME`, and why it cannot be had, in one line."""

from __future__ import annotations

import importlib
import os
import sysconfig
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from catenet.cli import UsageError
from catenet.printable import printable

__all__ = ["load", "run_program"]


def load(name: str, explain: bool) -> Any:
    """Return what `MODULE:NAME` stands for; `explain`: show the traceback of a module that fails.

    Raises `UsageError`, which names the line of the program that failed.
    """
    module_name, _, path = name.partition(":")
    value = module = run_program(name, partial(importlib.import_module, module_name), explain)
    for attribute in path.split("."):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            near = _nearest(attribute, value)
            what = f"module {module_name}" if value is module else path.partition("." + attribute)[0]
            raise UsageError(f"{name}: {what} has no {attribute!r}{near}") from None
    return value


def run_program(name: str, work: Callable[[], Any], explain: bool) -> Any:
    """Run code of the program; what it raises is one line that names the place, `explain`: behind its traceback."""
    try:
        return work()
    except SystemExit as stop:
        raise UsageError(f"{name}: {_place(stop)}ends the process, with {printable(repr(stop.code))}") from None
    except Exception as error:
        if explain:
            traceback.print_exc()
        raise UsageError(f"{name}: {_place(error)}{type(error).__name__}: {printable(str(error))}") from None


def _place(error: BaseException) -> str:
    """Where the program failed: its innermost line that is not a library's, or if all are, the innermost of all."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    others = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    ours = os.path.dirname(os.path.dirname(__file__)) + os.sep
    libraries = tuple(sysconfig.get_paths()[kind] + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    own = [frame for frame in others if not frame.filename.startswith((ours, *libraries))] or others
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""


def _nearest(name: str, module: object) -> str:
    import difflib

    near = difflib.get_close_matches(name, dir(module), n=1)
    return f"; do you mean {near[0]}?" if near else ""
