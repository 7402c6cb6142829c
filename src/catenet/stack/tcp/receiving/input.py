"""Segments that arrive for a connection (RFC 9293 3.10.7.3, 3.10.7.4)."""

from __future__ import annotations

from typing import Final

from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import MASK, Connection, position
from catenet.stack.tcp.control.constants import MAX_QUICKACKS, TIME_WAIT_LENGTH
from catenet.stack.tcp.control.ecn import on_data as ecn_on_data
from catenet.stack.tcp.control.lifecycle import RCV_SHUTDOWN, SEND_SHUTDOWN, done, on_reset, wake
from catenet.stack.tcp.control.timeouts import fin_timeout, set_keepalive
from catenet.stack.tcp.opening.establish import on_established, synchronise
from catenet.stack.tcp.opening.fast_open import ServerHandshake
from catenet.stack.tcp.receiving.challenge import challenge
from catenet.stack.tcp.receiving.reassembly import Reassembly
from catenet.stack.tcp.receiving.receive_data import ack_if_due, enter_quick_mode, queue_data
from catenet.stack.tcp.receiving.refuse import Refuse
from catenet.stack.tcp.receiving.urgent import on_urgent
from catenet.stack.tcp.receiving.window import full_space
from catenet.stack.tcp.sending.acknowledge import acknowledge, check_space
from catenet.stack.tcp.sending.output import push_pending, send_ack
from catenet.wire.tcp import ACK, FIN, RST, SYN, URG, TcpSegment

__all__ = ["respond", "segment_arrives"]

_PAWS_DAYS: Final = 24 * 24 * 3600 * 1_000_000
"""A timestamp older than 24 days says nothing (RFC 7323 5.5)."""
_FIN_WAIT: Final = (states.FIN_WAIT_1, states.FIN_WAIT_2)


def segment_arrives(c: Connection, segment: TcpSegment, ecn: int) -> None:
    """Process one segment whose checksum was right.

    Args:
        c: its connection, in any state but LISTEN and CLOSED.
        segment: what arrived.
        ecn: the two ECN bits of the packet.

    Raises:
        Refuse: the caller is to answer with a reset (RFC 9293 3.5.2).
    """
    c.segments_in += 1
    if c.state == states.SYN_SENT:
        synchronise(c, segment, ecn)
        return
    flags = segment.flags
    seq = position(segment.seq, c.rcv_nxt)
    data = segment.payload
    end = seq + len(data) + (flags & FIN) + (1 if flags & SYN else 0)
    timestamps = segment.options.timestamps if c.timestamps else None
    if c.fast_open is not None and c.state == states.SYN_RECEIVED and _is_repeated_syn(c, flags, seq):
        return
    if not _is_acceptable(c, segment, seq, end, timestamps, ecn):
        return
    if not flags & ACK:
        return
    if c.accecn is not None and c.accecn.active:
        c.accecn.on_segment(c, ecn, len(data))
    ack = position(segment.ack, c.snd_una)
    if c.state == states.SYN_RECEIVED:
        if not c.snd_una <= ack <= c.snd_nxt:
            raise Refuse
        if not acknowledge(c, segment, seq, end, ack):
            raise Refuse
        on_established(c, segment)
    elif acknowledge(c, segment, seq, end, ack) is None:
        return
    if c.state >= states.FIN_WAIT_1 and c.state != states.CLOSE_WAIT and not _after_close(c, flags, seq, end):
        return
    if flags & URG:
        on_urgent(c, segment, seq)
    if end > seq and not flags & SYN:
        _take_text(c, segment, seq, end, ecn)
    if c.state == states.CLOSED:
        return
    respond(c)


def respond(c: Connection) -> None:
    """Send what a segment lets go: new data, or an ACK if one is due; wake a writer that has room again."""
    if c.write_seq > c.snd_nxt:
        push_pending(c)
    if c.no_space:
        check_space(c)
    if c.ack_pending:
        ack_if_due(c)


def _is_repeated_syn(c: Connection, flags: int, seq: int) -> bool:
    """Whether a segment is the repeated SYN of a Fast Open connection, whose answer is then repeated."""
    if not isinstance(c.fast_open, ServerHandshake) or flags & (SYN | RST | ACK) != SYN or seq != c.irs:
        return False
    now = c.layer.us
    if not c.last_oow_at or now - c.last_oow_at >= c.layer.settings.tcp_invalid_ratelimit * 1000:
        c.last_oow_at = now
        c.total_retransmits += 1
        c.fast_open.send_syn_ack(c)
    return True


def _take_text(c: Connection, segment: TcpSegment, seq: int, end: int, ecn: int) -> None:
    if c.ecn:
        ecn_on_data(c, segment.flags, ecn)
    state = c.state
    if state in (states.CLOSE_WAIT, states.CLOSING, states.LAST_ACK) and seq >= c.rcv_nxt:
        return
    if c.shutdown & RCV_SHUTDOWN and state in _FIN_WAIT and end - (segment.flags & FIN) > c.rcv_nxt:
        # RFC 1122 4.2.2.13: data for a program that has closed both directions cannot be delivered.
        on_reset(c)
        raise Refuse
    queue_data(c, segment, seq, end)


def _is_acceptable(
    c: Connection, segment: TcpSegment, seq: int, end: int, timestamps: tuple[int, int] | None, ecn: int
) -> bool:
    """First checks of 3.10.7.4 with PAWS (RFC 7323 5.3) and the mitigations of RFC 5961; answers where one is due."""
    flags = segment.flags
    if timestamps is not None and c.ts_recent and _is_old(c, timestamps[0]):
        if flags & SYN:
            _challenge_syn(c, segment, ecn)
            return False
        if not _is_disordered_ack(c, segment, seq, end, timestamps[0]) and not flags & RST:
            c.layer.counters.paws_rejected += 1
            if not is_rate_limited(c, segment):
                send_duplicate_ack(c, seq, end)
            return False
    window = c.receive_window
    if c.memory is not None:
        # As Linux: beyond the furthest edge ever offered a segment is taken by an empty queue only.
        window = max(window, c.memory.edge - c.rcv_nxt)
        if c.received and end - (flags & FIN) > c.rcv_nxt + window >= seq and not flags & (RST | SYN):
            send_duplicate_ack(c, seq, end)
            return False
    elif seq == end and not flags & (RST | SYN) and c.layer.settings.tcp_shrink_window:
        # A peer that filled a window that has shrunk since acknowledges from beyond its edge. Special allowance is made
        # for valid ACKs (RFC 9293 3.10.7.4), or two ends that both shrank would not hear each other say so.
        window = max(window, full_space(c))
    if end < c.rcv_wup or seq > c.rcv_nxt + window:
        if flags & RST:
            if seq == c.rcv_nxt - 1 and c.state in (states.CLOSE_WAIT, states.LAST_ACK, states.CLOSING):
                on_reset(c)
        elif flags & SYN:
            _challenge_syn(c, segment, ecn)
        elif not is_rate_limited(c, segment):
            send_duplicate_ack(c, seq, end)
        return False
    if flags & RST:
        _reset_arrives(c, seq)
        return False
    if flags & SYN:
        if c.state == states.SYN_RECEIVED and flags & ACK and seq + 1 == c.rcv_nxt and end == seq + 1:
            # The SYN-ACK of a simultaneous open, or of a connection to itself.
            return True
        _challenge_syn(c, segment, ecn)
        return False
    return True


def _challenge_syn(c: Connection, segment: TcpSegment, ecn: int) -> None:
    """Challenge a SYN; with AccECN the answer reports how it arrived, since it may belong to the handshake."""
    accecn = c.accecn
    if accecn is None or not accecn.active:
        challenge(c)
        return
    accecn.syn_mark = ecn
    if accecn.see_option(segment.options):
        accecn.demand = max(accecn.demand, 1)
    accecn.reflecting = True
    challenge(c)
    accecn.reflecting = False


def _is_old(c: Connection, value: int) -> bool:
    """PAWS: whether a timestamp is older than the last one in sequence."""
    behind = (c.ts_recent - value) & MASK
    return 1 < behind < 0x80000000 and c.layer.us - c.ts_recent_at < _PAWS_DAYS


def _is_disordered_ack(c: Connection, segment: TcpSegment, seq: int, end: int, value: int) -> bool:
    """Whether a segment is a pure duplicate ACK that was overtaken: harmless, though PAWS would reject it."""
    return (
        bool(segment.flags & ACK)
        and seq == end == c.rcv_nxt
        and position(segment.ack, c.snd_una) == c.snd_una
        and segment.window << c.snd_scale == c.snd_wnd
        and (c.ts_recent - value) & MASK <= c.rto // 1000
    )


def _reset_arrives(c: Connection, seq: int) -> None:
    """Accept a reset at exactly the expected number or the end of what was SACKed; else challenge (RFC 5961 3.2)."""
    if seq == c.rcv_nxt or (seq == c.rcv_nxt - 1 and c.state in (states.CLOSE_WAIT, states.LAST_ACK, states.CLOSING)):
        on_reset(c)
        return
    if c.reassembly is not None and c.reassembly.newest_end() == seq:
        on_reset(c)
        return
    if c.fast_open is not None and not c.data_segments_in and c.state == states.ESTABLISHED:
        c.fast_open.on_black_hole(c)  # a middlebox resets what it does not understand
    challenge(c)


def is_rate_limited(c: Connection, segment: TcpSegment) -> bool:
    """Whether an answer to a segment out of window must wait, so that two hosts do not answer each other endlessly."""
    if segment.payload and not segment.flags & SYN:
        return False
    now = c.layer.us
    if c.last_oow_at and now - c.last_oow_at < c.layer.settings.tcp_invalid_ratelimit * 1000:
        return True
    c.last_oow_at = now
    return False


def send_duplicate_ack(c: Connection, seq: int, end: int) -> None:
    """Answer an unacceptable segment with an ACK, and with a D-SACK if it held data that we have."""
    if end > seq and seq < c.rcv_nxt:
        enter_quick_mode(c, MAX_QUICKACKS)
        if c.accecn is not None and c.reassembly is not None:
            c.accecn.on_duplicate(seq, c.reassembly.reported)
        if c.sack_ok and c.layer.settings.tcp_dsack:
            if c.reassembly is None:
                c.reassembly = Reassembly()
            c.reassembly.note_duplicate(seq, min(end, c.rcv_nxt))
    send_ack(c)


def _after_close(c: Connection, flags: int, seq: int, end: int) -> bool:
    """Act on the acknowledgment of our FIN; whether to go on with the segment."""
    is_acked = c.fin_queued and c.snd_una >= c.write_seq
    if not is_acked:
        return True
    following = states.TRANSITIONS[c.state].get(states.ACK_OF_FIN)
    if following == states.FIN_WAIT_2:
        return _enter_fin_wait_2(c, flags, seq, end)
    if following == states.TIME_WAIT:
        c.layer.enter_time_wait(c, TIME_WAIT_LENGTH, following)
        return False
    if following == states.CLOSED:
        done(c)
        return False
    return True


def _enter_fin_wait_2(c: Connection, flags: int, seq: int, end: int) -> bool:
    c.state = states.after(c.state, states.ACK_OF_FIN)
    c.shutdown |= SEND_SHUTDOWN
    if c.endpoint is not None:
        wake(c)
        return True
    linger = fin_timeout(c)
    if linger < 0:
        done(c)
        return False
    if end > seq and end - (flags & FIN) > c.rcv_nxt:
        done(c)
        raise Refuse
    if flags & FIN or linger > TIME_WAIT_LENGTH:
        set_keepalive(c, linger - TIME_WAIT_LENGTH if linger > TIME_WAIT_LENGTH else linger)
        return True
    c.layer.enter_time_wait(c, linger, states.FIN_WAIT_2)
    return False
