"""`resource`: limits of a process, which it can read and set but which limit nothing on a simulated host."""

from __future__ import annotations

import errno
import operator
import resource
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import os_error
from catenet.world.patches.clocks import INITIAL_CPU_TIME
from catenet.world.patches.credentials import Credentials
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

RESOURCES: Final = 16
"""RLIM_NLIMITS (asm-generic/resource.h)."""

_getrlimit = resource.getrlimit
_getrusage = resource.getrusage


def _get(process: Process, which: int) -> tuple[int, int]:
    """`resource.getrlimit`: the interpreter's limits until the process has set its own."""
    which = _resource(which)
    return process.limits.get(which) or _getrlimit(which)


def _set(process: Process, which: int, limits: Any) -> None:
    """`resource.setrlimit`; ValueError for what setrlimit(2) refuses."""
    which = _resource(which)
    soft, hard = _pair(limits)
    if _comparable(soft) > _comparable(hard):
        raise ValueError("current limit exceeds maximum limit")
    root = (process.credentials or Credentials()).is_root
    if _comparable(hard) > _comparable(_get(process, which)[1]) and not root:
        raise ValueError("not allowed to raise maximum limit")
    process.limits[which] = soft, hard


def _get_and_set(process: Process, pid: int, which: int, limits: Any = None) -> tuple[int, int]:
    """`resource.prlimit` of a process of the host."""
    pid, which = operator.index(pid) or process.pid, _resource(which)
    target = next((each for each in process.host.processes if each.alive and each.pid == pid), None)
    if target is None:
        raise os_error(errno.ESRCH)
    before = _get(target, which)
    if limits is not None:
        _set(target, which, limits)
    return before


def _resource(which: Any) -> int:
    number = operator.index(which)
    if not 0 <= number < RESOURCES:
        raise ValueError("invalid resource specified")
    return number


def _pair(limits: Any) -> tuple[int, int]:
    """The soft and hard limit in the form in which `getrlimit` shows them; ValueError, TypeError, OverflowError."""
    both = tuple(limits)
    if len(both) != 2:
        raise ValueError("expected a tuple of 2 integers")
    soft, hard = (operator.index(each) for each in both)
    if not all(-(2**63) <= each < 2**63 for each in (soft, hard)):
        raise OverflowError("Python int too large to convert to C long")
    return soft, hard


def _comparable(limit: int) -> int:
    """A limit as the unsigned number that the kernel compares; RLIM_INFINITY (-1) is the largest."""
    return limit & 0xFFFF_FFFF_FFFF_FFFF


RESIDENT: Final = 1 << 15
"""Kilobytes that a program is told it has taken at most."""


def _usage(process: Process, who: int) -> resource.struct_rusage:
    """`resource.getrusage`: computing takes no processor time, and what memory it takes is the interpreter's affair."""
    usage = _getrusage(who)  # which says what is wrong with `who`
    return resource.struct_rusage((INITIAL_CPU_TIME, 0.0, RESIDENT, *(0 for _ in usage[3:])))


def apply(patcher: Patcher) -> None:
    """Patch `resource`."""
    patcher.function(resource, "getrlimit", _get)
    patcher.function(resource, "setrlimit", _set)
    patcher.function(resource, "prlimit", _get_and_set)
    patcher.function(resource, "getrusage", _usage)
