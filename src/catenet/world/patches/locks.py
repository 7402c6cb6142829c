"""Locks and queues that tasks wait for in the hub.

Locks keep their C types, whose methods are replaced in place: inside of a process `acquire` first tries without waiting
and then waits in the hub. So a lock works for greenlets and for real threads, wherever and whenever it was made, and
all that `threading`, `queue` and `concurrent.futures` build from locks works unchanged. A reentrant lock counts its
owner by real thread, which all greenlets share; the table `_held` says which task has it.
"""

from __future__ import annotations

import _thread
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.engine.task import Task
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["after_fork", "apply", "forget_task"]

_waiting: dict[int, deque[Task]] = {}
"""Tasks that wait for a lock or queue, by its identity, first come first served."""

_held: dict[int, _Holder] = {}
"""Reentrant locks held by tasks, by their identity."""


class _Holder:
    """The owner of a reentrant lock, and how often it has acquired it."""

    __slots__ = ("count", "lock", "task")

    def __init__(self, lock: Any, task: Task, count: int) -> None:
        self.lock = lock
        self.task = task
        self.count = count


def _wake_first(key: int) -> None:
    """Wake the first task that waits for a lock or queue."""
    queue = _waiting.get(key)
    if queue:
        queue[0].wake()


def _wait(key: int, call: str, attempt: Callable[[], bool], timeout: float | None, task: Task) -> bool:
    """Wait in the hub until `attempt` succeeds; False when `timeout` seconds have passed."""
    queue = _waiting.setdefault(key, deque())
    queue.append(task)
    owner = task.owner
    deadline = None if timeout is None else owner.elapsed() + timeout
    try:
        while True:
            left = None if deadline is None else max(0.0, deadline - owner.elapsed())
            in_time = task.park(call, (), left)
            if attempt():
                return True
            if not in_time:
                return False
    finally:
        queue.remove(task)
        if queue:
            # The event that woke this task may have been meant for the next one.
            queue[0].wake()
        else:
            _waiting.pop(key, None)


def forget_task(task: Task) -> None:
    """Release the reentrant locks of a task that has ended; libraries share theirs with other processes."""
    for key, holder in list(_held.items()):
        if holder.task is task:
            del _held[key]
            for _ in range(holder.count):
                holder.lock.release()
            _wake_first(key)


def after_fork(process: Process) -> None:
    """Release, in a child, the reentrant locks of other processes, which are copies; of theirs nobody waits."""
    for number, queue in list(_waiting.items()):
        for task in [each for each in queue if process.tasks.get(each.ident) is not each]:
            queue.remove(task)
        if not queue:
            del _waiting[number]
    for key, holder in list(_held.items()):
        if holder.task.owner is not process:
            del _held[key]
            for _ in range(holder.count):
                _REAL["release"](holder.lock)


def _reinitialize(self: Any) -> None:
    """What a library does with its locks in a child."""
    _held.pop(id(self), None)
    _REAL["_at_fork_reinit"](self)


_held_for_ever: Final = _thread.allocate_lock()
_held_for_ever.acquire()
_real_acquire: Final = _thread.LockType.acquire


def _check_timeout(blocking: bool, timeout: float) -> None:
    """Raise what the interpreter says of a timeout that cannot be, whether the lock is free or not."""
    if not blocking or timeout < 0 or timeout > _thread.TIMEOUT_MAX:
        _real_acquire(_held_for_ever, blocking, timeout)


def _apply_locks(patcher: Patcher) -> None:
    lock_type = _thread.LockType
    namespace = vars(lock_type)
    real_acquire, real_release = namespace["acquire"], namespace["release"]

    def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
        task = current.task
        if task is None:
            return real_acquire(self, blocking, timeout)  # type: ignore[no-any-return]
        if timeout != -1:
            _check_timeout(blocking, timeout)
        if real_acquire(self, False):
            return True
        if not blocking or timeout == 0:
            if not blocking:
                task.spin()
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


_REAL: dict[str, Any] = dict(vars(_thread.RLock))
"""The methods of reentrant locks as they are outside of worlds."""


def _take(self: Any, task: Task, count: int) -> bool:
    """Acquire a lock that is free or held by this task."""
    holder = _held.get(id(self))
    if holder is not None and holder.task is not task:
        return False
    for _ in range(count):
        if not _REAL["acquire"](self, False):
            return False
    if holder is None:
        _held[id(self)] = _Holder(self, task, count)
    else:
        holder.count += count
    return True


def _acquire_reentrant(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
    task = current.task
    if task is None:
        return bool(_REAL["acquire"](self, blocking, timeout))
    if timeout != -1:
        _check_timeout(blocking, timeout)
    if _take(self, task, 1):
        return True
    if not blocking or timeout == 0:
        task.spin()
        return False
    patience = None if timeout == -1 else timeout
    return _wait(id(self), "RLock.acquire", lambda: _take(self, task, 1), patience, task)


def _release_reentrant(self: Any) -> None:
    task = current.task
    if task is not None:
        holder = _held.get(id(self))
        if holder is None or holder.task is not task:
            raise RuntimeError("cannot release un-acquired lock")
        holder.count -= 1
        if holder.count == 0:
            del _held[id(self)]
    _REAL["release"](self)
    if _waiting:
        _wake_first(id(self))


def _is_owned(self: Any) -> bool:
    task = current.task
    if task is None:
        return bool(_REAL["_is_owned"](self))
    holder = _held.get(id(self))
    return holder is not None and holder.task is task


def _release_save(self: Any) -> Any:
    if current.task is not None:
        _held.pop(id(self), None)
    state = _REAL["_release_save"](self)
    if _waiting:
        _wake_first(id(self))
    return state


def _acquire_restore(self: Any, state: Any) -> None:
    task = current.task
    if task is None:
        _REAL["_acquire_restore"](self, state)
    elif not _take(self, task, state[0]):
        _wait(id(self), "RLock.acquire", lambda: _take(self, task, state[0]), None, task)


def _enter_reentrant(self: Any) -> bool:
    return _acquire_reentrant(self)


def _leave_reentrant(self: Any, *details: object) -> None:
    _release_reentrant(self)


_REENTRANT: Final = {
    "acquire": _acquire_reentrant,
    "release": _release_reentrant,
    "_is_owned": _is_owned,
    "_release_save": _release_save,
    "_acquire_restore": _acquire_restore,
    "__enter__": _enter_reentrant,
    "__exit__": _leave_reentrant,
    "_at_fork_reinit": _reinitialize,
}


def _apply_queues(patcher: Patcher, module: Any) -> None:
    """Patch the queue of a module `_queue`, which may have been loaded more than once."""
    namespace = vars(module.SimpleQueue)
    real_get, real_put = namespace["get"], namespace["put"]

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        task = current.task
        if task is None or not block or (timeout is not None and timeout < 0):
            return real_get(self, block, timeout)
        found: list[Any] = []

        def attempt() -> bool:
            try:
                found.append(real_get(self, False))
            except module.Empty:
                return False
            return True

        if attempt() or _wait(id(self), "SimpleQueue.get", attempt, timeout, task):
            return found[0]
        raise module.Empty

    def put(self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:
        real_put(self, item)
        if _waiting:
            _wake_first(id(self))

    patcher.method(module.SimpleQueue, "get", get)
    patcher.method(module.SimpleQueue, "put", put)
    patcher.method(module.SimpleQueue, "put_nowait", lambda self, item: put(self, item))


def apply(patcher: Patcher) -> None:
    """Patch locks and queues."""
    _apply_locks(patcher)
    for name, new in _REENTRANT.items():
        patcher.method(_thread.RLock, name, new)
    patcher.on_import("_queue", _apply_queues, again=True)
