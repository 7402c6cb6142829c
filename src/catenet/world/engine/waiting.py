"""The report of a deadlock: what each process, thread and asyncio task waits for."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from catenet.world.engine.process import Process
    from catenet.world.engine.task import Task
    from catenet.world.world import World

__all__ = ["describe_process", "describe_waiting"]

MAXIMUM_LINES: Final = 100
"""Limit of lines in a report."""

MAXIMUM_TASKS: Final = 10
"""Asyncio tasks shown of each event loop."""

OWN_PACKAGE: Final = __name__.partition(".")[0]


def describe_waiting(world: World) -> str:
    """Lines that say what each thread of each process waits in, on which socket and where, and who had failed."""
    lines = [line for process in world.processes if process.alive for line in process.waits()]
    lines += [
        f"  {process.describe()} had ended with status {process.status}"
        for process in world.processes
        if process.failed
    ]
    more = [f"  … and {len(lines) - MAXIMUM_LINES} lines more"] if len(lines) > MAXIMUM_LINES else []
    return "\n".join(lines[:MAXIMUM_LINES] + more)


def describe_process(process: Process) -> Iterator[str]:
    """A line for each thread, and below it one for each task of its event loop."""
    held = ", while its host is paused or frozen" if process.paused else ""
    for task in process.tasks.values():
        yield f"  {process.describe()} waits in {task.describe()}{_place(_frame_of(task))}{held}"
        if task.loop is not None:
            yield from _of_loop(task.loop)


def _of_loop(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """A line for each task of an event loop that has not ended."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: (len(task.get_name()), task.get_name()))
    for task in tasks[:MAXIMUM_TASKS]:
        yield f"    task {task.get_name()} waits{_place(_innermost(task.get_coro()))}"
    if len(tasks) > MAXIMUM_TASKS:
        yield f"    … and {len(tasks) - MAXIMUM_TASKS} tasks more"


def _frame_of(task: Task) -> FrameType | None:
    """The innermost frame of a thread that is a program's own, else of the standard library."""
    frames = []
    frame = task.frame
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != OWN_PACKAGE:
            frames.append(frame)
        frame = frame.f_back
    own = (frame for frame in frames if _is_own(frame))
    return next(own, frames[0] if frames else None)


def _innermost(coroutine: Any) -> FrameType | None:
    """The innermost frame of a coroutine's chain of awaits that is a program's own, else the innermost."""
    found: FrameType | None = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None and (found is None or _is_own(frame) or not _is_own(found)):
            found = frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return found


def _is_own(frame: FrameType) -> bool:
    """Whether a frame is not of the standard library."""
    name = frame.f_code.co_filename
    library, packages = _places()
    return not name.startswith("<frozen") and (not name.startswith(library) or name.startswith(packages))


@functools.cache
def _places() -> tuple[str, tuple[str, ...]]:
    """Where the standard library is, and where packages are."""
    import sysconfig  # only here: it keeps what depends on the user's home directory

    return sysconfig.get_path("stdlib"), (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


def _place(frame: FrameType | None) -> str:
    """Where a frame is, as text to append."""
    if frame is None:
        return ""
    return f" at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
