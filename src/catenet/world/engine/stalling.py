"""A program that stands still in real time: while it computes or waits by itself, no time passes in the world.

A turn of a program takes no time of the world, so one that goes on for real minutes is a loop without end, in C or in
Python, or a wait that nobody simulates (a C library's, gevent's own loop). So is one turn after the other at the same
instant, as of a program that sends to itself until some time has passed, which over a link without latency never does.
`Watch` notices: a timer of the kernel is
set again and again while the world gets on, and a thread of the interpreter waits for it, of which nothing is heard or
allocated until it goes off. Then that thread says which program it is and at which line, and ends the run at the limit.

Two things go on without the thread. What holds the interpreter's lock keeps everybody from running: a second timer,
of processor time, has the C part of the interpreter print where it is, and ends the process by SIGPROF. And a debugger
may take its time.
"""

from __future__ import annotations

import _thread
import ctypes
import faulthandler
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import catenet

if TYPE_CHECKING:
    from types import FrameType

    from catenet.world.engine.process import Process
    from catenet.world.engine.task import Task
    from catenet.world.world import World

__all__ = ["GRACE", "STALL", "Watch", "last_task"]

STALL: Final = 60.0
"""Seconds of real time after which a run ends in which nothing gets on."""

PARTS: Final = 6
"""Looks within the limit: after the first, the program that stands still is named."""
EVERY: Final = 1.0
"""Seconds between two settings of the timers."""
SPINNING: Final = 1000
"""Turns of a program between two looks at the same instant from which on it lets no time pass."""
SLOWLY: Final = 2
"""As many do if they are those of the program that had most before, too. Where many programs begin at one instant, each
has a few."""
GRACE: Final = 3.0
"""Seconds of real time that a run has to end in order, at most."""

CLOCK_MONOTONIC: Final = 1
CLOSE_ON_EXEC: Final = 0o2000000
DEBUGGERS: Final = ("bdb.py", "pdb.py", "pydevd.py", "pydevd_bundle")

# The interpreter's own functions, bound before any world.
_start_thread, _main_thread, _current_frames = _thread.start_new_thread, _thread.get_ident, sys._current_frames
_read, _write, _close, _exit, _sleep = os.read, os.write, os.close, os._exit, time.sleep
_set_timer, _kill_thread, _signal, _getsignal = signal.setitimer, signal.pthread_kill, signal.signal, signal.getsignal


class Watch:
    """Watches over a run in the main thread; `complain` shows a line, `clean_up` is called if it must end at once.

    Without `clean_up` it watches over a host's process, which always ends at once: the world's notes that it has.
    """

    def __init__(
        self, world: World, limit: float, complain: Callable[[str], None], clean_up: Callable[[], None] | None
    ) -> None:
        """Begin. `limit`: seconds of real time."""
        self.stalled = False
        """Whether the run was ended because a program stood still."""
        self.waits = False
        """Whether this process has nothing to do: it waits for the world's."""
        self._world = world
        self._limit = limit
        self._grace = 0.0 if clean_up is None else min(limit, GRACE)
        self._complain = complain
        self._clean_up = clean_up
        self._main = _main_thread()
        library = ctypes.CDLL(None, use_errno=True)
        self._settime = library.timerfd_settime
        self._timer: int = library.timerfd_create(CLOCK_MONOTONIC, CLOSE_ON_EXEC)
        whole, part = divmod(int(limit / PARTS * 1e9), 10**9)
        self._times = ctypes.create_string_buffer(struct.pack("4q", whole, part, whole, part), 32)
        self._set_at = -EVERY
        self._turns: dict[Process, int] = {}
        self._stood_at = -1.0
        self._spinner: Process | None = None
        self._ended = False
        self._hard = _getsignal(signal.SIGPROF) is signal.SIG_DFL
        if self._hard:
            faulthandler.register(signal.SIGPROF, file=2, all_threads=False, chain=True)
        if self._timer >= 0:
            begun = _thread.allocate_lock()
            begun.acquire()
            _start_thread(self._watch, (begun,))
            begun.acquire()  # what it allocates would else come among what programs do, and move that in memory

    def get_on(self, wall: float) -> None:
        """Note that the world gets on, at a time of the real clock."""
        if wall - self._set_at < EVERY:
            return
        self._set_at = wall
        if self._timer >= 0:
            self._settime(self._timer, 0, self._times, None)
        if self._hard:
            _set_timer(signal.ITIMER_PROF, self._limit + self._grace)

    def end(self) -> None:
        """Stop watching."""
        self._ended = True
        if self._hard:
            _set_timer(signal.ITIMER_PROF, 0)
            faulthandler.unregister(signal.SIGPROF)
        if self._timer >= 0:  # its thread ends at once
            self._settime(self._timer, 0, struct.pack("4q", 0, 0, 0, 1), None)

    def _watch(self, begun: _thread.LockType) -> None:
        """Run in a thread of its own: sleep until the timer goes off, which it rarely does."""
        seen: tuple[object, int] | None = None
        looks, spinning = 0, False
        begun.release()
        while True:
            _read(self._timer, 8)
            if self._ended:
                _close(self._timer)
                return
            turn = self._turn()
            # One look, however often the timer went off: the process may have been stopped meanwhile.
            was_spinning, spinning = spinning, self._spins()
            stands = turn is not None and turn == seen
            looks = looks + 1 if stands or (spinning and was_spinning) else 0
            seen = turn
            if self._hard:
                _set_timer(signal.ITIMER_PROF, self._limit + self._grace)
            if looks and self._debugged():
                looks = 0
            elif looks == 1:
                self._complain(f"{self._describe(stands)} for {self._limit / PARTS:.2g} s of real time")
            elif looks == PARTS:
                self._stop(turn if stands else None)

    def _turn(self) -> tuple[Task, int] | None:
        """The turn that goes on in the main thread; None when the engine itself works, unless no time has passed.

        A program that prints or sends without end is mostly found in the engine, which does that for it.
        """
        switcher = self._world.switcher
        task: Task | None = switcher.locals.current_values.get("task")
        if task is None and self._world.hub.now == self._stood_at and not self.waits:
            task = switcher.task
        return None if task is None else (task, task.owner.turns)

    def _spins(self) -> bool:
        """Whether a program has had turn after turn since the last look, and no time has passed; it is kept."""
        now, before = self._world.hub.now, self._turns
        turns = {process: process.turns for process in self._world.processes if process.alive}
        self._turns = turns
        stood, self._stood_at = now == self._stood_at, now
        grown = [(count - before[process], process) for process, count in turns.items() if process in before]
        last = self._spinner
        most, self._spinner = max(grown, key=itemgetter(0), default=(0, None))
        return stood and most >= (SLOWLY if self._spinner is last else SPINNING)

    def _stop(self, turn: tuple[object, int] | None) -> None:
        """End it; `turn`: the one that goes on, None where no time passes between turns."""
        spent = f"{self._limit:.3g} s of real time"
        what = "its host" if self._clean_up is None else "the run"
        self._complain(f"{self._describe(turn is not None)} for {spent}: {what} ends (--stall)")
        self.stalled = True
        # The first asks to end between two turns, the second ends this one, and then there is nobody left to ask.
        for patience in (self._grace / 10, self._grace) if self._grace else ():
            if not self._goes_on(turn):
                return
            with suppress(OSError):
                _kill_thread(self._main, signal.SIGINT)
            _sleep(patience)
        if self._goes_on(turn):
            if self._clean_up is not None:
                with suppress(BaseException):
                    self._clean_up()
            _exit(1)

    def _goes_on(self, turn: tuple[object, int] | None) -> bool:
        if self._ended:
            return False
        if turn is not None:
            return self._turn() == turn
        return self._spinner is not None and self._spinner.alive and self._world.hub.now == self._stood_at

    def _frames(self) -> list[FrameType]:
        frame = _current_frames().get(self._main)
        frames = []
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        return frames

    def _debugged(self) -> bool:
        return any(part in frame.f_code.co_filename for frame in self._frames() for part in DEBUGGERS)

    def _describe(self, stands: bool) -> str:
        """Host, program, the innermost line of it, and what it does."""
        spinner = self._spinner
        if not stands and spinner is not None:
            return f"{spinner.host.name}: {spinner.name} has gone on at {self._stood_at:.3f} s, letting no time pass,"
        task: Any = last_task(self._world)
        who = "a program" if task is None else f"{task.process.host.name}: {task.process.name}{_place(self._frames())}"
        return f"{who} has stood still"


def last_task(world: World) -> Task | None:
    """Return the thread of a program whose turn it is or, while the engine works, was last; None outside of a run."""
    switcher = world.switcher
    task: Task | None = switcher.locals.current_values.get("task")
    return task or switcher.task


def _place(frames: list[FrameType]) -> str:
    """Where the innermost line of the program itself is, or else that of whatever it called."""
    others = (os.path.dirname(os.__file__), os.path.dirname(catenet.__file__), "<")
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(others)]
    for frame in [frame for frame in own if "site-packages" not in frame.f_code.co_filename] or own:
        return f", at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name},"
    return ""
