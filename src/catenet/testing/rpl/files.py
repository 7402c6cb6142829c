"""Files that a scenario expects: zone files record by record, trust anchors by what they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from catenet.testing.rpl.words import strip_comment

__all__ = ["anchor_difference", "file_difference"]

_DIGEST: Final = re.compile(r"\s(ZONEMD|DS)\s")
_SIZE: Final = re.compile(r", size = \d+b")
_FAILURES: Final = re.compile(r";;query_failed: [1-9]\d*$")


def file_difference(expected: Sequence[str], got: Sequence[str]) -> str | None:
    """The first record of a zone file that differs, in words; None when none does. Their order says nothing."""
    ours, theirs = (sorted(filter(None, map(_record, lines))) for lines in (expected, got))
    return _difference(ours, theirs)


def anchor_difference(expected: Sequence[str], got: Sequence[str]) -> str | None:
    """As `file_difference`, of a file of managed trust anchors.

    The order of keys says nothing, nor the size of a key and remarks, which are there for people; nor does how often a
    probe was tried in vain, as that is up to a resolver.
    """
    ours, theirs = (sorted(map(_plain, filter(_counts, lines)), key=_rank) for lines in (expected, got))
    return _difference(ours, theirs)


def _difference(expected: Sequence[str], got: Sequence[str]) -> str | None:
    for number, (ours, theirs) in enumerate(zip_longest(expected, got), 1):
        if ours != theirs:
            return f"line {number} of the file is {theirs!r}, expected {ours!r}"
    return None


def _record(line: str) -> str:
    """Without a comment; digits of digests in lower case."""
    text = strip_comment(line)
    return text.lower() if _DIGEST.search(text) else text


def _plain(line: str) -> str:
    return _SIZE.sub("", _FAILURES.sub(";;query_failed: some", line))


def _counts(line: str) -> bool:
    """Whether a line says something: remarks begin with one semicolon, what is kept of a zone with two."""
    return not line.startswith("; ")


def _rank(line: str) -> tuple[bool, str]:
    """Comments stay in their order, before the keys."""
    is_key = not line.startswith(";")
    return is_key, line if is_key else ""
