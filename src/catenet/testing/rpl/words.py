"""Lines of a scenario to words, and words to numbers; what is wrong is said with the nearest that is right."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable

from catenet.testing.rpl.syntax import ScenarioError

__all__ = ["Lines", "address", "expected", "number", "strip_comment", "unquote"]

_COMMENT = re.compile(r'((?:[^;"\\]|\\.|"(?:[^"\\]|\\.)*"|["\\])*)')


class Lines:
    """The lines of a file, and at which one the reader is."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.line = 0
        """Number of the line that `take` returned last; the first is 1."""

    def take(self) -> str | None:
        """The next line as it stands, without white space at its end; None behind the last."""
        if self.line >= len(self._lines):
            return None
        self.line += 1
        return self._lines[self.line - 1].rstrip()

    def take_words(self) -> str | None:
        """The next line that says something, without comment and surrounding white space; None behind the last."""
        while (line := self.take()) is not None:
            text = strip_comment(line)
            if text:
                return text
        return None

    def take_until(self, end: str) -> list[str]:
        """Lines as they stand up to one that begins with `end`. Raises ScenarioError when there is none."""
        start, found = self.line, list[str]()
        while (line := self.take()) is not None:
            if line.lstrip().startswith(end):
                return found
            found.append(line)
        raise ScenarioError(start, f"no {end} for what begins here")


def strip_comment(line: str) -> str:
    """The line without what stands behind a semicolon outside of quotes, and without surrounding white space."""
    if ";" not in line:
        return line.strip()
    found = _COMMENT.match(line)
    return (found[1] if found else line).strip()


def unquote(word: str) -> str:
    """A word without the quotes around it."""
    return word[1:-1] if len(word) >= 2 and word[0] == word[-1] and word[0] in "\"'" else word


def number(word: str, line: int, what: str) -> int:
    """A number without a sign. Raises ScenarioError, naming `what` it should be."""
    if not (word.isascii() and word.isdecimal()):
        raise ScenarioError(line, f"{what} is a number, not {word!r}")
    return int(word)


def address(word: str, line: int) -> bytes:
    """An address without a port, as bytes. Raises ScenarioError."""
    try:
        return ipaddress.ip_address(word).packed
    except ValueError:
        raise ScenarioError(line, f"{word!r} is no address") from None


def expected(word: str, choices: Iterable[str], line: int, what: str) -> ScenarioError:
    """The error that `word` is none of `choices`, with the nearest of them."""
    near = difflib.get_close_matches(word, list(choices), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ScenarioError(line, f"unknown {what} {word!r}{hint}")
