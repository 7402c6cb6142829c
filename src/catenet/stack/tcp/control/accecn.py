"""Accurate ECN (RFC 9768): every segment reports how many packets and bytes arrived marked.

Three flags (ACE) count the packets that arrived with CE, modulo eight and starting at five; an option counts the bytes
by mark. During the handshake the same flags tell which mark the SYN and the SYN-ACK arrived with, so that a path that
changes marks is found. `AccEcn` is one connection's state, from the SYN that asks for it until the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.control.states import CA_CWR, CA_OPEN
from catenet.stack.tcp.control.connection import ACK_NOW, Connection
from catenet.stack.tcp.recovery import ackstate
from catenet.wire import tcp as wire
from catenet.wire.ecn import CE, ECT0, ECT1, NOT_ECT

if TYPE_CHECKING:
    from catenet.stack.tcp.recovery.ackstate import AckState
    from catenet.wire.tcp import TcpOptions, TcpSegment

__all__ = [
    "ACE_FAIL_RECEIVE",
    "ACE_FAIL_SEND",
    "INITIAL_OPTION",
    "AccEcn",
    "ace_of",
    "is_requested",
    "reflect",
]


ACE_FAIL_SEND: Final = 1
ACE_FAIL_RECEIVE: Final = 2
OPTION_FAIL_SEND: Final = 4
OPTION_FAIL_RECEIVE: Final = 8

NOT_SEEN: Final = 0
EMPTY_SEEN: Final = 1
COUNTER_SEEN: Final = 2
FAIL_SEEN: Final = 3

_MASK: Final = 7
_FIRST_ACE: Final = 5
_MAX_UNREPORTED: Final = 6
_FIRST_BYTES: Final = {ECT1: 1, ECT0: 1, CE: 0}
"""Byte counters start here on the wire, so that a middlebox that zeroes them is found out."""
_ORDERS: Final = ((ECT0, CE, ECT1), (ECT1, CE, ECT0))
_REFLECTED: Final = {NOT_ECT: 0b010, ECT1: 0b011, ECT0: 0b100, CE: 0b110}
_ACE_TO_MARK: Final = (ECT0, ECT1, NOT_ECT, ECT1, ECT0, ECT1, CE, ECT1)
_FIELD: Final = {NOT_ECT: 0, ECT1: 1, CE: 2, ECT0: 3}
_SIGN: Final = 0x800000
_LOW24: Final = 0xFFFFFF
_COUNTER_STEP: Final = 22
_TOO_LATE: Final = (1 << 23) - 1
_WEIGHT: Final = 6
_COMPRESSED_ACKS: Final = 4


def ace_of(flags: int) -> int:
    """The three flags AE, CWR, ECE as a number."""
    return (4 if flags & wire.AE else 0) | (2 if flags & wire.CWR else 0) | (1 if flags & wire.ECE else 0)


def flags_of(ace: int) -> int:
    """A number as the three flags."""
    return (wire.AE if ace & 4 else 0) | (wire.CWR if ace & 2 else 0) | (wire.ECE if ace & 1 else 0)


def reflect(mark: int) -> int:
    """Flags that tell with which mark a SYN or SYN-ACK arrived (RFC 9768 table 2)."""
    return flags_of(_REFLECTED[mark])


def is_requested(flags: int) -> bool:
    """Whether a SYN asks for AccECN: any combination but none and that of classic ECN (3.1.2)."""
    return ace_of(flags) not in (0, 3)


def _option_verdict(option: tuple[int, tuple[int, ...]]) -> int:
    """What the first option of a connection shows: that options arrive, with counters, or zeroed on the way."""
    counters = option[1]
    if not counters:
        return EMPTY_SEEN
    if not counters[0] or (len(counters) == 3 and not counters[2]):
        return FAIL_SEEN
    return COUNTER_SEEN


def is_transition_valid(sent: int, received: int) -> bool:
    """Whether a conforming network may have turned the mark `sent` into `received`."""
    return received == sent or not (NOT_ECT in (sent, received) or sent == CE)


class AccEcn:
    """Counters of both directions, and how far the path lets the feedback through."""

    __slots__ = (
        "active",
        "delivered_bytes",
        "demand",
        "estimate",
        "ewma",
        "fail",
        "mark",
        "minimum",
        "option_at",
        "option_with_dsack",
        "received_bytes",
        "received_ce",
        "reflecting",
        "saw_option",
        "syn_mark",
        "unreported",
    )

    def __init__(self, active: bool = False, syn_mark: int = NOT_ECT) -> None:
        self.active = active
        """Negotiated; until then it is only asked for."""
        self.syn_mark = self.mark = syn_mark
        self.fail = 0
        self.saw_option = NOT_SEEN
        self.received_ce = self.unreported = 0
        self.received_bytes = {ECT1: 0, ECT0: 0, CE: 0}
        self.delivered_bytes = {ECT1: 0, ECT0: 0, CE: 0}
        self.minimum = self.demand = self.estimate = self.ewma = 0
        self.option_at = 0
        self.option_with_dsack = False
        self.reflecting = False
        """Whether the next segment echoes the mark of the SYN-ACK instead of the counter."""

    # Arriving.

    def on_segment(self, c: Connection, mark: int, length: int) -> None:
        """A segment arrived with this mark and so much payload (2.2, 3.2.2.5)."""
        if mark != NOT_ECT:
            if mark == CE:
                self.received_ce += 1
                self.unreported = min(self.unreported + 1, 15)
            if length:
                before = self.received_bytes[mark]
                self.received_bytes[mark] = before + length
                self.minimum = max(self.minimum, _FIELD[mark])
                if before >> _COUNTER_STEP != (before + length) >> _COUNTER_STEP:
                    self.demand = max(self.demand, 1)
        edge = mark != self.mark
        if edge or mark == CE:
            self.mark = mark
            if edge:
                c.ack_pending |= ACK_NOW
            self.demand = 2

    def on_third_ack(self, c: Connection, segment: TcpSegment, repeated: bool) -> None:
        """The ACK that completes the handshake tells how the SYN-ACK arrived (table 4)."""
        ace = ace_of(segment.flags)
        if ace == 0:
            if not repeated:
                self.fail |= ACE_FAIL_RECEIVE | OPTION_FAIL_RECEIVE
            return
        if ace in (7, 5, 1) or segment.payload or repeated:
            return
        if self.is_feedback_valid(c, ace) and _ACE_TO_MARK[ace] == CE and not c.delivered_ce:
            c.delivered_ce = 1

    def is_feedback_valid(self, c: Connection, ace: int) -> bool:
        """Whether what came back can be what we sent, which was not ECN-capable."""
        if not c.layer.settings.tcp_ecn_fallback:
            return True
        if is_transition_valid(NOT_ECT, _ACE_TO_MARK[ace]):
            return True
        self.fail |= ACE_FAIL_RECEIVE
        return False

    def see_option(self, options: TcpOptions) -> bool:
        """Note the first option with counters; whether there was one to note."""
        if options.accecn is None or self.saw_option >= COUNTER_SEEN:
            return False
        self.saw_option = _option_verdict(options.accecn)
        if self.saw_option == FAIL_SEEN:
            self.fail |= OPTION_FAIL_RECEIVE
        return True

    def on_syn_ack(self, c: Connection, segment: TcpSegment, mark: int) -> None:
        """The answer to a SYN that asked for AccECN grants it."""
        self.active = True
        self.syn_mark = mark
        if self.see_option(segment.options):
            self.demand = 2
        if mark == CE:
            ace = ace_of(segment.flags)
            if ace == _FIRST_ACE or self.is_feedback_valid(c, ace):
                self.received_ce += 1
                self.unreported += 1

    def on_ack(self, c: Connection, segment: TcpSegment, state: AckState, delivered: int) -> None:
        """Find how many more of our segments arrived marked (3.2.2.5.1, appendix A)."""
        marked = self._newly_marked(c, segment, state, delivered)
        if marked > 0:
            c.delivered_ce += marked
            state.flags |= ackstate.ECE

    def _newly_marked(self, c: Connection, segment: TcpSegment, state: AckState, delivered: int) -> int:
        flags = state.flags
        if not flags & (ackstate.FORWARD | ackstate.TIME_PROGRESS):
            return 0
        before = self.delivered_bytes[CE]
        valid = self._process_option(c, segment.options, state.delivered_bytes)
        if delivered:
            self.ewma = (
                min(((self.ewma << _WEIGHT) - self.ewma + (delivered << _WEIGHT)) >> _WEIGHT, 0xFFFF)
                if self.ewma
                else delivered << _WEIGHT
            )
        if flags & ackstate.SYN_ACKED:
            return 0
        if self.unreported >= _MAX_UNREPORTED:
            c.ack_pending |= ACK_NOW
        delta = (ace_of(segment.flags) - _FIRST_ACE - c.delivered_ce) & _MASK
        if delivered <= _MASK:
            return delta
        # The counter may have wrapped: assume the worst, unless the bytes say otherwise.
        worst = delivered - ((delivered - delta) & _MASK)
        if not valid:
            return delta if self.ewma > _COMPRESSED_ACKS << _WEIGHT else worst
        return self._by_bytes(c, delta, worst, delivered, state.delivered_bytes, self.delivered_bytes[CE] - before)

    def _by_bytes(self, c: Connection, delta: int, worst: int, delivered: int, size: int, marked: int) -> int:
        if not marked:
            return delta
        if delivered >= 2 * (_MASK + 1) and (c.sack_ok or c.ca_state in (CA_OPEN, CA_CWR)):
            if size <= marked:
                return worst
            estimate = -(-marked * delivered // size)
            return min(worst, delta + (estimate & ~_MASK))
        if marked > delta * c.mss:
            return worst
        if marked < worst * c.mss >> 1:
            return delta
        return worst

    def _process_option(self, c: Connection, options: TcpOptions, delivered: int) -> bool:
        """Take in the peer's byte counters; whether they can be relied on."""
        if self.fail & OPTION_FAIL_RECEIVE:
            return False
        if options.accecn is None:
            if not self.saw_option:
                if c.bytes_sent >= _TOO_LATE:
                    self.saw_option = FAIL_SEEN
                    self.fail |= OPTION_FAIL_RECEIVE
                return False
            if self.estimate:
                self.delivered_bytes[self.estimate] += delivered
                return True
            return False
        self.see_option(options)
        order, counters = options.accecn
        estimate = self.estimate
        result = bool(estimate)
        changed = ambiguous = False
        for mark, counter in zip(_ORDERS[order], counters, strict=False):
            delta = (counter - _FIRST_BYTES[mark] - self.delivered_bytes[mark]) & _LOW24
            if delta & _SIGN:
                delta -= 1 << 24
                ambiguous = True
            self.delivered_bytes[mark] += delta
            if delta and mark != estimate:
                if not changed:
                    self.estimate = mark
                    changed = True
                else:
                    ambiguous = True
        if ambiguous:
            self.estimate = 0
            return False
        return result

    def on_duplicate(self, seq: int, reported: tuple[int, int] | None) -> None:
        """Data came again although an ACK with the option acknowledged it: the path drops such ACKs."""
        if self.option_with_dsack and reported is not None and reported[0] == seq:
            self.fail |= OPTION_FAIL_SEND

    # Leaving.

    def flags(self) -> int:
        """ACE flags of the next segment."""
        if self.reflecting:
            return reflect(self.syn_mark)
        self.unreported = 0
        return flags_of((self.received_ce + _FIRST_ACE) & _MASK)

    @property
    def mark_out(self) -> int:
        """ECN bits of packets that leave: all are ECN-capable, even pure ACKs."""
        return NOT_ECT if self.fail & (ACE_FAIL_RECEIVE | ACE_FAIL_SEND) else ECT0

    def wants_option(self, c: Connection) -> bool:
        """Whether the next segment should carry the option."""
        settings = c.layer.settings
        mode = settings.tcp_ecn_option
        if not mode or not self.saw_option or not self.active:
            return False
        if mode < 3 and self.fail & OPTION_FAIL_SEND:
            return False
        return bool(mode >= 2 or self.demand or self._is_beacon_due(c, settings.tcp_ecn_option_beacon))

    def _is_beacon_due(self, c: Connection, times: int) -> bool:
        return bool(times) and (c.layer.us - self.option_at) * times >= c.rtt.srtt >> 3

    def fields_that_fit(self, room: int, has_sack: bool) -> tuple[int, int] | None:
        """(number of counters, bytes that they take beyond what SACK's padding gives) or None."""
        for fields in range(3, self.minimum - 1, -1):
            size = 2 + 3 * fields
            size = -(-size // 4) * 4 if size & 3 > (2 if has_sack else 0) else size // 4 * 4
            if size <= room:
                return fields, size
        return None

    def encode(self, fields: int) -> bytes:
        """The option with its first counters, in order 1; not padded."""
        return encode_option(self.received_bytes, fields)

    def sent_option(self, c: Connection, with_dsack: bool) -> None:
        """An option was sent."""
        self.minimum = 0
        self.option_at = c.layer.us
        self.option_with_dsack = with_dsack
        if self.demand:
            self.demand -= 1


def encode_option(counters: dict[int, int], fields: int) -> bytes:
    """Option in order 1: E1B, CEB, E0B."""
    parts = [((counters[mark] + _FIRST_BYTES[mark]) & _LOW24).to_bytes(3, "big") for mark in _ORDERS[1][:fields]]
    return bytes((wire.OptionKind.ACCECN1, 2 + 3 * fields)) + b"".join(parts)


INITIAL_OPTION: Final = encode_option({ECT1: 0, ECT0: 0, CE: 0}, 3) + b"\x01"
"""Option of a SYN-ACK."""
