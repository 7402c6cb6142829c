"""Which process runs: one thread-local that the hub sets at every switch; None outside of any process.

A thread-local and not a global, because threads of the interpreter outside of the world (a test runner's watchdog) go
on while a process runs, and must keep their own clock and sockets.
"""

from __future__ import annotations

import _thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.engine.task import Task

__all__ = ["current", "current_host"]


class _Current(_thread._local):
    """`task` is the thread of a simulated process that runs now."""

    task: Task | None = None


current: Final = _Current()


def current_host() -> Host | None:
    """Return the host whose process runs now; None outside of a world."""
    task = current.task
    return None if task is None else task.process.host
