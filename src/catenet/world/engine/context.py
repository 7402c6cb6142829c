"""What belongs to a process or a task and lies in the interpreter: exchanged when another one gets its turn.

Every program finds the interpreter as it left it, though all programs of a world share one. Two kinds of state are
kept for it, because CPython has them in two places.

* Globals of a process: `sys.argv`, `sys.orig_argv`, `sys.path`, `__main__`, the environment, the working directory and
  file mode mask, the event loop policy, and the modules that a program imports from its own directory (two programs may
  each have a `config.py`). `ProcessGlobals` holds them; `enter` and `leave` exchange them, by
  `patches/process_globals.py`. Installed libraries are shared, with their state: loading them again for each of a
  thousand processes would cost more than all else.
* State of a task, which CPython keeps per thread of the operating system, while all tasks share one: the values of
  `threading.local` objects, asyncio's running loop, the hooks for asynchronous generators. A `Task` holds them;
  `install_task` and `remove_task` exchange them, by `patches/threadstate.py` where pointers have to be moved.

Context variables and the exception being handled are not here: greenlet switches those itself.

An exchange takes place when another process, or another task, runs than the one that ran last, not at each switch. So
between two turns the state of the last task stays in place while the hub's own code runs, which is why the hub, the
links and the stacks may use none of it. Code of others that runs there may: callbacks of `World.at`, finalizers that
the garbage collector calls. `remove_task` or `leave` comes before those. The most frequent case, one program waiting
and going on, costs one comparison.

    task A waits     hub: events, packets     task B runs
    state of A  -->  state of A (unused)  --> install_task(B): A's state to A, B's into place
                                              and if the process differs, enter(B's process)

What is taken out is whatever lies there by then, not what was put in: a program may assign `sys.argv` or set another
policy, and finds that again. The exception is the environment, of which only the dictionary inside `os.environ` is
exchanged; `refresh` notes the outside's when a world begins to run.

Modules of a program are found by `PrivateFinder` (`patches/imports.py`), which notes their names; on the way out they
leave `sys.modules`, on the way in they come back. What the outside had imported from that directory, a test's own
helpers say, is hidden when the process is entered for the first time (`ProcessGlobals.hide`).

Exchanging is part of the price of every wake-up, so `swap_globals` works on the dictionaries behind the names.
"""

from __future__ import annotations

import os
from asyncio import events
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent

from catenet.world.patches.process_globals import ProcessGlobals, swap_globals
from catenet.world.patches.threadstate import NO_HOOKS, AsyncgenHooks, Exchange, open_exchange

if TYPE_CHECKING:
    from catenet.world.engine.process import Process
    from catenet.world.engine.task import Task, TaskOwner

__all__ = ["ContextSwitcher"]

_getcwd = os.getcwd
_set_loop: Final = events._set_running_loop


class ContextSwitcher:
    """Exchanges the interpreter's state: it holds the globals of one process and the state of one of its tasks."""

    def __init__(self) -> None:
        """Begin with the interpreter's own state."""
        self.count_turns: Callable[[Process], None]
        """Called every `task.COUNTED_TURNS` turns of a process."""
        self.process: TaskOwner | None = None
        self.task: Task | None = None
        self.computed = 0.0
        """Virtual time at which a task last went on by a timer of its own (`ending.py`)."""
        self.hub: Any = None
        """The greenlet that runs the hub, to which tasks switch when they wait."""
        self._outside = ProcessGlobals.of_interpreter()
        self._home = ""
        self.locals: Exchange = open_exchange()
        self._outside_locals: Any = None
        self._hooks = AsyncgenHooks()

    def begin(self) -> None:
        """Begin a run in the current thread and greenlet."""
        self.locals = open_exchange()
        self._hooks = AsyncgenHooks()
        self.hub = getcurrent()

    # State of tasks.

    def install_task(self, task: Task) -> None:
        """Install the state of `task` and the globals of its process."""
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
        """Save the state of the installed task, if any, and restore that of the code around the world."""
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
        """Install the globals of `process`."""
        last = self.process
        outside, context = self._outside, process.globals
        if last is None:
            self._home = _getcwd()
            outside.refresh()
            swap_globals(outside, context)
        else:
            if last.globals.placed:
                last.globals.leave_place(self._home)
            swap_globals(last.globals, context)
        if context.placed:
            context.enter_place()
        if not context.entered:
            context.entered = True
            if context.program is not None:
                outside.hide(context.program)
        self.process = process

    def leave(self) -> None:
        """Restore the interpreter's own state and globals."""
        self.remove_task()
        last, self.process = self.process, None
        if last is not None:
            if last.globals.placed:
                last.globals.leave_place(self._home)
            swap_globals(last.globals, self._outside)
