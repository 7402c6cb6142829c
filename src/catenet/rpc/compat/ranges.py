"""Ranges of numbers, both ends included: what one list of them has and another lacks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["Ranges", "shown"]

Range = tuple[int, int]


class Ranges:
    """Ranges in any order, which may overlap; what is asked of them takes a search, not a walk."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(each for each in ranges if each[0] <= each[1]):
            if self._ends and start <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._starts, number) - 1
        return index >= 0 and number <= self._ends[index]

    def missing(self, old: Range) -> list[Range]:
        """Return the parts of a range that none of these has."""
        first, last = old
        found = []
        index = max(bisect_right(self._starts, first) - 1, 0)
        while index < len(self._starts) and self._starts[index] <= last and first <= last:
            if first < self._starts[index]:
                found.append((first, self._starts[index] - 1))
            first = max(first, self._ends[index] + 1)
            index += 1
        if first <= last:
            found.append((first, last))
        return found


def shown(ranges: Iterable[Range], last: int) -> str:
    """Return ranges as a .proto spells them; `last` is the largest number that there is."""
    return ", ".join(
        str(start) if start == end else f"{start} to {'max' if end >= last else end}" for start, end in ranges
    )
