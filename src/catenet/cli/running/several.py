"""Several runs: which kind it is, and that none outlives the command."""

from __future__ import annotations

import argparse
import signal

from catenet.cli.running.many import run_seeds
from catenet.cli.running.twice import run_twice

__all__ = ["run_several"]


def run_several(args: argparse.Namespace) -> int:
    """Run for all seeds of `--seeds`, or twice for `--check`; return the exit status."""
    # SIGTERM ends the runs too, as Ctrl-C does, which a terminal sends to all of them.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run_twice(args) if args.seeds is None else run_seeds(args)
    finally:
        signal.signal(signal.SIGTERM, before)
