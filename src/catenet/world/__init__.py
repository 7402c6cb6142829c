"""Hosts, processes, the hub, topology, faults, seeds, traces and reports.

`World` and `Host` are the way in; they are imported when they are first asked for, so that the parts below them can be
used alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catenet.world.engine.errors import DeadlockError, ProcessFailed, StillRunning
    from catenet.world.engine.host import Host
    from catenet.world.engine.process import Process
    from catenet.world.world import World

__all__ = ["DeadlockError", "Host", "Process", "ProcessFailed", "StillRunning", "World"]

_HOMES = {
    "DeadlockError": "engine.errors",
    "Host": "engine.host",
    "Process": "engine.process",
    "ProcessFailed": "engine.errors",
    "StillRunning": "engine.errors",
    "World": "world",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
