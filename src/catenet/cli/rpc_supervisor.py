"""Worker processes: started, replaced when they die, told to stop; restarted when files change."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from catenet.printable import say

__all__ = ["BAD_START", "Supervisor"]

BAD_START = 2
"""Exit status of a worker that cannot start as it was told: starting it again would change nothing."""

_STOP = frozenset((signal.SIGTERM, signal.SIGINT))
_ALL = _STOP | {signal.SIGCHLD}
_POLL = 0.5
_RESTART_DELAY = 1.0


class Supervisor:
    """Runs ``work(number)`` in ``workers`` forked processes. ``watch`` are folders whose .py and .proto files count."""

    def __init__(self, work: Callable[[int], int], workers: int, watch: Sequence[Path] = ()) -> None:
        self._work = work
        self._watch = watch
        self._running: dict[int, int] = {}
        self._waiting: dict[int, float] = dict.fromkeys(range(workers), 0.0)
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Keep the workers running until a signal; return the exit status."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
        seen = self._files()
        try:
            while self._running or (self._waiting and not self._stopping) or (self._watch and not self._stopping):
                self._start_due()
                received = signal.sigtimedwait(_ALL, _POLL)
                if received is not None and received.si_signo in _STOP:
                    self._stop(received.si_signo)
                self._reap()
                if self._watch and not self._stopping and (files := self._files()) != seen:
                    seen = files
                    self._restart()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
        return self._status

    def _start_due(self) -> None:
        now = time.monotonic()
        for number, due in list(self._waiting.items()):
            if now >= due and not self._stopping:
                del self._waiting[number]
                self._running[self._fork(number)] = number

    def _fork(self, number: int) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
            status = self._work(number)
        except KeyboardInterrupt:
            status = 130
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            number = self._running.pop(child, None)
            if number is not None and not self._stopping:
                self._ended(number, os.waitstatus_to_exitcode(status))

    def _ended(self, number: int, status: int) -> None:
        if status != BAD_START:
            say(f"catenet: worker {number} ended with status {status}, starting it again", file=sys.stderr)
            self._waiting[number] = time.monotonic() + _RESTART_DELAY
        elif not self._watch:
            self._status = status
            self._stop(signal.SIGTERM)

    def _stop(self, signo: int) -> None:
        self._stopping = True
        self._waiting.clear()
        for child in self._running:
            os.kill(child, signo)

    def _restart(self) -> None:
        say("catenet: files have changed, starting again", file=sys.stderr)
        numbers = sorted({*self._running.values(), *self._waiting}) or [0]
        for child in self._running:
            os.kill(child, signal.SIGTERM)
        for child in list(self._running):
            os.waitpid(child, 0)
        self._running.clear()
        self._waiting = dict.fromkeys(numbers, 0.0)

    def _files(self) -> dict[str, int]:
        stamps = {}
        for folder in self._watch:
            for path in (*folder.rglob("*.py"), *folder.rglob("*.proto")):
                try:
                    stamps[str(path)] = path.stat().st_mtime_ns
                except OSError:
                    continue  # an editor has just replaced it
        return stamps
