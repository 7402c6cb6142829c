"""`python -m benchmarks session`: sessions beside TCP and TLS as asyncio has them, in worlds and over loopback.

In worlds time is virtual: what is measured is what the protocol costs on the line, however busy the machine is. Each
repetition is a world of its own, with a round trip that differs by up to a tenth.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import Column, Contender, Report, Sample, Table, interleave
from benchmarks.sim import figures

PROGRAMS = Path(__file__).parent / "programs"
KINDS = {"TCP": "tcp", "session+tcp": "session+tcp", "TLS": "tls", "session+tls": "session+tls"}
ROUND_TRIPS = [20, 40, 80]
"""Milliseconds."""
STRETCH = [0, -0.1, 0.1, -0.05, 0.05]
LINE_NOTE = """Rates of TCP with a window of 3 MB at most, slow start included. With a round trip of 20 ms the window
outgrows the line by about the 1,000 packets of the sender's own queue: whether slow start ends with a loss there is a
matter of single segments, for TCP and for what rides on it, and costs a third to a half of such a run."""
RESUME_NOTE = """From the broken connection to the answer to what is written then. TCP's own round trip is in it, and
that of TLS 1.3; a plain connection begins anew and knows nothing of what was lost."""


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 5)
    rate = [Column("rate", "MB/s")]
    both = [Column("rate", "MB/s"), Column("cpu", "CPU of both ends, s a GB", 2)]
    trips = [Column("first", "to begin", 1), Column("again", "after a break", 1)]
    size = 256 if quick else 1024

    def rows(measure: Callable[[str], Callable[[], Sample]]) -> list[Contender]:
        return [Contender(name, measure(kind)) for name, kind in KINDS.items() if only is None or only in name]

    tables = [
        Table(
            f"A world of 1 Gbit/s and {rtt} ms a round trip, 64 MB",
            rate,
            rows(_Worlds(rtt)),
            LINE_NOTE if rtt == 20 else "",
        )
        for rtt in ROUND_TRIPS
    ]
    tables += [
        Table(f"Loopback, {loop}, {size} MB", both, rows(_Loopback(loop, size))) for loop in ("asyncio", "uvloop")
    ]
    tables.append(Table("Round trips until an answer", trips, rows(_resume), RESUME_NOTE))
    for table in tables:
        interleave(table.contenders, 1 if table.columns is trips else rounds)
    return Report("session", "One stream, one direction.", tables, {}, rounds)


def _program(name: str, *words: object) -> Sample:
    return figures(sys.executable, str(PROGRAMS / name), *map(str, words))


class _Worlds:
    """The worlds of a round trip."""

    def __init__(self, rtt: int) -> None:
        self._rtt = rtt

    def __call__(self, kind: str) -> Callable[[], Sample]:
        stretches: Iterator[float] = itertools.cycle(STRETCH)
        return lambda: _program("session_world.py", "rate", kind, self._rtt * (1 + next(stretches)), 64)


class _Loopback:
    def __init__(self, loop: str, megabytes: int) -> None:
        self._loop = loop
        self._megabytes = megabytes

    def __call__(self, kind: str) -> Callable[[], Sample]:
        return lambda: _program("session_loopback.py", self._loop, kind, self._megabytes)


def _resume(kind: str) -> Callable[[], Sample]:
    return lambda: _program("session_world.py", "resume", kind, 100, 0)
