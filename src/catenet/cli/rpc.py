"""catenet rpc: one file per action."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from catenet.cli import UsageError

__all__ = ["register", "run"]

ACTIONS = {
    "compile": "write message, service and client modules for .proto files",
    "compat": "name the changes between two versions that break the wire, JSON, XML or generated source",
    "serve": "serve implementations of services",
    "call": "call a method and print what it answers",
    "list": "list the services of a server, or the methods of one",
    "policy": "explain, check and replay what callers may do",
    "describe": "show services, methods and messages as in their .proto",
}
"""Each action is the module `rpc_ACTION` with `register(parser)` and `run(args) -> int`."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, summary in ACTIONS.items():
        sub = actions.add_parser(
            action,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _module(action).register(sub)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    try:
        return int(_module(args.action).run(args))
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("catenet", ""):
            raise
        raise UsageError(f"rpc {args.action} needs the package {name}: pip install 'catenet[rpc]'") from None


def _module(action: str) -> Any:
    return importlib.import_module(f"catenet.cli.rpc_{action}")
