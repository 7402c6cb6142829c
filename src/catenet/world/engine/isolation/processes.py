"""Processes of the operating system for hosts: forked from the world's, never longer there than it is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import Final

from catenet.world.enclosure.descendants import OF_TERMINALS, end_below, end_with, ignore
from catenet.world.engine.isolation.journal import Journal
from catenet.world.engine.isolation.messages import Channel
from catenet.world.patches import install

__all__ = ["Child", "fork"]

IGNORED: Final = (*OF_TERMINALS, signal.SIGPIPE)
"""Programs get them in virtual time."""
PATIENCE: Final = 2.0
"""Seconds of real time that a process has to end whose channel is closed."""
LOOK: Final = 0.001
FAILED: Final = 70
"""Exit status of a process that cannot go on, as of sysexits(3) EX_SOFTWARE."""


class Child:
    """A host's process, as the world's sees it."""

    def __init__(self, pid: int, channel: Channel, journal: Journal) -> None:
        self.pid = pid
        self.channel = channel
        self.journal = journal
        self.status: int | None = None
        """What waitpid(2) said."""

    def end(self) -> None:
        """End it at once with all that comes of it; whoever waits for what it says learns of it."""
        if self.status is None:
            end_below(self.pid)
            with contextlib.suppress(ProcessLookupError):
                install.original(os, "kill")(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it, and wait until it is gone."""
        self.end()
        self.wait()

    def wait(self) -> int:
        """Wait for its end, and help it after a while; returns the status as of waitpid(2)."""
        if self.status is None:
            self.channel.close()
            _running.discard(self)
            limit = monotonic() + PATIENCE
            while self.status is None:
                late = monotonic() > limit
                if late:
                    with contextlib.suppress(ProcessLookupError):
                        install.original(os, "kill")(self.pid, signal.SIGKILL)
                try:
                    found, status = install.original(os, "waitpid")(self.pid, 0 if late else os.WNOHANG)
                except ChildProcessError:  # somebody else has waited for all children
                    found, status = self.pid, 0
                if found:
                    self.status = status
                else:
                    sleep(LOOK)
        return self.status

    def heed_end(self) -> None:
        """Have the channel not wait any more if the process has ended: a copy made by C code may hold the other end."""
        try:
            ended = install.original(os, "waitid")(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is not None:
            install.original(os, "set_blocking")(self.channel.descriptor, False)


_running: Final[set[Child]] = set()


def _heed_ends(number: int, frame: object) -> None:
    """Handle SIGCHLD."""
    for child in list(_running):
        child.heed_end()


def _watch(child: Child) -> None:
    """Heed its end, where the program has nothing else to do with that signal."""
    _running.add(child)
    if threading.current_thread() is threading.main_thread():
        name = signal.SIGCHLD
        if install.original(signal, "getsignal")(name) is signal.SIG_DFL:
            install.original(signal, "signal")(name, _heed_ends)


def fork(run: Callable[[Channel], None], journal: Journal, others: Iterable[Channel]) -> Child:
    """Fork a process that runs `run` with its end of a channel; `others` are ends of other processes' channels."""
    asks, told = os.pipe(), os.pipe()
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and not stream.closed:
            with contextlib.suppress(OSError):
                stream.flush()
    parent = install.original(os, "getpid")()
    pid = install.original(os, "fork")()
    if pid:
        os.close(asks[0])
        os.close(told[1])
        child = Child(pid, Channel(told[0], asks[1]), journal)
        _watch(child)
        return child
    status = FAILED
    try:
        for other in others:
            other.close()
        os.close(asks[1])
        os.close(told[0])
        _settle(parent)
        run(Channel(asks[0], told[1]))
        status = 0
    except EOFError:
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _settle(parent: int) -> None:
    """Make the process one that goes with its parent, and leaves the terminal alone."""
    if threading.current_thread() is threading.main_thread():
        # The signal comes at the end of the parent's thread. Elsewhere the end of the pipe has to do.
        end_with(parent)
    ignore(IGNORED)
    install.original(signal, "signal")(signal.SIGCHLD, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)
