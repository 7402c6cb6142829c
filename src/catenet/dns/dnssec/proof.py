"""Why a verdict is what it is: a tree of rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from catenet.dns.response import Security

__all__ = ["Proof"]


@dataclass(slots=True)
class Proof:
    """One step of a validation.

    Attributes:
        rule: what was looked at, in words.
        source: RFC and section of the rule.
        result: what came of it.
        note: why, in words, where it is not plain.
        children: the steps that it rests on.
    """

    rule: str
    source: str = ""
    result: Security = Security.SECURE
    note: str = ""
    children: list[Proof] = field(default_factory=list)

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The tree as text, a step a line, two blanks a level."""
        words = f"{'  ' * depth}{self.result.value}: {self.rule}"
        if self.note:
            words += f": {self.note}"
        yield f"{words} [{self.source}]" if self.source else words
        for child in self.children:
            yield from child.lines(depth + 1)
