"""--access-log: a line for each response or call, in verbs that serve."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any, TypeVar

from catenet.cli import UsageError
from catenet.net.line_log import LineLog

__all__ = ["add_arguments", "check", "open_log"]

Log = TypeVar("Log", bound=LineLog[Any])


def add_arguments(parser: argparse.ArgumentParser, what: str = "response") -> None:
    """Add the options; `what` each line is for."""
    group = parser.add_argument_group("access log")
    group.add_argument("--access-log", metavar="FILE", nargs="?", const="-", help=f"a line a {what} (-: on stdout)")
    group.add_argument("--log-fields", metavar="NAMES", help="what it has, separated by commas: time,client,…")


def check(args: argparse.Namespace, make: Callable[..., Log], default: Sequence[str]) -> None:
    """Raise `UsageError` for a log that cannot be written."""
    if args.log_fields and not args.access_log:
        args.access_log = "-"
    if args.access_log:
        log = open_log(args, make, default)  # also makes the file, before anything else is done
        if log is not None:
            log.close()


def open_log(args: argparse.Namespace, make: Callable[..., Log], default: Sequence[str]) -> Log | None:
    """Return the access log that was asked for, if one was, of the class `make`."""
    if not args.access_log:
        return None
    fields = tuple(args.log_fields.split(",")) if args.log_fields else tuple(default)
    file: IO[str] = sys.stdout
    if args.access_log != "-":
        try:
            file = open(args.access_log, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"--access-log {args.access_log}: {error.strerror}") from None
    try:
        return make(file, fields, as_json=args.log_json, owned=args.access_log != "-")
    except ValueError as error:
        raise UsageError(f"--log-fields: {error}") from None
