"""Which of several servers to believe, and what time it is by them (RFC 5905 section 11.2). Pure.

A server says that the true offset is within its root distance of its own. Of servers whose intervals have a point in
common some may lie, but not most: the intersection algorithm, Marzullo's as Mills changed it, finds the smallest
interval that holds such points of most servers, and the servers outside of it are falsetickers. The cluster algorithm
then drops, one after another, those that are farthest from the others, and the rest are averaged.

Mills wants the midpoints of most servers in that interval too. Where one server is near, and the answers of others
were held up on one of both ways, there may be no such interval, though all are right; then Marzullo's own does.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_DISTANCE", "Candidate", "Selection", "select"]

MAX_DISTANCE: Final = 1.5
"""Seconds: a server whose root distance is larger says too little to be asked."""
_SURVIVORS: Final = 3
"""The cluster algorithm stops when so many are left."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that may be right. Times in seconds.

    Attributes:
        source: who it is, for the caller.
        offset: of its clock to ours.
        root_distance: how far that may be wrong, all the way to the reference clock.
        jitter: of its samples.
        stratum: how many servers are between it and the reference clock, itself included.
    """

    source: Hashable
    offset: float
    root_distance: float
    jitter: float = 0.0
    stratum: int = 1


@dataclass(frozen=True, slots=True)
class Selection:
    """What the servers say together. Times in seconds.

    Attributes:
        truechimers: whose intervals have a point in common with those of most.
        falsetickers: the others; all, if there is no majority.
        survivors: the truechimers that are averaged, the best first.
        system_peer: the first of these, None without a majority.
        offset: what is to be added to our clock, None without a majority.
        jitter: of the offset.
        error_bound: how far the offset may be wrong as long as most servers are right.
    """

    truechimers: tuple[Candidate, ...]
    falsetickers: tuple[Candidate, ...]
    survivors: tuple[Candidate, ...] = ()
    system_peer: Candidate | None = None
    offset: float | None = None
    jitter: float = 0.0
    error_bound: float = math.inf


def select(candidates: Iterable[Candidate]) -> Selection:
    """Tell truechimers from falsetickers and combine what is left. The order of the candidates changes nothing."""
    found = sorted(candidates, key=_metric)
    interval = _intersection(found, True) or _intersection(found, False)
    if interval is None:
        return Selection((), tuple(found))
    low, high = interval
    true = [one for one in found if one.offset + one.root_distance >= low and one.offset - one.root_distance <= high]
    false = [one for one in found if one not in true]
    # An interval may reach in from a server that is wrong but cautious. Averaged is only what lies within.
    survivors, spread = _cluster([one for one in true if low <= one.offset <= high] or true)
    offset, jitter = _combine(survivors)
    return Selection(
        tuple(true),
        tuple(false),
        tuple(survivors),
        survivors[0],
        offset,
        math.hypot(jitter, spread),
        max(high - offset, offset - low),
    )


def _metric(one: Candidate) -> tuple[float, float, str]:
    """A lower stratum before a smaller distance, unless the distance is large (RFC 5905 section 11.2.2)."""
    return MAX_DISTANCE * one.stratum + one.root_distance, one.offset, repr(one.source)


def _intersection(candidates: Sequence[Candidate], midpoints: bool) -> tuple[float, float] | None:
    """Return the smallest interval with points of most servers, None without one (RFC 5905 section 11.2.1).

    For f = 0, 1, … falsetickers the lowest and the highest point are looked for that lie in all but f of the
    intervals. With `midpoints` at most f of those may lie outside. Half of the servers cannot be wrong.
    """
    count = len(candidates)
    edges = sorted(
        [(one.offset - one.root_distance, -1) for one in candidates]
        + [(one.offset, 0) for one in candidates]
        + [(one.offset + one.root_distance, 1) for one in candidates]
    )
    for allowed in range((count + 1) // 2):
        low, outside_below = _first_in(edges, count - allowed, 1)
        high, outside_above = _first_in(edges[::-1], count - allowed, -1)
        outside = outside_below + outside_above if midpoints else 0
        if low is not None and high is not None and low <= high and outside <= allowed:
            return low, high
    return None


def _first_in(edges: Sequence[tuple[float, int]], wanted: int, direction: int) -> tuple[float | None, int]:
    """Return the first point that lies in `wanted` intervals, and how many midpoints come before it."""
    inside = midpoints = 0
    for value, kind in edges:
        inside -= kind * direction
        if inside >= wanted:
            return value, midpoints
        midpoints += kind == 0
    return None, midpoints


def _cluster(candidates: Sequence[Candidate]) -> tuple[list[Candidate], float]:
    """Drop those that are farthest from the others; return the rest and the spread among them.

    Dropping another one is no use when the spread is less than what the best of them scatters by itself, and fewer than
    three would not check each other (RFC 5905 section 11.2.2).
    """
    left = list(candidates)
    while True:
        spreads = [_spread(one, left) for one in left]
        worst = max(spreads)
        if len(left) <= _SURVIVORS or worst <= min(one.jitter for one in left):
            return left, spreads[0]
        del left[len(left) - 1 - spreads[::-1].index(worst)]


def _spread(one: Candidate, others: Sequence[Candidate]) -> float:
    """Selection jitter: how far the others are from this one."""
    return math.sqrt(sum((one.offset - other.offset) ** 2 for other in others) / max(1, len(others) - 1))


def _combine(survivors: Sequence[Candidate]) -> tuple[float, float]:
    """Return the average offset and its jitter, weighted by root distance (RFC 5905 section 11.2.3)."""
    weights = [1 / max(one.root_distance, 1e-9) for one in survivors]
    total = sum(weights)
    pairs = list(zip(survivors, weights, strict=True))
    offset = sum(one.offset * weight for one, weight in pairs) / total
    jitter = math.sqrt(sum(one.jitter**2 * weight for one, weight in pairs) / total)
    # Rounding may not put an average outside of what it averages.
    return min(max(offset, min(one.offset for one in survivors)), max(one.offset for one in survivors)), jitter
