"""What a run of a world comes to: a deadlock, programs that have failed, programs that still run."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from catenet.world.engine.errors import DeadlockError, ProcessFailed, StillRunning
from catenet.world.engine.waiting import describe_waiting
from catenet.world.patches import install

if TYPE_CHECKING:
    from catenet.world.world import World

__all__ = ["check_failures", "check_finished", "finish_idle", "threads_wake", "wait_for_threads"]

REAL_THREAD_WAIT: Final = 0.02
REAL_THREAD_CHECKS: Final = 25
"""How many times, and for how many seconds of real time each, a run waits for threads of the interpreter before it
reports a deadlock."""


def threads_wake(world: World) -> bool:
    """Whether a thread of the interpreter, here or in a host's own process, has woken anybody."""
    return wait_for_threads(world) or world.isolation.real_threads_wake()


def wait_for_threads(world: World) -> bool:
    """Wait for threads of the interpreter, which may hold a lock of a process; whether a task was woken."""
    for _ in range(REAL_THREAD_CHECKS):
        if world.hub.turns or install.original(threading, "active_count")() < 2:
            break
        time.sleep(REAL_THREAD_WAIT)
    return bool(world.hub.turns)


def finish_idle(world: World, until: float | None, deadlock: bool) -> None:
    """End a run in which no event is left: the world is over if only services wait, else raise DeadlockError."""
    end = world.ending.end_when_idle()
    if end is None and deadlock:
        world.isolation.ask_waiting()
        failed = [process for process in world.processes if process.failed]
        cause = next((process.exception for process in failed if process.exception is not None), None)
        text = f"at {world.hub.now:.6f} s of virtual time nothing can ever happen again, while"
        raise DeadlockError(f"{text}\n{describe_waiting(world)}") from cause
    world.ending.over = end is not None and (until is None or end <= until)
    if end is None or not world.ending.alive or (until is not None and until < end):
        end = until
    if end is not None and not world.is_real:
        world.hub.now = max(world.hub.now, float(end))


def check_failures(world: World) -> None:
    """Raise ProcessFailed for what has failed since that was asked last."""
    failed = [process for process in world.processes if process.failed and not process.reported]
    for process in failed:
        process.reported = True
    if failed:
        text = "; ".join(f"{process.describe()} ended with status {process.status}" for process in failed)
        cause = next((process.exception for process in failed if process.exception is not None), None)
        raise ProcessFailed(text) from cause


def check_finished(world: World) -> None:
    """Raise StillRunning if programs that are no services have not ended."""
    if not world.finished:
        raise StillRunning(f"at {world.hub.now:.6f} s of virtual time there still run\n{describe_waiting(world)}")
