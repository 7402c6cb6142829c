"""`python -m catenet.testing.rpl FILE…`: play scenarios and say which passed."""

from __future__ import annotations

import argparse
import json
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeAlias

from catenet.printable import complain, say
from catenet.testing.files import in_processes, named_files
from catenet.testing.rpl.resolver import make_subject
from catenet.testing.rpl.runner import Result, run_file

__all__ = ["main"]

_PASSED: Final = 0
_FAILED: Final = 1
_WRONG: Final = 2

_Job: TypeAlias = tuple[Path, bool]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m catenet.testing.rpl",
        description="Play resolver scenarios (.rpl, of Unbound's testbound and of Deckard) against Catenet's resolver, "
        "in virtual time.",
        epilog="Prints `pass FILE`, `fail FILE: step N: what is different` or `unsupported FILE: why` for each. "
        "Exit status: 0 all passed, 1 some did not, 2 a file is missing or an option is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a scenario, or a directory of *.rpl files")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="play so many at a time")
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not show what passed")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the exchange: what is asked and answered")
    return parser


def _run(job: _Job) -> Result:
    path, verbose = job
    try:
        return run_file(path, make_subject, verbose)
    except Exception as error:  # a fault of ours must not hide what the other scenarios say
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}"
        return Result(str(path), "fail", message=message)


def _show(result: Result, quiet: bool) -> None:
    for line in result.log:
        say(line, keep="\n")
    place = f"{result.path}:{result.line}" if result.line else result.path
    step = "" if result.step is None else f": step {result.step}"
    if result.verdict != "pass":
        say(f"{result.verdict} {place}{step}: {result.message}", keep="\n")
    elif not quiet:
        say(f"pass {result.path}", keep="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        paths = list(named_files(chosen.files, ".rpl"))
    except FileNotFoundError as error:
        complain(f"rpl: {error}")
        return _WRONG
    results: list[Result] = []
    for result in in_processes(_run, [(path, chosen.verbose) for path in paths], chosen.jobs):
        results.append(result)
        if not chosen.json:
            _show(result, chosen.quiet)
    counts = {verdict: sum(one.verdict == verdict for one in results) for verdict in ("pass", "fail", "unsupported")}
    if chosen.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    elif len(results) > 1:
        share = 100 * counts["pass"] / len(results)
        say(
            f"{counts['pass']} of {len(results)} passed ({share:.1f} %), {counts['fail']} failed, "
            f"{counts['unsupported']} unsupported"
        )
    if any(result.wrong for result in results):
        return _WRONG
    return _PASSED if counts["pass"] == len(results) else _FAILED
