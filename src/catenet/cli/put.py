"""catenet put: send a file to a URL, with curl's habits; protocols are those of `catenet get`."""

from __future__ import annotations

import argparse

from catenet.cli import Parser, UsageError
from catenet.cli.get import run_jobs
from catenet.cli.transfer.job import Job
from catenet.cli.transfer.options import declare, options_of

__all__ = ["register", "run"]

EXAMPLES = """
examples:
  catenet put disk.img https://example.com/upload/           to /upload/disk.img
  tar c src | catenet put - https://example.com/src.tar
  catenet put report.pdf https://example.com/r -u me --limit-rate 2M
  catenet put disk.img https://example.com/ --continue       after a failure: from where it was
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.usage = "catenet put FILE URL [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    if isinstance(parser, Parser):
        parser.options_anywhere = True
    parser.add_argument("file", metavar="FILE", help="what to send; - is standard input")
    parser.add_argument("url", metavar="URL", help="where to; if it ends with / the file's name follows")
    declare(parser, putting=True)


def run(args: argparse.Namespace) -> int:
    """Send the file; what the server answers goes to standard output."""
    options = options_of(args, [args.url])
    options.upload, options.stores = args.file, True
    if not args.file:
        raise UsageError("put: no file")
    return run_jobs([Job(args.url, options, options.outputs[0] if options.outputs else None)], "put")
