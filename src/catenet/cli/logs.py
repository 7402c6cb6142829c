"""What a verb that serves tells on standard error, and how: -v, -q, --log-level, --log-json, for the whole program."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from typing import Final

from catenet.net.line_log import timestamp
from catenet.printable import printable, printable_json

__all__ = ["add_arguments", "configure"]

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
DEFAULT: Final = LEVELS.index("warning")

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FORMAT_OF_MANY: Final = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("log")
    group.add_argument("-v", "--verbose", action="count", default=0, help="tell more (info), twice: all (debug)")
    group.add_argument("-q", "--quiet", action="count", default=0, help="tell errors only; twice: next to nothing")
    group.add_argument("--log-level", choices=LEVELS, help="least level to tell (default: warning)")
    group.add_argument("--log-json", action="store_true", help="a line of JSON each, in an access log too")


def level(args: argparse.Namespace) -> int:
    """Return the least level of logging that is told."""
    name = args.log_level or LEVELS[min(max(DEFAULT - args.verbose + args.quiet, 0), len(LEVELS) - 1)]
    return int(getattr(logging, name.upper()))


def configure(args: argparse.Namespace, *, several: bool) -> None:
    """Let what is logged go to standard error, unless the program has said where; `several`: processes share it.

    A program that has configured logging keeps its handlers and levels; what the options say holds for Catenet then.
    """
    root = logging.getLogger()
    asked = bool(args.log_level or args.verbose or args.quiet)
    if not root.handlers and sys.stderr is None:
        root.addHandler(logging.NullHandler())  # whoever closed it wants to hear nothing
    elif not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        form = FORMAT_OF_MANY if several else FORMAT
        handler.setFormatter(_Json() if args.log_json else _Formatter(form, on_terminal=sys.stderr.isatty()))
        root.addHandler(handler)
        root.setLevel(level(args))
    elif asked:
        logging.getLogger("catenet").setLevel(level(args))


class _Formatter(logging.Formatter):
    """Shows control characters on a terminal, because texts of peers get into logs."""

    def __init__(self, form: str, *, on_terminal: bool) -> None:
        super().__init__(form)
        self._on_terminal = on_terminal

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return printable(text, keep="\n\t") if self._on_terminal else text


class _Json(logging.Formatter):
    """One object a record: time, level, logger, process and message, with exception and stack if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        return printable_json(json.dumps(told, ensure_ascii=False))
