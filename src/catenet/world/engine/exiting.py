"""The end of a process, as the interpreter ends a program: wait for threads, call exit handlers."""

from __future__ import annotations

import asyncio
import itertools
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.patches.threads import close_pools, mark_stopped

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = [
    "abandon_coroutines",
    "end_threads",
    "finish_process",
    "forget_children",
    "ignore_errors",
]


def finish_process(process: Process) -> None:
    """End a process whose main task has returned or raised; runs in that task."""
    end_threads(process)
    while process.exit_handlers:
        function, args, kwargs = process.exit_handlers.pop()
        _call(process, function, *args, **kwargs)
    _end_children(process)
    _flush_files(process)


def _flush_files(process: Process) -> None:
    """Write what files have buffered that the program has not closed, as they do when the interpreter frees them."""
    for file in list(process.written):
        with suppress(OSError, ValueError):  # closed, or a full disk, of which nobody hears then
            file.flush()


def _end_children(process: Process) -> None:
    """What `multiprocessing` does at the end of its program, which to the interpreter is not the end of its own."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and process.host.owns_process:
        _call(process, util._exit_function)


def forget_children(process: Process) -> None:
    """Forget the processes that `multiprocessing` knows: to the interpreter they would be any of the machine's.

    Another program of the host has its own, and its own helpers.
    """
    if process.is_child or not process.host.owns_process:
        return
    for name, forget in _HELPERS.items():
        module = sys.modules.get(name)
        if module is not None:
            forget(module)


def _forget_processes(module: Any) -> None:
    module._children.clear()
    module._process_counter = itertools.count(1)


def _open_pools(module: Any) -> None:
    module._global_shutdown = False


def _forget_tracker(module: Any) -> None:
    module._resource_tracker._fd = module._resource_tracker._pid = None


def _forget_fork_server(module: Any) -> None:
    server = module._forkserver
    server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None


_HELPERS: Final[dict[str, Callable[[Any], None]]] = {
    "multiprocessing.process": _forget_processes,
    "multiprocessing.resource_tracker": _forget_tracker,
    "multiprocessing.forkserver": _forget_fork_server,
    "concurrent.futures.process": _open_pools,
}


def end_threads(process: Process) -> None:
    """End and await a process's threads, as `threading._shutdown` does; runs in its main task."""
    for callback in reversed(process.threading_exits):
        _call(process, callback)
    mark_stopped(process.main_thread)
    workers = close_pools(process)
    main = current.task
    assert main is not None
    while any(not task.daemon or task.ident in workers for task in process.tasks.values() if task is not main):
        main.park("the end of its threads", (), None)


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
