"""Processes that come of one: they end with it, also those whose parents have ended before."""

from __future__ import annotations

import os
import signal
from _signal import SIG_IGN  # type: ignore[import-not-found]
from _signal import signal as _set_handler  # what it is outside of worlds
from collections.abc import Iterable, Iterator
from typing import Final

from catenet.world.enclosure.kernel import prctl

__all__ = ["OF_TERMINALS", "adopt_orphans", "end_below", "end_descendants", "end_with", "ignore"]

PR_SET_PDEATHSIG: Final = 1
OF_TERMINALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""What goes to all processes of a run, from a terminal or whoever stops it."""
PR_SET_CHILD_SUBREAPER: Final = 36
ELSEWHERE: Final = 0
"""What getppid(2) says of a parent in another namespace of processes."""
ROUNDS: Final = 100
"""So often is looked for others, as they may start more until they are dead."""

# The interpreter's own functions, bound before any world.
_getpid, _kill, _waitpid, _listdir = os.getpid, os.kill, os.waitpid, os.listdir
_getppid, _exit = os.getppid, os._exit


def end_with(parent: int) -> None:
    """Have this process killed at the end of the thread that has forked it, also while it computes.

    It ends at once if `parent`, the process of that thread, is gone already.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if _getppid() not in (parent, ELSEWHERE):
        _exit(1)


def ignore(numbers: Iterable[int]) -> None:
    """Ignore signals of the machine, in a process that has nothing to do with them."""
    for number in numbers:
        _set_handler(number, SIG_IGN)


def adopt_orphans() -> None:
    """Be the parent of all that come of this process and lose theirs; OSError."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(spared: int = 0) -> None:
    """Kill all processes that come of this one, but a child. Only for who adopts orphans: else some are not found."""
    for _ in range(ROUNDS):
        children = [child for child in _children(_getpid()) if child != spared]
        below = [pid for child in [*children, spared] for pid in _below(child)]
        if not children and not below:
            return
        for pid in [*children, *below]:
            _end(pid)
        for pid in children:
            try:
                _waitpid(pid, 0)
            except OSError:
                continue


def end_below(pid: int) -> None:
    """Kill all processes that come of one, which adopts orphans, but not itself."""
    ended: set[int] = set()
    for _ in range(ROUNDS):
        below = set(_below(pid)) - ended
        if not below:
            return
        ended |= below
        for each in below:
            _end(each)


def _end(pid: int) -> None:
    try:
        _kill(pid, signal.SIGKILL)
    except OSError:
        pass


def _below(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _below(child)


def _children(pid: int) -> Iterator[int]:
    try:
        threads = _listdir(f"/proc/{pid}/task")
        for thread in threads:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                yield from map(int, file.read().split())
    except OSError:
        return
