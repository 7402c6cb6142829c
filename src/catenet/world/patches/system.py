"""`os`, `atexit`, `builtins`: identity, exit and the working directory of a process."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import socket
import sys
import threading
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any

from catenet.posix.arguments import plain_text
from catenet.posix.errors import os_error
from catenet.world.engine.current import current
from catenet.world.engine.exiting import end_threads
from catenet.world.patches.clocks import INITIAL_CPU_TIME, uptime
from catenet.world.patches.patching import Patcher, copy_identity

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]


def _exit_now(process: Process, status: int) -> None:
    process.kill(status & 0xFF)
    task = current.task
    if task is not None:
        task.check_alive()


def _abort(process: Process) -> None:
    process.killed_by = signal.SIGABRT
    _exit_now(process, 128 + signal.SIGABRT)


def _change_directory(process: Process, path: Any) -> None:
    process.globals.change_directory(path)


def _collect_automatically(process: Process, value: bool) -> None:
    """`gc.enable`, `gc.disable`: in a world garbage is collected at fixed numbers of turns, whatever a program asks."""
    process.collects = value


def _uname(process: Process) -> Any:
    real = _real_uname()
    return os.uname_result((real.sysname, socket.gethostname(), real.release, real.version, real.machine))


def _yield(process: Process) -> None:
    """sched_yield(2): every other thread that is ready runs before this one goes on."""
    task = current.task
    assert task is not None
    task.sleep(0.0)


def _times(process: Process) -> os.times_result:
    """times(2): processor time of a program that computes infinitely fast, and uptime in ticks of 10 ms."""
    return os.times_result((round(INITIAL_CPU_TIME, 2), 0.0, 0.0, 0.0, round(uptime(process), 2)))


def _set_variable(process: Process, name: Any, value: Any, /) -> None:
    """`os.putenv`; ValueError, TypeError."""
    key, text = _variable(name), os.fsencode(plain_text(value))
    if b"=" in key:
        raise ValueError("illegal environment variable name")
    process.globals.variables[key] = text


def _unset_variable(process: Process, name: Any, /) -> None:
    """`os.unsetenv`; EINVAL, ValueError, TypeError."""
    key = _variable(name)
    if b"=" in key:
        raise os_error(errno.EINVAL)
    process.globals.variables.pop(key, None)


def _variable(name: Any) -> bytes:
    key = os.fsencode(plain_text(name))
    if not key:
        raise os_error(errno.EINVAL)
    return key


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

    return copy_identity(register, original)


def _is_shared_import(process: Process, module: str) -> bool:
    if module == "__main__" or module in process.globals.private:
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

    return copy_identity(unregister, original)


def apply(patcher: Patcher) -> None:
    """Patch identity and exit."""
    patcher.function(os, "_exit", _exit_now)
    patcher.forward(os, "abort", _abort)
    patcher.function(os, "chdir", _change_directory)
    patcher.function(os, "fchdir", lambda process, descriptor: process.globals.open_directory(descriptor))
    patcher.function(os, "umask", lambda process, mask: process.globals.change_umask(index(mask)))
    patcher.function(os, "uname", _uname)
    patcher.function(os, "sched_yield", _yield)
    patcher.function(os, "times", _times)
    for name, value in (("enable", True), ("disable", False)):
        patcher.function(gc, name, partial(_collect_automatically, value=value))
    patcher.function(gc, "collect", lambda process, generation=2: process.world.garbage.collect_in(process, generation))
    patcher.function(gc, "isenabled", lambda process: process.collects)
    patcher.function(os, "putenv", _set_variable)
    patcher.function(os, "unsetenv", _unset_variable)
    patcher.function(threading, "_shutdown", end_threads)
    patcher.replace(atexit, "register", _register_exit(atexit.register))
    patcher.replace(atexit, "unregister", _unregister_exit(atexit.unregister))
