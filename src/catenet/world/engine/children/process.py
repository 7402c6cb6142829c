"""A child process as the kernel has it: what it has open, its signals, its end; its program runs elsewhere."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from posix import WNOHANG
from posix import kill as kill_really
from posix import waitpid as wait_really
from typing import Any

from catenet.world.engine.children.wire import Wire
from catenet.world.engine.children.words import DIE
from catenet.world.engine.errors import ProcessKilled
from catenet.world.engine.process import KILLED, Process
from catenet.world.engine.streams import Streams
from catenet.world.engine.task import Task

__all__ = ["CallAgain", "ChildProcess"]


class CallAgain(Exception):
    """A call of a child was interrupted by a signal whose handler runs there; it is made again after it."""


def _caught(number: int, frame: Any) -> None:
    """Stands for a handler that the child has."""


def _plain(handlers: dict[int, Any]) -> dict[int, Any]:
    """Dispositions of signals, with a word for handlers that are elsewhere."""
    return {number: handler if isinstance(handler, int) else _caught for number, handler in handlers.items()}


def _never(module: object) -> None:
    raise AssertionError("the program of a child runs in another process")


class ChildProcess(Process):
    """A process that came by fork. Its threads are tasks that serve what the real ones ask for (`service.py`)."""

    def __init__(
        self, parent: Process, pid: int, wire: Wire, real_pid: int, serve: Callable[[ChildProcess, Task], None]
    ) -> None:
        """Begin with what the parent has: open files, dispositions of signals, users, group and session."""
        super().__init__(parent.host, replace(parent.program, run=_never), pid, declared=parent.declared, stdin="")
        self.is_child = True
        self._connect(wire, real_pid, serve)
        self.command = parent.command
        self.parent = parent
        parent.children[pid] = self
        self.group, self.session = parent.group, parent.session
        self.handlers = _plain(parent.handlers)
        self.blocked_signals = set(parent.blocked_signals)
        self.wakeup_fd = parent.wakeup_fd
        if parent.credentials is not None:
            self.credentials = parent.credentials.copy()
        self.limits = dict(parent.limits)
        self.host.kernel.fork(parent, self)

    @classmethod
    def take_place(
        cls, process: Process, wire: Wire, real_pid: int, serve: Callable[[ChildProcess, Task], None]
    ) -> ChildProcess:
        """Make a process, which has run here and goes on elsewhere, one of these: it keeps all that it is and has."""
        process.__class__ = cls
        assert isinstance(process, cls)
        process._connect(wire, real_pid, serve)
        process.is_ours = True
        process.handlers = _plain(process.handlers)
        process.streams = Streams(process._emit, "")
        process.host.kernel.separate(process)
        return process

    def _connect(self, wire: Wire, real_pid: int, serve: Callable[[ChildProcess, Task], None]) -> None:
        self.wire = wire
        self.real_pid = real_pid
        """Its number on the machine; 0 as long as it is not known."""
        self.is_ours = False
        """Whether this process of the machine is its parent there, so that it is to be waited for."""
        self._serve = serve
        self.outgoing: list[int] = []
        """Signals whose handlers the child is to run."""
        self.threads: dict[int, Task] = {0: self.main}

    def leave(self, old: Task) -> None:
        """End the threads that it had here, of which `old` runs, without a word, and serve it by a new one."""
        for task in self.tasks.values():
            task.ended = True
        self.main = self.threads[0] = task = Task(self, lambda: None, old.ident, "MainThread")
        self.tasks = {task.ident: task}
        task.wake()

    def note_handler(self, number: int, kind: int) -> None:
        """Note what the child does with a signal: SIG_DFL, SIG_IGN or, with any other number, its own handler."""
        self.handlers[number] = _caught if kind not in (signal.SIG_DFL, signal.SIG_IGN) else signal.Handlers(kind)

    def start_thread(self, number: int, name: str) -> None:
        """Start a thread that the child has started."""
        task = self.spawn(lambda: None, name)
        task.daemon = True
        self.threads[number] = task

    def end_thread(self, number: int) -> None:
        """End a thread without a word, for another program begins."""
        task = self.threads.pop(number)
        task.ended = True

    # On the side of its tasks.

    def task_runs(self, task: Task) -> None:
        """Serve a thread of the child to its end."""
        try:
            self._serve(self, task)
        except ProcessKilled:
            pass
        if task is self.main and self.status is None:
            self._end(self.killed_status)

    def run_signal_handlers(self) -> None:
        """Have the handlers run by the child, with the next answer to its main thread."""
        self.signals_handled += len(self.pending_signals)
        self.outgoing += self.pending_signals
        self.pending_signals.clear()

    def check_interrupted(self) -> None:
        """See `Process`."""
        if self.outgoing:
            raise CallAgain

    def show(self, stream: str, line: str) -> None:
        """Show a line that the child has printed."""
        self._emit(stream, str(line))

    # The end.

    def never_was(self) -> None:
        """Drop the process, whose parent could not make it."""
        self.parent = None
        self.kill()

    def end_by(self, number: int) -> None:
        """Note that the child was killed by a signal of the machine."""
        self.wire.close()
        self.killed_by = number
        self.kill(128 + number)

    def collect_garbage(self) -> None:
        """See `Process`: nothing of it is here."""

    def exit(self, status: int) -> None:
        """Note that the child has ended by itself."""
        self.wire.close()
        self.kill(status)

    def kill(self, status: int = KILLED) -> None:
        """End the process at once; the real one ends when it is told so, for it waits for an answer."""
        if self.status is not None or self.dying:
            return
        super().kill(status)
        if self.crashed or self.world.closing:
            self.kill_really()
        elif self.wire.descriptor >= 0:
            try:
                self.wire.send((0, DIE, self.hub.now, None, ()))
            except OSError:
                pass  # it has ended already
        self.wire.close()

    def kill_really(self) -> None:
        """Kill the process of the machine."""
        if self.real_pid:
            try:
                kill_really(self.real_pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def reap(self, *, wait: bool) -> bool:
        """See `Process`."""
        if not self.is_ours or not self.real_pid:
            return True
        try:
            found, _ = wait_really(self.real_pid, 0 if wait else WNOHANG)
        except ChildProcessError:
            found = self.real_pid
        if found:
            self.real_pid = 0
        return bool(found)

    def died(self) -> int:
        """The signal that has killed the real process, which has ended without a word; SIGKILL if nobody knows."""
        number: int = signal.SIGKILL
        if self.is_ours and self.real_pid:
            try:
                _, status = wait_really(self.real_pid, 0)
                number = status & 0x7F or number
            except ChildProcessError:
                pass
            self.real_pid = 0
        return number
