"""Acknowledgments that arrive (RFC 9293 3.10.7.4, fifth): the queue, the round trip, the window, the recovery."""

from __future__ import annotations

from typing import Final

from catenet.control.delivery_rate import finish, on_delivered
from catenet.control.states import CA_CWR, CA_OPEN, CA_RECOVERY, EVER_RETRANSMITTED, SACKED
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import (
    LOST,
    MASK,
    NO_TIMER,
    PROBE_TIMER,
    RETRANSMITTED,
    Connection,
    Sent,
)
from catenet.stack.tcp.control.constants import SNDBUF_LOCK
from catenet.stack.tcp.control.ecn import on_ack as ecn_on_ack
from catenet.stack.tcp.control.lifecycle import wake
from catenet.stack.tcp.control.rto import sample_rtt, set_rto, update_min_rtt
from catenet.stack.tcp.control.timers import clear_timer, set_timer
from catenet.stack.tcp.receiving.challenge import challenge
from catenet.stack.tcp.recovery import ackstate, machine, prr, rack, scoreboard, undo
from catenet.stack.tcp.recovery.ackstate import AckState
from catenet.stack.tcp.sending import chrono
from catenet.stack.tcp.sending.output import (
    bound_to_half_window,
    rearm_rto,
    restart_after_idle,
    schedule_loss_probe,
)
from catenet.stack.tcp.sending.pacing import update_rate
from catenet.stack.tcp.sending.send_space import can_write
from catenet.stack.units import Micros
from catenet.wire.tcp import SYN, TcpSegment

__all__ = ["acknowledge", "check_space", "expand_send_buffer", "sync_mss", "take_timestamp", "update_window"]

_INT_MAX_MS: Final = 0x7FFFFFFF // 1000


def acknowledge(c: Connection, segment: TcpSegment, seq: int, end: int, ack: int) -> bool | None:
    """Process acknowledgment number `ack`, with the window and the options of its segment.

    Returns:
        True: processed; False: old, but the text of its segment counts; None: the segment is to be dropped.
    """
    prior_una = c.snd_una
    options = segment.options
    if ack < prior_una:
        return _old_ack(c, segment, seq, ack)
    if ack > c.snd_nxt:
        if c.state != states.SYN_RECEIVED:
            challenge(c)
        return None
    flags = _take_timestamp(c, segment, seq)
    if ack == prior_una and not c.packets_out and not (options.sack or c.ecn or c.accecn is not None):
        # A stream in one direction: nothing is acknowledged, so only the window may change.
        return _note_window(c, segment, seq, flags | (ackstate.DATA if end > seq else 0))
    if ack > prior_una:
        flags |= ackstate.UNA_ADVANCED
        c.retransmits = 0
    if end > seq:
        flags |= ackstate.DATA
    state = AckState(flags, c.snd_nxt, _echo_of(segment))
    prior_packets = c.packets_out
    prior_high = c.highest_sacked
    prior_sacked = c.sacked_out
    delivered, lost, reneging = c.delivered, c.lost, c.reneging
    state.rate.prior_in_flight = c.in_flight
    state.flags |= _update_window(c, segment, seq, ack)
    if options.sack and c.sack_ok:
        scoreboard.tag(c, options.sack, ack, prior_una, state)
        c.delivered += state.sack_delivered
    if c.ecn:
        ecn_on_ack(c, segment, state)
    c.soft_error = None
    c.probes_out = 0
    c.last_heard = c.layer.us
    if prior_packets:
        _clean_queue(c, prior_high, prior_una, prior_sacked, state)
        if c.tx_timestamps is not None:
            c.tx_timestamps.on_acknowledged(c)
        rack.update_window(c, state.rate.prior_delivered)
    if c.accecn is not None and c.accecn.active:
        c.accecn.on_ack(c, segment, state, c.delivered - delivered)
    if prior_packets:
        _conclude(c, ack, prior_una, state)
        newly = c.delivered - delivered
        if state.flags & ackstate.ECE and c.ecn:
            c.delivered_ce += newly
        finish(c, newly, c.lost - lost, state.rate, reneging)
        _control_window(c, newly, state)
        if state.rexmit:
            machine.follow_up(c, state.rexmit)
        return True
    if state.flags & ackstate.DSACKING:
        machine.after_ack(c, prior_una, 0, state)
    _open_probe(c)
    _process_loss_probe(c, ack, state.flags)
    return True


def _note_window(c: Connection, segment: TcpSegment, seq: int, flags: int) -> bool:
    """Process an ACK that acknowledges nothing while nothing is in flight."""
    flags |= _update_window(c, segment, seq, c.snd_una)
    c.soft_error = None
    c.probes_out = 0
    c.last_heard = c.layer.us
    _open_probe(c)
    _process_loss_probe(c, c.snd_una, flags)
    return True


def _echo_of(segment: TcpSegment) -> int:
    """TSecr of a segment, 0 without."""
    timestamps = segment.options.timestamps
    return timestamps[1] if timestamps is not None else 0


def _conclude(c: Connection, ack: int, prior_una: int, state: AckState) -> None:
    """Update recovery and timers after the queue was cleaned."""
    if c.tlp_high_seq is not None:
        _process_loss_probe(c, ack, state.flags)
    flags = state.flags
    if not flags & ackstate.NOT_DUPLICATE or flags & ackstate.ALERT or c.ca_state != CA_OPEN:
        duplicates = 0
        if not flags & (ackstate.UNA_ADVANCED | ackstate.NOT_DUPLICATE | ackstate.DSACKING):
            duplicates = 1
        machine.after_ack(c, prior_una, duplicates, state)
    if state.flags & ackstate.SET_TIMER and not schedule_loss_probe(c, True):
        rearm_rto(c)


def _take_timestamp(c: Connection, segment: TcpSegment, seq: int) -> int:
    timestamps = segment.options.timestamps
    return take_timestamp(c, timestamps[0], seq) if timestamps is not None and c.timestamps else 0


def take_timestamp(c: Connection, value: int, seq: int) -> int:
    """TS.Recent := TSval of a segment at the left edge (RFC 7323 4.3); whether it moved on, as a flag."""
    if seq > c.rcv_wup:
        return 0
    behind = (c.ts_recent - value) & MASK
    if behind and behind < 0x80000000 and c.ts_recent:
        return 0
    c.ts_recent = value
    c.ts_recent_at = c.layer.us
    return ackstate.TIME_PROGRESS if behind else 0


def _old_ack(c: Connection, segment: TcpSegment, seq: int, ack: int) -> bool | None:
    """Process an ACK that was overtaken: it may bring data, a timestamp and SACK blocks; one too old is an attack."""
    if ack < c.snd_una - min(c.max_window, c.bytes_acked):
        # RFC 5961 5.2: no acknowledgment is older than the largest window.
        challenge(c)
        return None
    _take_timestamp(c, segment, seq)
    if segment.options.sack and c.sack_ok:
        state = AckState(0, c.snd_nxt, _echo_of(segment))
        delivered = c.delivered
        state.rate.prior_in_flight = c.in_flight
        scoreboard.tag(c, segment.options.sack, ack, c.snd_una, state)
        machine.after_ack(c, c.snd_una, 0, state)
        if c.delivered > delivered:
            c.rate.delivered_at = c.layer.us
        machine.follow_up(c, state.rexmit)
    return False


def _update_window(c: Connection, segment: TcpSegment, seq: int, ack: int) -> int:
    window = segment.window
    return update_window(c, window if segment.flags & SYN else window << c.snd_scale, seq, ack)


def update_window(c: Connection, window: int, seq: int, ack: int) -> int:
    """Advance `snd_una` to `ack`, and adopt the window (bytes) that comes with newer data or a newer acknowledgment.

    RFC 9293 3.10.7.4. Returns whether it was a window update, as a flag.
    """
    flags = 0
    if ack > c.snd_una or seq > c.snd_wl1 or (seq == c.snd_wl1 and (window > c.snd_wnd or not window)):
        flags = ackstate.WINDOW_UPDATE
        c.snd_wl1 = seq
        if c.snd_wnd != window:
            c.snd_wnd = window
            if c.write_seq > c.snd_nxt and not c.packets_out:
                restart_after_idle(c)
            if window > c.max_window:
                c.max_window = window
                sync_mss(c)
    if ack > c.snd_una:
        c.bytes_acked += ack - c.snd_una
        c.snd_una = ack
    return flags


def sync_mss(c: Connection) -> None:
    """Recompute the payload of a full segment from path, peer and window (RFC 9293 3.7.1)."""
    header = 20 if len(c.source) == 4 else 40
    mss = min(c.path_mtu - header - 20, c.mss_clamp)
    mss = max(mss - (c.base_mss_header - 20), c.layer.settings.tcp_min_snd_mss - 20 if mss < 48 else 28)
    mss = bound_to_half_window(c, mss)
    if c.mtu_probing is not None:
        mss = min(mss, c.mtu_probing.limit(c))
    c.mss = mss


def _open_probe(c: Connection) -> None:
    """Stop the window probe if the window has opened, else set it; for an ACK while nothing is in flight."""
    if c.write_seq <= c.snd_nxt:
        return
    if c.snd_nxt + min(c.unsent, c.mss) <= c.wnd_end:
        c.backoff = 0
        if c.timer == PROBE_TIMER:
            clear_timer(c)
    elif c.timer in (NO_TIMER, PROBE_TIMER):
        base = max(c.rto, c.layer.settings.tcp_rto_min_us)
        set_timer(c, PROBE_TIMER, min(base << min(c.backoff, 16), c.layer.rto_max))


def _process_loss_probe(c: Connection, ack: int, flags: int) -> None:
    """Judge an outstanding loss probe by an ACK (RFC 8985 7.4)."""
    high = c.tlp_high_seq
    if high is None or ack < high:
        return
    if not c.tlp_retransmission or flags & ackstate.DSACK_TLP:
        c.tlp_high_seq = None
    elif ack > high:
        # The retransmission repaired a loss that the peer could not report: reduce the window once.
        prr.begin(c)
        prr.set_state(c, CA_CWR)
        prr.end(c)
        undo.keep_open(c)
    elif not flags & (ackstate.UNA_ADVANCED | ackstate.NOT_DUPLICATE | ackstate.DATA_SACKED):
        c.tlp_high_seq = None


class _Cleaned:
    """Result of the walk along the retransmission queue."""

    __slots__ = ("first_at", "fully", "last_at", "packets")

    def __init__(self) -> None:
        self.first_at = self.last_at = self.packets = 0
        self.fully = True


def _clean_queue(c: Connection, prior_high: int, prior_una: int, prior_sacked: int, state: AckState) -> None:
    """Take what is acknowledged off the retransmission queue, and measure by it."""
    found = _Cleaned()
    una = c.snd_una
    queue = c.sent
    taken = 0
    for sent in queue:
        count = sent.count
        if sent.end > una:
            if count == 1 or una <= sent.seq:
                break
            count = _acked_part(c, sent)
            if not count:
                break
            found.fully = False
        _credit(c, sent, count, found, state)
        if not found.fully:
            break
        c.buffered -= sent.size
        taken += 1
    if taken:
        del queue[:taken]
        if not queue:
            chrono.stop(c, chrono.BUSY)
    if prior_una <= c.snd_up <= una:
        c.snd_up = una
        c.urgent_mode = False
    head = queue[0] if queue else None
    if head is not None and head.marks & SACKED:
        state.flags |= ackstate.RENEGING
    _measure(c, found, prior_una, prior_sacked, prior_high, head, state)


def _acked_part(c: Connection, sent: Sent) -> int:
    """Number of acknowledged segments of an entry of several, which are cut off it."""
    cut = (c.snd_una - sent.seq) // c.mss * c.mss
    count = cut // c.mss
    if count >= sent.count:
        count = sent.count - 1
        cut = count * c.mss
    if not count:
        return 0
    c.buffered -= cut
    sent.data = sent.data[cut:]
    sent.seq += cut
    sent.count -= count
    return count


def _credit(c: Connection, sent: Sent, count: int, found: _Cleaned, state: AckState) -> None:
    """Account for `count` segments of one entry that left the network."""
    marks = sent.marks
    if marks & (RETRANSMITTED | EVER_RETRANSMITTED):
        if marks & RETRANSMITTED:
            c.retransmitted_out -= count
        state.flags |= ackstate.RETRANS_DATA_ACKED
    elif not marks & SACKED:
        found.last_at = sent.sent_at
        if not found.first_at:
            found.first_at = sent.sent_at
        if sent.seq < state.reordered:
            state.reordered = sent.seq
        if sent.end <= c.recovery.high_seq:
            state.flags |= ackstate.ORIG_SACK_ACKED
    if marks & SACKED:
        c.sacked_out -= count
    else:
        state.delivered_bytes += sent.size if found.fully else count * c.mss
        if c.sack_ok:
            c.delivered += count
            rack.advance(c, marks, sent.end, sent.sent_at)
    if marks & LOST:
        c.lost_out -= count
    c.packets_out -= count
    found.packets += count
    on_delivered(c, sent, state.rate)
    if sent.flags & SYN:
        state.flags |= ackstate.SYN_ACKED
        c.recovery.retransmit_stamp = 0
    else:
        state.flags |= ackstate.DATA_ACKED


def _measure(
    c: Connection,
    found: _Cleaned,
    prior_una: int,
    prior_sacked: int,
    prior_high: int,
    head: Sent | None,
    state: AckState,
) -> None:
    """Measure round trip time and reordering after the queue was cleaned."""
    now = c.layer.us
    flags = state.flags
    rtt = ca_rtt = sack_rtt = -1
    if found.first_at and not flags & ackstate.RETRANS_DATA_ACKED:
        rtt = now - found.first_at
        ca_rtt = now - found.last_at
        if found.packets == 1 and found.fully and not prior_sacked and c.snd_una - prior_una < c.mss:
            state.flags |= ackstate.MAYBE_DELAYED
    if state.first_sacked_at:
        sack_rtt = now - state.first_sacked_at
        ca_rtt = now - state.last_sacked_at
    updated, ca_rtt = _update_rtt(c, rtt, sack_rtt, ca_rtt, state)
    if flags & ackstate.ACKED:
        state.flags |= ackstate.SET_TIMER
        probing = c.mtu_probing
        if probing is not None and probing.probe_size and probing.probe_end <= c.snd_una:
            probing.succeeded(c)
        if not c.sack_ok:
            machine.remove_reno_sacks(c, found.packets, bool(flags & ackstate.ECE))
            if flags & ackstate.RETRANS_DATA_ACKED:
                state.flags &= ~ackstate.ORIG_SACK_ACKED
        elif state.reordered < prior_high:
            scoreboard.check_reordering(c, state.reordered)
    elif head is not None and updated and sack_rtt >= 0 and sack_rtt > now - head.sent_at:
        # Something sent after the head was last sent has arrived: the timer would only delay things.
        state.flags |= ackstate.SET_TIMER
    if ca_rtt >= 0:
        c.congestion.on_rtt(c, ca_rtt)


def _update_rtt(c: Connection, rtt: Micros, sack_rtt: Micros, ca_rtt: Micros, state: AckState) -> tuple[bool, int]:
    """Feed the estimator (Karn's rule, or timestamps, RFC 7323 4)."""
    if rtt < 0:
        rtt = sack_rtt
    if rtt < 0 and state.flags & ackstate.ACKED:
        rtt = ca_rtt = _echo_rtt(c, state.echo)
    state.rate.rtt = ca_rtt
    if rtt < 0:
        return False, ca_rtt
    if state.flags & ackstate.DSACKING and c.rtt.srtt and rtt > (c.rtt.srtt >> 3) + c.rtt.rttvar:
        # The D-SACK shows that this ACK answers a needless retransmission: the first one was lost, and its time would
        # drive the timeout to its limit on a path that loses many ACKs. The backoff ends all the same.
        set_rto(c)
        c.backoff = 0
        return True, -1
    if not (state.flags & ackstate.MAYBE_DELAYED and c.rtt.min_track is not None and ca_rtt > c.rtt.min_track[0][1]):
        update_min_rtt(c, ca_rtt, c.layer.us)
    sample_rtt(c, rtt)
    c.backoff = 0
    return True, ca_rtt


def _echo_rtt(c: Connection, echo: int) -> int:
    """Round trip time by the timestamp that the segment echoes, -1 without."""
    if c.timestamps and echo:
        delta = (c.layer.us // 1000 + c.ts_offset - echo) & MASK
        if delta < _INT_MAX_MS:
            return (delta or 1) * 1000
    return -1


def _control_window(c: Connection, delivered: int, state: AckState) -> None:
    congestion = c.congestion
    flags = state.flags
    if congestion.controls:
        congestion.control(c, delivered, flags, state.rate)
        return
    if c.ca_state in (CA_CWR, CA_RECOVERY):
        prr.reduce(c, delivered, state.rate.losses, flags)
    else:
        wanted = ackstate.DATA_ACKED
        if c.reordering > c.layer.settings.tcp_reordering:
            wanted = ackstate.FORWARD
        if flags & wanted:
            congestion.on_ack(c, delivered)
            c.cwnd_stamp = c.layer.us
    update_rate(c)


def check_space(c: Connection) -> None:
    """Wake a writer that found no room, if there is room now."""
    expand_send_buffer(c)
    if c.endpoint is not None and can_write(c, 1):
        c.no_space = False
        if c.chrono.kind == chrono.BUFFER:
            chrono.stop(c, chrono.BUFFER)
        wake(c)


def expand_send_buffer(c: Connection) -> None:
    """Let the send buffer hold two windows (Linux's automatic sizing), unless SO_SNDBUF fixed it."""
    if c.locks & SNDBUF_LOCK:
        return
    taken = max(c.peer_mss, c.mss) + 640
    per_segment = 1024
    while per_segment < taken:
        per_segment <<= 1
    segments = max(max(c.layer.initial_cwnd, c.cwnd), c.reordering + 1)
    size = 2 * segments * (per_segment + 256)
    if c.send_buffer < size:
        c.send_buffer = min(size, c.layer.buffer_limit(c, c.layer.settings.tcp_wmem[2]))
