"""The answering half (RFC 6762 6, 8, 9): probing, announcing, answers, and names that others have too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from catenet.dns.multicast.answers import Answers, Asker
from catenet.dns.multicast.names import Claim, State
from catenet.dns.multicast.packets import Ask, Item, Packet, write_packets
from catenet.dns.multicast.timers import Timers
from catenet.wire.dns.numbers import ANY

__all__ = ["Claimed", "Responder"]

PROBES: Final = 3
PROBE_INTERVAL: Final = 0.250
DEFER: Final = 1.0
"""Seconds that the loser of two probes waits, to see whether the winner is there (RFC 6762 8.2)."""
ANNOUNCEMENTS: Final = 3
"""RFC 6762 8.3 wants two to eight; each comes after twice the time."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A name is ours; `claim.renamed`: not the one that was asked for."""

    claim: Claim


class Responder:
    """Claims names and answers for them. `send(messages)` takes what goes to the group."""

    def __init__(
        self,
        timers: Timers,
        random: Random,
        send: Callable[[list[bytes]], None],
        reply: Callable[[list[bytes], Asker], None],
    ) -> None:
        self._timers, self._random, self._send = timers, random, send
        self.claims: list[Claim] = []
        self.events: list[Claimed] = []
        self._answers = Answers(timers, random, send, reply)

    def claim(self, claim: Claim, now: float) -> None:
        """Begin to claim a name."""
        self.claims.append(claim)
        self._probe_later(claim, now + self._random.random() * PROBE_INTERVAL)

    def release(self, claim: Claim, now: float) -> None:
        """Give a name up; others are told to forget its records (RFC 6762 10.1)."""
        if claim not in self.claims:
            return
        self.claims.remove(claim)
        self._timers.cancel(claim.timer)
        if claim.is_held:
            self._goodbye(claim.items)
        claim.state = State.ENDED

    def _goodbye(self, items: Sequence[Item]) -> None:
        kept = {item.identity for claim in self.claims if claim.is_held for item in claim.items}
        gone = [item._replace(ttl=0) for item in items if item.identity not in kept]
        self._answers.forget(gone)
        if gone:
            self._send(write_packets([], gone, response=True))

    def update(self, claim: Claim, now: float) -> None:
        """The unique records of a claim have changed: announce them anew (RFC 6762 8.4)."""
        if claim.is_held:
            claim.state, claim.count = State.ANNOUNCING, 0
            self._announce(claim, now)

    # What others say.

    def hear_query(self, packet: Packet, asker: Asker, now: float) -> None:
        """Answer; and if it is a probe for a name that is probed for here too, one of the two waits."""
        if packet.authority:
            for claim in self.claims:
                if claim.state is State.PROBING and claim.count and claim.loses_to(packet.authority):
                    self._probe_later(claim, now + DEFER)
        self._answers.hear_query(packet, asker, [claim for claim in self.claims if claim.is_held], now)

    def hear_response(self, items: Sequence[Item], now: float) -> None:
        """Look whether somebody else has a name of ours."""
        self._answers.hear_response(items)
        for claim in list(self.claims):
            if claim.contradicts(items):
                self._conflict(claim, now)

    def _conflict(self, claim: Claim, now: float) -> None:
        """A name that is held is probed for again, to see who has it; one that is probed for is somebody else's."""
        if claim.is_held:
            claim.state = State.PROBING
            self._probe_later(claim, now + self._random.random() * PROBE_INTERVAL)
            return
        pause = claim.rename(now)
        self._probe_later(claim, now + pause + self._random.random() * PROBE_INTERVAL)

    # What is due.

    def _probe_later(self, claim: Claim, when: float) -> None:
        claim.count = 0
        self._set(claim, when, self._probe)

    def _set(self, claim: Claim, when: float, action: Callable[[Claim, float], None]) -> None:
        self._timers.cancel(claim.timer)
        claim.timer = self._timers.at(when, partial(action, claim))

    def _probe(self, claim: Claim, now: float) -> None:
        if claim.count == PROBES:
            claim.state, claim.count = State.ANNOUNCING, 0
            self.events.append(Claimed(claim))
            self._announce(claim, now)
            return
        claim.count += 1
        proposed = [item._replace(flush=False) for item in claim.unique(claim.name)]
        self._send(write_packets([Ask(claim.name, ANY)], (), proposed))
        self._set(claim, now + PROBE_INTERVAL, self._probe)

    def _announce(self, claim: Claim, now: float) -> None:
        items = [*claim.items, claim.absence()]
        self._answers.note_sent(items, now)
        self._send(write_packets([], items, response=True))
        claim.count += 1
        if claim.count == ANNOUNCEMENTS:
            claim.state = State.READY
        else:
            self._set(claim, now + 2.0 ** (claim.count - 1), self._announce)
