"""System calls whose results a simulated process and a real one are compared by; each runs in a session of its own.

Run as a program with `real` or `simulated` and the name of a scenario, it prints the result. Both run in interpreters
of their own, because some scenarios give up the rights of whoever runs them.
"""

from __future__ import annotations

import _thread
import fcntl
import gc
import json
import os
import resource
import signal
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from typing import Any


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """The result of a call, or the error that it raises."""
    try:
        return call(*args)
    except (OSError, ValueError, TypeError, OverflowError, termios.error) as error:
        return [type(error).__name__, *map(str, error.args)]


def process_groups() -> Any:
    pid = os.getpid()
    others = [999_999, -1]
    seen = [each == pid for each in (os.getpgrp(), os.getpgid(0), os.getpgid(pid), os.getsid(0), os.getsid(pid))]
    changes = [outcome(os.setsid), outcome(os.setpgrp)]
    changes += [outcome(os.setpgid, *pair) for pair in ((0, 0), (pid, pid), (999_999, 0), (-1, 0), (0, -1))]
    return seen, changes, [outcome(call, other) for call in (os.getpgid, os.getsid) for other in others]


def kill_finds_its_process() -> Any:
    pid = os.getpid()
    pairs = [(999_999, 99), (pid, 99), (pid, -1), (0, 0), (pid, 0), (-pid, 0), (999_999, 0), (-999_999, 0)]
    return [outcome(os.kill, *pair) for pair in pairs] + [
        outcome(os.killpg, group, 0) for group in (999_999, 0, pid, -1)
    ]


def kill_reaches_the_own_group() -> Any:
    received: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    os.kill(0, signal.SIGUSR1)
    os.killpg(os.getpgrp(), signal.SIGUSR1)
    os.kill(-os.getpid(), signal.SIGUSR1)
    return received


def users(*calls: tuple[Any, ...]) -> Any:
    """The results of calls that change credentials, and the credentials after each."""
    found = []
    for name, *args in calls:
        result = outcome(getattr(os, name), *args)
        found.append([result, os.getresuid(), os.getresgid(), os.getuid(), os.geteuid(), os.getgid(), os.getegid()])
    return found


def set_user() -> Any:
    return users(("setuid", 5), ("setuid", 0), ("seteuid", 0), ("setreuid", 5, 5), ("setgid", 5))


def set_effective_user() -> Any:
    return users(("seteuid", 5), ("setuid", 7), ("setuid", 0), ("setreuid", -1, 7), ("setreuid", 7, 0))


def set_user_pairs() -> Any:
    return users(("setreuid", 7, -1), ("setreuid", 8, 9), ("setreuid", 9, 8), ("setreuid", -1, 8), ("setreuid", 3, 3))


def set_saved_user() -> Any:
    return users(
        ("setresuid", 1, 2, 3),
        ("setuid", 3),
        ("setuid", 1),
        ("setuid", 4),
        ("setreuid", 3, -1),
        ("setreuid", -1, 3),
        ("setresuid", -1, -1, 7),
        ("setresuid", 3, 3, 3),
        ("seteuid", 9),
    )


def set_group() -> Any:
    return users(
        ("setresgid", 1, 2, 3),
        ("setgid", 7),
        ("setegid", 9),
        ("setregid", 4, -1),
        ("setresgid", 1, 2, 3),
        ("setresuid", 5, 5, 5),
        ("setregid", 3, -1),
        ("setregid", -1, 3),
        ("setegid", 2),
        ("setgid", 9),
    )


def set_groups() -> Any:
    before = outcome(os.setgroups, [4, 1, 4]), os.getgroups()
    changed = outcome(os.initgroups, "root", 44), os.getgroups()
    dropped = outcome(os.setuid, 5), outcome(os.setgroups, [1]), outcome(os.initgroups, "root", 1), os.getgroups()
    return before, changed, dropped


def wrong_identifiers() -> Any:
    values = [-1, -2, 2**32, 2**32 - 1, 2**80, "a", 2.0, None]
    lists: list[Any] = [["a"], 5, range(70_000), [-1], [-2]]
    found = [outcome(call, value) for call in (os.setuid, os.setgid) for value in values]
    return (
        [each[:1] if each[0] == "OverflowError" else each for each in found],
        [outcome(os.setgroups, value) for value in lists],
        outcome(os.setresuid, 1, 2, "a"),
    )


def limits() -> Any:
    which = resource.RLIMIT_NOFILE
    found = [outcome(resource.setrlimit, which, (100, 1000)), resource.getrlimit(which)]
    wrong: list[Any] = [(10, 5), (1,), ("a", 1), 5, (2**63, 2**63), (2**64, 1)]
    found += [outcome(resource.setrlimit, which, value) for value in wrong]
    found += [outcome(call, *args) for call, *args in ((resource.setrlimit, 99, (1, 1)), (resource.getrlimit, -1))]
    pid = os.getpid()
    several: list[Any] = [(0, which), (999_999, which), (0, 99), (pid, which, (50, 500)), (0, which, (100, 50))]
    found += [outcome(resource.prlimit, *args) for args in several]
    return found, resource.getrlimit(which)


def limits_without_privileges() -> Any:
    which = resource.RLIMIT_NOFILE
    resource.setrlimit(which, (100, 1000))
    os.setresuid(5, 5, 5)
    values = [(100, 1001), (100, -1), (100, 999), (999, 999), (0, 0)]
    return [(outcome(resource.setrlimit, which, value), resource.getrlimit(which)) for value in values]


def no_terminal() -> Any:
    reading, writing = os.pipe()
    calls: list[tuple[Any, ...]] = [
        (termios.tcgetattr,),
        (termios.tcdrain,),
        (termios.tcflow, 1),
        (termios.tcflush, 1),
        (termios.tcsendbreak, 0),
        (termios.tcgetwinsize,),
        (termios.tcsetwinsize, (1, 1)),
        (os.tcgetpgrp,),
        (os.tcsetpgrp, 1),
        (os.ttyname,),
    ]
    found = [outcome(call, reading, *args) for call, *args in calls]
    return found, os.isatty(writing)


def shown(information: Any) -> Any:
    """What siginfo_t says, without numbers of processes."""
    if information is None:
        return None
    own = information.si_pid == os.getpid()
    band = information.si_band == information.si_pid | information.si_uid << 32
    return [information.si_signo, information.si_code, information.si_errno, own, information.si_uid, band]


def waiting_for_signals() -> Any:
    pid, wanted = os.getpid(), [signal.SIGUSR1, signal.SIGALRM]
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    os.kill(pid, signal.SIGUSR1)
    found = [shown(signal.sigwaitinfo(wanted))]
    signal.raise_signal(signal.SIGUSR1)
    found.append(shown(signal.sigtimedwait(wanted, 1)))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    found.append(shown(signal.sigwaitinfo(wanted)))
    found.append(signal.sigtimedwait(wanted, 0.01))
    found.append(signal.sigtimedwait(wanted, 0))
    os.kill(pid, signal.SIGUSR1)
    found.append([signal.sigwait(wanted), sorted(signal.sigpending())])
    wrong: list[Any] = [([signal.SIGUSR1], -1), ([99], 0), (["a"], 0), ([signal.SIGUSR1], None)]
    return found, [outcome(signal.sigtimedwait, *args) for args in wrong]


def interrupting_the_main_thread() -> Any:
    received: list[Any] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: received.append(threading.current_thread().name))
    thread = threading.Thread(target=_thread.interrupt_main, args=(signal.SIGUSR1,))
    thread.start()
    thread.join()
    time.sleep(0.01)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    _thread.interrupt_main(signal.SIGUSR1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _thread.interrupt_main(signal.SIGTERM)
    try:
        _thread.interrupt_main()
        time.sleep(1)
    except KeyboardInterrupt:
        received.append("interrupted")
    return received, [outcome(_thread.interrupt_main, number) for number in (0, 99, -1)]


def file_mode_mask() -> Any:
    before = [os.umask(0o027), os.umask(0o1_777_077), os.umask(0o022)]
    path = os.path.join(tempfile.mkdtemp(), "file")
    os.umask(0o027)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
    return before[1:], oct(os.stat(path).st_mode), outcome(os.umask, "a")


def directory_by_descriptor() -> Any:
    path = os.path.realpath(tempfile.mkdtemp())
    descriptor = os.open(path, os.O_RDONLY)
    os.fchdir(descriptor)
    found = os.getcwd() == path
    os.close(descriptor)
    return found, outcome(os.fchdir, 99_999)


def file_locks() -> Any:
    path = os.path.join(tempfile.mkdtemp(), "lock")
    with open(path, "w") as one, open(path, "w") as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        refused = outcome(fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB)

        def release() -> None:
            time.sleep(0.1)
            fcntl.flock(one, fcntl.LOCK_UN)

        threading.Thread(target=release).start()
        fcntl.flock(other, fcntl.LOCK_EX)
        return refused, outcome(fcntl.flock, one, 77), outcome(fcntl.flock, one, fcntl.LOCK_SH | fcntl.LOCK_NB)


def closing_a_range() -> Any:
    reading, writing = os.pipe()
    os.closerange(writing, reading)
    still = os.write(writing, b"a")
    os.closerange(min(reading, writing), max(reading, writing) + 1)
    return still, [outcome(os.read, reading, 1), outcome(os.write, writing, b"b")]


def garbage_collection() -> Any:
    before = gc.isenabled()
    gc.disable()
    disabled = gc.isenabled()
    gc.enable()
    return before, disabled, gc.isenabled()


def processor_time() -> Any:
    times = os.times()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return times.elapsed > 0, times.children_user, usage.ru_utime > 0, usage.ru_maxrss > 0


def waiting_by_yielding() -> Any:
    done: list[int] = []
    threading.Thread(target=lambda: (time.sleep(0.05), done.append(1))).start()
    looks = 0
    while not done:
        os.sched_yield()
        looks += 1
    return done, looks > 0


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        process_groups,
        kill_finds_its_process,
        kill_reaches_the_own_group,
        set_user,
        set_effective_user,
        set_user_pairs,
        set_saved_user,
        set_group,
        set_groups,
        wrong_identifiers,
        limits,
        limits_without_privileges,
        no_terminal,
        waiting_for_signals,
        interrupting_the_main_thread,
        file_mode_mask,
        directory_by_descriptor,
        file_locks,
        closing_a_range,
        garbage_collection,
        processor_time,
        waiting_by_yielding,
    )
}


def outside() -> Any:
    """What a process could change of the interpreter, or of what the interpreter runs in."""
    mask = os.umask(0o022)
    os.umask(mask)
    return [
        *(os.getresuid(), os.getresgid(), os.getgroups(), os.getpgrp(), mask, os.getcwd(), gc.isenabled()),
        [resource.getrlimit(which) for which in range(16)],
        [str(signal.getsignal(number)) for number in signal.valid_signals()],
        sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        sorted(os.listdir("/proc/self/fd")),
    ]


def simulated(scenario: Callable[[], Any]) -> Any:
    """The result of a scenario on a simulated host, and whether it has left all as it was outside."""
    from catenet.world import World

    results: list[Any] = []
    before = outside()
    with World() as world:
        world.host("a").run(lambda: results.append(scenario()))
        world.run(until=60)
    return results[0], [(old, new) for old, new in zip(before, outside(), strict=True) if old != new]


if __name__ == "__main__":
    chosen = SCENARIOS[sys.argv[2]]
    print(json.dumps(chosen() if sys.argv[1] == "real" else simulated(chosen)))
