"""Facts about the machine that programs decide by: processors, load, the order of directories. Every host has the same.

A directory is listed in the order of its names: the file system's order follows from how it was filled.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher, copy_identity

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["PROCESSORS", "apply"]

PROCESSORS: Final = 4
"""How many a host has, as far as its programs are told: thread pools are sized by it."""

COUNTS: Final = frozenset(["SC_NPROCESSORS_CONF", "SC_NPROCESSORS_ONLN"])


class _Listing:
    """What `os.scandir` returns: entries in the order of their names."""

    def __init__(self, entries: list[os.DirEntry[Any]]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[os.DirEntry[Any]]:
        return self

    def __next__(self) -> os.DirEntry[Any]:
        return next(self._entries)

    def __enter__(self) -> _Listing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Show no more entries."""
        self._entries = iter(())


def _name_of(entry: os.DirEntry[Any]) -> Any:
    return entry.name


def _scan(original: Callable[..., Any]) -> Callable[..., Any]:
    def scandir(*args: Any, **kwargs: Any) -> Any:
        if current.task is None:
            return original(*args, **kwargs)
        with original(*args, **kwargs) as found:
            return _Listing(sorted(found, key=_name_of))

    return copy_identity(scandir, original)


def _list(original: Callable[..., Any]) -> Callable[..., Any]:
    def listdir(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        return found if current.task is None else sorted(found)

    return copy_identity(listdir, original)


def _configured(original: Callable[..., int]) -> Callable[..., int]:
    def sysconf(process: Process, name: Any) -> int:
        numbers = [os.sysconf_names.get(count) for count in COUNTS]
        return PROCESSORS if name in COUNTS or name in numbers else original(name)

    return sysconf


def _patch_psutil(patcher: Patcher, module: types.ModuleType) -> None:
    """Patch `psutil._pslinux`, which asks by a process's number in C; the rest it reads in `/proc`."""
    patcher.function(module.cext, "proc_cpu_affinity_get", lambda process, number: list(range(PROCESSORS)))


def apply(patcher: Patcher) -> None:
    """Patch `os`, and `psutil` when it is loaded."""
    patcher.on_import("psutil._pslinux", _patch_psutil, again=True)
    for name in ("cpu_count", "process_cpu_count"):
        patcher.function(os, name, lambda process: PROCESSORS)
    patcher.function(os, "sched_getaffinity", lambda process, number: set(range(PROCESSORS)))
    patcher.function(os, "getloadavg", lambda process: (0.0, 0.0, 0.0))
    patcher.function(os, "sysconf", _configured(os.sysconf))
    patcher.replace(os, "scandir", _scan(os.scandir))
    patcher.replace(os, "listdir", _list(os.listdir))
