"""Which sessions end when too many wait for connections that may never come. Pure decisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Away", "too_many"]

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Away(Generic[S]):
    """A session without a connection: `origin` is where it began, `since` when it lost the last, `calls` what runs."""

    session: S
    origin: str
    since: float
    calls: int


def too_many(away: Sequence[Away[S]], most: int, most_calls: int) -> list[S]:
    """Return the sessions that end so that at most `most` are left, with `most_calls` calls in all.

    They are those of the origin that has most of what there is too much of, which has been away for longest first: who
    leaves sessions behind pushes out its own. One that has no calls does not end for those that have many.
    """
    ended = _end(away, most, lambda one: 1)
    gone = set(map(id, ended))
    kept = [one for one in away if id(one) not in gone]
    return [one.session for one in (*ended, *_end(kept, most_calls, lambda one: one.calls))]


def _end(away: Sequence[Away[S]], most: int, weight: Callable[[Away[S]], int]) -> list[Away[S]]:
    total = sum(map(weight, away))
    if total <= most:
        return []
    loads: Counter[str] = Counter()
    waiting: defaultdict[str, list[Away[S]]] = defaultdict(list)
    for one in sorted(away, key=lambda one: one.since, reverse=True):
        if weight(one):
            loads[one.origin] += weight(one)
            waiting[one.origin].append(one)
    ended = []
    while total > most:
        origin = max(loads, key=lambda name: loads[name])
        one = waiting[origin].pop()
        loads[origin] -= weight(one)
        total -= weight(one)
        ended.append(one)
    return ended
