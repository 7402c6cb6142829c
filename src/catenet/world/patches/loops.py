"""asyncio's running loop: recorded when it is set, so that it need not be looked up at each switch between tasks.

And a loop that a program left open, which is found when it is collected: its descriptors went with the process.
"""

from __future__ import annotations

import warnings
from asyncio import base_events, events
from collections.abc import Callable
from typing import Any

from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher, copy_identity

__all__ = ["apply"]


def _record_loop(original: Callable[[Any], None]) -> Callable[[Any], None]:
    def set_running_loop(loop: Any, /) -> None:
        original(loop)
        task = current.task
        if task is not None:
            task.loop = loop
            if loop is not None:
                task.process.loop = loop

    return copy_identity(set_running_loop, original)


def _skip_killed(original: Callable[..., None]) -> Callable[..., None]:
    """`BaseEventLoop.__del__`, which closes a loop that was left open, unless its process has been killed."""

    def finalize(self: Any, _warn: Callable[..., None] = warnings.warn) -> None:
        epoll = getattr(getattr(self, "_selector", None), "_selector", None)
        # Not by its class: when the interpreter ends, this module has lost its names.
        if not getattr(epoll, "closed_with_process", False):
            original(self, _warn)

    return copy_identity(finalize, original)


def apply(patcher: Patcher) -> None:
    """Patch what event loops call when they begin and end to run, and at their own end."""
    original: Any = events._set_running_loop
    patcher.replace(events, "_set_running_loop", _record_loop(original))
    loop: Any = base_events.BaseEventLoop
    patcher.attribute(loop, "__del__", _skip_killed(loop.__del__))
