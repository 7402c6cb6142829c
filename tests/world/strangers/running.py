"""One pair on the kernel, and three times in a world."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.world.pairs import surroundings
from tests.world.strangers.environments import interpreter
from tests.world.strangers.roster import Pair
from tests.world.strangers.shape import shape_of

__all__ = ["CAPTURE", "Verdict", "make_place", "run_in_world", "run_pair"]

HERE: Final = Path(__file__).parent
LINK_LOSS: Final = "1%"
CAPTURE: Final = "all.pcapng"
WINDOWS: Final = "0-13 14-59 64-150"
"""Seconds since the client's start in which it must be answered: before and after each fault."""
WORLD: Final = """
[world]
duration = "200s"

[link]
latency = "5ms"
jitter = "1ms"
loss = "{loss}"

[hosts.server]
run = "{program}.py serve {name}"
service = true

[hosts.client]
run = "{program}.py ask {name} server {windows}"
start = "1s"

[[events]]
at = "10s"
partition = "client"
for = "5s"

[[events]]
at = "60s"
crash = "server"
for = "5s"
"""
"""Two per cent of what goes from host to host is lost, one on each link."""


class Verdict(NamedTuple):
    """What became of a pair: `works`, `refused` or `fails`, and why.

    `traces` and `shapes`: a digest for each run in a world, of all bytes and of times and lengths alone.
    """

    kernel: str
    world: str
    reason: str
    traces: list[str]
    shapes: list[str]
    seconds: float


def run_pair(pair: Pair, results: Path, limit: float) -> Verdict:
    """Run a pair; `limit`: seconds of real time for one run. What the programs wrote is left in `results`."""
    begun = time.monotonic()
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="strangers-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        status, text = _on_kernel(pair, make_place(folder / "kernel"), limit)
        (results / "kernel.txt").write_text(text)
        kernel = "works" if status == 0 else "fails"
        world, reason, traces, shapes = "works", "", [], []
        for number, (place, ways) in enumerate(surroundings(folder)):
            status, text = run_in_world(pair, make_place(place), ways, limit)
            (results / f"world-{number + 1}.txt").write_text(text)
            if status != 0:
                world, reason = _why(status, text)
                break
            traces.append(_trace_of(text))
            shapes.append(shape_of(place / CAPTURE))
    return Verdict(kernel, world, reason, traces, shapes, time.monotonic() - begun)


def _trace_of(text: str) -> str:
    """The digest in the figures, which stand among what is printed."""
    figures = re.search(r"^\{\n.*?^\}", text, re.MULTILINE | re.DOTALL)
    assert figures is not None, text
    return str(json.loads(figures[0])["trace_sha256"])


def make_place(place: Path) -> Path:
    """A folder with the programs, as everybody may read it."""
    place.mkdir(parents=True)
    place.chmod(0o755)
    for program in (HERE / "programs").glob("*.py"):
        shutil.copy(program, place)
    return place


def _on_kernel(pair: Pair, place: Path, limit: float) -> tuple[int, str]:
    # Some servers have workers in sessions of their own, which only the namespace of processes ends.
    apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    apart += [] if os.geteuid() == 0 else ["--map-root-user"]
    words = [*apart, str(interpreter(pair.environment)), str(HERE / "on_kernel.py"), f"{pair.program}.py", pair.name]
    return _run(words, place, limit, {})


def run_in_world(pair: Pair, place: Path, ways: dict[str, object], limit: float) -> tuple[int, str]:
    """Run a pair in a folder that has the programs, and return as `_run`; `ways`: what `Popen` makes another run of."""
    text = WORLD.format(program=pair.program, name=pair.name, windows=WINDOWS, loss=LINK_LOSS)
    (place / "world.toml").write_text(text)
    words = [str(interpreter(pair.environment)), "-m", "catenet", "run", "world.toml", "--seed", "7", "--json", "-"]
    words += ["--pcap", CAPTURE]
    return _run(words, place, limit, ways)


def _run(words: Sequence[str], place: Path, limit: float, ways: dict[str, Any]) -> tuple[int, str]:
    """The status, -1 if it took too long, and what was written on both streams."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words, cwd=place, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **ways
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = -1
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        output.seek(0)
        return status, output.read().decode(errors="replace")


def _why(status: int, text: str) -> tuple[str, str]:
    """The verdict on a run that did not end well."""
    lines = [(line.partition("| ")[2] or line).strip(" |") for line in text.splitlines()]
    for line in lines:
        if "NotModelled: " in line:
            return "refused", line.partition("NotModelled: ")[2]
    if status == -1:
        return "fails", "no end in time"
    errors = [line for line in lines if "Error" in line or "no answer between" in line or "died" in line]
    return "fails", (errors[-1] if errors else f"status {status}")[:200]
