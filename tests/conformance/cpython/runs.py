"""Running one of CPython's test modules on a network, test by test, whatever becomes of the process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .verdicts import read_verdicts

LIMIT = 540.0
"""Seconds for one process; what is under way then counts as one that does not end."""
TRIES = 60
"""How many processes a module may use up: each test that ends its process, or never ends, costs one."""
STALL = "15s"


@dataclass
class ModuleRun:
    """What became of the tests of one module."""

    module: str
    of: dict[str, str] = field(default_factory=dict)
    """Each test's verdict: ok, failed, skipped, or ended (it took its process with it, or never ended)."""
    outputs: list[str] = field(default_factory=list)


def kernel_command(python: str) -> list[str]:
    """Returns how Python is run on the kernel's network, in a namespace of its own with a loopback interface."""
    inside = 'ip link set lo up && exec "$0" "$@"'
    return ["unshare", "--net", "sh", "-c", inside, python] if os.geteuid() == 0 else [python]


def world_command(python: str) -> list[str]:
    """Returns how a module of Python is run on a host of a world."""
    return [python, "-m", "catenet", "run", "--stall", STALL]


def _plain(text: str) -> str:
    """Returns a program's lines without the name of its host in front."""
    return re.sub(r"(?m)^host  \| ?", "", text)


def _run_once(command: Sequence[str], module: str, done: set[str], only: Sequence[str], folder: Path) -> str:
    words = [*command, "-m", "test", "-v", "-u", "network"]
    if done:
        ignored = folder / "done.txt"
        ignored.write_text("\n".join(sorted(done)))
        words += ["--ignorefile", str(ignored)]
    for pattern in only:
        words += ["--match", pattern]
    output = folder / "output.txt"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)}
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*words, module], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
    return _plain(output.read_text(errors="replace"))


def _cases(python: str, module: str) -> list[str]:
    """Returns the names of a module's tests in the order in which they run."""
    listed = subprocess.run(
        [python, "-m", "test", "-u", "network", "--list-cases", module],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    return [line for line in listed.stdout.splitlines() if line.startswith("test.")]


def run_module(
    network: Callable[[str], list[str]], python: str, module: str, only: Sequence[str] = (), skip: Sequence[str] = ()
) -> ModuleRun:
    """Runs a module until each of its tests has a verdict.

    Args:
        network: Returns what runs an interpreter, without the words for the module.
        python: The interpreter.
        module: As CPython names it, such as `test_socket`.
        only: Names or patterns of tests; all if empty.
        skip: Names of tests that are not tried.
    """
    run = ModuleRun(module)
    cases: list[str] | None = None
    for _ in range(TRIES):
        done = {*run.of, *skip}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            text = _run_once(network(python), module, done, only, Path(folder))
        run.outputs.append(text)
        verdicts = read_verdicts(text)
        run.of |= verdicts.of
        if verdicts.complete:
            break
        if verdicts.under_way is None:  # a line that was not complete is not shown: it was the next one
            cases = _cases(python, module) if cases is None else cases
            verdicts.under_way = next((case for case in cases if case not in run.of and case not in done), None)
        if verdicts.under_way is None or verdicts.under_way in done:
            break
        run.of[verdicts.under_way] = "ended"
    return run
