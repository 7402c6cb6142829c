"""Libraries that would ask for something refused, and for which there is a way that means the same.

* `ctypes.util.find_library` asks the linker in a subprocess, and many bindings call it while they are imported: where C
  libraries are is a matter of the interpreter, not of the simulated host.
* asyncio and concurrent.futures log the exception with which a killed process's tasks end, some when garbage is
  collected: nobody could have retrieved it, and the program was not at fault.
* uvicorn takes uvloop when it is installed unless told otherwise: here it takes asyncio's own loop, as it does without.
"""

from __future__ import annotations

import importlib
import logging
import types
from typing import TYPE_CHECKING, Any

from catenet.world.engine.current import current
from catenet.world.engine.errors import ProcessKilled
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]


def _patch_ctypes(patcher: Patcher, module: types.ModuleType) -> None:
    original = module.find_library

    def find_library(process: Process, name: str) -> Any:
        task, current.task = current.task, None
        try:
            return original(name)
        finally:
            current.task = task

    patcher.function(module, "find_library", find_library)


def _patch_uvicorn(patcher: Patcher, module: types.ModuleType) -> None:
    """`auto_loop_factory` (or `auto_loop_setup`, its elder) of `uvicorn.loops.auto`."""

    def choose(name: str) -> Any:
        def simulated(process: Process, *args: Any, **kwargs: Any) -> Any:
            plain = importlib.import_module("uvicorn.loops.asyncio")
            return getattr(plain, name)(*args, **kwargs)

        return simulated

    patcher.function(module, "auto_loop_factory", choose("asyncio_loop_factory"))
    patcher.function(module, "auto_loop_setup", choose("asyncio_setup"))


def _is_no_kill(record: logging.LogRecord) -> bool:
    details = record.exc_info
    return not isinstance(details[1] if isinstance(details, tuple) else None, ProcessKilled)


def apply(patcher: Patcher) -> None:
    """Patch these libraries now or when they are loaded."""
    for name in ("asyncio", "concurrent.futures"):
        logging.getLogger(name).addFilter(_is_no_kill)
    patcher.on_import("uvicorn.loops.auto", _patch_uvicorn)
    patcher.on_import("ctypes.util", _patch_ctypes)
