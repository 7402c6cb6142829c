"""Why a verdict is what it is: a tree of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from catenet.dns.response import Security

__all__ = ["Proof"]

Text = str | Callable[[], str]
"""A text, or what makes it when it is asked for: most proofs are never read, and half the cost of one is its words."""


class Proof:
    """One step of a validation.

    Attributes:
        rule: what was looked at, in words.
        source: RFC and section of the rule.
        result: what came of it.
        note: why, in words, where it is not plain.
        children: the steps that it rests on.
    """

    __slots__ = ("_note", "_rule", "children", "result", "source")

    def __init__(
        self,
        rule: Text,
        source: str = "",
        result: Security = Security.SECURE,
        note: Text = "",
        children: Sequence[Proof] = (),
    ) -> None:
        self._rule = rule
        self.source = source
        self.result = result
        self._note = note
        self.children: list[Proof] = list(children)

    @property
    def rule(self) -> str:
        """What was looked at."""
        return self._rule if isinstance(self._rule, str) else self._rule()

    @property
    def note(self) -> str:
        """Why it came out so; empty where that is plain."""
        return self._note if isinstance(self._note, str) else self._note()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The tree as text, a step a line, two blanks a level."""
        words = f"{'  ' * depth}{self.result.value}: {self.rule}"
        if note := self.note:
            words += f": {note}"
        yield f"{words} [{self.source}]" if self.source else words
        for child in self.children:
            yield from child.lines(depth + 1)
