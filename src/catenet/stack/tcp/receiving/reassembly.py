"""Data that arrived out of order (RFC 9293 3.10.7.4), and the SACK blocks that report it (RFC 2018, RFC 2883).

Ranges are kept disjoint and sorted, each with its pieces in order; the first copy of a byte is kept and later ones are
dropped, so a peer cannot change what it has sent. A connection has one of these only while it has a gap or a D-SACK
to report.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import Final

__all__ = ["Range", "Reassembly"]

_REPORTED: Final = 4
"""Ranges remembered for SACK; no segment has room for more."""

_end = attrgetter("end")


class Range:
    """Positions [seq, end) with their bytes; `end` counts a FIN, which has no byte."""

    __slots__ = ("end", "parts", "seq")

    def __init__(self, seq: int, end: int, parts: list[bytes]) -> None:
        self.seq = seq
        self.end = end
        self.parts = parts


class Reassembly:
    """The gap's far side."""

    __slots__ = ("_recent", "dsack", "fin", "ranges", "reported", "size")

    def __init__(self) -> None:
        self.ranges: list[Range] = []
        self._recent: list[Range] = []
        self.size = 0
        """Bytes held."""
        self.fin = -1
        """Position beyond a FIN that waits, -1 for none."""
        self.dsack: tuple[int, int] | None = None
        self.reported: tuple[int, int] | None = None
        """D-SACK of the last segment that left, None when it had none."""

    def insert(self, seq: int, end: int, data: bytes) -> tuple[int, int] | None:
        """Keep what is new of positions [seq, end); returns the range that had arrived before, None for none."""
        ranges = self.ranges
        first = bisect_left(ranges, seq, key=_end)
        last = first
        while last < len(ranges) and ranges[last].seq <= end:
            last += 1
        touched = ranges[first:last]
        if not touched:
            merged = Range(seq, end, [data])
            ranges.insert(first, merged)
            self.size += len(data)
            self._report(merged, ())
            return None
        merged = touched[0]
        if len(touched) == 1 and merged.end == seq:
            merged.parts.append(data)
            merged.end = end
            self.size += len(data)
            self._report(merged, ())
            return None
        return self._merge(first, last, seq, end, data)

    def _merge(self, first: int, last: int, seq: int, end: int, data: bytes) -> tuple[int, int] | None:
        touched = self.ranges[first:last]
        duplicate: tuple[int, int] | None = None
        parts: list[bytes] = []
        at = seq
        for old in touched:
            if at < old.seq:
                piece = data[at - seq : old.seq - seq]
                parts.append(piece)
                self.size += len(piece)
            left, right = max(seq, old.seq), min(end, old.end)
            if left < right:
                duplicate = (duplicate[0] if duplicate else left, right)
            parts.extend(old.parts)
            at = max(at, old.end)
        if at < end:
            piece = data[at - seq :]
            parts.append(piece)
            self.size += len(piece)
        merged = Range(min(seq, touched[0].seq), max(end, touched[-1].end), parts)
        self.ranges[first:last] = [merged]
        self._report(merged, touched)
        return duplicate

    def _report(self, latest: Range, absorbed: list[Range] | tuple[()]) -> None:
        """Report the range that changed last first (RFC 2018 4)."""
        recent = [old for old in self._recent if old is not latest and old not in absorbed]
        self._recent = [latest, *recent[: _REPORTED - 1]]

    def take(self, position: int, report: bool) -> tuple[list[bytes], int]:
        """Pieces that follow `position` without a gap, and the position after them; they are given up.

        What lies before `position` has arrived twice, which is reported if `report`.
        """
        first = position
        taken: list[bytes] = []
        ranges = self.ranges
        while ranges and ranges[0].seq <= position:
            found = ranges.pop(0)
            self.size -= sum(map(len, found.parts))
            if found in self._recent:
                self._recent.remove(found)
            if report and found.seq < first:
                self.note_duplicate(found.seq, min(found.end, first))
            skip = position - found.seq
            for part in found.parts:
                if skip < len(part):
                    taken.append(part[skip:] if skip else part)
                    skip = 0
                else:
                    skip -= len(part)
            position = max(position, found.end)
        return taken, position

    def note_duplicate(self, seq: int, end: int) -> None:
        """Report [seq, end) as received twice with the next segment (RFC 2883)."""
        if self.dsack is None:
            self.dsack = (seq, end)
        elif seq <= self.dsack[1] and self.dsack[0] <= end:
            # Only what adjoins can be told in the one block there is.
            self.dsack = (min(self.dsack[0], seq), max(self.dsack[1], end))

    def block_count(self) -> int:
        """Number of blocks to report."""
        return len(self._recent) + (self.dsack is not None)

    def take_blocks(self, room: int) -> list[tuple[int, int]]:
        """At most `room` blocks for the next segment, the D-SACK first, which is reported once."""
        blocks = [(found.seq, found.end) for found in self._recent]
        self.reported = self.dsack
        if self.dsack is not None and room:
            blocks.insert(0, self.dsack)
            self.dsack = None
        return blocks[:room]

    def newest_end(self) -> int:
        """Largest right edge among the reported ranges, -1 for none."""
        return max((found.end for found in self._recent), default=-1)

    def prune(self, limit: int) -> None:
        """Drop the farthest ranges until at most `limit` bytes are held; they were never acknowledged."""
        while self.ranges and self.size > limit:
            found = self.ranges.pop()
            self.size -= sum(map(len, found.parts))
            if found in self._recent:
                self._recent.remove(found)
            if found.end == self.fin:
                self.fin = -1

    @property
    def idle(self) -> bool:
        """Whether nothing is held or to be reported."""
        return not self.ranges and self.dsack is None
