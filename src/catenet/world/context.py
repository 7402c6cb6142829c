"""What belongs to a process and lies in globals of the interpreter: exchanged when another process gets its turn.

`sys.argv`, `sys.path`, `__main__`, the environment, the working directory, the event loop policy, and the modules that
a program imports from its own directory (two programs may each have a `config.py`; installed libraries are shared).
The exchange happens only when a task of another process runs, not at each switch; between two turns of one process
the hub's own code runs with these of the process, and uses none of them.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from asyncio import events
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catenet.world.current import current

if TYPE_CHECKING:
    from catenet.world.process import Process

__all__ = ["Context", "Contexts", "PrivateFinder"]

_chdir = os.chdir
_getcwd = os.getcwd


class Context:
    """The globals of one process, or of the outside."""

    __slots__ = ("argv", "directory", "entered", "environ", "main", "modules", "path", "policy", "private")

    def __init__(self, argv: list[str], path: list[str], main: types.ModuleType, environ: dict[Any, Any]) -> None:
        self.argv = argv
        self.path = path
        self.main = main
        self.environ = environ
        self.entered = False
        self.policy: Any = None
        self.directory: str | None = None
        self.modules: dict[str, types.ModuleType] = {}
        self.private: dict[str, None] = {}

    def refresh(self) -> None:
        """Note the interpreter's environment, which `take` takes to be the same as before."""
        self.environ = _environ_data()

    def put(self) -> None:
        """Make these the interpreter's."""
        sys.argv = self.argv
        sys.path = self.path
        sys.modules["__main__"] = self.main
        os.environ._data = self.environ  # type: ignore[attr-defined]
        events._event_loop_policy = self.policy  # type: ignore[attr-defined]
        if self.directory is not None:
            _chdir(self.directory)
        if self.modules:
            sys.modules.update(self.modules)

    def take(self) -> None:
        """Take them out again, with what the program has changed."""
        self.argv = sys.argv
        self.path = sys.path
        self.main = sys.modules["__main__"]
        self.policy = events._event_loop_policy  # type: ignore[attr-defined]
        for name in self.private:
            module = sys.modules.pop(name, None)
            if module is not None:
                self.modules[name] = module

    def hide(self, directory: str) -> None:
        """Keep what the outside has imported from a program's directory out of the program's sight."""
        for name, module in list(sys.modules.items()):
            root = name.partition(".")[0]
            if root not in ("__main__", "catenet") and _comes_from(sys.modules.get(root), root, directory):
                self.private[name] = None
                self.modules[name] = module
                del sys.modules[name]


class Contexts:
    """Which process's globals are in place; `enter(process)` exchanges them."""

    def __init__(self) -> None:
        self.resident: Process | None = None
        self._outside = Context(sys.argv, sys.path, sys.modules["__main__"], _environ_data())
        self._home = ""

    def enter(self, process: Process) -> None:
        """Put the globals of `process` in place."""
        if self.resident is process:
            return
        if self.resident is None:
            self._home = _getcwd()
            self._outside.refresh()
            self._outside.take()
        else:
            self._take_out(self.resident)
        if process.program.directory is not None and not process.context.entered:
            self._outside.hide(process.program.directory)
        process.context.entered = True
        self.resident = process
        process.context.put()

    def leave(self) -> None:
        """Give the interpreter its own globals back."""
        if self.resident is not None:
            self._take_out(self.resident)
            self._outside.put()
            self.resident = None

    def _take_out(self, process: Process) -> None:
        process.context.take()
        if process.context.directory is not None:
            _chdir(self._home)


class PrivateFinder:
    """Finds, for a running process, the modules in its program's directory, and notes them as private to it."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find top-level modules in the program's directory; submodules follow their package (`MetaPathFinder`)."""
        task = current.task
        if task is None or task.process.program.directory is None:
            return None
        private = task.process.context.private
        root, dot, _ = name.partition(".")
        if dot:
            if root in private:
                private[name] = None
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [task.process.program.directory], target)
        if spec is None or (spec.origin is None and spec.submodule_search_locations is not None and _elsewhere(name)):
            return None
        private[name] = None
        return spec


def _elsewhere(name: str) -> bool:
    """Whether a directory without `__init__.py` that bears this name is shadowed by a proper module on the path."""
    spec = importlib.machinery.PathFinder.find_spec(name, sys.path)
    return spec is not None and spec.origin is not None


def _comes_from(module: types.ModuleType | None, root: str, directory: str) -> bool:
    """Whether a top-level module is `directory/root.py` or the package `directory/root/`."""
    origin = getattr(module, "__file__", None)
    if not isinstance(origin, str):
        return False
    path = Path(origin)
    return Path(directory) in ((path.parent, path.parent.parent) if path.stem == "__init__" else (path.parent,))


def _environ_data() -> dict[Any, Any]:
    data: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]
    return data
