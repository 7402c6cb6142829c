"""Libraries that would ask for something refused, and for which there is a way that means the same.

* `ctypes.util.find_library` asks the linker in a subprocess, and many bindings call it while they are imported: where C
  libraries are is a matter of the interpreter, not of the simulated host, and the linker's cache says it too.
  `platform` asks so about the processor; where no process can be started, it does not know.
* asyncio and concurrent.futures log the exception with which a killed process's tasks end, some when garbage is
  collected: nobody could have retrieved it, and the program was not at fault.
* eventlet asks the machine's name servers by itself when dnspython is installed; on a host that has none, names come
  from the host's table, as they do without.
* trio keeps idle threads in one cache for the interpreter; a thread of another host would look names up there.
"""

from __future__ import annotations

import logging
import os
import socket
import types
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from catenet.world.enclosure.linker import find_library
from catenet.world.engine.current import current
from catenet.world.engine.errors import ProcessKilled
from catenet.world.patches.patching import Patcher, dispatch

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]


def _outside(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs as if it were called outside of any process."""

    def simulated(process: Process, *args: Any, **kwargs: Any) -> Any:
        task, current.task = current.task, None
        try:
            return original(*args, **kwargs)
        finally:
            current.task = task

    return simulated


def _patch_ctypes(patcher: Patcher, module: types.ModuleType) -> None:
    by_programs = _outside(module.find_library)

    def find(process: Process, name: str) -> Any:
        return find_library(name) or by_programs(process, name)

    patcher.function(module, "find_library", find)


def _patch_platform(patcher: Patcher, module: types.ModuleType) -> None:
    """`platform` describes the machine, but for the name of the host; it remembers what it has once found."""
    real_uname = module.uname

    def uname(process: Process) -> Any:
        found = _outside(real_uname)(process)
        return module.uname_result(found.system, socket.gethostname(), found.release, found.version, found.machine)

    for name in ("architecture", "processor"):
        patcher.function(module, name, _outside(getattr(module, name)))
    patcher.function(module, "uname", uname)
    patcher.attribute(
        module._Processor,
        "from_subprocess",
        staticmethod(dispatch(module._Processor.from_subprocess, _outside(module._Processor.from_subprocess))),
    )


def _patch_connections(patcher: Patcher, module: types.ModuleType) -> None:
    """`multiprocessing.connection.Connection` has bound the functions of `os` as default arguments."""
    cls: Any = module.Connection
    for name, function in (("_close", os.close), ("_send", os.write), ("_recv", os.read)):
        method: Any = vars(cls)[name]
        patcher.on_restore(partial(setattr, method, "__defaults__", method.__defaults__))
        method.__defaults__ = (function,)
    patcher.attribute(cls, "_read", os.read)
    patcher.attribute(cls, "_write", os.write)


NAMES: Final = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getnameinfo")


def _patch_eventlet(patcher: Patcher, module: types.ModuleType, plain: dict[str, Callable[..., Any]]) -> None:
    """The functions of `eventlet.support.greendns` that stand for those of `socket`, which are `plain`."""

    def choose(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def simulated(process: Process, *args: Any, **kwargs: Any) -> Any:
            ask = plain[name] if process.host.kernel.name_service is None else original
            return ask(*args, **kwargs)

        return simulated

    for name in plain:
        patcher.function(module, name, choose(name, getattr(module, name)))


def _patch_trio(patcher: Patcher, module: types.ModuleType) -> None:
    """The threads of `trio._core._thread_cache` that wait for work: each process has its own."""
    slot: Any = vars(module.ThreadCache)["_idle_workers"]

    def get(cache: Any) -> Any:
        task = current.task
        if task is None:
            return slot.__get__(cache)
        return task.process.globals.libraries.setdefault("trio threads", {})

    patcher.attribute(module.ThreadCache, "_idle_workers", property(get, slot.__set__))


def _is_no_kill(record: logging.LogRecord) -> bool:
    details = record.exc_info
    return not isinstance(details[1] if isinstance(details, tuple) else None, ProcessKilled)


def apply(patcher: Patcher) -> None:
    """Patch these libraries now or when they are loaded."""
    for name in ("asyncio", "concurrent.futures"):
        logging.getLogger(name).addFilter(_is_no_kill)
    plain = {name: getattr(socket, name) for name in NAMES}  # eventlet may put its own in their places
    patcher.on_import("eventlet.support.greendns", partial(_patch_eventlet, plain=plain), again=True)
    patcher.on_import("trio._core._thread_cache", _patch_trio, again=True)
    patcher.on_import("ctypes.util", _patch_ctypes)
    patcher.on_import("platform", _patch_platform)
    patcher.on_import("multiprocessing.connection", _patch_connections)
