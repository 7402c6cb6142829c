"""`python -m benchmarks rpc`: RPC servers and clients beside their peers, one processor for each side."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.goals import summary
from benchmarks.harness import Report, Table, interleave, progress
from benchmarks.rpc import peers, tables
from benchmarks.rpc.bench import Bench
from benchmarks.rpc.goals import GOALS
from benchmarks.rpc.lab import Service
from benchmarks.rpc.runs import Runs, certificate

PATIENCE = 640.0
"""Seconds for all tables; no round begins that would need more than a table's share of what is left."""
SECONDS = 0.4
SELDOM = " idle"
"""What takes long to set up and changes little is measured once."""

SUMMARY = (
    "HiScore, a service with small messages, server on one processor and load on the other. Every server does the "
    "whole work of a call: messages decoded, a handler run, messages encoded. catenet runs on uvloop, as grpclib, "
    "uvicorn and dbus-fast do here, unless a row says otherwise. Servers and clients stay up from round to round, and "
    "are warm."
)


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all contenders; `only` may name tables too, by a part of their titles."""
    wanted = repetitions or (1 if quick else 5)
    with tempfile.TemporaryDirectory() as folder, Bench() as bench:
        secure = Service("catenet", "tls://127.0.0.1:{port}", {"CERTIFICATE": str(certificate(Path(folder)))})
        runs = Runs(bench, SECONDS)
        found = [
            *tables.servers(runs, secure),
            *tables.connect(runs),
            *tables.clients(runs),
            *tables.pairs(runs, secure),
            tables.idle(runs, (0, 1000) if quick else (0, 1000, 10_000, 50_000)),
        ]
        found = _chosen(found, only)
        done = _measure(found, wanted, PATIENCE, bench.hang_up)
    return Report("rpc", SUMMARY, [summary(found, GOALS), *found], peers.versions(), done)


def _chosen(found: list[Table], only: str | None) -> list[Table]:
    """Tables whose titles have the text, and of others the contenders whose names have it."""
    for table in found:
        if only and only not in table.title:
            table.contenders = [row for row in table.contenders if only in row.name]
    return [table for table in found if table.contenders]


def _measure(found: list[Table], rounds: int, patience: float, hang_up: Callable[[], None]) -> int:
    """Run the contenders of each table in turn, `rounds` times as far as there is time; return how often at least."""
    end = time.monotonic() + patience
    least = rounds
    for number, table in enumerate(found):
        progress(f"table {number + 1} of {len(found)}: {table.title}")
        began = time.monotonic()
        share = (end - began) / (len(found) - number)
        done = _rounds(table, rounds, began + 2 * share)
        if done < rounds:
            progress(f"no time for more than {done} rounds")
        least = min(least, done)
        hang_up()
    return least


def _rounds(table: Table, rounds: int, end: float) -> int:
    for done in range(rounds):
        if done and time.monotonic() > end:
            return done
        interleave([row for row in table.contenders if not done or SELDOM not in row.name], 1)
    return rounds
