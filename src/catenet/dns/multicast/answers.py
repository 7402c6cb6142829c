"""Which records answer a query, to whom they go, and when (RFC 6762 5.4, 6, 7)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Final, NamedTuple

from catenet.dns.multicast.names import Claim
from catenet.dns.multicast.packets import Ask, Item, Packet, write_packets
from catenet.dns.multicast.timers import Timers
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import AAAA, PTR, SRV, A

__all__ = ["MOST_SENT", "Answers", "Asker"]

SHARED_DELAY: Final = (0.020, 0.120)
"""Seconds before records that others may have too are sent, so that not all speak at once."""
CUT_DELAY: Final = (0.400, 0.500)
"""Seconds in which known answers follow a query that has more of them."""
PER_RECORD: Final = 1.0
PER_RECORD_DEFENDED: Final = 0.250
"""Seconds between two times that a record is sent to the group; against a probe it may be earlier."""
LEGACY_TTL: Final = 10
MOST_SENT: Final = 1024
"""Records of which it is known when they were sent, before those are forgotten that may be sent again."""
MOST_WAITING: Final = 64
"""Queries that wait for more known answers; another one is answered at once."""

Identity = tuple[bytes, int, bytes]


class Asker(NamedTuple):
    """Who asks: the address, and whether by another port than 5353, with a resolver that knows DNS only."""

    peer: Hashable
    host: str
    is_legacy: bool


class Answers:
    """Gathers answers to the group for a moment; `reply(messages, asker)` takes those for one peer."""

    def __init__(
        self,
        timers: Timers,
        random: Random,
        send: Callable[[list[bytes]], None],
        reply: Callable[[list[bytes], Asker], None],
    ) -> None:
        self._timers, self._random, self._send, self._reply = timers, random, send, reply
        self._sent: dict[Identity, float] = {}
        self._pending: dict[Identity, Item] = {}
        self._extra: dict[Identity, Item] = {}
        self._waiting: dict[str, tuple[list[Ask], dict[Identity, int]]] = {}

    def note_sent(self, items: Iterable[Item], now: float) -> None:
        """These have been sent to the group."""
        for item in items:
            self._sent[item.identity] = now
        if len(self._sent) > MOST_SENT:  # those of names that we had
            self._sent = {identity: when for identity, when in self._sent.items() if when > now - PER_RECORD}

    def forget(self, items: Iterable[Item]) -> None:
        """These are no longer ours."""
        for item in items:
            self._sent.pop(item.identity, None)
            self._pending.pop(item.identity, None)

    def hear_response(self, items: Iterable[Item]) -> None:
        """What another host has just said, with a life as long, need not be said again (RFC 6762 7.4)."""
        for item in items if self._pending else ():
            found = self._pending.get(item.identity)
            if found is not None and item.ttl >= found.ttl:
                del self._pending[item.identity]

    def hear_query(self, packet: Packet, asker: Asker, claims: Sequence[Claim], now: float) -> None:
        """Answer for these claims, at once or in a moment."""
        known = {item.identity: item.ttl for item in packet.answers}
        if not packet.questions:
            waiting = self._waiting.get(asker.host)
            if waiting is not None and len(waiting[1]) < 4096:
                waiting[1].update(known)
            return
        if (
            packet.is_cut
            and not asker.is_legacy
            and asker.host not in self._waiting
            and len(self._waiting) < MOST_WAITING
        ):
            self._waiting[asker.host] = packet.questions, known
            when = now + self._random.uniform(*CUT_DELAY)
            self._timers.at(when, partial(self._answer_waiting, asker, claims))
            return
        self._answer(packet, asker, known, claims, now)

    def _answer_waiting(self, asker: Asker, claims: Sequence[Claim], now: float) -> None:
        questions, known = self._waiting.pop(asker.host)
        held = [claim for claim in claims if claim.is_held]
        self._answer(Packet(0, 0, questions), asker, known, held, now)

    def _answer(
        self, packet: Packet, asker: Asker, known: dict[Identity, int], claims: Sequence[Claim], now: float
    ) -> None:
        everything = [item for claim in claims for item in claim.items]
        to_group: dict[Identity, Item] = {}
        to_peer: dict[Identity, Item] = {}
        for ask in packet.questions:
            for item in _found(ask, claims, everything):
                identity = item.identity
                if known.get(identity, -1) * 2 >= item.ttl:
                    continue  # RFC 6762 7.1
                by_unicast = ask.unicast and not packet.authority and not self._is_overdue(item, now)
                by_unicast = by_unicast or asker.is_legacy
                (to_peer if by_unicast else to_group)[identity] = item
        if to_peer:
            self._send_to(packet, asker, list(to_peer.values()), everything, claims)
        if to_group:
            self._send_to_group(list(to_group.values()), bool(packet.authority), everything, claims, now)

    def _is_overdue(self, item: Item, now: float) -> bool:
        """Whether the group has not heard a record for a quarter of its life, so that it should (RFC 6762 5.4)."""
        return self._sent.get(item.identity, float("-inf")) < now - item.ttl / 4

    def _send_to(
        self, packet: Packet, asker: Asker, items: list[Item], everything: list[Item], claims: Sequence[Claim]
    ) -> None:
        more = _additional(items, everything, claims)
        if not asker.is_legacy:
            self._reply(write_packets([], items, (), more, response=True), asker)
            return
        plain, more = ([_for_legacy(item) for item in one] for one in (items, more))
        asks = [ask._replace(unicast=False) for ask in packet.questions]
        self._reply(write_packets(asks, plain, (), more, response=True, number=packet.id)[:1], asker)

    def _send_to_group(
        self, items: list[Item], is_probe: bool, everything: list[Item], claims: Sequence[Claim], now: float
    ) -> None:
        pace = PER_RECORD_DEFENDED if is_probe else PER_RECORD
        items = [item for item in items if self._sent.get(item.identity, float("-inf")) <= now - pace]
        if not items:
            return
        is_waiting = bool(self._pending)
        self._pending.update((item.identity, item) for item in items)
        for item in _additional(items, everything, claims):
            self._extra[item.identity] = item
        if is_probe or all(item.flush for item in items):
            self._send_pending(now)
        elif not is_waiting:
            self._timers.at(now + self._random.uniform(*SHARED_DELAY), self._send_pending)

    def _send_pending(self, now: float) -> None:
        """Send all that is gathered: what waits for a few milliseconds more may as well go now."""
        if self._pending:
            items = list(self._pending.values())
            more = [item for identity, item in self._extra.items() if identity not in self._pending]
            self.note_sent(items, now)
            self._send(write_packets([], items, (), more, response=True))
        self._pending.clear()
        self._extra.clear()


def _found(ask: Ask, claims: Sequence[Claim], everything: list[Item]) -> list[Item]:
    found = [item for item in everything if item.answers(ask)]
    if found:
        return found
    return [claim.absence() for claim in claims if fold(claim.name) == fold(ask.name)][:1]


def _additional(items: list[Item], everything: list[Item], claims: Sequence[Claim]) -> list[Item]:
    """What who has these will ask for next (RFC 6763 12)."""
    chosen = {item.identity: item for item in items}
    queue, extra = list(items), []
    while queue:
        item = queue.pop()
        name = {PTR: item.data, SRV: item.data[6:], A: item.name, AAAA: item.name}.get(item.type)
        if name is None:
            continue
        wanted = [one for one in everything if one.flush and fold(one.name) == fold(name)]
        wanted += [claim.absence() for claim in claims if fold(claim.name) == fold(name)]
        for one in wanted:
            if one.identity not in chosen:
                chosen[one.identity] = one
                extra.append(one)
                queue.append(one)
    return extra


def _for_legacy(item: Item) -> Item:
    """As a resolver takes it that knows nothing of multicast (RFC 6762 6.7)."""
    return item._replace(flush=False, ttl=min(item.ttl, LEGACY_TTL))
