"""Putting the simulated modules in place, once, and taking them out again.

Installing changes nothing for code outside of a process but some hundred nanoseconds per call: every replacement
dispatches on the current process. It happens when the first host of the first world is made.
"""

from __future__ import annotations

import types
from typing import Any, Final

from catenet.world.patches import (
    accelerators,
    clocks,
    credentials,
    databases,
    executions,
    file_numbers,
    file_times,
    files,
    host_files,
    interfaces,
    jobs,
    libraries,
    limits,
    loops,
    machine,
    proc,
    randomness,
    readiness,
    refusals,
    semaphores,
    shared_memory,
    signals,
    sockets,
    subprocesses,
    system,
    temporary,
    terminals,
    threads,
    tls,
    tracebacks,
)
from catenet.world.patches.imports import PrivateFinder
from catenet.world.patches.patching import Patcher

__all__ = ["install", "is_installed", "original", "rebind"]

APPLY: Final = (
    clocks.apply,
    randomness.apply,
    threads.apply,
    loops.apply,
    sockets.apply,
    readiness.apply,
    tls.apply,
    files.apply,
    file_numbers.apply,
    file_times.apply,
    host_files.apply,
    proc.apply,
    temporary.apply,
    machine.apply,
    databases.apply,
    signals.apply,
    tracebacks.apply,
    system.apply,
    credentials.apply,
    jobs.apply,
    subprocesses.apply,
    executions.apply,
    semaphores.apply,
    shared_memory.apply,
    limits.apply,
    terminals.apply,
    interfaces.apply,
    accelerators.apply,
    libraries.apply,
    refusals.apply,
)

_patcher: Patcher | None = None


def install() -> None:
    """Patch the standard modules; harmless to repeat."""
    global _patcher
    if _patcher is not None:
        return
    _patcher = Patcher()
    for apply in APPLY:
        apply(_patcher)
    _patcher.rebind()
    _patcher.add_finders(PrivateFinder)
    _patcher.patch_new_c_modules()


def uninstall() -> None:
    """Restore everything (for tests); worlds that are still open must not run any more."""
    global _patcher
    if _patcher is not None:
        _patcher.restore()
        _patcher = None


def rebind(function: Any) -> None:
    """Replace what a function has bound before the standard modules were patched."""
    if _patcher is not None:
        _patcher.rebind_in(function)


def is_installed() -> bool:
    """Whether the standard modules are patched."""
    return _patcher is not None


def original(module: types.ModuleType, name: str) -> Any:
    """Return what a module's attribute is outside of all worlds."""
    return getattr(module, name) if _patcher is None else _patcher.original(module, name)
