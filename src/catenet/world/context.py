"""What belongs to a process or a task and lies in the interpreter: exchanged when another one gets its turn.

Globals of a process: `sys.argv`, `sys.path`, `__main__`, the environment, the working directory, the event loop policy,
and the modules that a program imports from its own directory (two programs may each have a `config.py`; installed
libraries are shared). State of a task, which CPython keeps per thread of the operating system: the values of
`threading.local` objects, asyncio's running loop, the hooks for asynchronous generators. Context variables and the
exception being handled are greenlet's own business.

An exchange happens only when another process, or another task, runs than the one that ran last, not at each switch.
Between two turns the hub's own code runs with what the last task has left in place, and uses none of it; before code
that may (`World.at`, finalizers in the garbage collector) the task is made to `stand`, or its process to `leave`.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from asyncio import events
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catenet.world.current import current
from catenet.world.threadstate import Exchange, open_exchange

if TYPE_CHECKING:
    from catenet.world.process import Process
    from catenet.world.task import Task

__all__ = ["Context", "Contexts", "PrivateFinder"]

NO_HOOKS: Final = (None, None)

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

    def hide(self, directory: str) -> None:
        """Keep what the outside has imported from a program's directory out of the program's sight."""
        for name, module in list(sys.modules.items()):
            root = name.partition(".")[0]
            if root not in ("__main__", "catenet") and _comes_from(sys.modules.get(root), root, directory):
                self.private[name] = None
                self.modules[name] = module
                del sys.modules[name]


def _exchange(last: Context, context: Context) -> None:
    """Take the interpreter's globals, as `last` has them, and put others in their place."""
    modules = sys.modules
    last.argv, sys.argv = sys.argv, context.argv
    last.path, sys.path = sys.path, context.path
    last.main, modules["__main__"] = modules["__main__"], context.main
    last.policy, events._event_loop_policy = events._event_loop_policy, context.policy  # type: ignore[attr-defined]
    os.environ._data = context.environ  # type: ignore[attr-defined]
    if last.private:
        for name in last.private:
            module = modules.pop(name, None)
            if module is not None:
                last.modules[name] = module
    if context.modules:
        modules.update(context.modules)


class Contexts:
    """What is in place: the globals of process `resident`, and in the thread the state of task `seated`."""

    def __init__(self) -> None:
        self.resident: Process | None = None
        self.seated: Task | None = None
        self._outside = Context(sys.argv, sys.path, sys.modules["__main__"], _environ_data())
        self._home = ""
        self._locals: Exchange = open_exchange()
        self._outside_locals: Any = None

    def begin(self) -> None:
        """A run begins in the current thread."""
        self._locals = open_exchange()

    # State of tasks.

    def seat(self, task: Task) -> None:
        """Put the state of `task` in place, and the globals of its process."""
        if self.resident is not task.process:
            self.enter(task.process)
        last = self.seated
        if last is None:
            self._outside_locals = self._locals.swap(task.locals)
            changed = task.hooks != NO_HOOKS
        else:
            self._note(last)
            last.locals = self._locals.swap(task.locals)
            changed = task.hooks != last.hooks
        # Also when both have none: the interpreter caches it.
        events._set_running_loop(task.loop)
        if changed:
            sys.set_asyncgen_hooks(*task.hooks)
        self.seated = task

    def stand(self) -> None:
        """Take the state of whatever task is seated out of the thread, and put the outside's back."""
        task = self.seated
        if task is not None:
            self._note(task)
            self.seated = None
            task.locals = self._locals.swap(self._outside_locals)
            self._outside_locals = None
            events._set_running_loop(None)
            if task.hooks != NO_HOOKS:
                sys.set_asyncgen_hooks(None, None)

    def note_loop(self) -> None:
        """Note which event loop runs in the seated task."""
        if self.seated is not None:
            self._note(self.seated)

    @staticmethod
    def _note(task: Task) -> None:
        task.loop = loop = events._get_running_loop()
        if loop is not None:
            task.process.loop = loop
        task.hooks = sys.get_asyncgen_hooks()

    def bury(self, task: Task) -> None:
        """Forget the thread-local values of a task that has ended."""
        if self.seated is task:
            self.stand()
        values, task.locals = task.locals, None
        self._locals.drop(values)

    # Globals of processes.

    def enter(self, process: Process) -> None:
        """Put the globals of `process` in place."""
        last = self.resident
        if last is process:
            return
        outside, context = self._outside, process.context
        if last is None:
            self._home = _getcwd()
            outside.refresh()
        elif last.context.directory is not None:
            _chdir(self._home)
        _exchange(outside if last is None else last.context, context)
        if context.directory is not None:
            _chdir(context.directory)
        if not context.entered:
            context.entered = True
            if process.program.directory is not None:
                outside.hide(process.program.directory)
        self.resident = process

    def leave(self) -> None:
        """Give the interpreter its own state and globals back."""
        self.stand()
        last, self.resident = self.resident, None
        if last is not None:
            if last.context.directory is not None:
                _chdir(self._home)
            _exchange(last.context, self._outside)


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
