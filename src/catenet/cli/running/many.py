"""`catenet run --seeds A..B`: a run for each seed, several at once, up to the first one that fails."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from catenet.cli.arguments import check_writable
from catenet.cli.running.child import Child
from catenet.cli.running.options import command_line, replay_line
from catenet.cli.running.results import write_json
from catenet.printable import say
from catenet.processors import processors

__all__ = ["run_seeds"]

LOOK: Final = 0.01
"""Seconds between two looks at the runs."""


def run_seeds(args: argparse.Namespace) -> int:
    """Run all seeds; return 1 if one fails. Shown and named is the lowest of those that do."""
    if args.json is not None:
        check_writable("--json", args.json)
    seeds: range = args.seeds
    # Of what others read as JSON nothing else may stand on standard output.
    out = sys.stderr if str(args.json) == "-" else sys.stdout
    with tempfile.TemporaryDirectory(prefix="catenet-") as folder:
        with _progress(seeds) as progress:
            failed = _first_failure(args, Path(folder), progress)
        failures = []
        if failed is not None:
            seed, child = failed
            child.check_usage()
            child.show(aside=out is sys.stderr)
            failures = [{"seed": seed, "reason": child.reason(), "replay": replay_line(args, seed)}]
    count = len(seeds) if failed is None else seeds.index(failed[0]) + 1
    if args.json is not None:
        write_json({"seeds_run": count, "failed": failures}, args.json)
    for failure in failures:
        say(f"seed {failure['seed']} failed: {failure['reason']}", file=out)
        say(f"replay: {failure['replay']}", file=out)
    if not failures:
        say(f"{count:,} seeds, {seeds[0]} to {seeds[-1]}: no run failed", file=out)
    return 1 if failures else 0


def _first_failure(args: argparse.Namespace, folder: Path, progress: Callable[[int], None]) -> tuple[int, Child] | None:
    """Run the seeds and return the lowest that fails; those above it are not waited for."""
    waiting = iter(args.seeds)
    running: dict[int, Child] = {}
    failed: tuple[int, Child] | None = None
    done = 0
    most = args.jobs or processors()
    try:
        while True:
            while failed is None and len(running) < most and (seed := next(waiting, None)) is not None:
                running[seed] = _start(args, seed, folder)
            if not running:
                return failed
            for seed in [seed for seed, child in running.items() if child.ended]:
                child = running.pop(seed)
                done += 1
                if child.status != 0 and (failed is None or seed < failed[0]):
                    failed = seed, child
                    for above in [other for other in running if other > seed]:
                        running.pop(above).stop()
            progress(done)
            if running:
                min(running.items())[1].wait(LOOK)
    finally:
        for child in running.values():
            child.stop()


def _start(args: argparse.Namespace, seed: int, folder: Path) -> Child:
    own = folder / str(seed)
    return Child(command_line(args, f"--seed={seed}", "--json", str(own / "figures.json")), own)


@contextmanager
def _progress(seeds: range) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and else nothing: what to call with how many seeds are done."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=len(seeds))
        yield lambda done: bar.update(task, completed=done)
