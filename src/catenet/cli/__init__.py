"""The catenet command, one file per verb."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import platform
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from catenet import __version__
from catenet.printable import say

__all__ = ["UsageError", "main"]

VERBS = {
    "run": "run a world or one program on a network",
    "addrs": "this machine's interfaces and addresses",
    "ss": "sockets of a running world or stack",
    "settings": "what can be set in the stack of a host",
    "resolve": "ask name servers",
    "bridge": "join two TUN devices through a faulty link",
    "rpc": "remote procedure calls: compile, serve, call, list, describe",
}
"""Each verb is a module of this package with `register(parser)` and `run(args) -> int`; imported when it is used."""


class UsageError(Exception):
    """The arguments cannot be carried out as written; the message is one line, the exit status 2."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest valid choice."""

    def error(self, message: str) -> NoReturn:
        found = re.fullmatch(r"argument (.+): invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if found is None:
            raise UsageError(f"{message}; see '{self.prog} --help'")
        choices = [choice.strip(" '") for choice in found[3].split(",")]
        near = difflib.get_close_matches(found[2], choices, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(choices)}"
        raise UsageError(f"{found[1]}: no {found[2]!r} here; {hint}")


def _version() -> str:
    """Which catenet this is; `compiled` when its hot modules are (docs/benchmarks.md)."""
    found = importlib.util.find_spec("catenet.wire.ip")
    compiled = found is not None and not str(found.origin).endswith(".py")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"catenet {__version__}, {'compiled' if compiled else 'pure Python'}, {python}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status (0 done, 1 failed, 2 bad usage, 130 interrupted)."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _Parser(
        prog="catenet", description="The whole network in one Python package: from packet to procedure call."
    )
    parser.add_argument("--version", action="version", version=_version() if "--version" in words else "")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    chosen = next((word for word in words if not word.startswith("-")), None)
    for verb, summary in VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if verb == chosen:
            importlib.import_module(f"catenet.cli.{verb}").register(sub)
    if not words:
        parser.print_help()
        return 0
    try:
        args = parser.parse_args(words)
        return int(importlib.import_module(f"catenet.cli.{args.verb}").run(args))
    except UsageError as error:
        say(f"catenet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
