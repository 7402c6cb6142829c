"""catenet rpc compat: what a newer interface breaks for those who have an older one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catenet.cli import UsageError
from catenet.cli.rpc_channel import add_channel_options
from catenet.cli.rpc_compat_config import BadConfig, Breaking, breaking_of
from catenet.cli.rpc_shown import add_forms, show
from catenet.printable import complain, say

if TYPE_CHECKING:
    from catenet.rpc.compat import Finding

__all__ = ["register", "run"]

EPILOG = """\
OLD and NEW are .proto files, folders, git revisions (REV:PATH), descriptor sets (as protoc and buf write them; -
is standard input), or servers with reflection (URL). The exit status is 0, 1 if something breaks, 2 if an input
cannot be read. Rules and categories are those of buf breaking, with XML beside them: docs/rpc-compat.md.

  catenet rpc compat old/shop.proto shop.proto
  catenet rpc compat main:proto proto --use WIRE
  catenet rpc compat proto --against '.git#branch=main,subdir=proto' --json
  catenet rpc compat tcp://shop.example:50051 proto
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("inputs", nargs="*", metavar="OLD NEW", help="versions; with --against only NEW (default: .)")
    parser.add_argument("--against", metavar="OLD", help="the older version")
    parser.add_argument(
        "-I", dest="includes", action="append", default=[], metavar="DIR", help="folder to search for imports (repeat)"
    )
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--use",
        action="append",
        default=[],
        metavar="RULES",
        help="what must not break: FILE, PACKAGE, WIRE_JSON, WIRE, XML or single rules, separated by commas "
        "(default: FILE,XML)",
    )
    rules.add_argument("--except", dest="without", action="append", default=[], metavar="RULES", help="but not these")
    rules.add_argument(
        "--ignore", action="append", default=[], metavar="PATH", help="pass over a file or folder (repeat)"
    )
    rules.add_argument(
        "--ignore-unstable-packages", action="store_true", help="pass over packages like shop.v1alpha1, shop.v2beta"
    )
    shown = parser.add_mutually_exclusive_group()
    add_forms(shown)
    shown.add_argument(
        "--error-format",
        choices=("text", "json", "github-actions"),
        default="text",
        help="how to show a change (default: text)",
    )
    add_channel_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare; each change that breaks something is one line."""
    from catenet.cli.rpc_compat_sources import Unreadable, read_versions
    from catenet.rpc.compat import RULES, UnknownRule, compare, rules_of

    old, new = _inputs(args)
    try:
        config = breaking_of(Path(new)) if Path(new).is_dir() else Breaking()
        use = _listed(args.use) or config.use or ("FILE", "XML")
        rules = rules_of(use, [*_listed(args.without), *config.without])
        only = [(rules_of([rule]), paths) for rule, paths in config.ignore_only.items()]
    except (UnknownRule, BadConfig) as error:
        raise UsageError(str(error)) from None
    args.ignore += config.ignore
    args.ignore_unstable_packages |= config.ignore_unstable_packages
    try:
        before, after = read_versions(old, new, args)
    except Unreadable as error:
        for line in str(error).splitlines():
            complain(f"catenet: {line}")
        return 2
    changes = _changes(compare(before.files, after.files, RULES), after.shown)
    kept = [change for change in changes if _counts(change, rules, only) and not _is_ignored(change, args)]
    for change in kept:
        if args.json or args.yaml or args.error_format == "json":
            show(_described(change), args)
        else:
            say(FORMATS[args.error_format](change))
    return 1 if kept else 0


@dataclass(frozen=True, slots=True)
class _Change:
    """All that was found of one change."""

    path: str
    name: str
    line: int
    column: int
    text: str
    rules: Sequence[str]
    breaks: Sequence[str]
    package: str


def _inputs(args: argparse.Namespace) -> tuple[str, str]:
    if args.against is not None:
        if len(args.inputs) > 1:
            raise UsageError("with --against there is one other version, NEW")
        return args.against, args.inputs[0] if args.inputs else "."
    if len(args.inputs) != 2:
        raise UsageError("name two versions, OLD and NEW, or one and --against OLD")
    return args.inputs[0], args.inputs[1]


def _listed(texts: Iterable[str]) -> list[str]:
    return [name for text in texts for name in text.replace(",", " ").split()]


def _changes(findings: Iterable[Finding], shown: dict[str, str]) -> Iterator[_Change]:
    """Findings of one thing and one aspect of it are one change; it is told as its first rule tells it."""
    from catenet.rpc.compat import RULES

    ranks = {rule: rank for rank, rule in enumerate(RULES)}
    groups: dict[tuple[str, str, str, int], list[Finding]] = {}
    for finding in findings:
        key = (finding.subject, finding.aspect, finding.place.file, finding.place.line)
        groups.setdefault(key, []).append(finding)
    for group in groups.values():
        group.sort(key=lambda one: ranks[one.rule])
        first = group[0]
        yield _Change(
            shown.get(first.place.file, first.place.file),
            first.place.file,
            first.place.line,
            first.place.column,
            first.text,
            [one.rule for one in group],
            [what for what in WHAT_BREAKS if any(what in one.breaks for one in group)],
            first.package,
        )


def _counts(change: _Change, rules: frozenset[str], only: Iterable[tuple[frozenset[str], Sequence[str]]]) -> bool:
    """Whether a rule that is looked at is broken, but for those that are passed over in some folders."""
    passed = [some for some, paths in only if _is_below(change, paths)]
    return any(rule in rules and not any(rule in some for some in passed) for rule in change.rules)


def _is_ignored(change: _Change, args: argparse.Namespace) -> bool:
    return (args.ignore_unstable_packages and _is_unstable(change.package)) or _is_below(change, args.ignore)


def _is_below(change: _Change, paths: Iterable[str]) -> bool:
    return any(
        name == path or name.startswith(f"{path}/")
        for path in (path.rstrip("/").removeprefix("./") for path in paths)
        for name in (change.path, change.name)
    )


def _is_unstable(package: str) -> bool:
    import re

    last = package.rpartition(".")[2]
    return re.fullmatch(r"v\d+(p\d+)?(alpha|beta)\d*|v\d+test\w*", last) is not None


def _text(change: _Change) -> str:
    place = f"{change.path}:{change.line}:{change.column}" if change.line else change.path
    return f"{place}: {change.text} ({change.rules[0]}; breaks {', '.join(change.breaks)})"


def _described(change: _Change) -> dict[str, object]:
    found: dict[str, object] = {"path": change.path}
    if change.line:
        found |= {"start_line": change.line, "start_column": change.column}
    return found | {
        "type": change.rules[0],
        "message": change.text,
        "rules": list(change.rules),
        "breaks": list(change.breaks),
    }


def _annotation(change: _Change) -> str:
    """As GitHub Actions reads it from a log."""
    escaped = change.text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    path = change.path.replace("%", "%25").replace(",", "%2C").replace(":", "%3A")
    place = f",line={change.line},col={change.column}" if change.line else ""
    return f"::error file={path}{place},title={change.rules[0]}::{escaped}"


WHAT_BREAKS = ("source", "wire", "JSON", "XML")
FORMATS = {"text": _text, "github-actions": _annotation}
