"""A thread of a simulated process: a greenlet, and the one place where it waits.

What CPython keeps per thread and belongs to one task is exchanged by `context.py` when another task runs than the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent, greenlet

from catenet.compiled import mypyc_attr
from catenet.posix.file import File, Watcher
from catenet.world.engine.context import ContextSwitcher
from catenet.world.engine.errors import ProcessKilled
from catenet.world.engine.hub import NEVER, Event, Hub
from catenet.world.patches.process_globals import ProcessGlobals
from catenet.world.patches.threadstate import NO_HOOKS

if TYPE_CHECKING:
    from catenet.world.engine.hostclock import HostClock
    from catenet.world.engine.process import Process

__all__ = ["COUNTED_TURNS", "Task", "TaskOwner"]

UNWINDING_LIMIT: Final = 200
"""Limit of blocking calls that a killed task makes while it unwinds; beyond it the task is abandoned."""

SPIN_LIMIT: Final = 20_000
"""Polls of the clock or of sockets, without waiting, after which a program counts as spinning and time passes."""

SERVED_LIMIT: Final = 100
"""Polls that found something ready, without waiting, after which others have a turn."""

SPIN_PAUSE: Final = 0.001
"""Seconds of virtual time that pass at every further poll of a program that spins."""

COUNTED_TURNS: Final = 64
"""Turns of a process that are counted together, for the garbage collector."""

_getcurrent: Final = getcurrent

_abandoned: list[Any] = []
"""Greenlets that refused to end; collecting one would throw GreenletExit into it, outside of its process."""


@mypyc_attr(allow_interpreted_subclasses=True)
class TaskOwner:
    """The part of a process that its tasks read at every turn; compiled."""

    globals: ProcessGlobals
    """Its globals."""
    main: Task

    def __init__(self, hub: Hub, switcher: ContextSwitcher, clock: HostClock | None) -> None:
        self.hub = hub
        self.switcher = switcher
        self.clock = clock
        """The clock of its host, None if that runs by the world's time."""
        self.dying = False
        """Whether every further call that could block raises ProcessKilled."""
        self.pending_signals: deque[int] = deque()
        self.undeclared = False
        """Whether it was not declared to be a service or none: then its computing keeps the run going (`ending.py`)."""
        self.paused = False
        """Whether its tasks are held, as the host sleeps or is frozen."""
        self.slept = 0.0
        """Seconds that its host has slept, which its monotonic clock does not count."""
        self.held: dict[Task, None] = {}
        """Tasks that were woken while it was paused."""
        self.turns = 0
        """Number of turns that its tasks have had."""
        self.collects_at = 0
        """Number of turns at which its garbage is collected next."""
        self.found: list[int] = []
        """Descriptors that the garbage collector has found, and that are to be closed then."""
        self.spins = 0
        """Polls of the clock, or of something not ready, since it last waited."""
        self.served = 0
        """Polls that found something ready since others had a turn."""

    def elapsed(self) -> float:
        """Seconds since the world began by the host's monotonic clock, which measures time-outs."""
        clock = self.clock
        return self.hub.now - self.slept if clock is None else clock.at(self.hub.now)


class _Waiter(Watcher):
    """Wakes a task when a file that it waits on shows something new."""

    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task: Task | None = task

    def file_ready(self, file: File) -> bool:
        """See `Watcher`."""
        task = self._task
        if task is None:
            return False
        task.wake()
        return True

    def drop(self) -> None:
        """Stop waking the task, which has ended."""
        self._task = None


class Task(Event):
    """One thread of a process. `run` is what it does; it ends when that returns or raises."""

    __slots__ = (
        "_greenlet",
        "_hub",
        "_scheduled",
        "_stopped_at",
        "_switcher",
        "_timed_out",
        "_timer",
        "_turns",
        "_unwinding",
        "_waiter",
        "daemon",
        "ended",
        "hooks",
        "ident",
        "locals",
        "loop",
        "name",
        "on_end",
        "owner",
        "process",
        "run",
        "waits_in",
        "waits_on",
    )

    def __init__(self, process: Process, run: Callable[[], object], ident: int, name: str) -> None:
        self.process = process
        self.run = run
        self.ident = ident
        self.name = name
        self.daemon = False
        self.ended = False
        self.on_end: list[Callable[[], None]] = []
        self.waits_in = ""
        self.waits_on: tuple[File, ...] = ()
        self.locals: Any = None
        """Its thread-local values while another task is in place (`ContextSwitcher`); `hooks` likewise."""
        self.loop: Any = None
        """The event loop that runs in it."""
        self.hooks = NO_HOOKS
        self.owner: TaskOwner = process
        self._switcher = self.owner.switcher
        self._hub = hub = self.owner.hub
        self._greenlet: Any = None
        self._turns = hub.turns
        self._timer = hub.timer(NEVER, self._time_out)
        self._waiter = _Waiter(self)
        self._scheduled = False
        self._timed_out = False
        self._stopped_at = NEVER
        self._unwinding = 0

    @property
    def started(self) -> bool:
        """Whether it has run at all."""
        return self._greenlet is not None

    @property
    def frame(self) -> Any:
        """The innermost frame of where it waits; None when it has not begun, or runs."""
        return getattr(self._greenlet, "gr_frame", None)

    def describe(self) -> str:
        """What it waits for, for reports."""
        call = self.waits_in or "its turn"
        files = ", ".join(file.describe() for file in self.waits_on)
        thread = "" if self is self.process.main else f" (thread {self.name})"
        return f"{call}{' on ' if files else ''}{files}{thread}"

    @property
    def deadline(self) -> float:
        """When its wait times out, in the world's time; NEVER when it does not."""
        return self._timer.when

    # On the hub's side.

    def expire(self) -> None:
        """Note, before its turn, that its wait has timed out."""
        self._timed_out = True

    def follow(self, clock: HostClock) -> None:
        """Wait by a clock that its host has just got."""
        clock.adopt(self._timer)

    def wake(self) -> None:
        """Schedule the task to run at this instant, because what it waits for may have happened."""
        if not self._scheduled and not self.ended:
            self._scheduled = True
            self._turns.append(self)

    def happen(self, when: float, sequence: float) -> None:
        """Run the task until it waits or ends; called only by the hub."""
        self._scheduled = False
        over = self.ended
        if over:
            return
        owner = self.owner
        if owner.paused and not owner.dying:
            owner.held[self] = None
            return
        switcher = self._switcher
        owner.turns = turns = owner.turns + 1
        if not turns % COUNTED_TURNS:
            switcher.count_turns(self.process)
        if switcher.task is not self:
            switcher.install_task(self)
        if self._greenlet is None:
            self._greenlet = greenlet(self._body)
        # As by `current.task`, at half the price.
        switcher.locals.current_values["task"] = self
        try:
            self._greenlet.switch()
        finally:
            switcher.locals.current_values["task"] = None
        if self.ended:
            self._release()

    def _release(self) -> None:
        """Release what an ended task owned."""
        self._timer.cancel()
        self._waiter.drop()
        self._switcher.forget_task(self)
        self.process.task_ended(self)

    def _body(self) -> None:
        try:
            self.process.task_runs(self)
        finally:
            self.ended = True

    def stop_timer(self) -> None:
        """Stop the timer of its wait, as the host goes to sleep."""
        self._stopped_at = self._timer.when
        self._timer.clear()

    def continue_timer(self, slept: float) -> None:
        """Let the timer go on where it was, after so many seconds."""
        if self._stopped_at != NEVER and not self.ended:
            self._timer.set(self._stopped_at + slept)
        self._stopped_at = NEVER

    # On the task's own side.

    def park(self, call: str, files: tuple[File, ...], timeout: float | None) -> bool:
        """Wait until one of `files` shows something new or `wake()` is called; False when `timeout` seconds passed.

        `call` is what a deadlock report shows. May return early, so callers look again. Raises ProcessKilled when the
        process has been killed, and whatever a signal handler raises.
        """
        owner = self.owner
        if owner.dying:
            self.check_alive()
        if owner.pending_signals and owner.main is self:
            self.process.run_signal_handlers()
            return True
        owner.spins = 0
        self.waits_on = files
        self.waits_in = call
        self._timed_out = False
        waiter = self._waiter
        for file in files:
            file.watchers[waiter] = None
        if timeout is not None:
            now = self._hub.now
            clock = owner.clock
            if clock is None or timeout <= 0:
                self._timer.set(now + timeout if timeout > 0 else now)
            else:
                clock.arm(self._timer, timeout)
        # A program may use greenlets of its own (SQLAlchemy does): the one that waits is the one to come back to.
        self._greenlet = _getcurrent()
        try:
            self._switcher.hub.switch()
        finally:
            for file in files:
                file.watchers.pop(waiter, None)
            if timeout is not None:
                self._timer.clear()
                if owner.clock is not None:
                    owner.clock.disarm(self._timer)
            self.waits_in = ""
            self.waits_on = ()
        if owner.dying:
            self.check_alive()
        if owner.pending_signals and owner.main is self:
            self.process.run_signal_handlers()
            return True
        return not self._timed_out

    def park_until(self, call: str, files: tuple[File, ...], when: float) -> bool:
        """As `park`, up to a moment of the world's time (NEVER: without end)."""
        if when == NEVER:
            return self.park(call, files, None)
        self._timer.set(when)
        try:
            return self.park(call, files, None)
        finally:
            self._timer.clear()

    def suspend(self) -> None:
        """Let the hub run until it comes to this task again, in whatever way."""
        self._greenlet = _getcurrent()
        self._switcher.hub.switch()

    def spin(self) -> None:
        """Count a poll of the clock or of something not ready; time passes for a program that does nothing else."""
        owner = self.owner
        owner.spins = spins = owner.spins + 1
        if spins > SPIN_LIMIT:
            self.park("spinning", (), SPIN_PAUSE)
            owner.spins = SPIN_LIMIT

    def be_served(self) -> None:
        """Count a poll that found something ready; a program that does nothing else gives way, as under preemption."""
        owner = self.owner
        owner.spins = spins = owner.spins + 1
        owner.served = served = owner.served + 1
        if served >= SERVED_LIMIT:
            self.park("polling", (), SPIN_PAUSE if spins > SPIN_LIMIT else 0.0)
            owner.served = 0
            owner.spins = spins

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass; a signal's handler runs and the sleep goes on. With 0 all others that are ready run."""
        if seconds <= 0:
            self._yield_turn()
            return
        owner = self.owner
        deadline = owner.elapsed() + seconds
        while self.park("sleep", (), seconds):
            seconds = deadline - owner.elapsed()
            if seconds <= 0:
                return

    def _yield_turn(self) -> None:
        """Let the others run; time passes only for a program that does this SPIN_LIMIT times without ever waiting."""
        owner = self.owner
        spins = owner.spins + 1
        self.park("sleep", (), SPIN_PAUSE if spins > SPIN_LIMIT else 0.0)
        owner.spins = min(spins, SPIN_LIMIT)

    def check_alive(self) -> None:
        """Raise ProcessKilled when the process has been killed; abandon a task that keeps ignoring it."""
        if not self.owner.dying:
            return
        self._unwinding += 1
        if self._unwinding > UNWINDING_LIMIT:
            self.ended = True
            _abandoned.append(getcurrent())
            self._greenlet = getcurrent()
            self._switcher.hub.switch()
        raise ProcessKilled(self.process.killed_status)

    def may_unwind(self) -> bool:
        """Whether the process has been killed and this task may still make calls to clean up."""
        self._unwinding += 1
        return self.owner.dying and self._unwinding <= UNWINDING_LIMIT

    def _time_out(self) -> None:
        self._timed_out = True
        # It goes on by a timer of its own, unless it has but looked for sockets in vain; an event loop has timers.
        if self.owner.undeclared and (not self.waits_on or self.loop is not None):
            self._switcher.computed = self._hub.now
        self.wake()
