"""`os`, `atexit`, `builtins`: identity, exit and the working directory of a process."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any

from catenet.posix.errors import os_error
from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher, in_process
from catenet.world.patches.signals import send

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]


def _exit_now(process: Process, status: int) -> None:
    process.kill(status & 0xFF)
    task = current.task
    if task is not None:
        task.check_alive()


def _kill(process: Process, pid: int, number: int) -> None:
    """kill(2) among the processes of one host."""
    target = next((each for each in process.host.processes if each.pid == pid and each.alive), None)
    if target is None:
        raise os_error(3)
    if number == 0:
        return
    if target is process:
        send(process, number)
    else:
        target.deliver(number)


def _change_directory(process: Process, path: Any) -> None:
    process.context.change_directory(path)


def _uname(process: Process) -> Any:
    real = _real_uname()
    return os.uname_result((real.sysname, process.host.name, real.release, real.version, real.machine))


def _no_such_call(process: Process, *args: Any) -> None:
    raise os_error(38)


_real_uname = os.uname


def _register_exit(original: Any) -> Any:
    """`atexit.register`: a program's handlers are its process's, those of imported libraries not."""

    def register(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        task = current.task
        if task is None or _is_shared_import(task.process, sys._getframe(1).f_globals.get("__name__", "")):
            return original(function, *args, **kwargs)
        if not callable(function):
            raise TypeError("the first argument must be callable")
        task.process.exit_handlers.append((function, args, kwargs))
        return function

    return in_process(register, original)


def _is_shared_import(process: Process, module: str) -> bool:
    if module == "__main__" or module in process.context.private:
        return False
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _unregister_exit(original: Any) -> Any:
    def unregister(function: Any) -> None:
        task = current.task
        if task is not None:
            handlers = task.process.exit_handlers
            handlers[:] = [entry for entry in handlers if entry[0] != function]
        original(function)

    return in_process(unregister, original)


def apply(patcher: Patcher) -> None:
    """Patch identity and exit."""
    patcher.function(os, "getpid", lambda process: process.pid)
    patcher.function(os, "getppid", lambda process: 1)
    patcher.function(os, "_exit", _exit_now)
    patcher.function(os, "abort", lambda process: _exit_now(process, 134))
    patcher.function(os, "kill", _kill)
    patcher.function(os, "killpg", _kill)
    patcher.function(os, "pidfd_open", _no_such_call)
    patcher.function(os, "chdir", _change_directory)
    patcher.function(os, "uname", _uname)
    patcher.function(os, "putenv", lambda process, name, value: None)
    patcher.function(os, "unsetenv", lambda process, name: None)
    patcher.replace(atexit, "register", _register_exit(atexit.register))
    patcher.replace(atexit, "unregister", _unregister_exit(atexit.unregister))
