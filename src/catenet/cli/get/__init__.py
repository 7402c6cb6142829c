"""catenet get: fetch what URLs name, with curl's habits; one file of this package for each protocol.

A protocol is a module with `SCHEMES` and `async def get(job) -> None`, and `put` if it can send; both raise
`TransferError`. It imports what it needs beyond the standard library when it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import importlib
import json
import pkgutil
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from catenet.cli import Parser, UsageError
from catenet.cli.transfer.codes import Code, TransferError
from catenet.cli.transfer.job import Job, Shared, printing
from catenet.cli.transfer.options import Options, declare, options_of
from catenet.cli.transfer.write_out import Outcome, write_out
from catenet.printable import printable_json

__all__ = ["register", "run", "run_jobs"]

NOT_BUILT = ("ftp", "ftps", "sftp")
"""Schemes that will be; until then they are refused in one line."""

EXAMPLES = """
examples:
  catenet get https://example.com/                     to standard output
  catenet get -O https://example.com/disk.img --continue
  catenet get -o disk.img --parallel 4 --checksum sha256:9f86d0... https://example.com/disk.img
  catenet get -v -L http://example.com/                heads, and a waterfall of phases
  catenet get --json https://example.com/api -d '{"a": 1}' -H 'Content-Type: application/json'
  catenet get dns://192.0.2.53/example.com?type=MX     and data:,hello

What is in FILE is complete: until then it is FILE.part. status: curl's (6 name, 7 connect, 18 cut short,
22 HTTP status with --fail or of put, 23 cannot write, 28 time, 33 range, 35 TLS, 47 redirects, 52 no answer,
56 receiving, 60 certificate, 68 to 74 what TFTP servers say), 1 anything else, 2 wrong usage, 130 Ctrl-C
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.usage = "catenet get URL... [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    if isinstance(parser, Parser):
        parser.options_anywhere = True
    parser.add_argument("urls", nargs="+", metavar="URL", help="http, https, tftp, dns, ntp, data; without scheme http")
    declare(parser, putting=False)


def run(args: argparse.Namespace) -> int:
    """Fetch each URL; return the status of the last failure, 0 without."""
    options = options_of(args, args.urls)
    if options.resume is not None and not (options.outputs or options.remote_name) and options.resume == "-":
        raise UsageError("--continue: with -o or -O; standard output has nothing to go on from")
    outputs = [*options.outputs, *[None] * (len(options.urls) - len(options.outputs))]
    return run_jobs([Job(url, options, output) for url, output in zip(options.urls, outputs, strict=True)], "get")


def run_jobs(jobs: Sequence[Job], what: str) -> int:
    """Carry out `get` or `put` for each job; return the exit status."""
    modules = [_module_for(job.url, what) for job in jobs]
    return asyncio.run(_run_all(jobs, modules, what))


async def _run_all(jobs: Sequence[Job], modules: Sequence[Any], what: str) -> int:
    """One after another on one event loop: connections are kept for the next URL."""
    status = 0
    async with Shared() as shared:
        for number, (job, module) in enumerate(zip(jobs, modules, strict=True)):
            job.shared = shared
            start = time.monotonic()
            failed = await _run_one(job, module, what)
            error = job.facts.get("error", {}).get("message", "")
            outcome = Outcome(number, failed, error, time.monotonic() - start)
            if job.options.write_out is not None:
                failed = _print(job, partial(write_out, job, outcome)) or failed
            status = failed or status
    return status


async def _run_one(job: Job, module: Any, what: str) -> int:
    job.facts["url"] = job.url
    try:
        if isinstance(module, TransferError):
            raise module
        try:
            await _until_told(getattr(module, what)(job), job.options)
        finally:
            job.abandon()
        status = 0
    except TransferError as error:
        status = int(error.code)
        job.facts["error"] = {"status": status, "message": str(error)}
        if not job.options.as_json:
            job.complain(str(error))
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("catenet", ""):
            raise
        raise UsageError(f"{what} {job.url} needs the package {name}: pip install 'catenet[http]'") from None
    if job.options.as_json:
        line = printable_json(json.dumps(job.facts, ensure_ascii=False)) + "\n"
        status = _print(job, lambda: sys.stdout.write(line)) or status
    return status


def _print(job: Job, write: Callable[[], object]) -> int:
    """Let it write to standard output; return the exit status."""
    try:
        with printing():
            write()
    except TransferError as error:
        job.complain(str(error))
        return int(error.code)
    return 0


async def _until_told(work: Any, options: Options) -> None:
    """Run it within `--max-time`; SIGTERM ends it as Ctrl-C does, with what has come kept."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    told = False

    def tell() -> None:
        nonlocal told
        told = True
        task.cancel()

    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
        loop.add_signal_handler(signal.SIGTERM, tell)
    try:
        async with asyncio.timeout(options.max_time):
            await task
    except TimeoutError:
        raise TransferError(Code.TIMEOUT, f"not complete in {options.max_time:g} s") from None
    except asyncio.CancelledError:
        if told:
            raise KeyboardInterrupt from None
        raise
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


def _module_for(url: str, what: str) -> Any:
    """Return the module of a URL's scheme, or the error that says there is none."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):(?!\d+(?:/|$))", url)
    scheme = found[1].lower() if found is not None else "http"
    modules: dict[str, Any] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        modules |= dict.fromkeys(module.SCHEMES, module)
    if scheme in NOT_BUILT:
        return TransferError(Code.FAILED, f"{scheme} is not built yet; {', '.join(sorted(modules))} are")
    if scheme not in modules:
        near = difflib.get_close_matches(scheme, [*modules, *NOT_BUILT], 1)
        hint = f"do you mean {near[0]}?" if near else f"{', '.join(sorted(modules))} are known"
        return TransferError(Code.FAILED, f"no scheme {scheme!r} here; {hint}")
    if not hasattr(modules[scheme], what):
        return TransferError(Code.FAILED, f"{scheme} has nothing to {what}")
    return modules[scheme]
