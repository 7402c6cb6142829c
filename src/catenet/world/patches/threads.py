"""`threading`, `_thread`, `queue`: the threads of a program are greenlets of its process.

Locks keep their C types, whose methods are replaced in place: inside of a process `acquire` first tries without waiting
and then waits in the hub. So a lock works for greenlets and for real threads, wherever and whenever it was made, and
all that `threading`, `queue` and `concurrent.futures` build from locks works unchanged. A reentrant lock counts its
owner by real thread, which all greenlets share; the table `_held` says which task has it.
"""

from __future__ import annotations

import _queue
import _thread
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from catenet.world.current import current
from catenet.world.errors import ProcessKilled
from catenet.world.patches.locals import GreenLocal
from catenet.world.patching import Patcher, dispatch
from catenet.world.task import SWAPS_LOCALS, Task

if TYPE_CHECKING:
    from catenet.world.process import Process

__all__ = ["apply", "drop_thread", "make_main_thread"]

_waiting: dict[int, deque[Task]] = {}
"""Tasks that wait for a lock or queue, by its identity, first come first served."""

_held: dict[int, _Holder] = {}
"""Reentrant locks held by tasks, by their identity."""


class _Holder:
    """Who has a reentrant lock, and how often."""

    __slots__ = ("count", "lock", "task")

    def __init__(self, lock: Any, task: Task, count: int) -> None:
        self.lock = lock
        self.task = task
        self.count = count


def _wake_first(key: int) -> None:
    """Let the first that waits for a lock or queue look again."""
    queue = _waiting.get(key)
    if queue:
        queue[0].wake()


def _wait(key: int, call: str, attempt: Callable[[], bool], timeout: float | None, task: Task) -> bool:
    """Wait in the hub until `attempt` succeeds; False when `timeout` seconds have passed."""
    queue = _waiting.setdefault(key, deque())
    queue.append(task)
    hub = task.process.hub
    deadline = None if timeout is None else hub.now + timeout
    try:
        while True:
            left = None if deadline is None else max(0.0, deadline - hub.now)
            in_time = task.park(call, (), left)
            if attempt():
                return True
            if not in_time:
                return False
    finally:
        queue.remove(task)
        if queue:
            # What woke this task may have been meant for whoever comes next.
            queue[0].wake()
        else:
            _waiting.pop(key, None)


def forget_task(task: Task) -> None:
    """Free the reentrant locks that a task held when it ended; libraries share theirs with other processes."""
    for key, holder in list(_held.items()):
        if holder.task is task:
            del _held[key]
            for _ in range(holder.count):
                holder.lock.release()
            _wake_first(key)


def _apply_locks(patcher: Patcher) -> None:
    lock_type = _thread.LockType
    namespace = vars(lock_type)
    real_acquire, real_release = namespace["acquire"], namespace["release"]

    def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
        task = current.task
        if task is None:
            return real_acquire(self, blocking, timeout)  # type: ignore[no-any-return]
        if real_acquire(self, False):
            return True
        if not blocking or timeout == 0 or (timeout < 0 and timeout != -1):
            if not blocking:
                task.process.spin()
            return real_acquire(self, blocking, timeout)  # type: ignore[no-any-return]
        patience = None if timeout == -1 else timeout
        return _wait(id(self), "lock.acquire", lambda: real_acquire(self, False), patience, task)

    def release(self: Any) -> None:
        real_release(self)
        if _waiting:
            _wake_first(id(self))

    def enter(self: Any) -> bool:
        return acquire(self)

    def leave(self: Any, *details: object) -> None:
        release(self)

    for names, new in (
        (("acquire", "acquire_lock"), acquire),
        (("release", "release_lock"), release),
        (("__enter__",), enter),
        (("__exit__",), leave),
    ):
        for name in names:
            patcher.method(lock_type, name, new)


def _apply_reentrant_locks(patcher: Patcher) -> None:
    namespace = vars(_thread.RLock)
    real_acquire, real_release = namespace["acquire"], namespace["release"]
    real_owned, real_save, real_restore = (
        namespace["_is_owned"],
        namespace["_release_save"],
        namespace["_acquire_restore"],
    )

    def take(self: Any, task: Task, count: int) -> bool:
        """Take a lock that nobody, or this task itself, has."""
        holder = _held.get(id(self))
        if holder is not None and holder.task is not task:
            return False
        for _ in range(count):
            if not real_acquire(self, False):
                return False
        if holder is None:
            _held[id(self)] = _Holder(self, task, count)
        else:
            holder.count += count
        return True

    def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
        task = current.task
        if task is None:
            return real_acquire(self, blocking, timeout)  # type: ignore[no-any-return]
        if take(self, task, 1):
            return True
        if not blocking or timeout == 0:
            task.process.spin()
            return False
        patience = None if timeout == -1 else timeout
        return _wait(id(self), "RLock.acquire", lambda: take(self, task, 1), patience, task)

    def release(self: Any) -> None:
        task = current.task
        if task is not None:
            holder = _held.get(id(self))
            if holder is None or holder.task is not task:
                raise RuntimeError("cannot release un-acquired lock")
            holder.count -= 1
            if holder.count == 0:
                del _held[id(self)]
        real_release(self)
        if _waiting:
            _wake_first(id(self))

    def is_owned(self: Any) -> bool:
        task = current.task
        if task is None:
            return real_owned(self)  # type: ignore[no-any-return]
        holder = _held.get(id(self))
        return holder is not None and holder.task is task

    def release_save(self: Any) -> Any:
        if current.task is not None:
            _held.pop(id(self), None)
        state = real_save(self)
        if _waiting:
            _wake_first(id(self))
        return state

    def acquire_restore(self: Any, state: Any) -> None:
        task = current.task
        if task is None:
            real_restore(self, state)
        elif not take(self, task, state[0]):
            _wait(id(self), "RLock.acquire", lambda: take(self, task, state[0]), None, task)

    def enter(self: Any) -> bool:
        return acquire(self)

    def leave(self: Any, *details: object) -> None:
        release(self)

    replacements = {
        "acquire": acquire,
        "release": release,
        "_is_owned": is_owned,
        "_release_save": release_save,
        "_acquire_restore": acquire_restore,
        "__enter__": enter,
        "__exit__": leave,
    }
    for name, new in replacements.items():
        patcher.method(_thread.RLock, name, new)


def _apply_queues(patcher: Patcher) -> None:
    namespace = vars(_queue.SimpleQueue)
    real_get, real_put = namespace["get"], namespace["put"]

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        task = current.task
        if task is None or not block or (timeout is not None and timeout < 0):
            return real_get(self, block, timeout)
        found: list[Any] = []

        def attempt() -> bool:
            try:
                found.append(real_get(self, False))
            except _queue.Empty:
                return False
            return True

        if attempt() or _wait(id(self), "SimpleQueue.get", attempt, timeout, task):
            return found[0]
        raise _queue.Empty

    def put(self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:
        real_put(self, item)
        if _waiting:
            _wake_first(id(self))

    patcher.method(_queue.SimpleQueue, "get", get)
    patcher.method(_queue.SimpleQueue, "put", put)
    patcher.method(_queue.SimpleQueue, "put_nowait", lambda self, item: put(self, item))


# Threads.


def _start_new_thread(process: Process, function: Callable[..., Any], args: Any, kwargs: Any = None) -> int:
    """Start a greenlet instead of a thread."""
    if not callable(function):
        raise TypeError("first arg must be callable")
    thread = getattr(function, "__self__", None)
    name = str(getattr(thread, "name", "") or getattr(function, "__name__", "thread"))
    task = process.spawn(lambda: function(*args, **(kwargs or {})), name)
    task.daemon = bool(getattr(thread, "daemon", True))
    return task.ident


class _Handle:
    """Stands for a task in `threading.Thread` of CPython 3.13 and later."""

    def __init__(self) -> None:
        self.ident = 0
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
    """What a Thread calls for an exception that nobody has caught; that its process was killed is none."""

    def make(process: Process) -> Callable[[Any], None]:
        call = original()

        def unless_killed(thread: Any) -> None:
            if sys.exc_info()[0] is not ProcessKilled:
                call(thread)

        return unless_killed

    return make


def _new_name(process: Process, template: str = "Thread-%d") -> str:
    """Threads are counted by process."""
    process.threads_named += 1
    return template % process.threads_named


def _set_stack_size(process: Process, size: int = 0) -> int:
    return 0


def _apply_threading(patcher: Patcher) -> None:
    def ident(process: Process) -> int:
        task = current.task
        return task.ident if task is not None else 0

    for module in (_thread, threading):
        patcher.function(module, "get_ident", ident)
        patcher.function(module, "get_native_id", ident)
        patcher.function(module, "stack_size", _set_stack_size)
    for name in ("start_new_thread", "start_new"):
        patcher.function(_thread, name, _start_new_thread)
    patcher.function(threading, "_start_new_thread", _start_new_thread)
    patcher.function(threading, "main_thread", _main_thread)
    patcher.function(threading, "_make_invoke_excepthook", _make_hook_caller(threading._make_invoke_excepthook))  # type: ignore[attr-defined]
    patcher.function(threading, "_newname", _new_name)
    patcher.function(threading, "enumerate", _enumerate)
    patcher.function(threading, "active_count", lambda process: len(_enumerate(process)))
    patcher.function(threading, "activeCount", lambda process: len(_enumerate(process)))
    patcher.function(
        threading,
        "_register_atexit",
        lambda process, function, *args, **kwargs: process.threading_exits.append(lambda: function(*args, **kwargs)),
    )
    if sys.version_info >= (3, 13):
        patcher.function(_thread, "start_joinable_thread", _start_joinable)
        patcher.function(threading, "_start_joinable_thread", _start_joinable)
        patcher.function(threading, "_ThreadHandle", lambda process: _Handle())
        patcher.function(threading, "_make_thread_handle", lambda process, ident: _Handle())
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


def apply(patcher: Patcher) -> None:
    """Patch locks, queues and threads."""
    import concurrent.futures.thread  # noqa: F401  (registers its exit handler, which is not a process's)

    _apply_locks(patcher)
    _apply_reentrant_locks(patcher)
    _apply_queues(patcher)
    _apply_threading(patcher)
    if not SWAPS_LOCALS:
        patcher.replace(threading, "local", GreenLocal)
        patcher.replace(_thread, "_local", GreenLocal)
        if hasattr(threading, "_thread_local_info"):
            patcher.attribute(threading, "_thread_local_info", GreenLocal())


def make_main_thread(task: Task) -> threading.Thread:
    """The `threading.Thread` of a process's main task; called in that task."""
    thread: Any = threading._DummyThread()
    thread._name = "MainThread"
    thread._daemonic = False
    task.process.threads_named = 0
    return cast(threading.Thread, thread)


def drop_thread(task: Task) -> None:
    """A task is over: `threading` is to forget its thread, even when the task could not say so itself."""
    threading._active.pop(task.ident, None)  # type: ignore[attr-defined]
    if _held:
        forget_task(task)
