"""`python -m catenet.testing.packetdrill FILE…`: run scripts and say which passed."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeAlias

from catenet.printable import complain, say
from catenet.testing.files import in_processes, named_files
from catenet.testing.packetdrill.config import IP_VERSIONS, Config, apply_options
from catenet.testing.packetdrill.runner import Result, run_file

__all__ = ["main"]

_PASSED: Final = 0
_FAILED: Final = 1
_WRONG: Final = 2

_Options: TypeAlias = list[tuple[str, str | None]]
_Job: TypeAlias = tuple[Path, _Options]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m catenet.testing.packetdrill",
        description="Run packetdrill scripts against Catenet's TCP/IP stack, in virtual time.",
        epilog="Other options of packetdrill (--tolerance_usecs=N, --mtu=N, --local_ip=A, …) are taken too. "
        "Exit status: 0 all passed, 1 some failed, 2 a script or an option is wrong.",
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a script, or a directory of *.pkt files")
    parser.add_argument(
        "--ip_version",
        "--ip-version",
        metavar="VERSION",
        action="append",
        help=f"{', '.join(IP_VERSIONS)} or all; may be given more than once (default: ipv4)",
    )
    parser.add_argument("-D", "--define", metavar="NAME=VALUE", action="append", default=[], help="define a symbol")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="run so many scripts at a time")
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show skipped commands and virtual time")
    parser.add_argument("-q", "--quiet", action="store_true", help="show failures and the summary only")
    return parser


def _options(rest: Sequence[str], defines: Sequence[str]) -> _Options:
    options: _Options = []
    for word in rest:
        if not word.startswith("--"):
            raise ValueError(f"unknown option {word}")
        name, equals, value = word[2:].partition("=")
        options.append((name, value if equals else None))
    options += [("define", value) for value in defines]
    apply_options(Config(), options)
    return options


def _versions(chosen: Sequence[str] | None) -> list[str]:
    versions: list[str] = []
    for item in ",".join(chosen or ["ipv4"]).split(","):
        versions += IP_VERSIONS if item == "all" else [item]
    return list(dict.fromkeys(versions))


def _run(job: _Job) -> Result:
    path, options = job
    try:
        return run_file(path, options)
    except OSError as error:
        return Result(str(path), "", passed=False, wrong=True, message=f"cannot be read: {error.strerror}")


def _show(result: Result, verbose: bool, quiet: bool) -> None:
    if result.passed:
        if not quiet:
            took = f", {result.seconds:.3f} s of virtual time" if verbose else ""
            say(f"ok   {result.path} ({result.ip_version}{took})", keep="\n")
    else:
        place = f"{result.path}:{result.line}" if result.line else result.path
        say(f"{'BAD ' if result.wrong else 'FAIL'} {place} ({result.ip_version}): {result.message}", keep="\n")
        if result.expected:
            say(f"     expected: {result.expected}", keep="\n")
            say(f"     sent:     {result.sent}", keep="\n")
    if verbose:
        for note in result.notes:
            say(f"     note: {note}", keep="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    chosen, rest = _parser().parse_known_args(arguments)
    try:
        options = _options(rest, chosen.define)
        versions = _versions(chosen.ip_version)
        for version in versions:
            apply_options(Config(), [("ip_version", version)])
        paths = list(named_files(chosen.files, ".pkt"))
    except (ValueError, FileNotFoundError) as error:
        complain(f"packetdrill: {error}")
        return _WRONG
    jobs: list[_Job] = [(path, [("ip_version", version), *options]) for path in paths for version in versions]
    began = time.perf_counter()
    results: list[Result] = []
    for result in in_processes(_run, jobs, chosen.jobs):
        results.append(result)
        if not chosen.json:
            _show(result, chosen.verbose, chosen.quiet)
    if chosen.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    elif len(results) > 1:
        passed = sum(result.passed for result in results)
        took = time.perf_counter() - began
        print(f"{len(results)} runs: {passed} passed, {len(results) - passed} did not, in {took:.1f} s")
    if any(result.wrong for result in results):
        return _WRONG
    return _PASSED if all(result.passed for result in results) else _FAILED
