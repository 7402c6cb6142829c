"""What was heard: records until they expire, bounded in all and for each peer (RFC 6762 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from catenet.dns.multicast.packets import Item, Key
from catenet.dns.multicast.timers import Timer, Timers

__all__ = ["Cached", "RecordCache"]

GRACE: Final = 1.0
"""Seconds that a record stays after a goodbye, or after others replaced its set (RFC 6762 10.1, 10.2)."""
REFRESHES: Final = (0.80, 0.85, 0.90, 0.95)
"""Parts of the TTL after which a record that somebody wants is asked for again (RFC 6762 5.2)."""
JITTER: Final = 0.02
LONGEST: Final = 86_400
"""Seconds; a longer TTL is taken for this."""


@dataclass(slots=True, eq=False)
class Cached:
    """A record: when it was last heard, until when it holds, how often it has been asked for again, who sent it."""

    item: Item
    since: float
    until: float
    peer: str
    stage: int = 0
    timer: Timer | None = None


class RecordCache:
    """Records by set. Whether one is refreshed, and what its loss means, its user says.

    `refresh(key, now)` asks for a set again if it is wanted; `lost(item, now)` hears of what has expired.
    """

    def __init__(
        self,
        timers: Timers,
        random: Random,
        most: int,
        most_of_peer: int,
        refresh: Callable[[Key, float], None],
        lost: Callable[[Item, float], None],
    ) -> None:
        self._timers, self._random = timers, random
        self._most, self._most_of_peer = most, most_of_peer
        self._refresh, self._lost = refresh, lost
        self._sets: dict[Key, dict[bytes, Cached]] = {}
        self._of_peer: Counter[str] = Counter()
        self.size = 0
        self.refused = 0
        """Records that were not taken since the cache, or the share of the peer, was full."""

    def find(self, key: Key, now: float) -> list[Item]:
        """The records of a set that hold."""
        return [one.item for one in self._sets.get(key, {}).values() if one.until > now]

    def known(self, key: Key, now: float) -> Iterator[Item]:
        """Those with more than half of their life to come, with what is left of it: known answers (RFC 6762 7.1)."""
        for one in self._sets.get(key, {}).values():
            left = one.until - now
            if left * 2 > one.item.ttl:
                yield one.item._replace(ttl=int(left), flush=False)

    def store(self, items: Iterable[Item], peer: str, now: float) -> list[Item]:
        """Keep the records of one message; returns those that are new."""
        items = list(items)
        self._replace({item.key for item in items if item.flush and item.ttl}, now)
        return [item for item in items if self._store_one(item, peer, now)]

    def _replace(self, keys: Iterable[Key], now: float) -> None:
        """Let what is older than a second go; the message that says so may be one of several with the set."""
        for key in keys:
            for one in self._sets.get(key, {}).values():
                if one.since < now - GRACE and one.until > now + GRACE:
                    self._end(one, now + GRACE)

    def _store_one(self, item: Item, peer: str, now: float) -> bool:
        identity = item.identity
        found = self._sets.get(identity[:2], {}).get(identity[2])
        if not item.ttl:
            if found is not None and found.until > now + GRACE:
                self._end(found, now + GRACE)
            return False
        item = item._replace(ttl=min(item.ttl, LONGEST))
        if found is not None:
            found.item, found.since, found.until, found.stage = item, now, now + item.ttl, 0
            self._plan(found)
            return False
        if self.size >= self._most or self._of_peer[peer] >= self._most_of_peer:
            self.refused += 1
            return False
        one = Cached(item, now, now + item.ttl, peer)
        self._sets.setdefault(identity[:2], {})[identity[2]] = one
        self._of_peer[peer] += 1
        self.size += 1
        self._plan(one)
        return True

    def _end(self, one: Cached, when: float) -> None:
        one.until, one.stage = when, len(REFRESHES)
        self._plan(one)

    def _plan(self, one: Cached) -> None:
        """Set the timer of a record for what is next to be done with it."""
        due = one.until
        if one.stage < len(REFRESHES):
            due = one.since + one.item.ttl * (REFRESHES[one.stage] + self._random.random() * JITTER)
        self._timers.cancel(one.timer)
        one.timer = self._timers.at(due, partial(self._fire, one))

    def _fire(self, one: Cached, now: float) -> None:
        if one.until <= now:
            self._remove(one, now)
        else:
            one.stage += 1
            self._plan(one)
            self._refresh(one.item.key, now)

    def _remove(self, one: Cached, now: float) -> None:
        identity = one.item.identity
        records = self._sets[identity[:2]]
        del records[identity[2]]
        if not records:
            del self._sets[identity[:2]]
        self.size -= 1
        self._of_peer[one.peer] -= 1
        if not self._of_peer[one.peer]:
            del self._of_peer[one.peer]
        self._lost(one.item, now)
