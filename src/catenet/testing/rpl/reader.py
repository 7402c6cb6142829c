"""The text of a scenario to a `Scenario`."""

from __future__ import annotations

from typing import Final

from catenet.testing.rpl.entries import EntryReader
from catenet.testing.rpl.head import read_head
from catenet.testing.rpl.syntax import Range, Scenario, ScenarioError, Step
from catenet.testing.rpl.words import Lines, address, expected, number

__all__ = ["read_scenario"]

_WITH_ENTRY: Final = frozenset(("QUERY", "CHECK_ANSWER", "CHECK_OUT_QUERY", "REPLY"))
_WITH_FILE: Final = frozenset(("CHECK_AUTOTRUST", "CHECK_TEMPFILE"))
KINDS: Final = frozenset(
    (*_WITH_ENTRY, *_WITH_FILE, "NOTHING", "TIMEOUT", "TIME_PASSES", "TRAFFIC", "ASSIGN", "INFRA_RTT", "ERROR")
)
"""Kinds of steps."""


def read_scenario(text: str) -> Scenario:
    """Read a scenario of either dialect.

    Raises:
        ScenarioError: with the line, when it is not as the language has it; Unsupported when it is, but asks for what
            there is not.
    """
    lines = Lines(text)
    head, dialect = read_head(lines)
    reader = _Reader(lines)
    reader.read()
    return Scenario(reader.title or "", dialect, head, reader.ranges, reader.steps)


class _Reader:
    """What follows the head."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._entries = EntryReader(lines)
        self._again: str | None = None
        """A line that was read too early."""
        self.title: str | None = None
        self.ranges: list[Range] = []
        self.steps: list[Step] = []

    def read(self) -> None:
        while (text := self._take()) is not None:
            word, _, rest = text.replace("\t", " ").partition(" ")
            if word == "SCENARIO_BEGIN":
                if self.title is not None:
                    raise ScenarioError(self._lines.line, "a second SCENARIO_BEGIN")
                self.title = rest.strip()
            elif self.title is None:
                raise ScenarioError(self._lines.line, f"SCENARIO_BEGIN expected, not {word!r}")
            elif word == "SCENARIO_END":
                return
            elif word == "RANGE_BEGIN":
                self.ranges.append(self._range(rest.split()))
            elif word == "STEP":
                self._step(rest.strip())
            elif word != "RANGE_END" and not self._entries.directive(text):
                known = ("SCENARIO_END", "RANGE_BEGIN", "STEP", "$ORIGIN", "$TTL")
                raise expected(word, known, self._lines.line, "word between ranges and steps")
        raise ScenarioError(self._lines.line, "the file ends without SCENARIO_END")

    def _take(self) -> str | None:
        text, self._again = self._again, None
        return self._lines.take_words() if text is None else text

    def _range(self, words: list[str]) -> Range:
        line = self._lines.line
        if len(words) < 2:
            raise ScenarioError(line, "RANGE_BEGIN needs the first and the last step")
        found = Range(line, number(words[0], line, "a step"), number(words[1], line, "a step"))
        found.addresses |= {address(word, line) for word in words[2:]}
        while (text := self._take()) is not None:
            word, *rest = text.split()
            if word == "RANGE_END":
                return found
            if word == "ADDRESS":
                found.addresses |= {address(one, self._lines.line) for one in rest[:1]}
            elif word.startswith("ENTRY_BEGIN"):
                found.entries.append(self._entries.read())
            elif not self._entries.directive(text):
                raise expected(word, ("RANGE_END", "ADDRESS", "ENTRY_BEGIN"), self._lines.line, "word in a range")
        raise ScenarioError(line, "no RANGE_END for the range that begins here")

    def _step(self, text: str) -> None:
        line = self._lines.line
        words = text.split()
        if len(words) < 2:
            raise ScenarioError(line, "STEP needs a number and a kind")
        step = Step(line, number(words[0], line, "a step"), words[1])
        if step.kind not in KINDS:
            raise expected(step.kind, KINDS, line, "kind of step")
        if self.steps and self.steps[-1].number >= step.number:
            raise ScenarioError(line, f"step {step.number} follows step {self.steps[-1].number}: steps go up")
        rest = words[2:]
        if step.kind == "ASSIGN":
            self._assign(step, text)
        elif step.kind in _WITH_FILE:
            self._file(step, rest)
        elif step.kind == "INFRA_RTT":
            if len(rest) != 3:
                raise ScenarioError(line, "INFRA_RTT needs an address, a zone and milliseconds")
            step.address, step.name, step.expression = address(rest[0], line), rest[1], rest[2]
        else:
            self._options(step, text.split(step.kind, 1)[1].split())
        if step.kind in _WITH_ENTRY:
            self._entry(step)
        self.steps.append(step)

    def _assign(self, step: Step, text: str) -> None:
        variable, equals, expression = text.split("ASSIGN", 1)[1].partition("=")
        if not equals or not variable.strip():
            raise ScenarioError(step.line, "ASSIGN needs NAME = EXPRESSION")
        step.variable, step.expression = variable.strip(), expression.strip()

    def _file(self, step: Step, rest: list[str]) -> None:
        step.name = rest[0] if rest else ""
        begin = self._lines.take()
        if begin is None or not begin.lstrip().startswith("FILE_BEGIN"):
            raise ScenarioError(self._lines.line, "FILE_BEGIN expected")
        step.content = self._lines.take_until("FILE_END")

    def _options(self, step: Step, words: list[str]) -> None:
        """ADDRESS, ELAPSE and EVAL behind a kind."""
        while words:
            word = words.pop(0)
            if word == "ADDRESS" and words:
                step.address = address(words.pop(0), step.line)
            elif word == "ELAPSE" and words:
                step.seconds = self._seconds(words.pop(0), step.line)
            elif word == "EVAL" and words:
                step.expression, words = " ".join(words), []
            else:
                raise expected(word, ("ADDRESS", "ELAPSE", "EVAL"), step.line, "word of a step")

    def _seconds(self, word: str, line: int) -> float:
        try:
            return float(word)
        except ValueError:
            raise ScenarioError(line, f"seconds are a number, not {word!r}") from None

    def _entry(self, step: Step) -> None:
        """The entry of a step; CHECK_OUT_QUERY and CHECK_ANSWER can do without."""
        while (text := self._take()) is not None:
            if text.startswith("ENTRY_BEGIN"):
                step.entry = self._entries.read()
                return
            if not self._entries.directive(text):
                self._again = text
                break
        if step.kind in ("QUERY", "REPLY"):
            raise ScenarioError(step.line, f"{step.kind} needs an entry")
