"""`ctypes.util.find_library`: where C libraries are is a matter of the interpreter, not of the simulated host.

It asks the linker in a subprocess, which a program may not, and many bindings call it while they are imported.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from catenet.world.current import current
from catenet.world.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.process import Process

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


def apply(patcher: Patcher) -> None:
    """Patch `ctypes.util` now or when it is loaded."""
    patcher.on_import("ctypes.util", _patch_ctypes)
