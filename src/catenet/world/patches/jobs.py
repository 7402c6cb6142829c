"""Processes of one host as they see each other: identifiers, groups, sessions, kill(2), fork(2) and wait(2).

Every program that the host starts is started as a service is: it leads a session and a process group of its own. What
it forks stays in them until it leaves.
"""

from __future__ import annotations

import errno
import operator
import os
import resource
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from catenet.posix.errors import os_error
from catenet.posix.file import FIRST_DESCRIPTOR
from catenet.posix.process_file import ProcessFile
from catenet.world.engine.children.client import Fork
from catenet.world.engine.children.forking import fork
from catenet.world.engine.current import current
from catenet.world.patches.credentials import may_signal, real_user
from catenet.world.patches.patching import Patcher, copy_identity

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

PARENT: Final = 1
"""Number of the process that starts a host's programs and restarts them, and that orphans belong to."""

WAIT_OPTIONS: Final = os.WNOHANG | os.WUNTRACED | os.WCONTINUED
WAITID_OPTIONS: Final = WAIT_OPTIONS | os.WEXITED | os.WSTOPPED | os.WNOWAIT
NO_USAGE: Final = (0.0, 0.0, *[0] * 14)
"""What a child has used: programs compute in no time, and memory is the machine's."""


def _running(process: Process) -> list[Process]:
    """Processes that run on the host of `process`."""
    return [each for each in process.host.processes if each.alive]


def _find(process: Process, pid: int) -> Process:
    """The process with this number, 0 being the caller, also one that nobody has waited for yet; ESRCH."""
    pid = operator.index(pid) or process.pid
    for each in _running(process):
        if each.pid == pid:
            return each
        if pid in each.children:
            return each.children[pid]
    raise os_error(errno.ESRCH)


def _kill(process: Process, pid: int, number: int) -> None:
    """kill(2) among the processes of one host: one of them, a group (0: the caller's), or with -1 all the others."""
    pid, number = operator.index(pid), operator.index(number)
    if pid == PARENT:
        if not 0 <= number < signal.NSIG:
            raise os_error(errno.EINVAL)
        if real_user(process):
            raise os_error(errno.EPERM)
        return  # a first process dies of no signal that it does not handle
    if pid > 0:
        targets = [_find(process, pid)]
    elif pid == -1:
        targets = [each for each in _running(process) if each is not process]
    else:
        group = -pid or process.group
        targets = [each for each in _running(process) if each.group == group]
    if not targets:
        raise os_error(errno.ESRCH)
    if not 0 <= number < signal.NSIG:
        raise os_error(errno.EINVAL)
    allowed = [target for target in targets if may_signal(process, target)]
    if not allowed:
        raise os_error(errno.EPERM)
    for target in sorted(allowed, key=lambda target: target is process):
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
    group = operator.index(group)
    if group < 0:
        raise os_error(errno.EINVAL)
    _kill(process, -group, number)


def _set_group(process: Process, pid: int, group: int) -> None:
    """setpgid(2) of the caller or a child of it; a session's leader stays in its group (EPERM); EINVAL, ESRCH."""
    pid, group = operator.index(pid), operator.index(group)
    if group < 0 or pid < 0:
        raise os_error(errno.EINVAL)
    target = _find(process, pid)
    if target is not process and target.parent is not process:
        raise os_error(errno.ESRCH)
    group = group or target.pid
    if target.session == target.pid or target.session != process.session:
        raise os_error(errno.EPERM)
    if group != target.pid and not any(
        each.group == group and each.session == process.session for each in _running(process)
    ):
        raise os_error(errno.EPERM)
    target.group = group


def _new_session(process: Process) -> None:
    """setsid(2): EPERM for the leader of a group."""
    if any(each.group == process.pid for each in _running(process)):
        raise os_error(errno.EPERM)
    process.group = process.session = process.pid


# pidfd_open(2).


def _open(process: Process, pid: int, flags: int = 0) -> int:
    """`os.pidfd_open`; EINVAL, ESRCH."""
    pid, flags = operator.index(pid), operator.index(flags)
    if pid <= 0 or flags & ~os.O_NONBLOCK:
        raise os_error(errno.EINVAL)
    found = _find(process, pid)
    file = ProcessFile(found, ended=not found.alive)
    file.set_nonblocking(bool(flags))
    if found.alive:
        found.pidfds.append(file)
    return process.host.kernel.install(file)


def _opened(process: Process, descriptor: int) -> tuple[ProcessFile, Process]:
    """The process that a descriptor stands for; EBADF."""
    file = process.host.kernel.file(descriptor) if descriptor >= FIRST_DESCRIPTOR else None
    if not isinstance(file, ProcessFile):
        raise os_error(errno.EBADF)
    return file, cast("Process", file.process)


def _send_by_descriptor(process: Process, descriptor: int, number: int, siginfo: None = None, flags: int = 0) -> None:
    """`signal.pidfd_send_signal`; EBADF, EINVAL, EPERM, and ESRCH when somebody has waited for it."""
    descriptor, number = operator.index(descriptor), operator.index(number)
    if siginfo is not None:
        raise TypeError("siginfo must be None")
    if flags:
        raise os_error(errno.EINVAL)
    _, target = _opened(process, descriptor)
    if _find(process, target.pid) is not target:
        raise os_error(errno.ESRCH)
    _kill(process, target.pid, number)


def _register_at_fork(original: Callable[..., None]) -> Callable[..., None]:
    """`os.register_at_fork`: what a program has the child do, the copy does as the child, whose calls are its own."""

    def register_at_fork(**handlers: Any) -> None:
        task, handler = current.task, handlers.get("after_in_child")
        if task is not None and callable(handler):
            handlers["after_in_child"] = lambda: _as_child(handler)
        original(**handlers)

    return copy_identity(register_at_fork, original)


def _as_child(handler: Callable[[], object]) -> None:
    task = current.task
    call = None if task is None else task.process.switcher.hub
    if isinstance(call, Fork):
        call.become_child()
    handler()


# wait(2).


def _wait_for(
    process: Process, call: str, matches: Callable[[Process], bool], options: int, *, keep: bool = False
) -> Process | None:
    """Wait until one of the children that match has ended, and take it; None with WNOHANG. ECHILD when none matches."""
    task = current.task
    assert task is not None
    while True:
        found = [child for child in process.children.values() if matches(child)]
        if not found:
            raise os_error(errno.ECHILD)
        for child in found:
            if not child.alive:
                if not keep:
                    del process.children[child.pid]
                return child
        if options & os.WNOHANG:
            task.spin()
            return None
        process.waiting[task] = None
        try:
            task.park(call, (), None)
        finally:
            process.waiting.pop(task, None)
        process.check_interrupted()


def _matcher(process: Process, pid: int) -> Callable[[Process], bool]:
    """Children that a number stands for in waitpid(2)."""
    if pid == -1:
        return lambda child: True
    if pid > 0:
        return lambda child: child.pid == pid
    group = -pid or process.group
    return lambda child: child.group == group


def _wait_pid(process: Process, pid: int, options: int) -> tuple[int, int]:
    """`os.waitpid`."""
    pid, options = operator.index(pid), operator.index(options)
    if options & ~WAIT_OPTIONS:
        raise os_error(errno.EINVAL)
    child = _wait_for(process, "waitpid", _matcher(process, pid), options)
    return (0, 0) if child is None else (child.pid, child.wait_status)


def _wait_usage(process: Process, pid: int, options: int) -> tuple[int, int, Any]:
    """`os.wait4`."""
    return (*_wait_pid(process, pid, options), resource.struct_rusage(NO_USAGE))


def _wait_id(process: Process, kind: int, number: int, options: int) -> Any:
    """`os.waitid`; None with WNOHANG when no child has ended."""
    kind, number, options = operator.index(kind), operator.index(number), operator.index(options)
    if options & ~WAITID_OPTIONS or not options & (os.WEXITED | os.WSTOPPED | os.WCONTINUED):
        raise os_error(errno.EINVAL)
    nonblocking = False
    if kind == os.P_ALL:
        matches = _matcher(process, -1)
    elif kind == os.P_PID and number > 0:
        matches = _matcher(process, number)
    elif kind == os.P_PGID and number >= 0:
        matches = _matcher(process, -number)
    elif kind == os.P_PIDFD and number >= 0:
        file, target = _opened(process, number)
        matches, nonblocking = (lambda child: child is target), file.is_nonblocking()
    else:
        raise os_error(errno.EINVAL)
    waits = options | os.WNOHANG if nonblocking else options
    child = _wait_for(process, "waitid", matches, waits, keep=bool(options & os.WNOWAIT))
    if child is None:
        if nonblocking and not options & os.WNOHANG:
            raise os_error(errno.EAGAIN)
        return None
    status = child.killed_by or child.wait_status >> 8
    code = os.CLD_KILLED if child.killed_by else os.CLD_EXITED
    return os.waitid_result((child.pid, real_user(child), int(signal.SIGCHLD), status, code))


def _usage_again(fields: tuple[int, int, tuple[Any, ...]]) -> tuple[int, int, Any]:
    return fields[0], fields[1], resource.struct_rusage(fields[2])


def _result_again(fields: tuple[int, ...] | None) -> Any:
    return None if fields is None else os.waitid_result(fields)


def apply(patcher: Patcher) -> None:
    """Patch the functions of `os` and `signal` on processes."""
    patcher.function(os, "getpid", lambda process: process.pid)
    patcher.function(os, "fork", fork)
    patcher.replace(os, "register_at_fork", _register_at_fork(os.register_at_fork))
    functions: dict[str, Callable[..., Any]] = {
        "getppid": lambda process: PARENT if process.parent is None else process.parent.pid,
        "kill": _kill,
        "killpg": _kill_group,
        "getpgid": lambda process, pid: _find(process, pid).group,
        "getpgrp": lambda process: process.group,
        "getsid": lambda process, pid: _find(process, pid).session,
        "setpgid": _set_group,
        "setpgrp": lambda process: _set_group(process, 0, 0),
        "setsid": _new_session,
        "pidfd_open": _open,
        "wait": lambda process: _wait_pid(process, -1, 0),
        "waitpid": _wait_pid,
    }
    for name, simulated in functions.items():
        patcher.forward(os, name, simulated)
    patcher.forward(os, "wait3", lambda process, options: _wait_usage(process, -1, options), _usage_again)
    patcher.forward(os, "wait4", _wait_usage, _usage_again)
    patcher.forward(os, "waitid", _wait_id, _result_again)
    patcher.forward(signal, "pidfd_send_signal", _send_by_descriptor)
