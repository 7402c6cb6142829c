"""Sending: when data may leave (RFC 9293 3.8.6.2.1), and how a segment is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.control.delivery_rate import on_sent
from catenet.control.states import CA_CWR, CA_OPEN, CA_RECOVERY
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import (
    ACK_SCHEDULED,
    ECN_DEMAND_CWR,
    ECN_OK,
    ECN_QUEUE_CWR,
    LOSS_PROBE_TIMER,
    MASK,
    NAGLE_CORK,
    NAGLE_OFF,
    NAGLE_PUSH,
    NEVER,
    NO_TIMER,
    PROBE_TIMER,
    REORDER_TIMER,
    RTO_TIMER,
    Connection,
    Sent,
)
from catenet.stack.tcp.control.constants import ATO_MIN, MILLISECOND, TIMEOUT_INIT, TIMEOUT_MIN
from catenet.stack.tcp.control.timers import clear_timer, set_deadline, set_timer
from catenet.stack.tcp.fastpath.bulk_send import header_for_run, send_run
from catenet.stack.tcp.opening.options import established_options, mss_with_options
from catenet.stack.tcp.receiving.window import select_window
from catenet.stack.tcp.sending import chrono
from catenet.stack.tcp.sending.data_sent import note_data_sent
from catenet.stack.tcp.sending.header import header_of
from catenet.stack.tcp.sending.pacing import depart
from catenet.stack.tcp.sending.pending import gather_pending, is_pushed_at, take_pending
from catenet.wire.ecn import ECT0, NOT_ECT
from catenet.wire.gather import Gather
from catenet.wire.gso import GsoPacket
from catenet.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, pack

if TYPE_CHECKING:
    from catenet.stack.endpoint import Buffer
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.sending.header import Header

__all__ = [
    "RECORD_END",
    "bound_to_half_window",
    "burst_limit",
    "current_mss",
    "current_ssthresh",
    "pace",
    "push",
    "push_pending",
    "rearm_rto",
    "restart_after_idle",
    "schedule_loss_probe",
    "send_ack",
    "send_new_entry",
    "send_probe",
    "send_raw",
    "send_reset",
    "send_sent",
    "size_goal",
    "wake_up",
    "write",
]

_LARGEST_BURST: Final = 65_536 - 321
"""Linux's gso_max_size less room for headers: the largest run of bytes handed down at once."""
_NOTHING: Final = 0
_WINDOW: Final = 1
_CWND: Final = 2
_MORE_DATA: Final = 3
"""What holds data up."""
RECORD_END: Final = 1 << 16
"""In `Sent.flags`, beside the flags of the segment: a record ends here, so nothing is joined to it."""


def emit(c: Connection, seq: int, flags: int, data: Buffer | Gather, ecn: int = NOT_ECT, count: int = 1) -> None:
    """Send one segment that carries an ACK, with the options of an established connection."""
    layer = c.layer
    if c.reassembly is None and not c.urgent_mode and c.accecn is None and not c.ecn and layer.offload:
        header = header_of(c)
        if header is not None and header.can_send and c.timestamps:
            if count > 1 and c.mss <= header.max_payload:
                _emit_gso(c, header, seq, flags, data, count)
                return
            if count == 1 and len(data) <= header.max_payload and not isinstance(data, Gather):
                packet = header.pack(c, seq, flags, select_window(c), data)
                _note_emitted(c, 1)
                layer.counters.out_segments += 1
                layer.output.send_ready(packet, header.hop, header.counters)
                return
    options = established_options(c)
    urgent = 0
    if c.urgent_mode and c.snd_up > seq:
        ahead = c.snd_up - seq
        if ahead <= 0xFFFF:
            urgent = ahead
            flags |= URG
        elif seq + 0xFFFF > c.snd_nxt:
            urgent = 0xFFFF
            flags |= URG
    window = select_window(c)
    if c.accecn is not None and c.accecn.active:
        flags |= c.accecn.flags()
        ecn = c.accecn.mark_out
    elif c.ecn & ECN_OK and c.ecn & ECN_DEMAND_CWR and not flags & RST:
        flags |= ECE
    payload = pack(
        c.pseudo,
        c.source_port,
        c.destination_port,
        seq & MASK,
        c.rcv_nxt & MASK,
        flags,
        window,
        urgent,
        options,
        data if isinstance(data, bytes) else bytes(data),
        not layer.offload,
    )
    _note_emitted(c, count)
    layer.send_segment(c, payload, ecn, count, mss_with_options(c) if count > 1 else 0)


def _emit_gso(c: Connection, header: Header, seq: int, flags: int, data: Buffer | Gather, count: int) -> None:
    """Send one segment that the device cuts into `count`."""
    headers = header.pack(c, seq, flags, select_window(c), b"", len(data))
    _note_emitted(c, count)
    layer = c.layer
    layer.counters.out_segments += count
    layer.output.send_gso(GsoPacket(headers, data, c.mss), header.hop, header.counters)


def _note_emitted(c: Connection, count: int) -> None:
    """Note that a segment with an ACK leaves: no ACK is due any more."""
    c.segments_out += count
    if c.delayed_ack.compressed:
        c.delayed_ack.compressed = 0
        c.compressed_at = NEVER
    if not (c.ack_pending or c.delayed_ack.quick or c.delack_at != NEVER):
        return
    if c.delayed_ack.quick and c.ack_pending & ACK_SCHEDULED:
        c.delayed_ack.quick -= 1
        if not c.delayed_ack.quick:
            c.delayed_ack.ato = ATO_MIN
    c.ack_pending = 0
    c.delack_at = NEVER


def send_ack(c: Connection) -> None:
    """Send an acknowledgment now."""
    if c.state != states.CLOSED:
        c.last_ack_sent_at = c.layer.us
        emit(c, c.snd_nxt if c.snd_nxt <= c.wnd_end or not c.snd_wnd else c.wnd_end, ACK, b"")


def send_reset(c: Connection) -> None:
    """Reset the connection from our side (RFC 9293 3.5.2)."""
    seq = c.snd_nxt if c.snd_nxt <= c.wnd_end else c.wnd_end
    emit(c, seq, RST | ACK, b"")


def send_sent(c: Connection, sent: Sent, new: bool, pushed: bool = False) -> None:
    """Put one entry on the wire, for the first time or again."""
    layer = c.layer
    now = layer.us
    sent.sent_at = now
    c.departed_at = now
    flags = sent.flags & 0xFFFF
    if pushed:
        flags |= PSH
    if flags & SYN:
        layer.send_syn(c, sent, not new)
        return
    length = sent.size
    ecn = NOT_ECT
    if c.ecn & ECN_OK and length and new:
        ecn = ECT0
        if c.ecn & ECN_QUEUE_CWR:
            c.ecn &= ~ECN_QUEUE_CWR
            flags |= CWR
    if length:
        note_data_sent(c, length, sent.count, 1)
    held = sent.held
    emit(c, sent.seq, flags, held if isinstance(held, Gather) else sent.data, ecn, sent.count)


def current_mss(c: Connection) -> int:
    """Payload of a full segment now."""
    mss = mss_with_options(c)
    return mss if mss > 0 else 1


def bound_to_half_window(c: Connection, size: int) -> int:
    """`size`, but at most half of the largest window the peer ever offered (RFC 9293 3.8.6.2.1)."""
    cutoff = c.max_window >> 1 if c.max_window > 536 else c.max_window
    if cutoff and size > cutoff:
        return max(cutoff, 68 - c.base_mss_header)
    return size


def size_goal(c: Connection, mss: int) -> int:
    """Bytes that one burst may gather, a multiple of the MSS."""
    goal = bound_to_half_window(c, _LARGEST_BURST)
    return max(goal - goal % mss, mss)


def burst_limit(c: Connection, mss: int) -> int:
    """Segments in one burst: about a millisecond at the pacing rate, more on short paths."""
    settings = c.layer.settings
    size = c.pacing_rate >> 10
    shift = c.rtt.minimum() >> settings.tcp_tso_rtt_log
    if shift < 32:
        size += _LARGEST_BURST >> shift
    least = c.congestion.minimum_bursts(c)
    most = min(size, _LARGEST_BURST) // mss
    if most < least:
        most = least
    return most if most > 1 else 1


def push(c: Connection, nagle: int) -> None:
    """Send what may be sent; with data waiting and nothing in flight, start probing the window (RFC 9293 3.8.6.1)."""
    if c.write_seq > c.snd_nxt and c.state != states.CLOSED:
        if not c.chrono.kind:
            chrono.start(c, chrono.BUSY)
        stuck = write(c, current_mss(c), nagle, 0)
        if stuck and not c.packets_out and c.timer == NO_TIMER:
            set_timer(c, PROBE_TIMER, max(c.rto, c.layer.settings.tcp_rto_min_us))


def push_pending(c: Connection) -> None:
    """`push` with the connection's own Nagle setting."""
    if c.write_seq > c.snd_nxt:
        push(c, c.nagle)


def write(c: Connection, mss: int, nagle: int, push_one: int) -> bool:
    """Send new data as far as windows, Nagle and deferral let it.

    Args:
        c: the connection.
        mss: payload of a full segment.
        nagle: NAGLE bits to go by.
        push_one: 0: all that may go; 1: one burst; 2: one segment even beyond the congestion window (RFC 8985 7.3).

    Returns:
        Whether data waits and nothing is in flight.
    """
    sent_packets = 0
    if not push_one and c.mtu_probing is not None:
        probed = c.mtu_probing.try_probe(c, mss)
        if probed is None:
            return False
        sent_packets += probed
    limit = burst_limit(c, mss)
    verdict = _NOTHING
    while c.write_seq > c.snd_nxt:
        length, verdict = _next_burst(c, mss, nagle, push_one, limit)
        if not length:
            break
        sent_packets += _send_new(c, length, mss)
        if push_one:
            break
    if verdict == _WINDOW:
        chrono.start(c, chrono.WINDOW)
    elif c.chrono.kind == chrono.WINDOW:
        chrono.stop(c, chrono.WINDOW)
    cwnd_limited = verdict == _CWND or c.in_flight >= c.cwnd
    if sent_packets or cwnd_limited:
        validate_cwnd(c, cwnd_limited)
    if sent_packets:
        if c.ca_state in (CA_CWR, CA_RECOVERY):
            c.recovery.prr_out += sent_packets
        if push_one != 2:
            schedule_loss_probe(c, False)
        return False
    return not c.packets_out and c.write_seq > c.snd_nxt


def _next_burst(c: Connection, mss: int, nagle: int, push_one: int, limit: int) -> tuple[int, int]:
    """Positions of the next burst, 0 for none; and what holds it up."""
    if (c.pace_at != NEVER and not push_one) or c.layer.held:
        return 0, _NOTHING
    in_flight = c.packets_out - c.sacked_out - c.lost_out + c.retransmitted_out
    quota = min(c.cwnd - in_flight, max(c.cwnd >> 1, 1))
    if quota <= 0:
        # A FIN alone takes no room on the path: it does not wait for the window, which the peer may close meanwhile.
        if push_one != 2 and not (c.fin_queued and c.write_seq == c.snd_nxt + 1):
            return 0, _NOTHING
        quota = 1
    waiting = c.write_seq - c.snd_nxt
    size = min(waiting, size_goal(c, mss))
    if c.record_ends:
        size = _up_to_record_end(c, size)
    if c.snd_nxt + min(size, mss) > c.snd_una + c.snd_wnd:
        return 0, _WINDOW
    if size <= mss:
        if not _may_send_small(c, size, mss, nagle if size == waiting else NAGLE_PUSH):
            return 0, _NOTHING
        return size, _NOTHING
    most = min(limit, quota)
    if not push_one:
        verdict = _should_defer(c, mss, most, in_flight, size)
        if verdict != _NOTHING:
            return 0, verdict
    if c.urgent_mode:
        return mss, _NOTHING
    length = min(_split_point(c, mss, most, nagle, size), size)
    return _with_fin(c, length), _NOTHING


def _with_fin(c: Connection, length: int) -> int:
    """Length of a burst with the FIN, if it reaches the last byte; the FIN counts in no limit of bytes."""
    if c.fin_queued and c.snd_nxt + length + 1 == c.write_seq and c.write_seq <= c.snd_una + c.snd_wnd:
        return length + 1
    return length


def _up_to_record_end(c: Connection, size: int) -> int:
    """Bytes up to the next record's end, beyond which no segment goes (MSG_EOR)."""
    ends = c.record_ends
    while ends and ends[0] <= c.snd_nxt:
        ends.popleft()
    if not ends:
        c.record_ends = None
        return size
    return min(size, ends[0] - c.snd_nxt)


def _may_send_small(c: Connection, size: int, mss: int, nagle: int) -> bool:
    """Nagle's test for the last, short piece, with Minshall's variation (RFC 9293 3.7.4)."""
    if nagle & NAGLE_PUSH or c.urgent_mode or (c.fin_queued and c.write_seq == c.snd_nxt + size):
        return True
    return not _nagle_holds(c, size < mss, nagle)


def _nagle_holds(c: Connection, partial: bool, nagle: int) -> bool:
    if not partial:
        return False
    if nagle & NAGLE_CORK:
        return True
    return not nagle & NAGLE_OFF and c.packets_out > 0 and c.snd_una < c.snd_sml <= c.snd_nxt


def _split_point(c: Connection, mss: int, most: int, nagle: int, size: int) -> int:
    """Bytes of the run that go now: whole segments, and a short last one only if Nagle lets it."""
    window = c.snd_una + c.snd_wnd - c.snd_nxt
    largest = mss * most
    if largest <= window and size < c.write_seq - c.snd_nxt:
        return largest
    needed = min(size, window)
    if largest <= needed:
        return largest
    partial = needed % mss
    if _nagle_holds(c, partial != 0, nagle):
        return needed - partial
    return needed


def _should_defer(c: Connection, mss: int, most: int, in_flight: int, size: int) -> int:
    """Whether to wait for a larger burst, which the next ACK will allow: what we wait for, _NOTHING to send now."""
    now = c.layer.us
    if c.ca_state >= CA_RECOVERY or now - c.departed_at > MILLISECOND:
        return _NOTHING
    send_window = c.snd_una + c.snd_wnd - c.snd_nxt
    cong_window = (c.cwnd - in_flight) * mss
    room = min(send_window, cong_window)
    if room >= most * mss or (size < c.write_seq - c.snd_nxt and room >= size):
        return _NOTHING
    divisor = c.layer.settings.tcp_tso_win_divisor
    if divisor and room >= min(c.snd_wnd, c.cwnd * mss) // divisor:
        return _NOTHING
    if not c.sent or now - c.sent[0].sent_at < c.rtt.srtt >> 4:
        return _NOTHING
    if cong_window < send_window:
        if cong_window <= size:
            return _CWND
    elif send_window <= size:
        return _WINDOW
    return _NOTHING if c.fin_queued else _MORE_DATA


def _send_new(c: Connection, size: int, mss: int) -> int:
    """Send `size` positions of new data and FIN; returns the number of segments."""
    header = header_for_run(c, size, mss)
    if header is None:
        segments = _send_entries(c, size, mss)
    else:
        idle = not c.packets_out
        segments = send_run(c, header, size, mss)
        _note_emitted(c, segments)
        if idle or c.timer == LOSS_PROBE_TIMER:
            rearm_rto(c)
    if c.is_paced:
        pace(c, segments * mss)
    return segments


def _send_entries(c: Connection, size: int, mss: int) -> int:
    """Send new data as separate entries of the retransmission queue: the slow path of `send_run`."""
    largest = mss * max(c.layer.gso_size // mss, 1)
    segments = 0
    burst = size > mss
    while size > 0:
        seq = c.snd_nxt
        length = min(size, largest)
        if length + 1 == size and c.fin_queued and seq + size == c.write_seq:
            length = size
        end = seq + length
        flags = ACK
        payload = length
        if c.fin_queued and end == c.write_seq:
            flags |= FIN
            payload -= 1
        data = b"" if not payload else gather_pending(c, payload) if c.layer.gso_size else take_pending(c, payload)
        if is_pushed_at(c.push_marks, seq + payload) and payload:
            flags |= PSH
        if c.record_ends and c.record_ends[0] == end:
            flags |= RECORD_END
        count = -(-payload // mss) or 1
        # Linux pushes the end of each burst, which flushes the receiver's aggregation of segments; not when it is sent
        # again, so the entry does not keep it.
        send_new_entry(c, Sent(seq, end, data, flags, count), burst and length == size and payload > 0)
        segments += count
        size -= length
        if payload % mss:
            c.snd_sml = end
    return segments


def pace(c: Connection, size: int) -> None:
    """Delay the next burst until this one would have left at the pacing rate."""
    if c.congestion.paces:
        at = c.layer.us + (size * 1_000_000 // c.pacing_rate if c.pacing_rate else 0)
    else:
        at = depart(c, size)
    if at > c.layer.us:
        c.pace_at = at
        set_deadline(c, at)


def send_new_entry(c: Connection, sent: Sent, pushed: bool = False) -> None:
    """Send an entry for the first time and keep it for retransmission."""
    if not c.packets_out:
        c.congestion.on_start_after_idle(c)
    on_sent(c, sent, c.layer.us)
    c.sent.append(sent)
    c.snd_nxt = sent.end
    first = not c.packets_out
    c.packets_out += sent.count
    send_sent(c, sent, True, pushed)
    if c.tx_timestamps is not None:
        c.tx_timestamps.on_sent(c, sent.end)
    if first or c.timer == LOSS_PROBE_TIMER:
        rearm_rto(c)


def validate_cwnd(c: Connection, cwnd_limited: bool) -> None:
    """Remember whether the window was used (RFC 7661, as Linux does it)."""
    if c.snd_una >= c.cwnd_usage_seq or cwnd_limited or (not c.cwnd_limited and c.packets_out > c.max_packets_out):
        c.cwnd_limited = cwnd_limited
        c.max_packets_out = c.packets_out
        c.cwnd_usage_seq = c.snd_nxt
    now = c.layer.us
    if c.cwnd_limited or (c.cwnd < c.ssthresh and c.cwnd < 2 * c.max_packets_out):
        c.cwnd_used = 0
        c.cwnd_stamp = now
        return
    if c.packets_out > c.cwnd_used:
        c.cwnd_used = c.packets_out
    if c.no_space and c.write_seq <= c.snd_nxt and c.state in states.MAY_SEND:
        chrono.start(c, chrono.BUFFER)
    if c.layer.settings.tcp_slow_start_after_idle and now - c.cwnd_stamp >= c.rto and not c.congestion.controls:
        _application_limited(c)


def _application_limited(c: Connection) -> None:
    if c.ca_state == CA_OPEN and not c.no_space:
        used = max(c.cwnd_used, c.layer.initial_cwnd)
        if used < c.cwnd:
            c.ssthresh = current_ssthresh(c)
            c.cwnd = (c.cwnd + used) >> 1
        c.cwnd_used = 0
    c.cwnd_stamp = c.layer.us


def current_ssthresh(c: Connection) -> int:
    """Slow start threshold that an idle or undone connection keeps."""
    if c.ca_state in (CA_CWR, CA_RECOVERY):
        return c.ssthresh
    return max(c.ssthresh, (c.cwnd >> 1) + (c.cwnd >> 2))


def restart_after_idle(c: Connection) -> None:
    """Shrink the window of a connection that was silent for longer than an RTO (RFC 5681 4.1)."""
    if not c.layer.settings.tcp_slow_start_after_idle or c.packets_out or c.congestion.controls:
        return
    idle = c.layer.us - c.last_data_out
    if idle <= c.rto:
        return
    c.congestion.on_restart(c)
    c.ssthresh = current_ssthresh(c)
    floor = min(c.layer.initial_cwnd, c.cwnd)
    cwnd = c.cwnd
    idle -= c.rto
    while idle > 0 and cwnd > floor:
        cwnd >>= 1
        idle -= c.rto
    c.cwnd = max(cwnd, floor)
    c.cwnd_stamp = c.layer.us
    c.cwnd_used = 0


def schedule_loss_probe(c: Connection, advancing: bool) -> bool:
    """Arm the tail loss probe in the place of the RTO (RFC 8985 7.2), if it comes earlier; whether it did."""
    if c.layer.settings.tcp_early_retrans not in (3, 4) or not c.packets_out or not c.sack_ok:
        return False
    if c.ca_state not in (CA_OPEN, CA_CWR) or c.state == states.SYN_RECEIVED:
        return False
    if c.rtt.srtt:
        timeout = c.rtt.srtt >> 2
        timeout += c.layer.settings.tcp_rto_min_us if c.packets_out == 1 else TIMEOUT_MIN
    else:
        timeout = TIMEOUT_INIT
    left = c.rto if advancing else rto_left(c)
    if left > 0:
        timeout = min(timeout, left)
    set_timer(c, LOSS_PROBE_TIMER, timeout)
    return True


def rto_left(c: Connection) -> int:
    """Time until the oldest segment in flight times out."""
    return c.sent[0].sent_at + c.rto - c.layer.us if c.sent else c.rto


def rearm_rto(c: Connection) -> None:
    """Start the retransmission timer anew, or stop it when nothing is in flight (RFC 6298 5.1-5.3)."""
    if not c.packets_out:
        clear_timer(c)
        return
    delay = c.rto
    if c.timer in (REORDER_TIMER, LOSS_PROBE_TIMER):
        delay = max(rto_left(c), 1)
    set_timer(c, RTO_TIMER, delay)


def send_probe(c: Connection, urgent: bool = False) -> None:
    """Send an old sequence number, which the peer must answer with its state (RFC 9293 3.8.6.1, 3.8.4)."""
    emit(c, c.snd_una - (0 if urgent else 1), ACK, b"")


def wake_up(c: Connection) -> bool:
    """Probe a closed window with data if any of it fits, else with an empty segment; whether data went."""
    if c.state == states.CLOSED:
        return False
    if c.write_seq > c.snd_nxt and c.snd_nxt < c.snd_una + c.snd_wnd:
        mss = current_mss(c)
        room = c.snd_una + c.snd_wnd - c.snd_nxt
        size = min(c.write_seq - c.snd_nxt, room, mss)
        if c.layer.held:
            return False
        if c.pushed < c.snd_nxt + size:
            c.pushed = c.snd_nxt + size
        if size < c.write_seq - c.snd_nxt or not c.push_marks:
            c.push_marks.appendleft(c.snd_nxt + size)
        _send_new(c, size, mss)
        return True
    if c.snd_una < c.snd_up <= c.snd_una + 0xFFFF:
        send_probe(c, True)
    send_probe(c)
    return False


def send_raw(
    layer: TcpLayer,
    source: bytes,
    destination: bytes,
    ports: tuple[int, int],
    numbers: tuple[int, int],
    flags: int,
    window: int = 0,
    options: bytes = b"",
    traffic_class: int = 0,
) -> None:
    """Send an empty segment that belongs to no connection."""
    pseudo = layer.pseudo(source, destination)
    data = pack(pseudo, ports[0], ports[1], numbers[0] & MASK, numbers[1] & MASK, flags, window, 0, options, b"")
    layer.send_unconnected(source, destination, data, traffic_class)
