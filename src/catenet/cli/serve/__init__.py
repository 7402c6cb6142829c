"""catenet serve: one file per kind of server, found by listing this package.

A kind is a module with a docstring (its first line is the summary), `register(parser)` and `run(args) -> int`. It
imports what it needs beyond the standard library when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from typing import Any

from catenet.cli import UsageError

__all__ = ["register", "run"]


def register(parser: argparse.ArgumentParser) -> None:
    """Add the kinds."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        module = _module(name)
        summary = str(module.__doc__).partition("\n")[0].partition(": ")[2].rstrip(".")
        sub = kinds.add_parser(
            name,
            help=summary,
            description=summary[:1].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.register(sub)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    try:
        return int(_module(args.kind).run(args))
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("catenet", ""):
            raise
        raise UsageError(f"serve {args.kind} needs the package {name}: pip install 'catenet[{args.kind}]'") from None


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
