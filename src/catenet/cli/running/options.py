"""What `catenet run` takes for many seeds and for a check, and the command lines of the runs that come of it."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

from catenet.cli import UsageError

__all__ = ["add_options", "check_options", "command_line", "replay_line"]

ONCE: Final = ("pcap", "pcap_host", "plot")
"""Options that go with a single run."""

OWN: Final = frozenset(["seed", "seeds", "jobs", "check", "json", "verbose", *ONCE])
"""What the runs do not get as it is."""


def seeds(text: str) -> range:
    """The seeds of `A..B`, both included."""
    found = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds, as 1..100")
    chosen = range(int(found[1]), int(found[2]) + 1)
    if not chosen:
        raise argparse.ArgumentTypeError(f"there is no seed in {text}")
    return chosen


def jobs(text: str) -> int:
    """How many runs at once."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs")
    return int(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--seeds", type=seeds, metavar="A..B", help="run once for each seed; stop at the first one that fails"
    )
    parser.add_argument(
        "--jobs", type=jobs, metavar="N", help="with --seeds: how many runs at once (default: one for each processor)"
    )
    parser.add_argument("--check", action="store_true", help="run twice, and name the first packet that differs")


def check_options(args: argparse.Namespace) -> None:
    """UsageError if the options do not go together."""
    if args.jobs is not None and args.seeds is None:
        raise UsageError("--jobs goes with --seeds")
    if args.seeds is None and not args.check:
        return
    several = "--seeds" if args.seeds is not None else "--check"
    if args.seeds is not None and args.check:
        raise UsageError("--check goes with one seed; see --seed")
    if args.seeds is not None and args.seed is not None:
        raise UsageError("--seed and --seeds do not go together")
    if args.net != "sim":
        raise UsageError(f"{several} goes with --net sim: another network is never the same twice")
    for option in ONCE:
        if getattr(args, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')} goes with a single run; {several} makes several")


def command_line(args: argparse.Namespace, *options: str) -> list[str]:
    """The command line of one run of these arguments, with more options.

    What it prints goes to a file first, so whether a person will look at it is seen here.
    """
    if sys.stdout is not None and sys.stdout.isatty() and not args.tables and str(args.json) != "-":
        options = ("--tables", *options)
    return [*_launcher(), "run", *_given(args, OWN), *options, *args.command]


def replay_line(args: argparse.Namespace, seed: int) -> str:
    """What a person types to see the run with a seed. Options stand behind a world, but before a program's own."""
    options = [*_given(args, OWN), "--seed", str(seed)]
    is_world = args.command[0].endswith(".toml")
    words = [*args.command, *options] if is_world else [*options, *args.command]
    return f"catenet run {shlex.join(words)}"


def _launcher() -> list[str]:
    """How this command was started: by its script, or as a module; `sys.path` follows from that."""
    script = Path(sys.argv[0])
    if script.name == "catenet" and script.is_file():
        return [sys.executable, str(script.absolute())]
    return [sys.executable, "-m", "catenet"]


def _given(args: argparse.Namespace, without: Collection[str]) -> list[str]:
    """The options that were given, as words again."""
    parser: argparse.ArgumentParser = args.parser
    words: list[str] = []
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        if not action.option_strings or action.dest in without or value is None or value == action.default:
            continue
        option = action.option_strings[-1]
        if action.nargs == 0:
            words.append(option)
        else:
            for one in value if isinstance(value, list) else [value]:
                words += [option, _text(one)]
    return words


def _text(value: object) -> str:
    """A value as it can be read again."""
    return f"{value:.12f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
