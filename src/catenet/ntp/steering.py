"""One clock and the servers that it is kept by: samples to lines, lines to a choice, the choice to corrections. Pure.

`poll` makes a request to a server, `receive` takes its answer and returns what is to be done to the clock; the caller
does that before it reads the clock again. All times are those of the clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

from catenet.ntp.discipline import Action, Discipline, Slew
from catenet.ntp.regression import Estimate, Point, Regression

__all__ = ["Choice", "Measured", "Opinion", "Source", "Steering", "Update"]

LEAST_SAMPLES: Final = 4
"""Samples of a server before it counts."""
LARGEST_DISTANCE: Final = 1.5
"""Seconds: a server whose root distance is larger says too little (MAXDIST)."""
LEARN_FROM: Final = 16
"""Samples of a line from where on its frequency is remembered."""
CAUTION: Final = 10.0
"""How much less sure a remembered frequency is than its line: the samples of the line count again in the next one."""
AGREEING: Final = 3
"""Servers that must agree, or more than half of those that answer at all if these are fewer: one that lies could be the
first that is reached again after a partition."""
CORRECTIONS: Final = 64
"""Corrections that are remembered, for samples of exchanges before them."""
SILENT: Final = 24
"""Samples of others without one of its own, after which a server is not waited for."""


class Measured(Protocol):
    """What one exchange with a server says: seconds."""

    @property
    def offset(self) -> float:
        """To be added to our clock."""

    @property
    def delay(self) -> float:
        """There and back."""

    @property
    def time(self) -> float:
        """Of our clock, when the answer came."""


class Source(Protocol):
    """A server that is asked: the state of RFC 5905 section 9."""

    reach: int
    """Bits of the last eight requests, 0 when none was answered."""
    next_poll: float | None
    """When to ask again; None before the first request, and for one that has asked not to be asked."""

    @property
    def stopped(self) -> bool:
        """Whether it has asked not to be asked any more."""

    @property
    def waiting(self) -> bool:
        """Whether the last request has no answer yet."""

    def poll(self, now: float) -> bytes:
        """Return the next request."""

    def receive(self, data: bytes, now: float) -> Measured | None:
        """Take what came back; None for what is not used."""

    def step(self, seconds: float) -> None:
        """Note that our clock has been stepped."""

    def root_distance(self, now: float) -> float:
        """How far its offset may be wrong, to the reference clock."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the line of a server says, and how far that may be wrong (seconds)."""

    name: str
    estimate: Estimate
    distance: float

    @property
    def low(self) -> float:
        """The least offset that may be true."""
        return self.estimate.offset - self.distance

    @property
    def high(self) -> float:
        """The largest one."""
        return self.estimate.offset + self.distance


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to believe: servers that agree, and the others; without a majority nobody.

    `offset` is what is to be added to our clock, `error_bound` how far it may be wrong if most servers are right.
    """

    agreeing: tuple[Opinion, ...]
    others: tuple[Opinion, ...]
    offset: float = 0.0
    error_bound: float = math.inf


@dataclass(frozen=True, slots=True)
class Update:
    """What is to be done to the clock, why, and how far it may be off afterwards (seconds)."""

    action: Action
    choice: Choice
    estimated_error: float
    error_bound: float


def choose(opinions: Sequence[Opinion]) -> Choice:
    """Servers of which most have a point in common (Marzullo), and the median of what they say.

    RFC 5905 section 11.2.1 wants their midpoints within the common interval too. But where one server is near and
    others are far, and their paths asymmetric, the interval is that of the near one; all are right, and no clock would
    ever be corrected. A median lies between servers that are right as long as fewer than half of these lie,
    wherever those are; an average (section 11.2.3) moves with every liar that stays within the intervals of the others.
    """
    best: list[Opinion] = []
    for one in opinions:
        found = [other for other in opinions if other.low <= one.low <= other.high]
        best = max(best, found, key=_weight)
    if 2 * len(best) <= len(opinions):
        return Choice((), tuple(opinions))
    low, high = max(one.low for one in best), min(one.high for one in best)
    others = tuple(one for one in opinions if one not in best)
    offset = median(one.estimate.offset for one in best)
    return Choice(tuple(best), others, offset, max(high - offset, offset - low))


def _weight(opinions: Sequence[Opinion]) -> tuple[int, float]:
    """More servers before fewer; of as many those that claim to be more precise: a careful one agrees with all."""
    return len(opinions), -sum(one.distance for one in opinions)


@dataclass(frozen=True, slots=True)
class _Correction:
    """What has been done to the clock at `at`: what was still to be slewed then, and what moves a sample (`Point`)."""

    at: float
    before: Slew
    steady: float
    offset: float
    frequency: float


class Steering:
    """Keeps one clock by servers, each by its name."""

    def __init__(self, sources: Mapping[str, Source], discipline: Discipline) -> None:
        self.sources = dict(sources)
        self.discipline = discipline
        self.choice: Choice | None = None
        """The last one; None until there was one."""
        self._lines = {name: Regression() for name in sources}
        self._heard = 0
        self._last_heard = dict.fromkeys(sources, 0)
        self._corrections: deque[_Correction] = deque(maxlen=CORRECTIONS)
        self._bound: float | None = None
        self._updated = 0.0

    def poll(self, name: str, now: float) -> bytes:
        """Return the next request to a server; its `next_poll` says when to make another one."""
        return self.sources[name].poll(now)

    def receive(self, name: str, data: bytes, now: float) -> Update | None:
        """Take what came from a server; None if there is nothing to be done."""
        sample = self.sources[name].receive(data, now)
        if sample is None:
            return None
        if not self._lines[name].add(self._point(sample), self.discipline.slope, self.discipline.deviation):
            return None
        self._heard += 1
        self._last_heard[name] = self._heard
        return self._decide(now)

    def _point(self, sample: Measured) -> Point:
        """A sample, of the clock as it is now. In interleaved mode it is one of the exchange before."""
        later = [one for one in self._corrections if one.at > sample.time]
        pending = (later[0].before if later else self.discipline.slew).pending(sample.time)
        point = Point(sample.time + pending, sample.offset - pending, sample.delay)
        for one in later:
            point = point.corrected(one.steady, one.offset, one.frequency)
        return point

    def error_bound(self, now: float) -> float | None:
        """How far the clock may be off, also while no server is reached; None before it has been corrected."""
        if self._bound is None:
            return None
        return self._bound + self.discipline.held_error(now) + abs(self.discipline.pending(now))

    def _decide(self, now: float) -> Update | None:
        steady = now + self.discipline.pending(now)
        self.choice = choice = choose(self._opinions(now, steady))
        answering = sum(self._heard - last < SILENT for last in self._last_heard.values())
        if not choice.agreeing or len(choice.agreeing) < min(AGREEING, answering // 2 + 1):
            return None
        lines = [one.estimate for one in choice.agreeing]
        before, slew = self.discipline.frequency, self.discipline.slew
        action = self.discipline.update(choice.offset, median(one.frequency for one in lines), now)
        if action is None:
            return None
        self._correct(action, _Correction(now, slew, steady, choice.offset, self.discipline.frequency - before))
        if max(one.samples for one in lines) >= LEARN_FROM:
            deviation = CAUTION * min(one.frequency_error for one in lines)
            self.discipline.learn(deviation, max(0.0, now - self._updated))
        self._updated = now + action.step
        self._bound = choice.error_bound
        error = min(one.offset_error for one in lines)
        return Update(action, choice, error, choice.error_bound + abs(action.slew))

    def _opinions(self, now: float, steady: float) -> list[Opinion]:
        """The servers that count, each by its line instead of its last sample."""
        found = []
        for name, line in self._lines.items():
            source = self.sources[name]
            estimate = line.estimate(steady, self.discipline.slope, self.discipline.deviation)
            if estimate is None or len(line) < LEAST_SAMPLES or not source.reach or source.stopped:
                continue
            distance = source.root_distance(now) + estimate.offset_error
            if distance < LARGEST_DISTANCE:
                found.append(Opinion(name, estimate, distance))
        return found

    def _correct(self, action: Action, done: _Correction) -> None:
        """Move all samples to the clock as it will be."""
        for line in self._lines.values():
            line.correct(done.steady, done.offset, done.frequency)
        self._corrections.append(done)
        if action.step:
            self._corrections.clear()  # whoever has been asked before forgets it
            for source in self.sources.values():
                source.step(action.step)
