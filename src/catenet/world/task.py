"""A thread of a simulated process: a greenlet, what belongs to it at every switch, and the one place where it waits.

CPython keeps some state per operating system thread that must be per greenlet here: the values of `threading.local`
objects, asyncio's running loop, the hooks for asynchronous generators. `resume` (on the hub's side) puts the task's in
place and afterwards the outside's back; context variables and the exception being handled are greenlet's own business.

CPython 3.11 and 3.12 keep thread-local values in the thread state's dictionary, whose contents `resume` exchanges.
Later versions keep them elsewhere; `patches/threads.py` then replaces `threading.local`.
"""

from __future__ import annotations

import ctypes
import sys
from asyncio import events
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent, greenlet

from catenet.world.current import current
from catenet.world.errors import ProcessKilled

if TYPE_CHECKING:
    from catenet.posix.file import File
    from catenet.world.hub import Timer
    from catenet.world.process import Process

__all__ = ["SWAPS_LOCALS", "Task", "thread_dict"]

SWAPS_LOCALS: Final = sys.version_info < (3, 13)
UNWINDING_LIMIT: Final = 200
"""A killed task that makes more blocking calls than this while it unwinds is abandoned where it is."""

_get_dict = ctypes.pythonapi.PyThreadState_GetDict
_get_dict.restype = ctypes.c_void_p  # a borrowed reference, which py_object would give back
_get_dict.argtypes = []


def thread_dict() -> dict[Any, Any]:
    """The dictionary of the current thread state."""
    found: dict[Any, Any] = ctypes.cast(_get_dict(), ctypes.py_object).value
    return found


_abandoned: list[Any] = []
"""Greenlets that refused to end; collecting one would throw GreenletExit into it, outside of its process."""


class Task:
    """One thread of a process. `run` is what it does; it ends when that returns or raises."""

    __slots__ = (
        "_greenlet",
        "_hooks",
        "_hub",
        "_locals",
        "_loop",
        "_scheduled",
        "_timed_out",
        "_unwinding",
        "daemon",
        "ended",
        "green_locals",
        "ident",
        "name",
        "on_end",
        "process",
        "run",
        "waits_in",
        "waits_on",
    )

    def __init__(self, process: Process, run: Callable[[], object], ident: int, name: str) -> None:
        self.process = process
        self.run = run
        self.ident = ident
        self.name = name
        self.daemon = False
        self.ended = False
        self.green_locals: Any = None
        """Values of `GreenLocal` objects (`patches/locals.py`)."""
        self.on_end: list[Callable[[], None]] = []
        self.waits_in = ""
        self.waits_on: tuple[File, ...] = ()
        self._hub: Any = None
        self._greenlet: Any = None
        self._locals: dict[Any, Any] = {}
        self._loop: Any = None
        self._hooks: Any = None
        self._scheduled = False
        self._timed_out = False
        self._unwinding = 0

    @property
    def started(self) -> bool:
        """Whether it has run at all."""
        return self._greenlet is not None

    def describe(self) -> str:
        """What it waits for, for reports."""
        call = self.waits_in or "its turn"
        files = ", ".join(file.describe() for file in self.waits_on)
        thread = "" if self is self.process.main else f" (thread {self.name})"
        return f"{call}{' on ' if files else ''}{files}{thread}"

    # On the hub's side.

    def wake(self) -> None:
        """Let the task run at this instant: what it waits for may have happened."""
        if not self._scheduled and not self.ended:
            self._scheduled = True
            self.process.hub.soon.append((self.resume, ()))

    def file_ready(self, file: File) -> None:
        """A file that it waits on shows something new (`Watcher`)."""
        self.wake()

    def resume(self) -> None:
        """Run the task until it waits or ends; called by the hub and nobody else."""
        self._scheduled = False
        if self.ended:
            return
        process = self.process
        process.world.collect_garbage()
        process.world.contexts.enter(process)
        self._hub = getcurrent()
        if self._greenlet is None:
            self._greenlet = greenlet(self._body)
        store = process.world.thread_dict
        if store is not None:
            outside = store.copy()
            store.clear()
            store.update(self._locals)
        if self._loop is not None:
            events._set_running_loop(self._loop)
        if self._hooks is not None:
            sys.set_asyncgen_hooks(*self._hooks)
        current.task = self
        try:
            self._greenlet.switch()
        finally:
            self._leave()
            if store is not None:
                self._locals = store.copy()
                store.clear()
                store.update(outside)
            current.task = None
        self._bury()

    def _bury(self) -> None:
        """Give up what an ended task had for itself."""
        if self.ended:
            self._locals.clear()
            self.green_locals = None
            self.process.task_ended(self)

    def _leave(self) -> None:
        """Take what belongs to the task out of the thread state."""
        self._loop = events._get_running_loop()
        if self._loop is not None:
            events._set_running_loop(None)
            self.process.loop = self._loop
        hooks = sys.get_asyncgen_hooks()
        self._hooks = None
        if hooks.firstiter is not None or hooks.finalizer is not None:
            self._hooks = hooks
            sys.set_asyncgen_hooks(None, None)

    def _body(self) -> None:
        try:
            self.process.task_runs(self)
        finally:
            self.ended = True

    # On the task's own side.

    def park(self, call: str, files: Iterable[File], timeout: float | None) -> bool:
        """Wait until one of `files` shows something new or `wake()` is called; False when `timeout` seconds passed.

        `call` is what a deadlock report shows. May return early, so callers look again. Raises ProcessKilled when the
        process has been killed, and whatever a signal handler raises.
        """
        process = self.process
        if process.dying:
            self.check_alive()
        if process.pending_signals and process.main is self:
            process.run_signal_handlers()
            return True
        if timeout is not None and timeout <= 0:
            timeout = 0.0
        timer: Timer | None = None
        process.spins = 0
        watched = self.waits_on = tuple(files)
        self.waits_in = call
        self._timed_out = False
        for file in watched:
            file.watchers[self] = None
        if timeout is not None:
            timer = process.hub.timer(process.hub.now + timeout, self._time_out)
        try:
            self._switch_to_hub()
        finally:
            for file in watched:
                file.watchers.pop(self, None)
            if timer is not None:
                timer.cancel()
            self.waits_in = ""
            self.waits_on = ()
        if process.dying:
            self.check_alive()
        if process.pending_signals and process.main is self:
            process.run_signal_handlers()
            return True
        return not self._timed_out

    def check_alive(self) -> None:
        """Raise ProcessKilled when the process has been killed; abandon a task that does not want to hear it."""
        if not self.process.dying:
            return
        self._unwinding += 1
        if self._unwinding > UNWINDING_LIMIT:
            self.ended = True
            _abandoned.append(getcurrent())
            self._switch_to_hub()
        raise ProcessKilled(self.process.killed_status)

    def may_unwind(self) -> bool:
        """Whether the process has been killed and this task has not yet used up its patience."""
        self._unwinding += 1
        return self.process.dying and self._unwinding <= UNWINDING_LIMIT

    def _switch_to_hub(self) -> None:
        # A program may use greenlets of its own (SQLAlchemy does): the one that waits is the one to come back to.
        self._greenlet = getcurrent()
        self._hub.switch()

    def _time_out(self) -> None:
        self._timed_out = True
        self.wake()
