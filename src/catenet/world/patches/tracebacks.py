"""`faulthandler`: tracebacks of a process's threads, at a signal or after a while of the world's time."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.hub import Timer
    from catenet.world.engine.process import Process
    from catenet.world.engine.task import Task

__all__ = ["Dumper", "apply"]

MAXIMUM_FRAMES: Final = 100
"""Limit of frames of a thread, as in CPython's traceback.c."""


def _descriptor(file: Any) -> int:
    """The descriptor of what `faulthandler` is given as a file; its errors."""
    if file is None:
        raise RuntimeError("sys.stderr is None")
    if isinstance(file, int):
        if file < 0:
            raise ValueError("file is not a valid file descripter")
        return file
    number = file.fileno()
    if not isinstance(number, int) or number < 0:
        raise RuntimeError("file.fileno() is not a valid file descriptor")
    file.flush()
    return number


def _lines(task: Task, frame: FrameType | None, *, is_current: bool) -> list[str]:
    found: list[str] = []
    while frame is not None and len(found) < MAXIMUM_FRAMES:
        if not frame.f_globals.get("__name__", "").startswith("catenet.world."):
            found.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}')
        frame = frame.f_back
    head = "Current thread" if is_current else "Thread"
    return [f"{head} 0x{task.ident:016x} (most recent call first):", *(found or ["  <no Python frame>"])]


def _text(process: Process, running: FrameType | None, *, all_threads: bool) -> str:
    """The tracebacks of a process's threads; `running` is the innermost frame of the one that runs."""
    now = current.task
    mine = now if now is not None and now.owner is process else process.main
    of_mine = running if now is mine else mine.frame
    if not all_threads:
        return "\n".join(["Stack (most recent call first):", *_lines(mine, of_mine, is_current=True)[1:], ""])
    parts = [_lines(task, task.frame, is_current=False) for task in process.tasks.values() if task is not mine]
    parts.append(_lines(mine, of_mine, is_current=True))
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _show(process: Process, descriptor: int, frame: FrameType | None, *, all_threads: bool, head: str = "") -> None:
    try:
        os.write(descriptor, (head + _text(process, frame, all_threads=all_threads)).encode(errors="backslashreplace"))
    except OSError:
        pass


class Dumper:
    """The handler of a signal at which tracebacks are shown."""

    def __init__(self, process: Process, descriptor: int, *, all_threads: bool, chain: bool, previous: Any) -> None:
        self.previous = previous
        """What the program had for the signal before."""
        self._process = process
        self._descriptor = descriptor
        self._all_threads = all_threads
        self._chain = chain

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Show them, and do what the program had wanted before if it is to be chained."""
        _show(self._process, self._descriptor, frame, all_threads=self._all_threads)
        if not self._chain:
            return
        if callable(self.previous) and self.previous is not signal.SIG_DFL:
            self.previous(number, frame)
        elif self.previous == signal.SIG_DFL:
            self._process.set_handler(number, signal.SIG_DFL)
            self._process.deliver_to_itself(number)


def _register(process: Process, signum: int, file: Any = ..., all_threads: bool = True, chain: bool = False) -> None:
    """`faulthandler.register`."""
    _check_signal(signum)
    descriptor = _descriptor(sys.stderr if file is ... else file)
    previous = process.handlers.get(signum, signal.SIG_DFL)
    if isinstance(previous, Dumper):
        previous = previous.previous
    process.set_handler(
        signum, Dumper(process, descriptor, all_threads=bool(all_threads), chain=bool(chain), previous=previous)
    )


def _unregister(process: Process, signum: int) -> bool:
    """`faulthandler.unregister`: whether there was anything to take back."""
    _check_signal(signum)
    dumper = process.handlers.get(signum)
    if not isinstance(dumper, Dumper):
        return False
    process.set_handler(signum, dumper.previous)
    return True


def _check_signal(signum: int) -> None:
    if signum in (signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSEGV):
        raise RuntimeError(f"signal {signum} cannot be registered, use enable() instead")
    if not 1 <= signum < signal.NSIG:
        raise ValueError("signal number out of range")


def _dump(process: Process, file: Any = ..., all_threads: bool = True) -> None:
    """`faulthandler.dump_traceback`."""
    descriptor = _descriptor(sys.stderr if file is ... else file)
    _show(process, descriptor, sys._getframe(2), all_threads=bool(all_threads))


# After a while.

_timers: dict[int, Timer] = {}
"""The timer of a process that shows its tracebacks later, by the process's identity."""


def _dump_later(process: Process, timeout: float, repeat: bool = False, file: Any = ..., exit: bool = False) -> None:
    """`faulthandler.dump_traceback_later`, in the world's time."""
    if timeout <= 0:
        raise ValueError("timeout must be greater than 0")
    descriptor = _descriptor(sys.stderr if file is ... else file)
    minutes, seconds = divmod(float(timeout), 60)
    hours, minutes = divmod(int(minutes), 60)
    fraction = f"{seconds:09.6f}" if seconds % 1 else f"{int(seconds):02d}"
    head = f"Timeout ({hours}:{minutes:02d}:{fraction})!\n"
    _cancel(process)

    def expired() -> None:
        _timers.pop(id(process), None)
        if not process.alive:
            return
        _show_outside(process, descriptor, head)
        if exit:
            process.kill(1)
        elif repeat:
            arm()

    def arm() -> None:
        _timers[id(process)] = process.hub.timer(process.hub.now + timeout, expired)

    arm()
    if not process.on_end.count(_cancel):
        process.on_end.append(_cancel)


def _show_outside(process: Process, descriptor: int, head: str) -> None:
    """As `_show`, from the hub: the process's descriptors are those of its main thread."""
    before, current.task = current.task, process.main
    try:
        text = head + _text(process, process.main.frame, all_threads=True)
        os.write(descriptor, text.encode(errors="backslashreplace"))
    except OSError:
        pass
    finally:
        current.task = before


def _cancel(process: Process) -> None:
    """`faulthandler.cancel_dump_traceback_later`."""
    timer = _timers.pop(id(process), None)
    if timer is not None:
        timer.cancel()


def apply(patcher: Patcher) -> None:
    """Patch `faulthandler`."""
    functions: dict[str, Callable[..., Any]] = {
        "register": _register,
        "unregister": _unregister,
        "dump_traceback": _dump,
        "dump_traceback_later": _dump_later,
        "cancel_dump_traceback_later": _cancel,
    }
    patcher.functions(faulthandler, functions)
