"""Ranges of numbers, both ends included: what one list of them has and another lacks."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["has", "missing", "shown"]

Range = tuple[int, int]


def missing(old: Range, new: Iterable[Range]) -> list[Range]:
    """Return the parts of a range that none of the others has."""
    left = [old]
    for start, end in new:
        left = (
            [
                part
                for first, last in left
                for part in ((first, min(last, start - 1)), (max(first, end + 1), last))
                if part[0] <= part[1]
            ]
            if start <= end
            else left
        )
    return sorted(set(left))


def has(ranges: Iterable[Range], number: int) -> bool:
    """Whether a number is in one of the ranges."""
    return any(start <= number <= end for start, end in ranges)


def shown(ranges: Iterable[Range], last: int) -> str:
    """Return ranges as a .proto spells them; `last` is the largest number that there is."""
    return ", ".join(
        str(start) if start == end else f"{start} to {'max' if end >= last else end}" for start, end in ranges
    )
