"""Data that arrives (RFC 9293 3.10.7.4, seventh and eighth), and when it is acknowledged (3.8.6.3).

Acknowledgments follow Linux. A connection begins in *quick* mode and acknowledges everything at once, so that the
peer's slow start gets going; later an ACK waits for a second full segment, for data to ride on, or for a timer whose
length follows the intervals of arrival between 40 and 200 ms. Sending data soon after receiving some (*pingpong*)
makes delaying the rule.
"""

from __future__ import annotations

from typing import Final

from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import (
    ACK_NOW,
    ACK_PUSHED,
    ACK_PUSHED2,
    ACK_SCHEDULED,
    ACK_TIMER,
    NEVER,
    Connection,
)
from catenet.stack.tcp.control.constants import ATO_MIN, DELACK_MAX, DELACK_MIN, MAX_QUICKACKS, TIME_WAIT_LENGTH
from catenet.stack.tcp.control.lifecycle import RCV_SHUTDOWN, wake
from catenet.stack.tcp.control.timers import set_deadline
from catenet.stack.tcp.receiving.reassembly import Reassembly
from catenet.stack.tcp.receiving.window import (
    adjust_buffer,
    full_space,
    grow_buffer,
    grow_window,
    measure_rtt_by_timestamp,
    measure_rtt_by_window,
    new_window,
)
from catenet.stack.tcp.sending.output import send_ack
from catenet.wire.tcp import FIN, PSH, TcpSegment

__all__ = [
    "ack_after_read",
    "ack_if_due",
    "enter_quick_mode",
    "queue_data",
    "take_in_order",
]

_HALF_SECOND: Final = 500_000
_SMALL_WORTH_COUNTING: Final = 128
_DUPLICATE_THRESHOLD: Final = 3
_MAX_RANGES: Final = 4096


def queue_data(c: Connection, segment: TcpSegment, seq: int, end: int) -> None:
    """Queue the text of a segment, positions [seq, end), of which the last may be a FIN."""
    data, fin = segment.payload, segment.flags & FIN != 0
    if c.reassembly is not None:
        c.reassembly.dsack = None
    if seq == c.rcv_nxt:
        if not c.receive_window and end > seq and not (fin and not data):
            _out_of_window(c)
            return
        if c.memory is not None and c.received and data and c.memory.is_full(c.copied, c.receive_buffer):
            c.memory.starved = True
            _out_of_window(c)
            return
        _in_order(c, segment, data, fin)
        return
    if end <= c.rcv_nxt:
        if c.accecn is not None and c.reassembly is not None:
            c.accecn.on_duplicate(seq, c.reassembly.reported)
        _note_duplicate(c, seq, end)
        _out_of_window(c)
        return
    window = c.receive_window
    if seq >= c.rcv_nxt + window:
        _out_of_window(c)
        return
    if seq < c.rcv_nxt:
        _note_duplicate(c, seq, c.rcv_nxt)
        if not window:
            _out_of_window(c)
            return
        _in_order(c, segment, data[c.rcv_nxt - seq :], fin)
        return
    _out_of_order(c, segment, seq, end)


def _out_of_window(c: Connection) -> None:
    enter_quick_mode(c, MAX_QUICKACKS)
    c.ack_pending |= ACK_SCHEDULED | (ACK_NOW if c.state != states.SYN_SENT else 0)


def _note_duplicate(c: Connection, seq: int, end: int) -> None:
    if not c.sack_ok or not c.layer.settings.tcp_dsack:
        return
    if c.reassembly is None:
        c.reassembly = Reassembly()
    c.reassembly.note_duplicate(seq, end)


def take_in_order(c: Connection, data: bytes | memoryview, echo: int, pushed: bool) -> None:
    """Append the next data for the program, and learn from its arrival.

    Args:
        c: the connection.
        data: what follows `rcv_nxt`.
        echo: TSecr of the segment, 0 without.
        pushed: whether the segment carries PSH.
    """
    length = len(data)
    c.received.append(data)
    c.rcv_nxt += length
    if c.memory is not None:
        c.memory.charge(c.rcv_nxt, length, c.base_mss_header + (20 if len(c.source) == 4 else 40))
    c.bytes_received += length
    c.data_segments_in += -(-length // max(c.rx_max_mss, 1)) if length > c.rx_max_mss else 1
    _note_arrival(c, length, echo, pushed)


def _in_order(c: Connection, segment: TcpSegment, data: bytes | memoryview, fin: bool) -> None:
    length = len(data)
    if length:
        timestamps = segment.options.timestamps
        take_in_order(c, data, 0 if timestamps is None else timestamps[1], segment.flags & PSH != 0)
    if fin:
        if not length and not c.receive_window:
            # A FIN at a closed window is accepted and acknowledged at once, or the peer would probe without end.
            c.ack_pending |= ACK_NOW
        c.rcv_nxt += 1
        _fin(c)
    held = c.reassembly
    if held is not None and held.ranges and not fin:
        _take_held(c, held)
    if length:
        wake(c)


def _take_held(c: Connection, held: Reassembly) -> None:
    if held.ranges[0].seq > c.rcv_nxt:
        return
    parts, at = held.take(c.rcv_nxt, bool(c.sack_ok and c.layer.settings.tcp_dsack))
    for part in parts:
        if part:
            c.received.append(part)
            c.bytes_received += len(part)
    fin = held.fin == at
    c.rcv_nxt = at
    if not held.ranges:
        # The gap is filled: the peer's recovery waits for this ACK (RFC 5681 4.2).
        c.ack_pending |= ACK_NOW
    if held.idle:
        c.reassembly = None
    if fin:
        _fin(c)


def _fin(c: Connection) -> None:
    """Process the peer's end of stream (RFC 9293 3.10.7.4, eighth)."""
    c.ack_pending |= ACK_SCHEDULED
    c.shutdown |= RCV_SHUTDOWN
    c.fin_received = True
    state = c.state
    following = states.TRANSITIONS[state].get(states.FIN_ARRIVES)
    if following == states.CLOSE_WAIT:
        c.state = following
        if c.delayed_ack.pingpong < c.layer.settings.tcp_pingpong_thresh:
            c.delayed_ack.pingpong = c.layer.settings.tcp_pingpong_thresh
    elif following == states.CLOSING:
        send_ack(c)
        c.state = following
    elif following == states.TIME_WAIT:
        send_ack(c)
        c.layer.enter_time_wait(c, TIME_WAIT_LENGTH, following)
    c.reassembly = None
    wake(c)


def _out_of_order(c: Connection, segment: TcpSegment, seq: int, end: int) -> None:
    data = segment.payload
    c.ack_pending |= ACK_SCHEDULED
    c.rcv_ooo_packets += 1
    held = c.reassembly
    if held is None:
        held = c.reassembly = Reassembly()
    if held.size + len(data) > c.receive_buffer or len(held.ranges) >= _MAX_RANGES:
        held.prune(c.receive_buffer >> 1)
        if held.size + len(data) > c.receive_buffer or len(held.ranges) >= _MAX_RANGES:
            return
    if segment.flags & FIN:
        held.fin = end
    duplicate = held.insert(seq, end, bytes(data))
    if c.memory is not None:
        c.memory.charge(end, len(data), c.base_mss_header + (20 if len(c.source) == 4 else 40))
        _measure_segment_size(c, len(data), segment.flags & PSH != 0)
    if duplicate is not None and c.sack_ok and c.layer.settings.tcp_dsack:
        held.note_duplicate(*duplicate)
    if c.sack_ok:
        grow_window(c, len(data))
    if c.endpoint is not None:
        grow_buffer(c, c.tuning.space)


def _note_arrival(c: Connection, length: int, echo: int, pushed: bool) -> None:
    """Learn from a data segment: its size, the interval since the last, the round trip."""
    c.ack_pending |= ACK_SCHEDULED
    _measure_segment_size(c, length, pushed)
    now = c.layer.us
    measure_rtt_by_window(c, now)
    if echo and c.timestamps:
        measure_rtt_by_timestamp(c, echo, length, now)
    ack = c.delayed_ack
    if not ack.ato:
        _increase_quick(c, MAX_QUICKACKS)
        ack.ato = ATO_MIN
    else:
        interval = now - c.last_data_in
        if interval <= ATO_MIN // 2:
            ack.ato = (ack.ato >> 1) + ATO_MIN // 2
        elif interval < ack.ato:
            ack.ato = (ack.ato >> 1) + interval
            if ack.ato > c.rto:
                ack.ato = c.rto
        elif interval > c.rto:
            # So long a gap that the peer has probably restarted from a small window.
            _increase_quick(c, MAX_QUICKACKS)
    c.last_data_in = now
    if length >= _SMALL_WORTH_COUNTING:
        grow_window(c, length)


def _measure_segment_size(c: Connection, length: int, pushed: bool) -> None:
    last = c.delayed_ack.last_segment_size
    c.delayed_ack.last_segment_size = 0
    merged = c.layer.merged_size
    whole = length
    if merged and length > merged:
        length = merged
    if length >= c.rx_max_mss:
        if c.memory is not None and length != c.rx_max_mss and c.memory.learn(whole):
            c.window_clamp = full_space(c)
            c.tuning.space = min(c.tuning.space, c.window_clamp)
        c.rx_max_mss = min(length, c.advertised_mss or length)
        if pushed:
            c.ack_pending |= ACK_PUSHED
        return
    size = length + 20
    if size >= 536 + 20 or (size >= 88 + 20 and not pushed):
        c.delayed_ack.last_segment_size = length
        if length == last:
            c.rx_max_mss = length
            return
    if c.ack_pending & ACK_PUSHED:
        c.ack_pending |= ACK_PUSHED2
    c.ack_pending |= ACK_PUSHED


def _increase_quick(c: Connection, most: int) -> None:
    """Acknowledge the next segments at once: as many as fill half of the window."""
    quick = min(c.rcv_wnd // (2 * c.rx_max_mss) or 2, most)
    if quick > c.delayed_ack.quick:
        c.delayed_ack.quick = quick


def enter_quick_mode(c: Connection, most: int) -> None:
    """Acknowledge the next segments at once, since something unusual arrived and the peer needs quick ACKs."""
    _increase_quick(c, most)
    c.delayed_ack.pingpong = 0
    c.delayed_ack.ato = ATO_MIN


def _is_quick(c: Connection) -> bool:
    return c.delayed_ack.quick > 0 and c.delayed_ack.pingpong < c.layer.settings.tcp_pingpong_thresh


def ack_if_due(c: Connection) -> None:
    """Acknowledge what was scheduled: now or later."""
    if not c.ack_pending & ACK_SCHEDULED:
        return
    if c.rcv_nxt - c.rcv_wup > c.rx_max_mss and (
        c.rcv_nxt - c.copied < max(c.option("SO_RCVLOWAT", 1), 1) or new_window(c) >= c.rcv_wnd
    ):
        send_ack(c)
        return
    if c.ack_pending & ACK_NOW or _is_quick(c):
        send_ack(c)
        return
    held = c.reassembly
    if held is None or not held.ranges:
        _send_delayed_ack(c)
        return
    if not c.sack_ok or not c.layer.settings.tcp_comp_sack_nr:
        send_ack(c)
        return
    _compress_ack(c)


def _compress_ack(c: Connection) -> None:
    """Send the first duplicate ACKs at once and later ones together, as the SACK blocks of one report all."""
    ack = c.delayed_ack
    if ack.compressed_seq != c.rcv_nxt:
        ack.compressed_seq = c.rcv_nxt
        if ack.compressed > 1:
            ack.compressed = 0
        ack.duplicates_now = 0
    if ack.duplicates_now < _DUPLICATE_THRESHOLD:
        ack.duplicates_now += 1
        send_ack(c)
        return
    settings = c.layer.settings
    ack.compressed += 1
    if ack.compressed >= settings.tcp_comp_sack_nr:
        send_ack(c)
        return
    if c.compressed_at != NEVER:
        return
    rtt = c.tuning.rtt >> 3
    if c.rtt.srtt and (not rtt or c.rtt.srtt >> 3 < rtt):
        rtt = c.rtt.srtt >> 3
    delay = min(settings.tcp_comp_sack_delay_ns // 1000, rtt * settings.tcp_comp_sack_rtt_percent // 100)
    if delay <= 0:
        send_ack(c)
        return
    c.compressed_at = c.layer.us + delay
    set_deadline(c, c.compressed_at)


def _send_delayed_ack(c: Connection) -> None:
    """Start, or shorten, the delayed ACK timer."""
    ato = c.delayed_ack.ato
    if ato > ATO_MIN:
        most = _HALF_SECOND
        if c.delayed_ack.pingpong >= c.layer.settings.tcp_pingpong_thresh or c.ack_pending & ACK_PUSHED:
            most = DELACK_MAX
        if c.rtt.srtt:
            most = min(most, max(c.rtt.srtt >> 3, DELACK_MIN))
        ato = min(ato, most)
    ato = min(ato, DELACK_MAX)
    now = c.layer.us
    at = now + ato
    if c.ack_pending & ACK_TIMER and c.delack_at != NEVER:
        if c.delack_at <= now + (ato >> 2):
            send_ack(c)
            return
        at = min(at, c.delack_at)
    c.ack_pending |= ACK_SCHEDULED | ACK_TIMER
    c.delack_at = at
    set_deadline(c, at)


def ack_after_read(c: Connection, copied: int) -> None:
    """Acknowledge, or announce an opened window, after the program has read (RFC 9293 3.8.6.2.2)."""
    if c.state in (states.CLOSED, states.LISTEN, states.SYN_SENT):
        return
    now = False
    if c.ack_pending & ACK_SCHEDULED:
        pushed = c.ack_pending & ACK_PUSHED2 or (
            c.ack_pending & ACK_PUSHED and c.delayed_ack.pingpong < c.layer.settings.tcp_pingpong_thresh
        )
        now = c.rcv_nxt - c.rcv_wup > c.rx_max_mss or (copied > 0 and bool(pushed) and c.rcv_nxt <= c.copied)
    if copied > 0 and not now and not c.shutdown & RCV_SHUTDOWN:
        current = c.receive_window
        if 2 * current <= c.window_clamp:
            window = new_window(c)
            now = window > 0 and window >= 2 * current
    if now:
        send_ack(c)
    adjust_buffer(c, c.layer.us)
