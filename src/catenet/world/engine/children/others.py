"""Programs that are not Python, in a child: they run as they are on the machine, in no virtual time, without a network.

They read all of their standard input before, and what they write comes when they have ended. They get a network
namespace of their own, in which there is nothing; where that cannot be had only programs of a list are run.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
from _signal import SIG_DFL, SIG_IGN  # type: ignore[import-not-found]
from _signal import signal as set_real_handler  # what these are outside of worlds
from collections.abc import Mapping, Sequence
from posix import (
    O_WRONLY,
    WNOHANG,
    _exit,
    chdir,
    close,
    closerange,
    dup2,
    execve,
    fork,
    getpid,
    lseek,
    memfd_create,
    read,
    waitpid,
    write,
)
from posix import kill as kill_really
from posix import open as open_really
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, NoReturn

from catenet.world.enclosure.closing import is_shut
from catenet.world.enclosure.descendants import end_with
from catenet.world.enclosure.kernel import prctl
from catenet.world.engine.current import current
from catenet.world.engine.hub import NEVER
from catenet.world.engine.streams import CLOSED
from catenet.world.patches.refusals import permitted

if TYPE_CHECKING:
    from catenet.world.engine.children.client import Client
    from catenet.world.engine.process import Process

__all__ = ["run_other"]

HARMLESS: Final = frozenset(
    [
        "arch",
        "basename",
        "cat",
        "cut",
        "date",
        "dirname",
        "echo",
        "env",
        "expr",
        "false",
        "getconf",
        "head",
        "id",
        "ls",
        "lsb_release",
        "nproc",
        "printenv",
        "printf",
        "pwd",
        "readlink",
        "realpath",
        "seq",
        "sort",
        "tail",
        "test",
        "tr",
        "true",
        "uname",
        "uniq",
        "wc",
        "which",
        "whoami",
    ]
)
"""Programs that have nothing to do with a network, by name."""

LONGEST_RUN: Final = 60.0
"""Seconds of real time that such a program may take."""
LARGEST_OUTPUT: Final = 64 << 20
"""Bytes that it may write to one file."""
LOOK: Final = 0.002
SET_BY_PYTHON: Final = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that the interpreter of the machine handles or ignores, whatever the simulated program does."""
MOST_DESCRIPTORS: Final = 1 << 16

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAPBSET_DROP: Final = 24
CAPABILITIES: Final = range(5)
"""Those that a program of root keeps: rights to files (CHOWN to FSETID). None of them sets the machine's clock."""
LAST_CAPABILITY: Final = 63

OTHER_DATES: Final = ("-d", "--d", "-f", "--f", "-r", "--ref", "-s", "--s")
"""Options of date(1) by which it shows or sets another time than the present, which is the world's."""

_unshare = ctypes.CDLL(None, use_errno=True).unshare
_setrlimit = resource.setrlimit
_geteuid, _getegid = os.geteuid, os.getegid
"""Looked up before any world: inside of one they are refused, or a process's own."""


def run_other(
    process: Process, client: Client, path: str, words: Sequence[str], environment: Mapping[bytes, bytes]
) -> NoReturn:
    """Run a program in the place of the child, and end as it ends."""
    if os.path.basename(path) == "sleep" and len(words) == 2 and words[1].replace(".", "", 1).isdigit():
        time.sleep(float(words[1]))  # of the world's time
        client.exit(0)
    if os.path.basename(path) == "date" and not any(word.startswith(OTHER_DATES) for word in words[1:]):
        words = [*words, "-d", f"@{time.time():.9f}"]
    files = [memfd_create("standard stream") for _ in range(3)]
    led = process.streams.redirected
    if led.get(0) == CLOSED:
        pass
    elif 0 in led:
        while data := os.read(0, 1 << 16):
            write(files[0], data)
    else:
        write(files[0], process.streams.unread_input())
    lseek(files[0], 0, 0)
    ignored = [number for number, handler in process.handlers.items() if handler is signal.SIG_IGN]
    status = _run(files, path, words, environment, os.getcwd(), ignored)
    for number in (1, 2):
        lseek(files[number], 0, 0)
        while led.get(number) != CLOSED and (data := read(files[number], 1 << 16)):
            os.write(number, data)
    if os.WIFSIGNALED(status):
        client.call("function", "os.kill", (process.pid, os.WTERMSIG(status)), {})
    client.exit(os.WEXITSTATUS(status))


def _run(
    files: Sequence[int],
    path: str,
    words: Sequence[str],
    environment: Mapping[bytes, bytes],
    directory: str,
    ignored: Sequence[int],
) -> int:
    """Run a program of the machine with these standard streams, and return what wait(2) tells of it."""
    set_real_handler(signal.SIGCHLD, SIG_DFL)  # ignored, it would leave no status
    try:
        parent = getpid()
        with permitted("os.fork"), permitted("os.exec"):
            pid = fork()
            if pid == 0:
                try:
                    _become(files, path, words, environment, directory, parent, ignored)
                finally:
                    _exit(126)
        limit = monotonic() + LONGEST_RUN
        while True:
            found, status = waitpid(pid, WNOHANG)
            if found:
                return status
            if monotonic() > limit:
                write(files[2], f"{path}: ended by catenet: it has run for {LONGEST_RUN:.0f} s of real time\n".encode())
                kill_really(pid, signal.SIGKILL)
                limit = NEVER
            sleep(LOOK)
    finally:
        set_real_handler(signal.SIGCHLD, SIG_IGN)


def _become(
    files: Sequence[int],
    path: str,
    words: Sequence[str],
    environment: Mapping[bytes, bytes],
    directory: str,
    parent: int,
    ignored: Sequence[int],
) -> None:
    """What happens between fork and exec."""
    current.task = None
    end_with(parent)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    for number, file in enumerate(files):
        dup2(file, number)
    closerange(3, MOST_DESCRIPTORS)
    for number in SET_BY_PYTHON:
        set_real_handler(number, SIG_IGN if number in ignored else SIG_DFL)
    for number in ignored:
        set_real_handler(number, SIG_IGN)
    if not _close_network() and os.path.basename(path) not in HARMLESS:
        text = f"{path}: not run, for it might reach the machine's network, which cannot be closed here\n"
        write(2, text.encode())
        return
    for number in range(LAST_CAPABILITY + 1):
        if number not in CAPABILITIES:
            with contextlib.suppress(OSError):  # without the right to, it has none to give away
                prctl(PR_CAPBSET_DROP, number)
    _setrlimit(resource.RLIMIT_FSIZE, (LARGEST_OUTPUT, LARGEST_OUTPUT))
    chdir(directory)
    execve(path, list(words), dict(environment))


def _close_network() -> bool:
    """Go to a network namespace in which there is nothing, or be in one; False where the system allows none."""
    if is_shut():
        return True
    user, group = _geteuid(), _getegid()
    if user == 0 and _unshare(CLONE_NEWNET) == 0:
        return True
    if _unshare(CLONE_NEWUSER | CLONE_NEWNET):
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            file = open_really(f"/proc/self/{name}", O_WRONLY)
            write(file, text.encode())
            close(file)
        except OSError:
            continue  # the program shows another user
    return True
