"""Processes of one host as they see each other: identifiers, groups, sessions and kill(2).

Every program is started as a service is: it leads a session and a process group of its own.
"""

from __future__ import annotations

import errno
import operator
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import os_error
from catenet.world.patches.credentials import may_signal, real_user
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

PARENT: Final = 1
"""Number of the process that starts a host's programs and restarts them."""


def _running(process: Process) -> list[Process]:
    """Processes that run on the host of `process`."""
    return [each for each in process.host.processes if each.alive]


def _find(process: Process, pid: int) -> Process:
    """The running process with this number, 0 being the caller; ESRCH."""
    pid = operator.index(pid) or process.pid
    found = next((each for each in _running(process) if each.pid == pid), None)
    if found is None:
        raise os_error(errno.ESRCH)
    return found


def _kill(process: Process, pid: int, number: int) -> None:
    """kill(2) among the processes of one host; a process is the only one in its group, and -1 is all the others."""
    pid, number = operator.index(pid), operator.index(number)
    if pid == -1:
        targets = [each for each in _running(process) if each is not process]
        if not targets:
            raise os_error(errno.ESRCH)
    else:
        targets = [_find(process, abs(pid))]
    if not 0 <= number < signal.NSIG:
        raise os_error(errno.EINVAL)
    allowed = [target for target in targets if may_signal(process, target)]
    if not allowed:
        raise os_error(errno.EPERM)
    for target in allowed:
        if number:
            target.senders[number] = process.pid, real_user(process)
            _send(process, target, number)


def _send(process: Process, target: Process, number: int) -> None:
    if target is process:
        process.deliver_to_itself(number)
    else:
        target.deliver(number)


def _kill_group(process: Process, group: int, number: int) -> None:
    """killpg(3)."""
    if operator.index(group) < 0:
        raise os_error(errno.EINVAL)
    _kill(process, group, number)


def _group_of(process: Process, pid: int) -> int:
    """getpgid(2), getsid(2)."""
    return _find(process, pid).pid


def _set_group(process: Process, pid: int, group: int) -> None:
    """setpgid(2): a session's leader stays in its group (EPERM); EINVAL, ESRCH."""
    if (operator.index(group) or operator.index(pid)) < 0:
        raise os_error(errno.EINVAL)
    if _find(process, pid) is not process:
        raise os_error(errno.ESRCH)  # no child of the caller
    raise os_error(errno.EPERM)


def _leads(process: Process) -> None:
    """setsid(2), setpgrp(2): EPERM for the leader of a group."""
    raise os_error(errno.EPERM)


def _no_such_call(process: Process, *args: Any) -> None:
    raise os_error(errno.ENOSYS)


def apply(patcher: Patcher) -> None:
    """Patch the functions of `os` and `signal` on processes."""
    functions: dict[str, Callable[..., Any]] = {
        "getpid": lambda process: process.pid,
        "getppid": lambda process: PARENT,
        "kill": _kill,
        "killpg": _kill_group,
        "getpgid": _group_of,
        "getpgrp": lambda process: process.pid,
        "getsid": _group_of,
        "setpgid": _set_group,
        "setpgrp": _leads,
        "setsid": _leads,
        "pidfd_open": _no_such_call,
    }
    for name, simulated in functions.items():
        patcher.function(os, name, simulated)
    patcher.function(signal, "pidfd_send_signal", _no_such_call)
