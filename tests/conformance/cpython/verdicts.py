"""What unittest's verbose output says of each test."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_START = re.compile(r"^(?P<method>\w+) \((?P<name>[\w.]+)\)(?: \.\.\.(?P<rest>.*))?$")
_VERDICT = re.compile(r"(?:^|\s)(?P<word>ok|FAIL|ERROR|expected failure|unexpected success|skipped .*)$")
_SUMMARY = re.compile(r"^(?:FAIL|ERROR): (?P<method>\w+) \((?P<name>[\w.]+)\)")
_FAILED = ("FAIL", "ERROR", "unexpected success")


@dataclass
class Verdicts:
    """What one run said: each test's verdict ("ok", "failed", "skipped"), and the one that was under way at its end."""

    of: dict[str, str] = field(default_factory=dict)
    under_way: str | None = None
    complete: bool = False
    """Whether unittest has come to its summary."""


def _name(method: str, name: str) -> str:
    """Returns a test's dotted name; what stands in parentheses has the method from Python 3.11 on."""
    return name if name.endswith(f".{method}") else f"{name}.{method}"


def _kind(words: list[str]) -> str | None:
    if any(word in _FAILED for word in words):
        return "failed"
    if not words:
        return None
    return "skipped" if words[-1].startswith("skipped") else "ok"


def read_verdicts(text: str) -> Verdicts:
    """Reads the output of `python -m test -v` or `python -m unittest -v`, complete or cut off."""
    found = Verdicts()
    words: list[str] = []

    def close() -> None:
        kind = _kind(words)
        if found.under_way is not None and kind is not None:
            found.of[found.under_way] = kind
            found.under_way = None
        words.clear()

    for line in text.splitlines():
        if re.match(r"^Ran \d+ tests? in ", line):
            close()
            found.complete = True
            found.under_way = None
        elif started := _START.match(line):
            close()
            found.complete = False  # a package has a summary for each of its modules
            found.under_way = _name(started["method"], started["name"])
            line = started["rest"] or ""
        elif line == "=" * 70:
            close()
        elif failed := _SUMMARY.match(line):
            found.of[_name(failed["method"], failed["name"])] = "failed"
            continue
        if found.under_way is not None and (verdict := _VERDICT.search(line)):
            words.append(verdict["word"])
    kind = _kind(words)
    if found.under_way is not None and kind is not None:
        found.of[found.under_way] = kind
        found.under_way = None
    return found
