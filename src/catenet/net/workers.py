"""Several processes behind the same addresses: started, replaced when they die, told to stop, restarted on a change.

TCP ports are shared by `SO_REUSEPORT` (Linux socket(7)): the kernel chooses a worker for each connection. Unix
sockets cannot be bound twice, so they are made before the fork and inherited.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from catenet.net.limits import ServerLimits
from catenet.net.listen import hold_port, listen_unix
from catenet.net.target import SCHEMES, Scheme, parse_target
from catenet.printable import complain

__all__ = [
    "BindError",
    "NoLoop",
    "Placement",
    "Supervisor",
    "run_loop",
    "run_workers",
    "stop_event",
]

BAD_START = 2
"""Exit status of a worker that cannot start as it was told: starting it again would change nothing."""
INTERRUPTED = 130

_STOP = frozenset((signal.SIGTERM, signal.SIGINT))
_ALL = _STOP | {signal.SIGCHLD}
_POLL = 0.5
_RESTART_DELAY = 1.0


class BindError(OSError):
    """A URL cannot be listened on; the text begins with it."""


class NoLoop(ValueError):
    """The event loop that was asked for is not installed."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a worker listens: `urls` with ports that all workers know, `shared` Unix sockets by URL.

    `reuse_port`: others listen there too. What `catenet.net.serve` and `Server.listen` take.
    """

    urls: tuple[str, ...]
    shared: Mapping[str, socket.socket] = field(default_factory=dict)
    reuse_port: bool = False


def run_workers(
    work: Callable[[Placement], int],
    urls: Sequence[str],
    *,
    workers: int = 1,
    watch: Sequence[Path] = (),
    suffixes: Sequence[str] = (".py",),
    schemes: Mapping[str, Scheme] = SCHEMES,
    refused: type[Exception] = BindError,
) -> int:
    """Run `work` in this process, or in forked ones if there are several or files to be watched; return the status.

    `watch` are folders: when a file in them with one of `suffixes` changes, the workers are started again. A worker
    that raises `refused` says why in one line, and is not started again. Raises `ValueError` for a wrong URL,
    `BindError`.
    """
    if workers == 1 and not watch:
        return work(Placement(tuple(urls)))
    with contextlib.ExitStack() as stack:
        placement = _share(urls, workers, schemes, stack)
        return Supervisor(lambda _: work(placement), workers, watch, suffixes, refused).run()


def run_loop(main: Coroutine[Any, Any, int], loop: str = "auto") -> int:
    """Run on uvloop if it is there, which is several times as fast; `loop`: `uvloop` or `asyncio` insist.

    Raises `NoLoop`.
    """
    factory = None
    if loop != "asyncio":
        try:
            import uvloop

            factory = uvloop.new_event_loop
        except ImportError:
            if loop == "uvloop":
                main.close()
                raise NoLoop("uvloop: pip install uvloop") from None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def stop_event() -> asyncio.Event:
    """Return what the first SIGTERM or Ctrl-C sets, for a server to drain; a second Ctrl-C ends the process at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    interrupts = itertools.count(1)

    def interrupted() -> None:
        # SIGTERM does not count: a supervisor sends one at the first Ctrl-C, which a terminal sends to workers as well.
        if next(interrupts) > 1:
            _flush()
            os._exit(INTERRUPTED)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    return stop


def _share(urls: Sequence[str], workers: int, schemes: Mapping[str, Scheme], stack: contextlib.ExitStack) -> Placement:
    """Fix ports that the system chooses, and make Unix sockets, before the fork."""
    fixed: list[str] = []
    shared: dict[str, socket.socket] = {}
    for url in urls:
        target = parse_target(url, listening=True, schemes=schemes)
        try:
            if target.unix and workers > 1:
                shared[url] = stack.enter_context(_unix_socket(target.unix, stack))
            elif not target.unix and not target.port:
                held = [stack.enter_context(sock) for sock in hold_port(target.host)]
                target = replace(target, port=held[0].getsockname()[1])
                url = target.listening_url
        except OSError as error:
            raise BindError(f"{url}: {error}") from None
        fixed.append(url)
    return Placement(tuple(fixed), shared, reuse_port=True)


def _unix_socket(path: str, stack: contextlib.ExitStack) -> socket.socket:
    sock = listen_unix(path, backlog=ServerLimits().backlog)
    owner = os.getpid()

    def unlink() -> None:
        if os.getpid() == owner and not path.startswith("@"):
            Path(path).unlink(missing_ok=True)

    stack.callback(unlink)
    return sock


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


class Supervisor:
    """Runs `work(number)` in `workers` forked processes; see `run_workers`."""

    def __init__(
        self,
        work: Callable[[int], int],
        workers: int,
        watch: Sequence[Path] = (),
        suffixes: Sequence[str] = (".py",),
        refused: type[Exception] = BindError,
    ) -> None:
        self._work = work
        self._watch = watch
        self._suffixes = suffixes
        self._refused = refused
        self._running: dict[int, int] = {}
        self._waiting: dict[int, float] = dict.fromkeys(range(workers), 0.0)
        self._stopping = False
        self._interrupts = 0
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
            while (late := signal.sigtimedwait(_STOP, 0)) is not None:
                self._stop(late.si_signo)  # not to be raised where it is unblocked
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
        return self._status

    def _start_due(self) -> None:
        now = time.monotonic()
        for number, due in list(self._waiting.items()):
            if now >= due and not self._stopping:
                del self._waiting[number]
                self._running[self._fork(number)] = number

    def _fork(self, number: int) -> int:
        _flush()
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
            status = self._work(number)
        except KeyboardInterrupt:
            status = INTERRUPTED
        except self._refused as error:
            complain(f"catenet: {error}")
            status = BAD_START
        except Exception:
            # Nobody else would tell: the process ends here.
            traceback.print_exc()
        finally:
            _flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            number = self._running.pop(child, None)
            exit_status = os.waitstatus_to_exitcode(status)
            if number is not None and not self._stopping:
                self._ended(number, exit_status)
            elif exit_status == INTERRUPTED:
                # Two interrupts that a terminal sent may have been one when we looked; this worker has seen both.
                self._status = INTERRUPTED

    def _ended(self, number: int, status: int) -> None:
        if status != BAD_START:
            complain(f"catenet: worker {number} ended with status {status}, starting it again")
            self._waiting[number] = time.monotonic() + _RESTART_DELAY
        elif not self._watch:
            self._status = status
            self._stop(signal.SIGTERM)

    def _stop(self, signo: int) -> None:
        self._interrupts += signo == signal.SIGINT
        self._stopping = True
        self._waiting.clear()
        if self._interrupts > 1:
            self._status = INTERRUPTED
        for child in self._running:
            os.kill(child, signal.SIGKILL if self._interrupts > 1 else signal.SIGTERM)

    def _restart(self) -> None:
        complain("catenet: files have changed, starting again")
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
            for path in (path for suffix in self._suffixes for path in folder.rglob(f"*{suffix}")):
                try:
                    stamps[str(path)] = path.stat().st_mtime_ns
                except OSError:
                    continue  # an editor has just replaced it
        return stamps
