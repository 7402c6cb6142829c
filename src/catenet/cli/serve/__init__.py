"""catenet serve: one file per kind of server, found by listing this package.

A kind is a module with a docstring (its first line is the summary), `register(parser)` and `run(args) -> int`. It
imports what it needs beyond the standard library when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

from catenet.cli import Parser, UsageError

__all__ = ["register", "run"]


class _KindParser(Parser):
    """Learns its arguments when it is used: those of the other kinds would load what those serve with."""

    register_kind: Callable[[argparse.ArgumentParser], None] | None = None

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse."""
        if self.register_kind is not None:
            register_kind, self.register_kind = self.register_kind, None
            register_kind(self)
        return super().parse_known_args(args, namespace)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the kinds."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True, parser_class=_KindParser)
    for name in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        module = _module(name)
        summary = str(module.__doc__).partition("\n")[0].partition(": ")[2].rstrip(".")
        sub = kinds.add_parser(
            name,
            help=summary,
            description=summary[:1].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.register_kind = module.register


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
