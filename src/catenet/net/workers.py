"""Several processes behind the same addresses: started, replaced when they die, told to stop, restarted on a change.

Ports are shared by `SO_REUSEPORT` (Linux socket(7)): the kernel chooses a worker for each connection and each peer that
sends datagrams. Unix sockets cannot be bound twice, so they are made before the fork and inherited.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from catenet.net.limits import ServerLimits
from catenet.net.listen import hold_port, listen_unix
from catenet.net.target import SCHEMES, Scheme, parse_target
from catenet.net.uvloops import uvloop_factory
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

Announce = Callable[[Sequence[str]], None]
"""Is told the URLs of a server that accepts connections."""

_STOP = frozenset((signal.SIGTERM, signal.SIGINT))
_RELOAD = frozenset((signal.SIGHUP,))
_ALL = _STOP | {signal.SIGCHLD}
_PIPE_SIZE = 65536
_POLL = 0.5
_RESTART_DELAY = 1.0
_PR_SET_PDEATHSIG = 1


class BindError(OSError):
    """A URL cannot be listened on; the text begins with it."""


class NoLoop(ValueError):
    """The event loop that was asked for is not installed."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a worker listens: `urls` with ports that all workers know, `shared` Unix sockets by URL.

    `reuse_port`: others listen there too. What `catenet.net.serve` and `Server.listen` take. `announce` is called with
    the true URLs once the worker serves. `number`: which of the workers it is.
    """

    urls: tuple[str, ...]
    shared: Mapping[str, socket.socket] = field(default_factory=dict)
    reuse_port: bool = False
    announce: Announce = lambda _: None
    number: int = 0


def run_workers(
    work: Callable[[Placement], int],
    urls: Sequence[str],
    *,
    workers: int = 1,
    watch: Sequence[Path] = (),
    suffixes: Sequence[str] = (".py",),
    schemes: Mapping[str, Scheme] = SCHEMES,
    refused: type[Exception] = BindError,
    announce: Announce = lambda _: None,
    reloads: bool = False,
) -> int:
    """Run `work` in this process, or in forked ones if there are several or files to be watched; return the status.

    `watch` are folders: when a file in them with one of `suffixes` changes, the workers are started again. A worker
    that raises `refused` says why in one line, and is not started again. `announce` is called once all serve.
    `reloads`: workers know what to do at SIGHUP, which is handed on to them. Raises `ValueError` for a wrong URL,
    `BindError`.
    """
    if workers == 1 and not watch:
        return work(Placement(tuple(urls), announce=announce))
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(contextlib.ExitStack())  # datagrams that came here would be lost
        placement = _share(urls, workers, schemes, stack, held)

        def serving(told: Sequence[str]) -> None:
            held.close()
            announce(told)

        def run(number: int) -> int:
            held.close()  # this process's own descriptors
            return work(replace(placement, announce=partial(supervisor.tell, number), number=number))

        supervisor = Supervisor(run, workers, watch, suffixes, refused, serving, reloads)
        return supervisor.run()


def run_loop(main: Coroutine[Any, Any, int], loop: str = "auto") -> int:
    """Run on uvloop if it is there, which is several times as fast; `loop`: `uvloop` or `asyncio` insist.

    Raises `NoLoop`.
    """
    _occupy_standard_descriptors()
    factory = None if loop == "asyncio" else uvloop_factory()
    if factory is None and loop == "uvloop":
        main.close()
        raise NoLoop("uvloop: pip install uvloop")
    with _signals_kept(), asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Give signals back to who had them: handlers of a loop of uvloop stay when it is closed, and do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _occupy_standard_descriptors() -> None:
    """Let nothing else become descriptor 0, 1 or 2 where one is closed: it would get what is written there.

    libuv ends the process when it closes such a one.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)


def stop_event(last: Callable[[], object] | None = None) -> asyncio.Event:
    """Return what the first SIGTERM or Ctrl-C sets, for a server to drain; a second Ctrl-C ends the process at once.

    `last` is called before that, for what must not outlive the process.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    interrupts = itertools.count(1)

    def interrupted() -> None:
        # SIGTERM does not count: a supervisor sends one at the first Ctrl-C, which a terminal sends to workers as well.
        if next(interrupts) > 1:
            if last is not None:
                last()
            _flush()
            os._exit(INTERRUPTED)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    return stop


def _share(
    urls: Sequence[str],
    workers: int,
    schemes: Mapping[str, Scheme],
    stack: contextlib.ExitStack,
    until_served: contextlib.ExitStack,
) -> Placement:
    """Fix ports that the system chooses, and make Unix sockets, before the fork."""
    fixed: list[str] = []
    shared: dict[str, socket.socket] = {}
    for url in urls:
        target = parse_target(url, listening=True, schemes=schemes)
        try:
            if target.unix and workers > 1:
                shared[url] = stack.enter_context(_unix_socket(target.unix, stack))
            elif not target.unix and not target.port:
                held = hold_port(target.host, schemes[target.scheme].kinds)
                for sock in held:
                    (stack if sock.type == socket.SOCK_STREAM else until_served).enter_context(sock)
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


def _end_with(parent: int) -> None:
    """Let a worker drain when its supervisor is gone without a word: nobody else would end it (prctl(2), Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it was gone before
        os.kill(os.getpid(), signal.SIGTERM)


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
        announce: Announce = lambda _: None,
        reloads: bool = False,
    ) -> None:
        self._work = work
        self._watch = watch
        self._suffixes = suffixes
        self._refused = refused
        self._announce = announce
        self._signals = _ALL | _RELOAD if reloads else _ALL
        self._ready: set[int] = set()
        self._pipe: tuple[int, int] = (-1, -1)
        self._running: dict[int, int] = {}
        self._waiting: dict[int, float] = dict.fromkeys(range(workers), 0.0)
        self._workers = workers
        self._stopping = False
        self._interrupts = 0
        self._status = 0

    def run(self) -> int:
        """Keep the workers running until a signal; return the exit status."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        seen = self._files()
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while self._running or (self._waiting and not self._stopping) or (self._watch and not self._stopping):
                self._start_due()
                received = signal.sigtimedwait(self._signals, _POLL)
                if received is not None and received.si_signo in _STOP:
                    self._stop(received.si_signo)
                elif received is not None and received.si_signo in _RELOAD:
                    self._hand_on(received.si_signo)
                self._reap()
                self._listen_to_workers()
                if self._watch and not self._stopping and (files := self._files()) != seen:
                    seen = files
                    self._restart()
        finally:
            while (late := signal.sigtimedwait(_STOP, 0)) is not None:
                self._stop(late.si_signo)  # not to be raised where it is unblocked
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
            for end in self._pipe:
                os.close(end)
        return self._status

    def tell(self, number: int, urls: Sequence[str]) -> None:
        """In a worker: say that it serves."""
        with contextlib.suppress(OSError):
            os.write(self._pipe[1], json.dumps([number, list(urls)]).encode() + b"\n")
            os.kill(os.getppid(), signal.SIGCHLD)  # wakes it

    def _listen_to_workers(self) -> None:
        try:
            told = os.read(self._pipe[0], _PIPE_SIZE)
        except BlockingIOError:
            return
        before = len(self._ready)
        for line in told.splitlines():
            number, urls = json.loads(line)
            self._ready.add(number)
            if before < self._workers == len(self._ready):
                self._announce(urls)
                return

    def _hand_on(self, signo: int) -> None:
        for child in self._running:
            os.kill(child, signo)

    def _start_due(self) -> None:
        now = time.monotonic()
        for number, due in list(self._waiting.items()):
            if now >= due and not self._stopping:
                del self._waiting[number]
                self._running[self._fork(number)] = number

    def _fork(self, number: int) -> int:
        _flush()
        parent = os.getpid()
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            _end_with(parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
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
        self._ready.clear()
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
