"""One unmodified program running on one host: its threads, signals, exit handlers, and how it ends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import sys
import threading
import traceback
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from catenet.posix.process_file import ProcessFile
from catenet.world.engine.current import current
from catenet.world.engine.errors import ProcessKilled
from catenet.world.engine.exiting import abandon_coroutines, finish_process, forget_children, ignore_errors
from catenet.world.engine.streams import Streams
from catenet.world.engine.task import Task, TaskOwner
from catenet.world.engine.waiting import describe_process
from catenet.world.patches.process_globals import ProcessGlobals, environment
from catenet.world.patches.threads import drop_thread, make_main_thread

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.engine.hostclock import HostClock
    from catenet.world.engine.hub import Timer
    from catenet.world.engine.program import Program
    from catenet.world.patches.credentials import Credentials

__all__ = ["KILLED", "Process"]

KILLED: Final = 128 + signal.SIGKILL
"""Exit status of a process that is killed by the crash of its host, as a shell shows it."""

IGNORED_BY_DEFAULT: Final = (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)
"""Signals without effect unless the program handles them (signal(7))."""


class Process(TaskOwner):
    """A program that runs on a host. `status` is None until it ends, then what a shell would show."""

    def __init__(self, host: Host, program: Program, pid: int, *, declared: bool | None, stdin: str | bytes) -> None:
        super().__init__(host.world.hub, host.world.switcher, host.clock)
        self.undeclared = declared is None
        self.host = host
        self.world = host.world
        self.program = program
        self.pid = pid
        self.name = program.label
        self.declared = declared
        """Whether it was declared a service, so that the world may end while it runs; None: not declared."""
        self.status: int | None = None
        self.exception: BaseException | None = None
        self.crashed = False
        """Whether it died with its host."""
        self.replaced = False
        """Whether its restart policy has started another process in its place."""
        self.is_child = False
        """Whether a program has forked it."""
        self.reported = False
        self.service: object = None
        self.started_at = self.hub.now
        self.slept = host.slept
        self.ended_at: float | None = None
        self.killed = False
        self.killed_status = KILLED
        self.killed_by = 0
        """Number of the signal that has killed it."""
        self.executions = 0
        """How often another program has taken the place of the one that was forked."""
        self.parent: Process | None = None
        """The process of the host that has forked it; None for an orphan, and for what the host has started."""
        self.children: dict[int, Process] = {}
        """Those that it has forked and not waited for yet, by number."""
        self.waiting: dict[Task, None] = {}
        """Threads that wait for a child."""
        self.pidfds: list[ProcessFile] = []
        """Open files that stand for it (pidfd_open(2))."""
        self.group = self.session = pid
        """Numbers of its process group and session."""
        self.random = random.Random(self.world.generator(f"program/{host.name}/{pid}").getrandbits(256))
        """What the functions of the module `random` draw from."""
        self.entropy = self.world.generator(f"entropy/{host.name}/{pid}")
        """Simulates the kernel's entropy: `os.urandom` and all that is seeded from it."""
        self.temporary: str | None = None
        """Its directory for temporary files, once it has asked for it."""
        self.file_names: Iterator[str] | None = None
        """Names of temporary files."""
        self.written: WeakKeyDictionary[Any, None] = WeakKeyDictionary()
        """Files that it has opened for writing, and not let go."""
        self.default_timeout: float | None = None
        self.main_thread: threading.Thread | None = None
        self.uuids = self.threads_named = self._threads = 0
        self.first_ident = _first_ident(host.name, pid)
        """Identifiers of its threads follow this number."""
        self.blocked_signals: set[int] = set()
        self.held_signals: list[int] = []
        self.awaited: set[int] = set()
        self.caught: deque[int] = deque()
        self.signals_handled = 0
        self.alarm: Timer | None = None
        self.alarm_interval = 0.0
        self.alarm_at = 0.0
        """When the alarm was due that stands still."""
        self.stack_size = 0
        """What its threads were asked to have as a stack (`threading.stack_size`)."""
        self.pools_closed = False
        """Whether thread pools take no more work, because the program has come to its end."""
        self.threading_exits: list[Callable[[], object]] = []
        self.streams = Streams(self._emit, stdin)
        self.tasks: dict[int, Task] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that ran last."""
        self.handlers: dict[int, Any] = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGPIPE: signal.SIG_IGN,
            signal.SIGXFSZ: signal.SIG_IGN,
        }
        """What Python starts with."""
        self.senders: dict[int, tuple[int, int]] = {}
        """Process and real user that sent a signal last, by the signal's number."""
        self.credentials: Credentials | None = None
        """Its users and groups, once it has asked for them."""
        self.limits: dict[int, tuple[int, int]] = {}
        """Limits that it has set (`resource`), soft and hard."""
        self.collects = True
        """Whether it has automatic garbage collection switched on, as far as it is told."""
        self.wakeup_fd = -1
        self.exit_handlers: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []
        self.on_end: list[Callable[[Process], None]] = []
        self._main_module = self._make_main()
        path = list(sys.path)
        if program.directory is not None:
            path[:0] = [program.directory]
        variables = environment()
        variables.update((os.fsencode(name), os.fsencode(value)) for name, value in host.environment.items())
        words = [sys.executable, *(program.words or program.argv)]
        self.command = words
        """The words of its command line, as other processes see it."""
        self.globals = ProcessGlobals(list(program.argv), words, path, self._main_module, variables, program.directory)
        self.main = self.spawn(lambda: program.run(self._main_module), "MainThread")

    @property
    def daemon(self) -> bool:
        """Whether it was declared a service."""
        return bool(self.declared)

    @property
    def alive(self) -> bool:
        """Whether it runs still."""
        return self.status is None

    def spawn(self, run: Callable[[], object], name: str) -> Task:
        """Start a thread of this process; it first runs when the hub comes to it."""
        self._threads += 1
        task = Task(self, run, self.first_ident + self._threads, name)
        self.tasks[task.ident] = task
        task.wake()
        return task

    def follow(self, clock: HostClock) -> None:
        """Go by a clock that its host has just got."""
        self.clock = clock
        if self.alarm is not None:
            clock.adopt(self.alarm)
        for task in self.tasks.values():
            task.follow(clock)

    # What a program's tasks do, on their own side.

    def task_runs(self, task: Task) -> None:
        """Run a task to its end, whatever it raises; the main task then ends the process in order."""
        is_main = task is self.main
        if is_main:
            self.main_thread = make_main_thread(task)
        status = self._attempt(task.run)
        if is_main:
            if not self.dying:
                status = self._attempt(finish_process, self) or status
            if self.dying and self.loop is not None:
                self._attempt(abandon_coroutines, self.loop)
            if self.status is None:
                self._end(self.killed_status if self.dying else status)

    def _attempt(self, function: Callable[..., object], *args: object) -> int:
        """Call a function of the program and return the exit status that its way of ending means."""
        try:
            function(*args)
            return 0
        except ProcessKilled:
            return self.killed_status
        except SystemExit as stop:
            return self._exit_status(stop.code)
        except BaseException as error:
            if self.dying:
                return self.killed_status
            self.exception = error
            error.__traceback__ = _without_ours(error.__traceback__)
            traceback.print_exception(error, file=self.streams.stderr)
            return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1

    def _exit_status(self, code: object) -> int:
        if code is None:
            return 0
        if isinstance(code, int):
            return code & 0xFF
        print(code, file=self.streams.stderr)
        return 1

    # Signals.

    def deliver(self, number: int) -> None:
        """Send the process a signal; ignored when it has ended. May end the process, as the default action says."""
        if self.status is not None or self.dying:
            return
        number = int(number)
        if number in self.awaited:
            self.caught.append(number)
            self.main.wake()
            return
        if number in self.blocked_signals and number != signal.SIGKILL:
            if number not in self.held_signals:
                self.held_signals.append(number)
            return
        handler = self.handlers.get(number, signal.SIG_DFL)
        if number == signal.SIGKILL or (handler is signal.SIG_DFL and number not in IGNORED_BY_DEFAULT):
            self.killed_by = number
            self.kill(128 + number)
        elif callable(handler) and handler is not signal.SIG_DFL and handler is not signal.SIG_IGN:
            self.pending_signals.append(number)
            if self.wakeup_fd >= 0:
                self.host.kernel.wake_by_signal(self, self.wakeup_fd, number)
            self.main.wake()

    def deliver_to_itself(self, number: int) -> None:
        """Deliver a signal that the process sends to itself: its handlers run before this returns."""
        self.deliver(number)
        task = current.task
        if task is not None:
            task.check_alive()
            if task is self.main:
                self.run_signal_handlers()

    def run_signal_handlers(self) -> None:
        """Call the program's handlers of what was delivered, in the main task (PEP 475: then its wait goes on)."""
        while self.pending_signals:
            number = self.pending_signals.popleft()
            handler = self.handlers.get(number)
            self.signals_handled += 1
            if callable(handler):
                handler(number, sys._getframe(1))

    def set_handler(self, number: int, handler: Any) -> None:
        """Note what the program does with a signal: SIG_DFL, SIG_IGN or a callable."""
        self.handlers[number] = handler

    def restart_in_place(self) -> None:
        """Forget what belongs to a program, in whose place another begins (execve(2))."""
        self.executions += 1
        self.exception = None
        self.exit_handlers.clear()
        self.threading_exits.clear()
        self.loop = None
        self.pools_closed = False
        self.default_timeout = None
        self.temporary = self.file_names = None
        self.uuids = self.threads_named = 0
        self.pending_signals.clear()
        kept = {number: handler for number, handler in self.handlers.items() if handler is signal.SIG_IGN}
        self.handlers = {**kept, signal.SIGPIPE: signal.SIG_IGN, signal.SIGXFSZ: signal.SIG_IGN}
        self.handlers.setdefault(signal.SIGINT, signal.default_int_handler)

    def check_interrupted(self) -> None:
        """Raise what lets a call begin again when a signal has come whose handler has not run yet; for children."""

    def hold(self, stop_clock: bool) -> None:
        """Run none of its tasks until `release`; with `stop_clock` their timers stand still as well."""
        self.paused = True
        if stop_clock:
            for task in self.tasks.values():
                task.stop_timer()
            if self.alarm is not None:
                self.alarm_at = self.alarm.when
                self.alarm.clear()

    def release(self, slept: float) -> None:
        """Go on after `hold`; `slept` are the seconds for which the clock stood still."""
        self.paused = False
        self.slept += slept
        if slept:
            for task in self.tasks.values():
                task.continue_timer(slept)
            if self.alarm is not None:
                self.alarm.set(self.alarm_at + slept)
        held, self.held = self.held, {}
        for task in held:
            task.wake()

    @property
    def uptime(self) -> float:
        """Seconds since the world began, by the host's clock, without those that it has slept."""
        return self.hub.time() - self.slept if self.clock is None else self.clock.monotonic()

    # The end.

    def kill(self, status: int = KILLED) -> None:
        """End the process at once: its descriptors are closed, its tasks get ProcessKilled wherever they wait."""
        if self.status is not None or self.dying:
            return
        self.killed_status = status
        self.dying = self.killed = True
        self.streams.mute()
        self.host.kernel.close_owned(self)
        for task in list(self.tasks.values()):
            if task.loop is not None:
                ignore_errors(task.loop)
            task.wake()
        if not self.main.started:
            self.main.ended = True
            self._end(status)

    def task_ended(self, task: Task) -> None:
        """A task is over (called by the hub)."""
        self.tasks.pop(task.ident, None)
        drop_thread(task)
        for callback in task.on_end:
            callback()
        if task is not self.main:
            self.main.wake()
        elif self.dying and self.killed and not self.world.closing:
            self.collect_garbage()
        if task is self.main and self.status is None:  # abandoned while it unwound
            self._end(self.killed_status)

    def collect_garbage(self) -> None:
        """Close what it had open (databases, files), now that it was killed, as the kernel would."""
        self.world.garbage.collect()

    @property
    def wait_status(self) -> int:
        """What wait(2) tells of its end."""
        return self.killed_by or ((self.status or 0) & 0xFF) << 8

    def child_ended(self, child: Process) -> None:
        """Send SIGCHLD and wake who waits; children of a process that ignores the signal are not to be waited for."""
        if self.handlers.get(signal.SIGCHLD) is signal.SIG_IGN:
            del self.children[child.pid]
        self.senders[signal.SIGCHLD] = child.pid, 0
        self.deliver(signal.SIGCHLD)
        for task in tuple(self.waiting):
            task.wake()

    def reap(self, *, wait: bool) -> bool:
        """Whether nothing is left of it on the machine; what is left of a child is taken, with `wait` after its end."""
        return True

    def _leave_family(self) -> None:
        """Leave its children to nobody, and tell its parent of its end."""
        for child in self.children.values():
            child.parent = None
        self.children.clear()
        parent, self.parent = self.parent, None
        if parent is not None and not self.crashed:
            parent.child_ended(self)

    def _end(self, status: int) -> None:
        self.status = status
        self.ended_at = self.hub.now
        self.streams.finish()
        if self.alarm is not None:
            self.alarm.cancel()
        self.dying = True
        self.killed_status = status
        self.host.kernel.close_owned(self)
        for task in list(self.tasks.values()):
            if task is not self.main:
                task.wake()
        self._leave_family()
        forget_children(self)
        for file in self.pidfds:
            file.end()
        self.pidfds.clear()
        self.hub.call_soon(self.host.process_ended, self)

    def _emit(self, stream: str, line: str) -> None:
        # Whoever shows it is outside of the process, and may print itself.
        task, current.task = current.task, None
        self.world.ending.printed_at = self.hub.now
        try:
            self.world.output(self.host.name, stream, line)
        finally:
            current.task = task

    def _make_main(self) -> types.ModuleType:
        if self.program.is_callable:
            return sys.modules["__main__"]
        module = types.ModuleType("__main__")
        module.__dict__["__builtins__"] = __builtins__
        return module

    def is_service(self) -> bool:
        """Whether the world may be over while it runs: it was said so, or it was not and others can come to it."""
        if self.declared is not None:
            return self.declared
        files = (file for _, file, owner in self.host.kernel.open_files() if owner is self)
        return any(file.is_open_to_others() for file in files)

    def waits(self) -> Iterable[str]:
        """Lines for a report: what each of its threads waits for."""
        return describe_process(self)

    @property
    def failed(self) -> bool:
        """Whether it ended badly by itself, for good; of a child only its parent says what its status means."""
        return bool(self.status) and not self.crashed and not self.replaced and not self.is_child

    def describe(self) -> str:
        """One line for reports: host, program, pid."""
        return f"{self.host.name}: {self.name} (pid {self.pid})"


def _first_ident(host: str, pid: int) -> int:
    """A number for each process, far from those of others, and from the addresses that other threads are known by."""
    return 1 << 60 | int.from_bytes(hashlib.sha256(f"{host}/{pid}".encode()).digest()[:5], "big") << 20


def _without_ours(trace: types.TracebackType | None) -> types.TracebackType | None:
    """Cut the frames of this package from the head of a traceback."""
    while (
        trace is not None and trace.tb_next is not None and __package__ in trace.tb_frame.f_globals.get("__name__", "")
    ):
        trace = trace.tb_next
    return trace
