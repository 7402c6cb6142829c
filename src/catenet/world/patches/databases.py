"""sqlite3: what `random()` and `randomblob()` of SQL draw from is the process's entropy, not the machine's."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(process: Process, *args: Any, **kwargs: Any) -> Any:
        connection = original(*args, **kwargs)
        if not process.world.is_real:
            connection.create_function("random", 0, _random)
            connection.create_function("randomblob", 1, _random_blob)
        return connection

    return connect


def _random() -> int:
    """A signed number of 64 bits."""
    return int.from_bytes(os.urandom(8), "big", signed=True)  # which is the process's


def _random_blob(size: Any) -> bytes:
    """So many bytes, one at least (SQLite's documentation of `randomblob`)."""
    return os.urandom(max(1, int(size or 0)))


def _patch(patcher: Patcher, module: types.ModuleType) -> None:
    connect = _connect(module.connect)
    patcher.function(module, "connect", connect)
    patcher.function(module.dbapi2, "connect", connect)


def apply(patcher: Patcher) -> None:
    """Patch it now or when it is loaded."""
    patcher.on_import("sqlite3", _patch)
