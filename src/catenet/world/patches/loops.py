"""asyncio's running loop: noted when it is set, so that nobody has to ask for it at each switch between tasks."""

from __future__ import annotations

from asyncio import events
from collections.abc import Callable
from typing import Any

from catenet.world.current import current
from catenet.world.patching import Patcher, in_process

__all__ = ["apply"]


def _noting(original: Callable[[Any], None]) -> Callable[[Any], None]:
    def set_running_loop(loop: Any, /) -> None:
        original(loop)
        task = current.task
        if task is not None:
            task.loop = loop
            if loop is not None:
                task.process.loop = loop

    return in_process(set_running_loop, original)


def apply(patcher: Patcher) -> None:
    """Patch what event loops call when they begin and end to run."""
    original: Any = events._set_running_loop
    patcher.replace(events, "_set_running_loop", _noting(original))
