"""The asking half (RFC 6762 5, 7): sets that are watched, asked for at growing intervals, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from catenet.dns.multicast.cache import RecordCache
from catenet.dns.multicast.packets import Ask, Item, Key, Packet, write_packets
from catenet.dns.multicast.timers import Timer, Timers
from catenet.wire.dns.bitmap import has_type
from catenet.wire.dns.name import fold, skip_name
from catenet.wire.dns.numbers import NSEC

__all__ = ["MOST_WATCHES", "Absent", "Found", "Lost", "Querier", "QuerierEvent", "Watch"]

FIRST_DELAY: Final = (0.020, 0.120)
FIRST_INTERVAL: Final = 1.0
LONGEST_INTERVAL: Final = 3600.0
TOGETHER: Final = 0.05
"""Seconds; questions that are due within so many go out in one message."""
RECENT: Final = 1.0
"""Seconds for which the question of somebody else stands for ours."""
MOST_WATCHES: Final = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """A record of a watched set that was not known."""

    item: Item


@dataclass(frozen=True, slots=True)
class Lost:
    """A record of a watched set that was taken back, or has expired."""

    item: Item


@dataclass(frozen=True, slots=True)
class Absent:
    """The owner of a name says that it has no records of this type (RFC 6762 6.1)."""

    key: Key


QuerierEvent = Found | Lost | Absent


@dataclass(slots=True, eq=False)
class Watch:
    """A set that is asked for: when next (None: it is known), after which interval again, when somebody else asked."""

    ask: Ask
    due: float | None
    interval: float = FIRST_INTERVAL
    heard: float = float("-inf")
    sent: float = float("-inf")
    skipped: bool = False
    users: int = 1


class Querier:
    """Watches sets. `send(messages)` takes what goes to the group; events are in `events`."""

    def __init__(
        self,
        timers: Timers,
        random: Random,
        send: Callable[[list[bytes]], None],
        most_records: int,
        most_of_peer: int,
    ) -> None:
        self._timers, self._random, self._send = timers, random, send
        self.events: list[QuerierEvent] = []
        self.cache = RecordCache(timers, random, most_records, most_of_peer, self._refresh, self._lost)
        self._watches: dict[Key, Watch] = {}
        self._stale: dict[Key, None] = {}
        self._timer: Timer | None = None

    def watch(self, name: bytes, kind: int, now: float, *, unicast: bool = False) -> None:
        """Ask for a set until `unwatch`; what is known of it already are events too.

        `unicast`: the first question may be answered by unicast, which only reaches who has the port for itself
        (RFC 6762 15.1). Raises ValueError for more than 4,096 sets.
        """
        ask = Ask(name, kind, unicast)
        found = self._watches.get(ask.key)
        if found is not None:
            found.users += 1
        elif len(self._watches) >= MOST_WATCHES:
            raise ValueError(f"more than {MOST_WATCHES} questions")
        items = self.cache.find(ask.key, now)
        self.events += [Found(item) for item in items]
        if found is not None:
            return
        watch = self._watches[ask.key] = Watch(ask, None)
        if not any(item.flush for item in items):
            self._plan(watch, now + self._random.uniform(*FIRST_DELAY))

    def unwatch(self, name: bytes, kind: int) -> None:
        """Ask no more, unless others still watch it."""
        watch = self._watches.get((fold(name), kind))
        if watch is not None:
            watch.users -= 1
            if not watch.users:
                del self._watches[watch.ask.key]

    def hear_query(self, packet: Packet, now: float) -> None:
        """Somebody else asks: what we would ask too, knowing all that the other knows, need not be (RFC 6762 7.3)."""
        if packet.is_cut or packet.authority:
            return
        for ask in packet.questions:
            watch = self._watches.get(ask.key)
            if watch is not None and not ask.unicast:
                known = {item.identity for item in self.cache.known(ask.key, now)}
                if all(item.identity in known for item in packet.answers if item.answers(ask)):
                    watch.heard = now

    def hear_response(self, items: Iterable[Item], peer: str, now: float) -> None:
        """Take the records of a response, if any is of a watched set: the others then are about the same."""
        items = list(items)
        if not any(item.key in self._watches or item.type == NSEC for item in items):
            return
        for item in self.cache.store([item for item in items if item.type != NSEC], peer, now):
            if item.key in self._watches:
                self.events.append(Found(item))
        for item in items:
            watch = self._watches.get(item.key)
            if watch is not None and item.flush and item.ttl:
                watch.due, watch.interval = None, FIRST_INTERVAL
            elif item.type == NSEC:
                self._hear_absence(item, now)

    def _hear_absence(self, item: Item, now: float) -> None:
        owner = fold(item.name)
        bitmap = item.data[skip_name(item.data, 0) :]
        for watch in [self._watches[key] for key in list(self._watches) if key[0] == owner]:
            if not has_type(bitmap, watch.ask.type) and not self.cache.find(watch.ask.key, now):
                self.events.append(Absent(watch.ask.key))
                self._plan(watch, now + max(item.ttl, FIRST_INTERVAL))

    # What is due.

    def _plan(self, watch: Watch, when: float) -> None:
        watch.due = when
        self._arm(when)

    def _arm(self, when: float) -> None:
        if self._timer is None or not self._timer.pending or when < self._timer.when:
            self._timers.cancel(self._timer)
            self._timer = self._timers.at(when, self._ask_due)

    def _ask_due(self, now: float) -> None:
        """Ask all that is due, or nearly; of what others have asked since, only the next time is fixed."""
        asks, following = [], float("inf")
        for watch in self._watches.values():
            if watch.due is None:
                continue
            if watch.due <= now + TOGETHER:
                if self._is_wanted(watch, now):
                    asks.append(watch.ask)
                watch.ask = watch.ask._replace(unicast=False)
                watch.due = now + watch.interval
                watch.interval = min(watch.interval * 2, LONGEST_INTERVAL)
            following = min(following, watch.due)
        if following < float("inf"):
            self._arm(following)
        self._ask(asks, now)

    def _is_wanted(self, watch: Watch, now: float) -> bool:
        """Whether nobody has asked the same just now; never passed over twice, as others may do that on purpose."""
        skip = watch.heard > max(watch.sent, now - RECENT) and not watch.skipped
        watch.skipped = skip
        if not skip:
            watch.sent = now
        return not skip

    def _refresh(self, key: Key, now: float) -> None:
        """A record of a set is to be asked for again, together with others for which that is due now."""
        if key in self._watches:
            if not self._stale:
                self._timers.at(now, self._ask_stale)
            self._stale[key] = None

    def _ask_stale(self, now: float) -> None:
        asks = [self._watches[key].ask for key in self._stale if key in self._watches]
        self._stale.clear()
        self._ask(asks, now)

    def _ask(self, asks: list[Ask], now: float) -> None:
        if asks:
            known = [item for ask in asks for item in self.cache.known(ask.key, now)]
            self._send(write_packets(asks, known))

    def _lost(self, item: Item, now: float) -> None:
        watch = self._watches.get(item.key)
        if watch is None:
            return
        self.events.append(Lost(item))
        if watch.due is None and not self.cache.find(item.key, now):
            watch.interval = FIRST_INTERVAL
            self._plan(watch, now + self._random.uniform(*FIRST_DELAY))
