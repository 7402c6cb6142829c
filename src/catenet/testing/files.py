"""Files that a command line names: scripts and scenarios."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

__all__ = ["in_processes", "named_files"]

J = TypeVar("J")
R = TypeVar("R")


def named_files(names: Sequence[str], suffix: str) -> Iterator[Path]:
    """Files, and those with a suffix under directories, in order.

    Raises:
        FileNotFoundError: no such file or directory, or none with the suffix in it.
    """
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = sorted(path.rglob(f"*{suffix}"))
            if not found:
                raise FileNotFoundError(f"{name}: no *{suffix} file in this directory")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"{name}: no such file or directory")


def in_processes(run: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[R]:
    """Results of jobs in their order, `workers` at a time."""
    if workers <= 1 or len(jobs) < 2:
        yield from map(run, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(run, jobs, chunksize=max(1, min(16, len(jobs) // workers)))
