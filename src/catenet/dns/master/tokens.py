"""Words of master files (RFC 1035 5.1): comments, parentheses, quotes.

Text is bytes decoded as Latin-1, so that each byte is one letter. A quoted word keeps its first quote, so that it is
told from the same without; escapes are left to who knows what a word means. `key="value"` is one word, as SVCB has it
(RFC 9460 2.1); `split_pairs` makes two of it for other types.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Entry", "ZoneError", "next_entry", "split_pairs"]

_TOKEN: Final = re.compile(
    r"""
      (?P<blank> [ \t\r\f\v]+ | ;[^\n]* )
    | (?P<end> \n )
    | (?P<open> \( )
    | (?P<close> \) )
    | (?P<quoted> "(?: [^"\\\n] | \\[^\n] )* ) "
    | (?P<word> (?: [^\s;"()\\] | \\[^\n] )+ (?: (?<==) "(?: [^"\\\n] | \\[^\n] )* " )? )
    """,
    re.VERBOSE,
)
MOST_WORDS: Final = 200_000
"""Words of one entry; a record has at most 65,535 bytes of data."""


class ZoneError(ValueError):
    """What is wrong in a master file, and where.

    Attributes:
        file: its path, or what stands for it.
        line: number from 1; 0 for the file as a whole.
        message: what is wrong; the nearest valid choice.
    """

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.file = file
        self.line = line
        self.message = message


class Entry(NamedTuple):
    """One entry: a record or a directive."""

    words: list[str]
    has_owner: bool
    """Its first word stands at the beginning of the line."""
    line: int
    """Number of the line where it begins."""
    lines: int
    """Lines that it takes."""
    end: int
    """Offset behind it."""


def next_entry(text: str, at: int, line: int, file: str) -> Entry:
    """The words from `at`, which is the beginning of line `line`, to the end of the line outside of parentheses."""
    words: list[str] = []
    has_owner = bool(text[at : at + 1]) and text[at] not in " \t\r\f\v;\n"
    depth = lines = opened = 0
    size = len(text)
    match = _TOKEN.match
    while at < size:
        found = match(text, at)
        if found is None:
            raise ZoneError(file, line + lines, _what_is_wrong(text, at))
        at = found.end()
        kind = found.lastgroup
        if kind == "word" or kind == "quoted":
            words.append(found[kind])
            if len(words) > MOST_WORDS:
                raise ZoneError(file, line, f"an entry of more than {MOST_WORDS} words")
        elif kind == "end":
            lines += 1
            if not depth:
                return Entry(words, has_owner, line, lines, at)
        elif kind == "open":
            depth += 1
            opened = lines
        elif kind == "close":
            if not depth:
                raise ZoneError(file, line + lines, "')' without '('")
            depth -= 1
    if depth:
        raise ZoneError(file, line + opened, "'(' without ')'")
    return Entry(words, has_owner, line, lines, at)


def split_pairs(words: list[str]) -> list[str]:
    """The words with each `key="value"` as two: `key=` and the quoted value."""
    found: list[str] = []
    for word in words:
        at = -1 if word.startswith('"') or not word.endswith('"') else word.find('="')
        found += [word] if at < 0 else [word[: at + 1], word[at + 1 : -1]]
    return found


def _what_is_wrong(text: str, at: int) -> str:
    if text[at] == '"':
        return 'a quote without its end on the line; strings go as "..." "..."'
    return "a backslash at the end of the line"
