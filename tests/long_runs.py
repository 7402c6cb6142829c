"""Running many seeds on all processors: how far it is, the faults as they come, a table between the marks of a file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

__all__ = ["run_many"]


class Outcome(Protocol):
    """What came of one seed."""

    faults: list[str]


O = TypeVar("O", bound=Outcome)  # noqa: E741


def run_many(about: str | None, mark: str, run: Callable[[int], O], table: Callable[[Sequence[O], float], str]) -> int:
    """Run the seeds that the command line names; return 1 if one has a fault. `mark`: what the table stands under."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    begun = time.monotonic()
    outcomes: list[O] = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for outcome in pool.map(run, range(args.first, args.first + args.count)):
            outcomes.append(outcome)
            for fault in outcome.faults:
                print(fault, flush=True)
            _show_progress(outcomes, args.count, time.monotonic() - begun)
            if args.table is not None and (len(outcomes) % 10 == 0 or len(outcomes) == args.count):
                _write(args.table, mark, table(outcomes, time.monotonic() - begun))
    print(f"\n{table(outcomes, time.monotonic() - begun)}")
    return 1 if any(outcome.faults for outcome in outcomes) else 0


def _write(path: Path, mark: str, text: str) -> None:
    """Put the table between the marks: now and then, so that a run that is broken off leaves what it has."""
    start, end = f"<!-- {mark} -->", "<!-- end -->"
    before, _, rest = path.read_text().partition(start)
    path.write_text(f"{before}{start}\n{text}\n{end}{rest.partition(end)[2]}")


def _show_progress(outcomes: Sequence[Outcome], count: int, seconds: float) -> None:
    if not sys.stderr.isatty() and len(outcomes) % 50:
        return
    done = len(outcomes) / count
    faults = sum(len(outcome.faults) for outcome in outcomes)
    left = seconds / done - seconds
    bar = "#" * int(40 * done)
    end = "" if sys.stderr.isatty() else "\n"
    sys.stderr.write(f"\r[{bar:<40}] {len(outcomes)}/{count} worlds, {faults} faults, {left:.0f} s left {end}")
    sys.stderr.flush()
