"""QNAME minimisation (RFC 9156): servers see no more of a name than they need to lead on."""

from __future__ import annotations

from typing import Final

from catenet.wire.dns.message import Question
from catenet.wire.dns.name import is_below, labels
from catenet.wire.dns.numbers import A

__all__ = ["Minimiser"]

MOST: Final = 10
"""Questions about shortened names (RFC 9156 2.3: MAX_MINIMISE_COUNT)."""
ONE_BY_ONE: Final = 4
"""Of these, the ones that add a single label (MINIMISE_ONE_LAB)."""


class Minimiser:
    """What to ask next, of a question and the zone that was reached.

    Args:
        question: the whole question.
        wanted: whether anything is to be hidden.
        below: the zone whose servers are asked.
        before: that of the zone above, whose count goes on.
    """

    __slots__ = ("_asked", "_question", "_shown", "_stopped")

    def __init__(
        self, question: Question, wanted: bool, below: bytes | None = None, before: Minimiser | None = None
    ) -> None:
        self._question = question
        self._asked: int = 0 if before is None else before._asked
        self._stopped: bool = not wanted
        shown = 0 if below is None or not is_below(question.name, below) else len(labels(below))
        self._shown = shown
        if wanted and before is not None and before._stopped and before._asked:
            self._stopped = True
        if not self._stopped:
            self.advance()

    @property
    def question(self) -> Question:
        """What to ask: type A hides the type too, and servers answer it better than NS (RFC 9156 2.1)."""
        name = self._question.name
        hidden = len(labels(name)) - self._shown
        if self._stopped or hidden <= 0:
            return self._question
        at = 0
        for _ in range(hidden):
            at += 1 + name[at]
        return Question(name[at:], A, self._question.rclass)

    def advance(self) -> None:
        """Show more of the name: a label, or later several, so that all is shown within ten questions."""
        left = len(labels(self._question.name)) - self._shown
        if self._asked >= MOST or left <= 0:
            self._stopped = True
            return
        step = 1 if self._asked < ONE_BY_ONE else max(1, -(-left // (MOST - self._asked)))
        self._shown += step
        self._asked += 1

    def stop(self) -> None:
        """Ask the whole question from now on."""
        self._stopped = True
