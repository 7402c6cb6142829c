"""Servers to be measured: each a process on a processor of its own, waited for, timed and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from tests.peers import environment, program

from benchmarks.harness import Failed, Unavailable, progress
from benchmarks.peers import built

__all__ = ["LOAD_CPU", "SERVER_CPU", "Running", "compiled_command", "find", "running", "start_all"]

SERVER_CPU, LOAD_CPU = 0, 1
PATIENCE = 60.0
"""Seconds in which a server answers, with all that it loads."""


class Running:
    """A process, or several, and the ports on which they answer."""

    def __init__(self, child: subprocess.Popen[bytes], ports: dict[str, int]) -> None:
        self._group = child.pid
        self.ports = ports

    def processor(self) -> float:
        """Seconds of processor time that all threads of all its processes have used."""
        total = 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.getpgid(int(folder.name)) == self._group:
                        for task in (folder / "task").iterdir():
                            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def processor_of_all(self) -> float:
        """The same with threads and children that have ended, as servers with one for each transfer have them."""
        total = 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.getpgid(int(folder.name)) == self._group:
                        fields = (folder / "stat").read_text().rpartition(")")[2].split()
                        total += sum(map(int, fields[11:15]))
        return total / os.sysconf("SC_CLK_TCK")


def find(name: str) -> str:
    """Path of a program."""
    found = program(name)
    if found is None:
        raise Unavailable(f"{name}: .ci/peers")
    return str(found)


def compiled_command() -> list[str]:
    """How to run `catenet` compiled: as CATENET_COMPILED says it is installed, else as `benchmarks.peers` built it."""
    installed = os.environ.get("CATENET_COMPILED")
    if installed:
        # Without the path on which the source of this checkout would be found first.
        return ["env", "-u", "PYTHONPATH", installed]
    return ["env", f"PYTHONPATH={built('compiled') / 'src'}", sys.executable, "-m", "catenet"]


@contextlib.contextmanager
def running(
    words: Sequence[str],
    ports: dict[str, int],
    answers: Callable[[], bool],
    *,
    log: Path,
    cwd: Path,
    cpu: int = SERVER_CPU,
    more: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run a server from when it `answers` on; `more` goes into its environment. Failed with the end of its log."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            ["taskset", "-c", str(cpu), *words],
            env={**environment(), **(more or {})},
            cwd=cwd,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait(child, answers, log)
            yield Running(child, ports)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _wait(child: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            if answers():
                return
        if child.poll() is not None or time.monotonic() > until:
            raise Failed(" ".join(log.read_text(errors="replace").split()[-20:]))
        time.sleep(0.1)


def start_all(
    names: Sequence[str],
    shown: Mapping[str, str],
    only: str | None,
    start: Callable[[str], AbstractContextManager[Running]],
    stack: ExitStack,
) -> dict[str, Running | str]:
    """Start the servers whose name as it is shown has the text `only`; for one that does not run, say why."""
    found: dict[str, Running | str] = {}
    for name in names:
        if only and only not in shown.get(name, name):
            continue
        try:
            found[name] = stack.enter_context(start(name))
        except (Unavailable, Failed) as error:
            found[name] = str(error)
        progress(f"{name} runs" if not isinstance(found[name], str) else f"{name}: {found[name]}")
    return found
