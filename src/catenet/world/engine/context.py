"""What belongs to a process or a task and lies in the interpreter: exchanged when another one gets its turn.

Globals of a process: `sys.argv`, `sys.path`, `__main__`, the environment, the working directory, the event loop policy,
and the modules that a program imports from its own directory (two programs may each have a `config.py`; installed
libraries are shared). State of a task, which CPython keeps per thread of the operating system: the values of
`threading.local` objects, asyncio's running loop, the hooks for asynchronous generators. Context variables and the
exception being handled are greenlet's own business.

An exchange happens only when another process, or another task, runs than the one that ran last, not at each switch.
Between two turns the hub's own code runs with what the last task has left in place, and uses none of it; before code
that may (`World.at`, finalizers in the garbage collector) its state is removed (`remove_task`, `leave`).
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from asyncio import events
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent

from catenet.world.engine.current import current
from catenet.world.patches.threadstate import NO_HOOKS, Exchange, Hooks, open_exchange

if TYPE_CHECKING:
    from catenet.world.engine.task import Task, TaskOwner

__all__ = ["Context", "Contexts", "PrivateFinder"]

_chdir = os.chdir
_getcwd = os.getcwd
_set_loop: Final = events._set_running_loop

# An exchange is made twice a packet or so: by the dictionaries behind the names, which takes a third of the time.
_sys: Final = vars(sys)
_events: Final = vars(events)
_modules: Final = sys.modules
_environ: Final = vars(os.environ)


class Context:
    """The globals of one process, or of the outside; `program` is the directory that its program comes from."""

    __slots__ = ("argv", "directory", "entered", "environ", "main", "modules", "path", "policy", "private", "program")

    def __init__(
        self,
        argv: list[str],
        path: list[str],
        main: types.ModuleType,
        environ: dict[Any, Any],
        program: str | None = None,
    ) -> None:
        # Whatever a program puts in their place.
        self.argv: Any = argv
        self.path: Any = path
        self.main: Any = main
        self.environ: Any = environ
        self.program = program
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
    last.argv, last.path, last.policy = _sys["argv"], _sys["path"], _events["_event_loop_policy"]
    _sys["argv"], _sys["path"] = context.argv, context.path
    _environ["_data"] = context.environ
    if context.policy is not last.policy:
        _events["_event_loop_policy"] = context.policy
    last.main = _modules["__main__"]
    if context.main is not last.main:
        _modules["__main__"] = context.main
    if last.private:
        for name in last.private:
            module = _modules.pop(name, None)
            if module is not None:
                last.modules[name] = module
    if context.modules:
        _modules.update(context.modules)


class Contexts:
    """What is in place: the globals of a process, and in the thread the state of one of its tasks."""

    def __init__(self, collect: Callable[[], None]) -> None:
        """Nothing is in place yet; `collect` is called at every so many turns of tasks (`task.COLLECT_EVERY`)."""
        self.collect = collect
        self.process: TaskOwner | None = None
        self.task: Task | None = None
        self.turns = 0
        """How often a task has had its turn."""
        self.computed = 0.0
        """When last a task went on by a timer of its own (`ending.py`)."""
        self.hub: Any = None
        """The greenlet that runs the hub, to which tasks switch when they wait."""
        self._outside = Context(sys.argv, sys.path, sys.modules["__main__"], _environ_data())
        self._home = ""
        self.locals: Exchange = open_exchange()
        self._outside_locals: Any = None
        self._hooks = Hooks()

    def begin(self) -> None:
        """A run begins in the current thread and greenlet."""
        self.locals = open_exchange()
        self._hooks = Hooks()
        self.hub = getcurrent()

    # State of tasks.

    def install_task(self, task: Task) -> None:
        """Put the state of `task` in place, and the globals of its process."""
        if self.process is not task.owner:
            self.enter(task.owner)
        last = self.task
        if last is None:
            loop = None
            self._outside_locals = self.locals.swap(task.locals)
            self._hooks.swap(task.hooks)
        else:
            loop = last.loop
            last.locals = self.locals.swap(task.locals)
            last.hooks = self._hooks.swap(task.hooks)
        if task.loop is not loop:
            _set_loop(task.loop)
        self.task = task

    def remove_task(self) -> None:
        """Take the state of whatever task is in place out of the thread, and put the outside's back."""
        task = self.task
        if task is not None:
            self.task = None
            task.locals = self.locals.swap(self._outside_locals)
            self._outside_locals = None
            if task.loop is not None:
                _set_loop(None)
            task.hooks = self._hooks.swap(NO_HOOKS)

    def forget_task(self, task: Task) -> None:
        """Forget the thread-local values of a task that has ended."""
        if self.task is task:
            self.remove_task()
        values, task.locals = task.locals, None
        self.locals.drop(values)
        hooks, task.hooks = task.hooks, NO_HOOKS
        self._hooks.drop(hooks)

    # Globals of processes.

    def enter(self, process: TaskOwner) -> None:
        """Put the globals of `process` in place."""
        last = self.process
        outside, context = self._outside, process.context
        if last is None:
            self._home = _getcwd()
            outside.refresh()
            _exchange(outside, context)
        else:
            if last.context.directory is not None:
                _chdir(self._home)
            _exchange(last.context, context)
        if context.directory is not None:
            _chdir(context.directory)
        if not context.entered:
            context.entered = True
            if context.program is not None:
                outside.hide(context.program)
        self.process = process

    def leave(self) -> None:
        """Give the interpreter its own state and globals back."""
        self.remove_task()
        last, self.process = self.process, None
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
