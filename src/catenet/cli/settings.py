"""catenet settings: what can be set in the stack of a host, with the names of Linux."""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys

from catenet.cli import UsageError
from catenet.stack.sysctl import SETTINGS, Setting, Value
from catenet.world.scenario.units import nearest

__all__ = ["register", "run"]


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "They are set in a world file, under [settings] for all hosts and [hosts.NAME.settings] for one, and by\n"
        "catenet run --set NAME=VALUE and --set HOST.NAME=VALUE."
    )
    parser.add_argument("pattern", nargs="?", metavar="PATTERN", help="part of a name, or a pattern, as 'tcp_*mem'")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the settings and return 0."""
    chosen = [one for one in SETTINGS.values() if args.pattern is None or _matches(one, args.pattern)]
    if not chosen:
        names = [*SETTINGS, *(one.kernel for one in SETTINGS.values() if one.kernel)]
        raise UsageError(f"no setting {args.pattern!r}{nearest(args.pattern, names)}")
    if args.json:
        print(json.dumps({"settings": [_row(one) for one in chosen]}, indent=2))
    else:
        _print_table(chosen)
    return 0


def _matches(setting: Setting, pattern: str) -> bool:
    names = (setting.name, setting.kernel)
    if any(sign in pattern for sign in "*?["):
        return any(fnmatch.fnmatchcase(name, pattern) for name in names)
    return any(pattern.replace("/", ".") in name for name in names)


def _row(setting: Setting) -> dict[str, object]:
    is_text = isinstance(setting.default, str)
    return {
        "name": setting.name,
        "kernel": setting.kernel or None,
        "type": setting.type,
        "minimum": None if is_text else setting.low,
        "maximum": None if is_text else setting.high,
        "choices": list(setting.choices) or None,
        "unit": setting.unit or None,
        "default": setting.default,
        "meaning": setting.meaning,
    }


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _print_table(settings: list[Setting]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("name", "default", "values", "meaning"):
        table.add_column(column, overflow="fold")
    for one in settings:
        table.add_row(*(Text(text) for text in (one.kernel or one.name, _shown(one.default), one.type, one.meaning)))
    out = sys.stdout
    Console(file=out, width=None if out.isatty() else 160, highlight=False).print(table)
