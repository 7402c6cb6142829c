"""`_multiprocessing.SemLock`: locks and semaphores of `multiprocessing`, on semaphores of the host's kernel."""

from __future__ import annotations

import errno
import os
import threading
import types
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import CallNotModelled, os_error
from catenet.posix.pysocket import Socket
from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher
from catenet.world.patches.table.row import OWN_PROCESS

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

RECURSIVE_MUTEX: Final = 0


class _SemLock:
    """What `_multiprocessing.SemLock` is: it counts, for the process, how often it has been taken."""

    SEM_VALUE_MAX = 2**31 - 1

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        _check_host()
        kernel = Socket.current_kernel()
        self._begin(
            kernel.install(kernel.semaphore(name, value, maxvalue, unlink)), kind, maxvalue, None if unlink else name
        )

    def _begin(self, handle: int, kind: int, maxvalue: int, name: str | None) -> None:
        self.handle = handle
        self.kind = kind
        self.maxvalue = maxvalue
        self.name = name
        self._taken = 0
        self._owner = 0

    @classmethod
    def _rebuild(cls, handle: int, kind: int, maxvalue: int, name: str | None) -> _SemLock:
        """The same semaphore in another process: by its name, or by the descriptor that it has inherited."""
        lock = cls.__new__(cls)
        kernel = Socket.current_kernel()
        number = handle if name is None else kernel.install(kernel.named_semaphore(name))
        lock._begin(number, kind, maxvalue, name)
        return lock

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it; False when that is not possible in time."""
        if self.kind == RECURSIVE_MUTEX and self._is_mine():
            self._taken += 1
            return True
        kernel = Socket.current_kernel()
        file = kernel.file(self.handle)
        patience = 0.0 if not block else None if timeout is None else max(0.0, timeout)
        try:
            kernel.wait("sem_wait", file, file.read, patience, 1)
        except (BlockingIOError, TimeoutError):
            return False
        self._taken += 1
        self._owner = threading.get_ident()
        return True

    def release(self) -> None:
        """Give it back; AssertionError, ValueError as the interpreter's."""
        if self.kind == RECURSIVE_MUTEX:
            if not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self._taken > 1:
                self._taken -= 1
                return
        try:
            Socket.current_kernel().file(self.handle).write(b"\0")
        except OSError as error:
            if error.errno != errno.EOVERFLOW:
                raise
            raise ValueError("semaphore or lock released too many times") from None
        self._taken -= 1

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *details: object) -> None:
        self.release()

    def _count(self) -> int:
        return self._taken

    def _is_mine(self) -> bool:
        return self._taken > 0 and self._owner == threading.get_ident()

    def _get_value(self) -> int:
        return int.from_bytes(bytes(Socket.current_kernel().file(self.handle).read(0) or b""), "little")

    def _is_zero(self) -> bool:
        return self._get_value() == 0

    def _after_fork(self) -> None:
        self._taken = 0

    def __del__(self) -> None:
        if current.task is not None and getattr(self, "name", "") is None:
            try:
                os.close(self.handle)
            except OSError:
                pass  # with its process


def _check_host() -> None:
    task = current.task
    if task is not None and not task.process.host.owns_process:
        raise CallNotModelled(f"_multiprocessing.SemLock is not modelled on a simulated host; {OWN_PROCESS}")


class _Dispatching:
    """Takes the place of the class: inside of a process it makes simulated ones."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return (self._original if current.task is None else _SemLock)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original if current.task is None else _SemLock, name)


def _unlink(process: Process, name: str) -> None:
    """sem_unlink(3)."""
    if not Socket.current_kernel().unlink_semaphore(name):
        raise os_error(errno.ENOENT)


def _apply(patcher: Patcher, module: types.ModuleType) -> None:
    patcher.replace(module, "SemLock", _Dispatching(module.SemLock))
    patcher.function(module, "sem_unlink", _unlink)


def apply(patcher: Patcher) -> None:
    """Patch `_multiprocessing`."""
    patcher.on_import("_multiprocessing", _apply)
