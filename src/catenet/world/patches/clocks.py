"""`time` and `datetime`: the virtual clock of the process's world.

A simulated host runs infinitely fast: its clocks stand still while a program computes. One that looks at the clock over
and over without ever waiting is made to wait (`Process.spin`), or its world would end there.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from catenet.world.current import current
from catenet.world.monotonic import BOOTED, monotonic, sleep
from catenet.world.patching import Patcher, in_process

if TYPE_CHECKING:
    from catenet.world.process import Process

__all__ = ["BOOTED", "apply"]


def _wall(process: Process) -> float:
    return process.world.epoch + process.hub.time()


def _monotonic(process: Process) -> float:
    return BOOTED + process.hub.time()


def _spent(process: Process) -> float:
    """Processor time: a program's own computing takes none."""
    return 0.0


def _clock(read: Callable[[Process], float], original: Callable[[], Any], nanoseconds: bool) -> Callable[[], Any]:
    """One of the clocks of `time`."""

    def clock() -> Any:
        task = current.task
        if task is None:
            return original()
        task.spin()
        value = read(task.process)
        return round(value * 1e9) if nanoseconds else value

    return in_process(clock, original)


def _broken_down(original: Callable[..., Any]) -> Callable[[Process, Any], Any]:
    """`gmtime` and its like with their argument left out or None."""

    def simulated(process: Process, seconds: Any = None) -> Any:
        return original(_wall(process) if seconds is None else seconds)

    return simulated


def _apply_time(patcher: Patcher) -> None:
    localtime, asctime, strftime = time.localtime, time.asctime, time.strftime
    clocks = {
        "time": _wall,
        "monotonic": _monotonic,
        "perf_counter": _monotonic,
        "process_time": _spent,
        "thread_time": _spent,
    }
    for name, read in clocks.items():
        original = getattr(time, name)
        short = monotonic if name == "monotonic" else _clock(read, original, False)
        patcher.replace(time, name, short)
        patcher.replace(time, f"{name}_ns", _clock(read, getattr(time, f"{name}_ns"), True))
    patcher.replace(time, "sleep", sleep)
    for name in ("gmtime", "localtime", "ctime"):
        patcher.function(time, name, _broken_down(getattr(time, name)))

    def local(process: Process, moment: Any) -> Any:
        return localtime(_wall(process)) if moment is None else moment

    patcher.function(time, "asctime", lambda process, moment=None: asctime(local(process, moment)))
    patcher.function(time, "strftime", lambda process, form, moment=None: strftime(form, local(process, moment)))

    def gettime(process: Process, clock: int) -> float:
        if clock in (time.CLOCK_REALTIME, getattr(time, "CLOCK_TAI", -1)):
            return _wall(process)
        return 0.0 if clock in (time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID) else _monotonic(process)

    patcher.function(time, "clock_gettime", gettime)
    patcher.function(time, "clock_gettime_ns", lambda process, clock: round(gettime(process, clock) * 1e9))


def _apply_datetime(patcher: Patcher) -> None:
    """`datetime.now` and `utcnow` read the clock in C; `today` asks `time.time` and needs nothing."""
    original_now = vars(datetime.datetime)["now"]
    original_utcnow = vars(datetime.datetime)["utcnow"]

    def simulated_now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> Any:
        task = current.task
        if task is None:
            return original_now.__get__(None, cls)(tz)
        return cls.fromtimestamp(_wall(task.process), tz)

    def simulated_utcnow(cls: type[datetime.datetime]) -> Any:
        task = current.task
        if task is None:
            return original_utcnow.__get__(None, cls)()
        return cls.fromtimestamp(_wall(task.process), datetime.UTC).replace(tzinfo=None)

    simulated_now.__name__, simulated_utcnow.__name__ = "now", "utcnow"
    patcher.method(datetime.datetime, "now", classmethod(simulated_now))
    patcher.method(datetime.datetime, "utcnow", classmethod(simulated_utcnow))


def apply(patcher: Patcher) -> None:
    """Patch the clocks."""
    _apply_time(patcher)
    _apply_datetime(patcher)
