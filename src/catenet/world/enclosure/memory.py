"""A bound for the memory of a process that reads what others' code may have written.

Few bytes can ask for gigabytes: marshal makes a tuple as large as a message says before it has read what is in it.
"""

from __future__ import annotations

import resource
from typing import Final

__all__ = ["bound_memory", "unbound_memory"]

ROOM: Final = 2 << 30
"""Bytes by which the process may grow: more than a world that is built ever needs."""

# Those of the machine, bound before any world.
_getrlimit, _setrlimit = resource.getrlimit, resource.setrlimit
_before: tuple[int, int] | None = None


def bound_memory() -> None:
    """Let this process grow by so much and no more: MemoryError then. Its children have to `unbound_memory`."""
    global _before
    soft, hard = _getrlimit(resource.RLIMIT_AS)
    try:
        with open("/proc/self/statm") as file:
            most = int(file.read().split()[0]) * resource.getpagesize() + ROOM
    except (OSError, ValueError):
        return
    if soft == resource.RLIM_INFINITY or most < soft:
        _before = soft, hard
        _setrlimit(resource.RLIMIT_AS, (most, hard))


def unbound_memory() -> None:
    """Have the limit of before again."""
    if _before is not None:
        _setrlimit(resource.RLIMIT_AS, _before)
