"""QNAME minimisation (RFC 9156): servers see no more of a name than they need to lead on."""

from __future__ import annotations

from typing import Final

from catenet.wire.dns.message import Question
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

    __slots__ = ("_asked", "_question", "_shown", "_starts", "_stopped", "question")

    def __init__(
        self, question: Question, wanted: bool, below: bytes | None = None, before: Minimiser | None = None
    ) -> None:
        self._question = question
        self._asked: int = 0 if before is None else before._asked
        self._stopped: bool = not wanted
        self._starts: list[int] = _starts(question.name) if before is None else before._starts
        """Offsets of the name's labels."""
        self._shown = 0
        """How many labels the servers know."""
        if below is not None and question.name.endswith(below):
            at = len(question.name) - len(below)
            self._shown = len(self._starts) - self._starts.index(at) if at in self._starts else 0
        self.question = question
        """What to ask."""
        if wanted and before is not None and before._stopped and before._asked:
            self._stopped = True
        if not self._stopped:
            self.advance()

    def advance(self) -> None:
        """Show more of the name: a label, or later several, so that all is shown within ten questions.

        Type A hides the type too, and servers answer it better than NS (RFC 9156 2.1).
        """
        left = len(self._starts) - self._shown
        if self._asked >= MOST or left <= 0:
            self.stop()
            return
        step = 1 if self._asked < ONE_BY_ONE else max(1, -(-left // (MOST - self._asked)))
        self._shown += step
        self._asked += 1
        hidden = left - step
        whole = self._question
        self.question = Question(whole.name[self._starts[hidden] :], A, whole.rclass) if hidden > 0 else whole

    def stop(self) -> None:
        """Ask the whole question from now on."""
        self._stopped = True
        self.question = self._question


def _starts(name: bytes) -> list[int]:
    starts, at = [], 0
    while name[at]:
        starts.append(at)
        at += 1 + name[at]
    return starts
