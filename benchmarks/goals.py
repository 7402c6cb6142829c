"""What tables come to: ratios of two cells, round by round, beside what was aimed at."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.harness import Column, Contender, Sample, Table


@dataclass(frozen=True)
class Goal:
    """In a table whose title begins with `table`: the cell of the row `ours` by that of `theirs`, in the column `key`.

    Of `theirs` in the column `their_key`, if that is another.
    `least` and `most` are what was aimed at; without either it is only told. Without `theirs` it is the cell itself.
    """

    text: str
    table: str
    ours: str
    theirs: str
    key: str = "rate"
    least: float | None = None
    most: float | None = None
    their_key: str = ""

    def met(self, value: float) -> bool:
        """Whether a figure is as good as was aimed at."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def aim(self) -> str:
        """The goal in words."""
        if self.least is not None:
            return f", at least {self.least:g}"
        return "" if self.most is None else f", at most {self.most:g}"


def summary(found: Sequence[Table], goals: Iterable[Goal]) -> Table:
    """All ratios that can be made, as a table; what is missed of its goal says so."""
    rows, missed = [], []
    for goal in goals:
        samples = _ratios(found, goal)
        if samples:
            row = Contender(goal.text + goal.aim, dict, samples)
            rows.append(row)
            if not goal.met(statistics.median(sample["ratio"] for sample in samples)):
                row.name += ", **missed**"
                missed.append(row)
    note = f"Of two rows of one table, round by round. {len(missed)} of the goals are missed."
    return Table("What it comes to", [Column("ratio", "ratio", 2)], rows, note)


def _ratios(found: Sequence[Table], goal: Goal) -> list[Sample]:
    ours, theirs = (_samples(found, goal.table, name) for name in (goal.ours, goal.theirs))
    if not goal.theirs:
        return [{"ratio": one[goal.key]} for one in ours]
    both = zip(ours, theirs, strict=False)  # who failed in some round has fewer
    return [{"ratio": one[goal.key] / other[goal.their_key or goal.key]} for one, other in both]


def _samples(found: Sequence[Table], title: str, name: str) -> list[Sample]:
    for table in found:
        for row in table.contenders:
            if table.title.startswith(title) and row.name == name:
                return row.samples
    return []
