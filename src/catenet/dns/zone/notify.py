"""NOTIFY (RFC 1996): telling secondaries that a zone has changed, and being told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from catenet.dns.rrset import records_of
from catenet.dns.zone.difference import serial_of
from catenet.dns.zone.tsig import SignedRequest, TsigContext, TsigFailure, TsigKey
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.message import Message, Question, is_same_question, pack, parse
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import AA, FORMERR, NOTAUTH, NOTIFY, QR, SOA
from catenet.wire.errors import Malformed

__all__ = ["Notified", "Notifier", "Target", "answer_notify"]

ATTEMPTS: Final = 5
"""Messages before a secondary is given up (RFC 1996 3.6)."""
FIRST_WAIT: Final = 15.0
"""Seconds to the second message; doubled for each one after (RFC 1996 3.6 has 60 s at most as the interval)."""
MOST_WAIT: Final = 60.0


class Target(NamedTuple):
    """Who is told.

    Attributes:
        server: address and port.
        key: under which the message is signed.
    """

    server: tuple[str, int]
    key: TsigKey | None = None


@dataclass(slots=True)
class _Telling:
    origin: bytes
    target: Target
    number: int
    context: TsigContext | None
    attempts: int
    due: float


class Notifier:
    """Tells secondaries of changed zones, again until they answer.

    `transmit` gives (token, server, message) to be sent by UDP; what comes back goes to `receive`.
    """

    def __init__(self, random_id: Callable[[], int], wall: Callable[[float], float]) -> None:
        """Both are handed in: `random_id` draws 16 bits, `wall` gives seconds since 1970 for `now`."""
        self._random_id = random_id
        self._wall = wall
        self._telling: dict[int, _Telling] = {}
        self._zones: dict[bytes, Zone] = {}
        self._tokens = 0

    def tell(self, zone: Zone, targets: tuple[Target, ...], now: float) -> None:
        """The zone has changed. Who is still being told of an older version is told of this one instead."""
        origin = zone.apex
        self._zones[origin] = zone
        for token in [token for token, one in self._telling.items() if one.origin == origin]:
            del self._telling[token]
        for target in targets:
            self._tokens += 1
            context = None if target.key is None else TsigContext(target.key)
            self._telling[self._tokens] = _Telling(origin, target, self._random_id(), context, 0, now)

    def transmit(self, now: float) -> list[tuple[int, tuple[str, int], bytes]]:
        """What is to be sent now."""
        outgoing = []
        for token, one in list(self._telling.items()):
            if one.due > now:
                continue
            if one.attempts == ATTEMPTS:
                del self._telling[token]
                continue
            one.due = now + min(FIRST_WAIT * 2**one.attempts, MOST_WAIT)
            one.attempts += 1
            outgoing.append((token, one.target.server, self._message(one, now)))
        return outgoing

    def _message(self, one: _Telling, now: float) -> bytes:
        zone = self._zones[one.origin]
        soa = zone.soa
        answer = [] if soa is None else records_of([soa])[:1]
        message = pack(one.number, NOTIFY << 11 | AA, Question(zone.origin, SOA), answer)
        if one.target.key is None:
            return message
        one.context = TsigContext(one.target.key)
        return one.context.sign(message, self._wall(now))

    def receive(self, token: int, data: bytes, now: float) -> None:
        """A message has come to the socket of a token. What does not answer it is passed over."""
        one = self._telling.get(token)
        if one is None:
            return
        try:
            message = parse(data)
            question = message.question
            if one.context is not None:
                one.context.verify(message, self._wall(now))
        except (Malformed, TsigFailure):
            return
        is_answer = message.id == one.number and message.flags & QR and message.opcode == NOTIFY
        if is_answer and (question is None or is_same_question(question, Question(one.origin, SOA))):
            del self._telling[token]

    def open_tokens(self) -> set[int]:
        """Tokens whose sockets are still needed."""
        return set(self._telling)

    def next_deadline(self) -> float | None:
        """When `transmit` is to be called again."""
        return min((one.due for one in self._telling.values()), default=None)


class Notified(NamedTuple):
    """What came of a NOTIFY message."""

    reply: bytes
    origin: bytes | None
    """The zone to look after, folded; None if the message is not to be heeded."""
    serial: int | None
    """What the primary says its version is, if it does."""


def answer_notify(message: Message, is_secondary: bool, signed: SignedRequest | None, wall: float) -> Notified:
    """Answer a NOTIFY message (RFC 1996 4.7).

    Args:
        message: what came.
        is_secondary: the zone is here, with a primary at this address or with this key: others are NOTAUTH.
        signed: its signature, if it has one.
        wall: seconds since 1970.
    """
    question = message.question
    origin: bytes | None = None
    serial: int | None = None
    rcode = 0
    if question is None or question.type != SOA:
        rcode = FORMERR
    elif not is_secondary or (signed is not None and signed.error):
        rcode = NOTAUTH
    else:
        origin = fold(question.name)
        serial = _serial(message)
    reply = pack(message.id, QR | AA | NOTIFY << 11 | rcode, question)
    return Notified(reply if signed is None else signed.sign(reply, wall), origin, serial)


def _serial(message: Message) -> int | None:
    """The version that the answer section hints at (RFC 1996 3.7)."""
    try:
        return next((serial_of(record.data) for record in message.answer if record.type == SOA), None)
    except Malformed:
        return None
