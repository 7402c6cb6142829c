"""A zone kept like its primary's (RFC 1034 4.3.5, RFC 1995, RFC 1996): timers and exchanges, without I/O."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from catenet.dns.exchange import Exchange
from catenet.dns.zone.difference import Difference, is_newer, serial_of
from catenet.dns.zone.transfer_in import TransferError, TransferIn, TransferResult
from catenet.dns.zone.tsig import TsigContext, TsigFailure, TsigKey
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.message import Question, is_same_question, pack, parse
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import AA, NOERROR, QR, REFUSED, SOA, TC
from catenet.wire.dns.stub import Server
from catenet.wire.errors import Malformed

__all__ = ["Expired", "Loaded", "Primary", "Secondary", "SecondaryLimits"]


class Primary(NamedTuple):
    """From whom a zone is fetched.

    Attributes:
        server: address and port.
        key: under which messages are signed.
        transport: of transfers: `tcp` or `tls` (RFC 9103), and then of the question before them too.
    """

    server: Server
    key: TsigKey | None = None
    transport: str = "tcp"


@dataclass(frozen=True, slots=True)
class SecondaryLimits:
    """Bounds of what an SOA record may ask for, and of patience; all in seconds.

    Attributes:
        least_refresh, most_refresh: between two looks at the primary.
        least_retry, most_retry: after one that failed.
        question: for the answer to the question for the SOA record, of two attempts each.
        idle: for the next message of a transfer.
        most_bytes: of messages of one transfer.
    """

    least_refresh: float = 30.0
    most_refresh: float = 2_419_200.0
    least_retry: float = 10.0
    most_retry: float = 1_209_600.0
    question: float = 3.0
    idle: float = 60.0
    most_bytes: int = 2 << 30


class Loaded(NamedTuple):
    """There is a new version: `changes` tell it from the one before, if they came."""

    zone: Zone
    changes: list[Difference]


class Expired(NamedTuple):
    """No primary has answered for as long as the SOA record allows: the zone is not to be served (RFC 1035 3.3.13)."""

    origin: bytes


ATTEMPTS: Final = 2
"""By UDP, before the next primary."""
_FIRST_RETRY: Final = 10.0
"""Seconds, while there is no zone that says it."""


class Secondary:
    """Keeps a zone like that of its primaries, as five verbs.

    Each round asks the primaries in turn for their SOA record and fetches what is newer, by differences where there is
    a version here. The next round is due after `refresh` seconds, after `retry` when nobody answered, and at once when
    a primary tells of a change.

    Attributes:
        zone: the current version; None without one, and when it has expired.
    """

    def __init__(
        self,
        origin: bytes,
        primaries: tuple[Primary, ...],
        rng: random.Random,
        wall: Callable[[float], float],
        *,
        zone: Zone | None = None,
        age: float = 0.0,
        limits: SecondaryLimits | None = None,
    ) -> None:
        """A secondary that has not begun.

        Args:
            origin: name of the zone.
            primaries: whom to ask, in this order.
            rng: draws ids and spreads timers.
            wall: makes seconds since 1970 of `now`.
            zone: the version that was kept.
            age: seconds since a primary last confirmed it.
            limits: bounds of times and sizes.
        """
        self.origin = origin
        self.zone = zone
        self._kept = zone
        """The last version, expired or not: what differences are asked from."""
        self._primaries = primaries
        self._rng = rng
        self._wall = wall
        self._age = age
        self._limits = limits or SecondaryLimits()
        self._events: list[Loaded | Expired] = []
        self._outgoing: list[Exchange] = []
        self._closed: list[int] = []
        self._tokens = 0
        self._is_open = False
        """Whether the exchange of the last token is."""
        self._round_due: float | None = None
        self._expires: float | None = None
        self._wait: float | None = None
        """When the exchange that is open is given up."""
        self._index = -1
        """Of the primary that is asked; -1 between rounds."""
        self._attempts = 0
        self._number = 0
        self._context: TsigContext | None = None
        self._transfer: TransferIn | None = None
        self._has_answered = False
        """Whether a primary has answered in this round."""
        self._again = False
        """A primary told of a change while a round was under way."""

    # Verbs.

    def start(self, now: float) -> None:
        """Begin: with a zone that was kept, its timers go on."""
        if self._kept is not None:
            self._expires = now + max(0.0, self._timer(2) - self._age)
        self._round_due = now
        self.handle_timeout(now)

    def notify(self, serial: int | None, now: float) -> None:
        """A primary says that the zone has changed; `serial` is a hint that may be missing (RFC 1996 3.7)."""
        kept = self._kept
        if kept is not None and serial is not None and not is_newer(serial, kept.serial):
            return
        if self._index >= 0:
            self._again = True
            return
        self._round_due = now
        self.handle_timeout(now)

    def transmit(self) -> list[Exchange]:
        """What is to be sent now."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def finished(self) -> list[int]:
        """Tokens whose sockets may be closed."""
        closed, self._closed = self._closed, []
        return closed

    def next_event(self) -> Loaded | Expired | None:
        """What has happened, in order."""
        return self._events.pop(0) if self._events else None

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is to be called."""
        due = self._wait if self._index >= 0 else self._round_due
        times = [each for each in (due, self._expires) if each is not None]
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Whatever is due: a round, the end of patience, the end of the zone."""
        if self._expires is not None and now >= self._expires:
            self._expires = None
            if self.zone is not None:
                self.zone = None
                self._events.append(Expired(self.origin))
        if self._index >= 0:
            if self._wait is not None and now >= self._wait:
                self._give_up(now)
        elif self._round_due is not None and now >= self._round_due:
            self._round_due = None
            self._has_answered = False
            self._next_primary(now)

    def receive(self, token: int, data: bytes, now: float) -> None:
        """A message has come for a token."""
        if token != self._tokens or not self._is_open:
            return
        if self._transfer is None:
            self._receive_soa(data, now)
        else:
            self._receive_transfer(self._transfer, data, now)

    def fail(self, token: int, now: float) -> None:
        """The exchange of a token cannot be, or ended: refused, closed, no route."""
        if token == self._tokens and self._is_open:
            self._attempts = ATTEMPTS
            self._give_up(now)

    # One round.

    def _next_primary(self, now: float) -> None:
        self._close()
        self._index += 1
        self._attempts = 0
        if self._index == len(self._primaries):
            self._end_round(now)
        elif self._kept is None:
            self._begin_transfer(None, now)
        else:
            self._ask_soa(now)

    def _end_round(self, now: float) -> None:
        self._index = -1
        self._wait = None
        if self._has_answered and self._kept is not None:
            self._expires = now + self._timer(2)
            wait = min(max(self._timer(0), self._limits.least_refresh), self._limits.most_refresh)
        elif self._kept is None:
            wait = _FIRST_RETRY
        else:
            wait = min(max(self._timer(1), self._limits.least_retry), self._limits.most_retry)
        # Spread, so that the secondaries of many zones do not all come at once.
        self._round_due = now if self._again else now + wait * self._rng.uniform(0.75, 1.0)
        self._again = False

    def _timer(self, index: int) -> float:
        """Refresh, retry or expire of the SOA record, in seconds."""
        assert self._kept is not None and self._kept.soa is not None
        figures: tuple[int, ...] = struct.unpack("!4I", self._kept.soa.data[0][-16:])
        return float(figures[index])

    def _open(self, primary: Primary, transport: str, data: bytes) -> None:
        self._close()
        self._tokens += 1
        self._is_open = True
        self._outgoing.append(Exchange(self._tokens, primary.server, transport, data))

    def _close(self) -> None:
        if self._is_open:
            self._closed.append(self._tokens)
            self._is_open = False
        self._transfer = None

    def _give_up(self, now: float) -> None:
        """The exchange has failed: once more by UDP, or the next primary."""
        if self._transfer is None and self._attempts < ATTEMPTS:
            self._ask_soa(now)
        else:
            self._next_primary(now)

    # The question for the SOA record.

    def _ask_soa(self, now: float) -> None:
        primary = self._primaries[self._index]
        self._attempts += 1
        self._number = self._rng.getrandbits(16)
        message = pack(self._number, 0, Question(self.origin, SOA))
        self._context = None
        if primary.key is not None:
            self._context = TsigContext(primary.key)
            message = self._context.sign(message, self._wall(now))
        self._open(primary, "udp" if primary.transport == "tcp" else primary.transport, message)
        self._wait = now + self._limits.question

    def _receive_soa(self, data: bytes, now: float) -> None:
        """What does not answer the question is passed over: it may be forged."""
        try:
            message = parse(data)
            question = message.question
            is_answer = message.id == self._number and message.flags & QR and question is not None
            if not is_answer or question is None or not is_same_question(question, Question(self.origin, SOA)):
                return
            if self._context is not None:
                self._context.verify(message, self._wall(now))
            serial = None
            if message.rcode == NOERROR and message.flags & AA and not message.flags & TC:
                own = [each for each in message.answer if each.type == SOA and fold(each.name) == fold(self.origin)]
                serial = serial_of(own[0].data) if own else None
        except (Malformed, TsigFailure):
            return
        kept = self._kept
        if serial is None and message.rcode == REFUSED:
            self._begin_transfer(kept, now)  # Knot DNS tells of catalogs only to those who come by TCP
            return
        if serial is None:
            self._next_primary(now)
            return
        if kept is None or is_newer(serial, kept.serial):
            self._begin_transfer(kept, now)
            return
        if serial == kept.serial:
            self._confirm()
        self._next_primary(now)

    def _confirm(self) -> None:
        """A primary has this very version: it serves again, if it had expired."""
        self._has_answered = True
        if self.zone is None and self._kept is not None:
            self.zone = self._kept
            self._events.append(Loaded(self._kept, []))

    # The transfer.

    def _begin_transfer(self, current: Zone | None, now: float) -> None:
        primary = self._primaries[self._index]
        transfer = TransferIn(
            self.origin, self._rng.getrandbits(16), current, primary.key, most_bytes=self._limits.most_bytes
        )
        self._open(primary, primary.transport, transfer.query(self._wall(now)))
        self._transfer = transfer
        self._wait = now + self._limits.idle

    def _receive_transfer(self, transfer: TransferIn, data: bytes, now: float) -> None:
        self._wait = now + self._limits.idle
        try:
            if not transfer.receive(data, self._wall(now)):
                return
            zone = transfer.commit()
        except TransferError:
            if transfer.is_incremental:
                self._begin_transfer(None, now)  # differences are a shortcut: the whole zone may come nevertheless
            else:
                self._next_primary(now)
            return
        self._has_answered = True
        if transfer.result is TransferResult.CURRENT:
            self._confirm()
        else:
            self.zone = self._kept = zone
            self._events.append(Loaded(zone, transfer.changes))
        self._next_primary(now)
