"""`time` and `datetime`: the virtual clock of the process's world, and the clock of the day of its host.

A simulated host runs infinitely fast: its clocks stand still while a program computes. One that looks at the clock over
and over without ever waiting is made to wait (`Process.spin`), or its world would end there.

Root of a host sets the host's clock (clock_settime(2)) and slews it (`catenet.timex.clock_adjtime`), for all of its
programs and for no other host. Nothing here calls the kernel to set anything, so that no mistake of ours can set the
machine's clock.
"""

from __future__ import annotations

import datetime
import errno
import math
import operator
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet import timex
from catenet.posix.errors import os_error
from catenet.world.engine.current import current
from catenet.world.engine.hostclock import check_adjustment, step_of
from catenet.world.engine.timekeeper import Timekeeper
from catenet.world.engine.wallclock import SECOND
from catenet.world.patches.monotonic import BOOTED, monotonic, sleep
from catenet.world.patches.patching import Patcher, copy_identity

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["INITIAL_CPU_TIME", "apply", "uptime"]


WALL_CLOCKS: Final = frozenset([0, 5, 8, 11])
"""CLOCK_REALTIME, its COARSE and ALARM variants, CLOCK_TAI (leap seconds are not modelled); linux/time.h."""
UPTIME_CLOCKS: Final = frozenset([1, 4, 6])
"""CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE: they stand still while the host sleeps."""
BOOT_CLOCKS: Final = frozenset([7, 9])
"""CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM."""
OWN_CPU_CLOCKS: Final = frozenset([2, 3])
"""CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID."""

SCHEDULED: Final = 2
PER_THREAD: Final = 4
NO_CPU_CLOCK: Final = 3
"""Low bits of the number of a clock of processor time; those above are the complement of the thread's or process's
own number, 0 for the caller (linux/posix-timers.h)."""

UTCNOW_IS_DEPRECATED: Final = (
    "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. "
    "Use timezone-aware objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC)."
)

INITIAL_CPU_TIME: Final = 1e-6
"""Processor seconds that a program has spent when it begins; its computing takes none."""


def _wall(process: Process) -> float:
    return process.host.wall.time()


def uptime(process: Process) -> float:
    """CLOCK_MONOTONIC of the process's host, in seconds."""
    return BOOTED + process.uptime


def _since_boot(process: Process) -> float:
    clock = process.clock
    return BOOTED + (process.hub.time() if clock is None else clock.boottime())


def _raw(process: Process) -> float:
    clock = process.clock
    return uptime(process) if clock is None else BOOTED + clock.raw()


def _tai(process: Process) -> float:
    return _wall(process) if process.clock is None else _wall(process) + process.clock.tai


def _cpu_time(process: Process) -> float:
    """Processor time."""
    return INITIAL_CPU_TIME


def _nanoseconds(read: Callable[[Process], float]) -> Callable[[Process], int]:
    """A clock in nanoseconds."""
    if read is _wall:
        return lambda process: process.host.wall.nanoseconds()
    return lambda process: round(read(process) * SECOND)


def _clock(read: Callable[[Process], Any], original: Callable[[], Any]) -> Callable[[], Any]:
    """One of the clocks of `time`."""

    def clock() -> Any:
        task = current.task
        if task is None:
            return original()
        task.spin()
        return read(task.process)

    return copy_identity(clock, original)


# The clocks by number.


def _reader(process: Process, clock: int) -> Callable[[Process], float]:
    """Return the function that reads a clock; EINVAL when there is none of this number."""
    number = _number(clock)
    if number in WALL_CLOCKS:
        return _tai if number == time.CLOCK_TAI and process.clock is not None else _wall
    if number in UPTIME_CLOCKS:
        return _raw if number == time.CLOCK_MONOTONIC_RAW else uptime
    if number in BOOT_CLOCKS:
        return _since_boot
    if number in OWN_CPU_CLOCKS or _is_cpu_clock(process, number):
        return _cpu_time
    raise os_error(errno.EINVAL)


def _is_cpu_clock(process: Process, clock: int) -> bool:
    """Whether a number stands for the processor time of the process or one of its threads (linux/posix-timers.h)."""
    if clock >= 0 or clock & 3 == NO_CPU_CLOCK:
        return False
    number = ~(clock >> 3)
    if clock & PER_THREAD:
        return number == 0 or process.first_ident + number in process.tasks
    return number in (0, process.pid)


def _cpu_clock(process: Process, ident: int) -> int:
    """pthread_getcpuclockid(3): the number of the clock of one thread."""
    ident = operator.index(ident)
    if ident not in process.tasks:
        raise os_error(errno.ESRCH)
    return ~(ident - process.first_ident) << 3 | PER_THREAD | SCHEDULED


def _is_root() -> bool:
    """Whether the program that runs may do what needs CAP_SYS_TIME: its user is the one that `os.geteuid` tells it."""
    return os.geteuid() == 0


def _number(clock: Any) -> int:
    """The number of a clock, a C int; TypeError, OverflowError."""
    number = operator.index(clock)
    if not -(2**31) <= number < 2**31:
        raise OverflowError("Python int too large to convert to C int")
    return number


def _to_nanoseconds(seconds: Any) -> int:
    """Nanoseconds of a number of seconds, rounded down, with the errors of `time.clock_settime`."""
    if isinstance(seconds, float):
        if math.isnan(seconds):
            raise ValueError("Invalid value NaN (not a number)")
        whole = math.floor(seconds) if math.isfinite(seconds) else 2**63
        value = whole * SECOND + math.floor((seconds - whole) * SECOND if whole < 2**63 else 0)
    else:
        value = operator.index(seconds) * SECOND
    return _check_range(value)


def _check_range(nanoseconds: int) -> int:
    """Nanoseconds that fit into 64 bits; OverflowError."""
    if not -(2**63) <= nanoseconds < 2**63:
        raise OverflowError("timestamp too large to convert to C _PyTime_t")
    return nanoseconds


def _set_clock(process: Process, clock: int, seconds: Any) -> None:
    """`time.clock_settime`."""
    _set(process, _number(clock), _to_nanoseconds(seconds))


def _set_clock_ns(process: Process, clock: int, nanoseconds: Any) -> None:
    """`time.clock_settime_ns`."""
    number = _number(clock)
    if not isinstance(nanoseconds, int):
        raise TypeError(f"'{type(nanoseconds).__name__}' object cannot be interpreted as an integer")
    _set(process, number, _check_range(nanoseconds))


def _set(process: Process, clock: int, nanoseconds: int) -> None:
    """clock_settime(2), with its checks in Linux's order; only the clock of the day can be set."""
    if _is_cpu_clock(process, clock):
        raise os_error(errno.EPERM)
    if clock != time.CLOCK_REALTIME:
        raise os_error(errno.EINVAL)
    process.host.wall.check(nanoseconds)
    if not _is_root():
        raise os_error(errno.EPERM)
    process.host.set_wall_clock(nanoseconds)


def _adjust(process: Process, clock: int, request: timex.Timex) -> tuple[int, timex.Timex]:
    """clock_adjtime(2). Who only looks at a clock that runs by the world's time does not change what drives it."""
    host = process.host
    check_adjustment(clock, request, permitted=_is_root())
    if host.clock is None and request.modes in (0, timex.ADJ_OFFSET_SS_READ):
        state, answer = Timekeeper().adjust(request, host.hub.now)
    else:
        own = host.use_clock()
        if request.modes & timex.ADJ_SETOFFSET:
            host.set_wall_clock(host.wall.nanoseconds() + step_of(request))
        state, answer = own.adjust(request)
    seconds, rest = divmod(host.wall.nanoseconds(), SECOND)
    answer.seconds, answer.fraction = seconds, rest if answer.status & timex.STA_NANO else rest // 1000
    return state, answer


def _resolution(original: Callable[[int], float]) -> Callable[[Process, int], float]:
    """`time.clock_getres`: the machine's, except for clocks that it does not have."""
    return lambda process, clock: 1e-9 if _is_cpu_clock(process, clock) else original(clock)


def _default_to_now(original: Callable[..., Any]) -> Callable[[Process, Any], Any]:
    """`gmtime` and its like with their argument left out or None."""

    def simulated(process: Process, seconds: Any = None) -> Any:
        return original(_wall(process) if seconds is None else seconds)

    return simulated


def _apply_time(patcher: Patcher) -> None:
    localtime, asctime, strftime = time.localtime, time.asctime, time.strftime
    clocks = {
        "time": _wall,
        "monotonic": uptime,
        "perf_counter": uptime,
        "process_time": _cpu_time,
        "thread_time": _cpu_time,
    }
    for name, read in clocks.items():
        short = monotonic if name == "monotonic" else _clock(read, getattr(time, name))
        patcher.replace(time, name, short)
        patcher.replace(time, f"{name}_ns", _clock(_nanoseconds(read), getattr(time, f"{name}_ns")))
    patcher.replace(time, "sleep", sleep)
    for name in ("gmtime", "localtime", "ctime"):
        patcher.function(time, name, _default_to_now(getattr(time, name)))

    def local(process: Process, moment: Any) -> Any:
        return localtime(_wall(process)) if moment is None else moment

    patcher.function(time, "asctime", lambda process, moment=None: asctime(local(process, moment)))
    patcher.function(time, "strftime", lambda process, form, moment=None: strftime(form, local(process, moment)))


def _apply_numbered(patcher: Patcher) -> None:
    """Clocks by number."""
    functions: dict[str, Callable[..., Any]] = {
        "clock_gettime": lambda process, clock: _reader(process, clock)(process),
        "clock_gettime_ns": lambda process, clock: _nanoseconds(_reader(process, clock))(process),
        "pthread_getcpuclockid": _cpu_clock,
    }
    patcher.functions(time, functions)
    patcher.forward(time, "clock_settime", _set_clock)
    patcher.forward(time, "clock_settime_ns", _set_clock_ns)
    patcher.function(time, "clock_getres", _resolution(time.clock_getres))


def _apply_datetime(patcher: Patcher, module: Any) -> None:
    """`datetime.now` and `utcnow` read the clock in C; `today` asks `time.time` and needs nothing.

    `module` is `_datetime`, which may have been loaded more than once.
    """
    kind = module.datetime
    original_now = vars(kind)["now"]
    original_utcnow = vars(kind)["utcnow"]

    def simulated_now(cls: Any, tz: datetime.tzinfo | None = None) -> Any:
        task = current.task
        if task is None:
            return original_now.__get__(None, cls)(tz)
        return cls.fromtimestamp(_wall(task.process), tz)

    def simulated_utcnow(cls: Any) -> Any:
        task = current.task
        if task is None:
            return original_utcnow.__get__(None, cls)()
        if sys.version_info >= (3, 12):
            warnings.warn(UTCNOW_IS_DEPRECATED, DeprecationWarning, stacklevel=2)
        now = kind.fromtimestamp(_wall(task.process), module.timezone.utc)
        return cls(now.year, now.month, now.day, now.hour, now.minute, now.second, now.microsecond)

    simulated_now.__name__, simulated_utcnow.__name__ = "now", "utcnow"
    patcher.method(kind, "now", classmethod(simulated_now))
    patcher.method(kind, "utcnow", classmethod(simulated_utcnow))


def _set_zone(process: Process) -> None:
    """`time.tzset`: the process goes by what its environment says."""
    process.globals.change_zone(os.environb.get(b"TZ"))


def apply(patcher: Patcher) -> None:
    """Patch the clocks."""
    patcher.forward(timex, "clock_adjtime", _adjust)
    _apply_time(patcher)
    _apply_numbered(patcher)
    patcher.on_import("_datetime", _apply_datetime, again=True)
    patcher.function(time, "tzset", _set_zone)
