"""The end of a process, as the interpreter ends a program: wait for threads, call exit handlers."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from catenet.world.engine.current import current
from catenet.world.patches.threads import close_pools

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["abandon_coroutines", "finish_process", "ignore_errors"]


def finish_process(process: Process) -> None:
    """End a process whose main task has returned or raised; runs in that task."""
    for callback in reversed(process.threading_exits):
        _call(process, callback)
    workers = close_pools(process)
    main = current.task
    assert main is not None
    while any(not task.daemon or task.ident in workers for task in process.tasks.values() if task is not main):
        main.park("the end of its threads", (), None)
    while process.exit_handlers:
        function, args, kwargs = process.exit_handlers.pop()
        _call(process, function, *args, **kwargs)


def ignore_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Silence the exception handler of a killed process's event loop: that its tasks were killed is no error.

    It finds them when they are collected, which may be long after, when there is no process left to say it for.
    """
    loop.set_exception_handler(lambda loop, context: None)


def abandon_coroutines(loop: asyncio.AbstractEventLoop) -> None:
    """Close the coroutines of a killed process's event loop while the process still runs.

    Left to the garbage collector they would end, and say so, outside of any process.
    """
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        if coroutine is not None:
            try:
                coroutine.close()
            except BaseException:
                continue  # it does not want to: nothing of it is heard or seen any more
    if not loop.is_closed() and not loop.is_running():
        loop.close()


def _call(process: Process, function: object, *args: object, **kwargs: object) -> None:
    """Call an exit handler; print what it raises, so that the others still run."""
    try:
        function(*args, **kwargs)  # type: ignore[operator]
    except SystemExit:
        raise
    except Exception as error:
        traceback.print_exception(error, file=process.streams.stderr)
