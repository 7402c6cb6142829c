"""`threading` and `_thread`: the threads of a program are greenlets of its process.

What they wait for each other with is in `locks.py`.
"""

from __future__ import annotations

import _thread
import concurrent.futures.thread as pools
import operator
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.engine.errors import ProcessKilled
from catenet.world.engine.task import Task
from catenet.world.patches import locks
from catenet.world.patches.patching import Patcher, dispatch
from catenet.world.patches.unraisable import write_unraisable

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply", "call_at_exit", "close_pools", "drop_thread", "forget_threads", "make_main_thread", "mark_stopped"]


def _start_new_thread(process: Process, function: Callable[..., Any], args: Any, kwargs: Any = None) -> int:
    """Start a greenlet instead of a thread."""
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError("optional 3rd arg must be a dictionary")
    thread = getattr(function, "__self__", None)
    name = str(getattr(thread, "name", "") or getattr(function, "__name__", "thread"))
    task = process.spawn(lambda: _run_thread(process, function, args, kwargs or {}), name)
    task.daemon = bool(getattr(thread, "daemon", True))
    return task.ident


def _run_thread(process: Process, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """What a thread does: an exception that it does not catch is the unraisable hook's, as in CPython."""
    try:
        function(*args, **kwargs)
    except SystemExit:  # also that of a process that has been killed
        if process.dying:
            raise
    except BaseException:
        if process.dying:
            raise
        write_unraisable("Exception ignored in thread started by", function)


class _Handle:
    """Takes the place of the handle of a `threading.Thread` in CPython 3.13 and later."""

    def __init__(self, ident: int = 0) -> None:
        self.ident = ident
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self._done = False

    def is_done(self) -> bool:
        """Whether the thread has ended."""
        return self._done

    def _set_done(self) -> None:
        if not self._done:
            self._done = True
            self._lock.release()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end, up to `timeout` seconds."""
        if not self._done and self._lock.acquire(timeout=-1 if timeout is None or timeout < 0 else timeout):
            self._lock.release()


def _start_joinable(process: Process, function: Callable[..., Any], handle: Any = None, daemon: bool = True) -> Any:
    handle = _Handle() if handle is None else handle
    handle.ident = _start_new_thread(process, function, ())
    task = process.tasks[handle.ident]
    task.daemon = daemon
    task.on_end.append(handle._set_done)
    return handle


def _sentinel(process: Process) -> Any:
    """A lock that is released when the current thread ends (CPython 3.11 and 3.12)."""
    task = current.task
    lock = _thread.allocate_lock()
    assert task is not None
    task.on_end.append(lambda: lock.release() if lock.locked() else None)
    return lock


def _main_thread(process: Process) -> threading.Thread:
    return process.main_thread  # type: ignore[return-value]


def _enumerate(process: Process) -> list[threading.Thread]:
    """Threads of the process, the main one first."""
    active = threading._active  # type: ignore[attr-defined]
    return [active[ident] for ident in process.tasks if ident in active]


def _make_hook_caller(original: Callable[[], Callable[[Any], None]]) -> Callable[[Process], Callable[[Any], None]]:
    """Make the function that a Thread calls for an uncaught exception; it ignores that the process was killed."""

    def make(process: Process) -> Callable[[Any], None]:
        call = original()

        def unless_killed(thread: Any) -> None:
            if sys.exc_info()[0] is not ProcessKilled:
                call(thread)

        return unless_killed

    return make


_counter: Final = threading._counter  # type: ignore[attr-defined]


def _new_name(process: Process, template: str = "Thread-%d") -> str:
    """Threads are counted by process, unless a program has put a counter of its own in place."""
    if threading._counter is not _counter:  # type: ignore[attr-defined]
        return str(template % threading._counter())  # type: ignore[attr-defined]
    process.threads_named += 1
    return template % process.threads_named


SMALLEST_STACK: Final = 32768
"""Smallest stack of a thread that CPython takes (THREAD_STACK_MIN)."""


def _set_stack_size(process: Process, size: int = 0) -> int:
    """`threading.stack_size`: kept and shown; what greenlets have is the interpreter's."""
    size = operator.index(size)
    if size < 0:
        raise ValueError("size must be 0 or a positive value")
    if size and size < SMALLEST_STACK:
        raise ValueError(f"size not valid: {size} bytes")
    previous, process.stack_size = process.stack_size, size
    return previous


def _apply_threading(patcher: Patcher) -> None:
    def ident(process: Process) -> int:
        task = current.task
        return task.ident if task is not None else 0

    for module in (_thread, threading):
        patcher.function(module, "get_ident", ident)
        patcher.function(module, "get_native_id", ident)
        patcher.function(module, "stack_size", _set_stack_size)
    patcher.function(
        _thread, "_count", lambda process: sum(task is not process.main for task in process.tasks.values())
    )
    for name in ("start_new_thread", "start_new"):
        patcher.function(_thread, name, _start_new_thread)
    patcher.function(threading, "_start_new_thread", _start_new_thread)
    patcher.function(threading, "main_thread", _main_thread)
    patcher.function(threading, "_make_invoke_excepthook", _make_hook_caller(threading._make_invoke_excepthook))  # type: ignore[attr-defined]
    patcher.function(threading, "_newname", _new_name)
    patcher.function(threading, "enumerate", _enumerate)
    patcher.function(threading, "active_count", lambda process: len(_enumerate(process)))
    patcher.function(
        threading,
        "_register_atexit",
        lambda process, function, *args, **kwargs: process.threading_exits.append(lambda: function(*args, **kwargs)),
    )
    if sys.version_info >= (3, 13):
        patcher.function(_thread, "start_joinable_thread", _start_joinable)
        patcher.function(threading, "_start_joinable_thread", _start_joinable)
        patcher.function(threading, "_ThreadHandle", lambda process: _Handle())
        patcher.function(threading, "_make_thread_handle", lambda process, ident: _Handle(ident))
        patcher.function(threading, "_get_main_thread_ident", ident)
    else:
        patcher.function(threading, "_set_sentinel", _sentinel)
        _apply_sentinels(patcher)


def _apply_sentinels(patcher: Patcher) -> None:
    """Keep threads of processes out of what the interpreter waits for at its own end."""
    original = threading.Thread._set_tstate_lock  # type: ignore[attr-defined]

    def simulated(process: Process, self: Any) -> None:
        self._tstate_lock = _sentinel(process)
        self._tstate_lock.acquire()

    patcher.attribute(threading.Thread, "_set_tstate_lock", dispatch(original, simulated))


class _Shutdown:
    """Takes the place of the flag of thread pools that the interpreter ends; inside of a process, that it ends."""

    def __init__(self, original: object) -> None:
        self._original = original

    def __bool__(self) -> bool:
        task = current.task
        return bool(self._original) if task is None else task.process.pools_closed


def apply(patcher: Patcher) -> None:
    """Patch locks, queues and threads."""
    patcher.attribute(pools, "_shutdown", _Shutdown(pools._shutdown))
    locks.apply(patcher)
    _apply_threading(patcher)


def make_main_thread(task: Task) -> threading.Thread:
    """The `threading.Thread` of a process's main task; called in that task."""
    thread: threading.Thread = threading._MainThread()  # type: ignore[attr-defined]
    task.process.threads_named = 0
    return thread


def mark_stopped(thread: Any) -> None:
    """Let a thread count as one that has ended, so that who joins it goes on."""
    if sys.version_info >= (3, 13):
        thread._handle._set_done()
    elif not thread._is_stopped:
        if thread._tstate_lock is not None and thread._tstate_lock.locked():
            thread._tstate_lock.release()
        thread._stop()


def forget_threads(process: Process, task: Task) -> None:
    """After fork(2), all threads but the one that has called it count as ended; nobody waits for them."""
    for ident in process.tasks:
        thread = None if ident == task.ident else threading._active.pop(ident, None)  # type: ignore[attr-defined]
        if thread is None:
            continue
        if sys.version_info >= (3, 13):
            thread._handle._done = True
        else:
            thread._tstate_lock, thread._is_stopped = None, True


def drop_thread(task: Task) -> None:
    """Remove the thread of a task that has ended from `threading`, even when the task could not do so itself."""
    thread = threading._active.pop(task.ident, None)  # type: ignore[attr-defined]
    if thread is not None:
        pools._threads_queues.pop(thread, None)  # type: ignore[attr-defined]  # or the interpreter would wait for it at its own end
    locks.forget_task(task)


def close_pools(process: Process) -> set[int]:
    """Tell the workers of thread pools to end, as `concurrent.futures` does when the interpreter ends; return them.

    It waits for all of them, for daemonic ones too, which those are that a daemonic thread has started. They finish
    what is queued, and take nothing more. Those of pools that are still referred to ask whether the interpreter ends,
    which for them is their process (`_Shutdown`).
    """
    process.pools_closed = True
    queues = pools._threads_queues
    workers = set()
    for ident in list(process.tasks):
        thread = threading._active.get(ident)  # type: ignore[attr-defined]
        if thread in queues:
            queues[thread].put(None)
            workers.add(ident)
    return workers


def call_at_exit(function: Callable[[], object]) -> None:
    """Call a function when the interpreter ends, while worlds that are still open can run.

    `atexit` would be too late: before it the interpreter joins the workers of thread pools, and those of a world that
    is still open would never end. Exit functions of `threading` run in reverse order of registration, so that of
    `concurrent.futures.thread`, which this module imports, comes after.
    """
    threading._register_atexit(function)  # type: ignore[attr-defined]
