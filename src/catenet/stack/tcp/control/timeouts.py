"""Deadlines that expire (RFC 6298 5.4, RFC 9293 3.8.3, 3.8.4, 3.8.6.1, 3.8.6.3, RFC 8985 7.3)."""

from __future__ import annotations

from typing import Final

from catenet.control.states import CA_RECOVERY, INFINITE
from catenet.stack.endpoint import Fault
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import (
    ACK_SCHEDULED,
    ACK_TIMER,
    LOSS_PROBE_TIMER,
    NAGLE_OFF,
    NEVER,
    PROBE_TIMER,
    REORDER_TIMER,
    RTO_TIMER,
    Connection,
)
from catenet.stack.tcp.control.constants import ATO_MIN, SECOND, TIME_WAIT_LENGTH, TIMEOUT_INIT
from catenet.stack.tcp.control.lifecycle import done, fail
from catenet.stack.tcp.control.rto import set_rto
from catenet.stack.tcp.control.timers import clear_timer, set_deadline, set_timer
from catenet.stack.tcp.recovery import prr, rack
from catenet.stack.tcp.recovery.machine import enter_loss, enter_recovery, retransmit_lost
from catenet.stack.tcp.sending.mtu import on_black_hole
from catenet.stack.tcp.sending.output import (
    current_mss,
    push_pending,
    rearm_rto,
    send_ack,
    send_probe,
    send_reset,
    wake_up,
    write,
)
from catenet.stack.tcp.sending.retransmit import retransmit, retransmit_uncounted, split
from catenet.stack.units import Micros

__all__ = ["cap_to_user_timeout", "expire", "fin_timeout", "set_keepalive"]

_ORPHAN_RETRIES: Final = 8
_PROBE_RETRY: Final = 500_000
_BLACK_HOLE: Final = 2
"""Timeouts in a row beyond which a connection that began with Fast Open suspects the path, as Linux does."""
_THIN: Final = 4
"""Packets in flight below which a stream is thin."""
_THIN_RETRIES: Final = 6


def expire(c: Connection) -> None:
    """Do what is due on a connection."""
    now = c.layer.us
    if c.delack_at <= now:
        _delayed_ack(c)
    if c.compressed_at <= now:
        c.compressed_at = NEVER
        if c.delayed_ack.compressed:
            c.delayed_ack.compressed -= 1
            send_ack(c)
    if c.pace_at <= now:
        c.pace_at = NEVER
        retransmit_lost(c)
        push_pending(c)
    if c.timer_at <= now:
        kind = c.timer
        if kind == RTO_TIMER:
            clear_timer(c)
            _retransmission_timeout(c)
        elif kind == LOSS_PROBE_TIMER:
            _loss_probe(c)
        elif kind == REORDER_TIMER:
            clear_timer(c)
            _reordering_timeout(c)
        elif kind == PROBE_TIMER:
            clear_timer(c)
            _window_probe(c)
        else:
            clear_timer(c)
    if c.keepalive_at <= now:
        c.keepalive_at = NEVER
        _keepalive(c)


def _delayed_ack(c: Connection) -> None:
    c.delack_at = NEVER
    c.ack_pending &= ~ACK_TIMER
    if c.state == states.CLOSED or not c.ack_pending & ACK_SCHEDULED:
        return
    if c.delayed_ack.pingpong < c.layer.settings.tcp_pingpong_thresh:
        # The second segment did not arrive in time: the peer is slower than assumed.
        c.delayed_ack.ato = min(c.delayed_ack.ato << 1, c.rto)
    else:
        c.delayed_ack.pingpong = 0
        c.delayed_ack.ato = ATO_MIN
    send_ack(c)
    c.layer.counters.delayed_acks += 1


def _reordering_timeout(c: Connection) -> None:
    before = c.in_flight
    rack.detect(c)
    if before != c.in_flight:
        if c.ca_state != CA_RECOVERY:
            enter_recovery(c, False)
            if not c.congestion.controls:
                prr.reduce(c, 1, 0, 0)
        retransmit_lost(c)
    if c.timer != RTO_TIMER:
        rearm_rto(c)


def _loss_probe(c: Connection) -> None:
    """Provoke an ACK that shows whether the tail was lost (RFC 8985 7.3)."""
    if c.tlp_high_seq is None and c.sent and _send_probe_segment(c):
        c.tlp_high_seq = c.snd_nxt
        c.layer.counters.loss_probes += 1
        clear_timer(c)
        # The RTO is counted from the probe on.
        set_timer(c, RTO_TIMER, c.rto)
        return
    rearm_rto(c)


def _send_probe_segment(c: Connection) -> bool:
    c.tlp_retransmission = False
    mss = current_mss(c)
    if c.write_seq > c.snd_nxt and c.snd_nxt + min(mss, c.unsent) <= c.wnd_end:
        before = c.packets_out
        write(c, mss, NAGLE_OFF, 2)
        return c.packets_out > before
    last = c.sent[-1]
    if last.count > 1 and last.size > (last.count - 1) * mss:
        last = split(c, last, (last.count - 1) * mss, mss)
    if not retransmit_uncounted(c, last, 1):
        return False
    c.tlp_retransmission = True
    return True


def _retransmission_timeout(c: Connection) -> None:
    if c.fast_open is not None and c.fast_open.on_timeout(c):
        return
    if not c.packets_out or not c.sent:
        return
    head = c.sent[0]
    if not c.snd_wnd and c.endpoint is not None and c.state not in (states.SYN_SENT, states.SYN_RECEIVED):
        # The peer took back its window: the retransmission is its probe, and it may stay closed for ever (RFC 6429).
        if _is_peer_silent(c):
            _give_up(c)
            return
        enter_loss(c)
        retransmit(c, head, 1)
        _back_off(c)
        return
    if _timed_out(c):
        return
    enter_loss(c)
    c.retransmits += 1
    c.layer.counters.timeouts += 1
    if not c.sent:
        return
    if not retransmit(c, c.sent[0], 1):
        set_timer(c, RTO_TIMER, min(c.rto, _PROBE_RETRY))
        return
    _back_off(c)


def _back_off(c: Connection) -> None:
    if _is_thin(c) and c.retransmits <= _THIN_RETRIES:
        c.backoff = 0
        set_rto(c)
        c.rto = max(c.rto, c.layer.settings.tcp_rto_min_us)
        set_timer(c, RTO_TIMER, cap_to_user_timeout(c, c.rto))
        return
    c.backoff += 1
    linear = c.layer.settings.tcp_syn_linear_timeouts
    if c.state != states.SYN_SENT or c.retransmits > linear:
        c.rto = min(c.rto << 1, c.layer.rto_max)
    set_timer(c, RTO_TIMER, cap_to_user_timeout(c, c.rto))


def _is_thin(c: Connection) -> bool:
    """Whether timeouts are not doubled, as asked for, as too little is in flight for three duplicate ACKs."""
    linear = c.option("TCP_THIN_LINEAR_TIMEOUTS", 0) or c.layer.settings.tcp_thin_linear_timeouts
    return bool(linear) and c.state == states.ESTABLISHED and c.packets_out < _THIN and c.ssthresh < INFINITE


def _is_peer_silent(c: Connection) -> bool:
    """Whether a peer with a closed window has not answered two probes at the longest interval, or the user timeout."""
    limit = c.user_timeout or 2 * c.layer.rto_max
    since = max(c.last_data_in, c.last_ack_sent_at, c.last_heard)
    return c.layer.us - since > max(limit, c.rto)


def cap_to_user_timeout(c: Connection, delay: Micros) -> int:
    """Do not sleep beyond the user timeout (RFC 5482)."""
    if not c.user_timeout:
        return delay
    start = c.recovery.retransmit_stamp or c.layer.us
    left = c.user_timeout - (c.layer.us - start)
    return max(1000, min(delay, left))


def _timed_out(c: Connection) -> bool:
    """Give up after enough retransmissions (RFC 9293 3.8.3); suspect the path MTU earlier."""
    settings = c.layer.settings
    if c.state in (states.SYN_SENT, states.SYN_RECEIVED):
        limit = c.option("TCP_SYNCNT", 0) or settings.tcp_syn_retries
        linear = settings.tcp_syn_linear_timeouts if c.state == states.SYN_SENT else 0
        timeout = c.user_timeout or _doubled(c, limit, TIMEOUT_INIT)
        expired = c.retransmits >= limit + linear or _exceeded(c, timeout)
    else:
        if _model_exceeded(c, settings.tcp_retries1) and settings.tcp_mtu_probing:
            on_black_hole(c)
        limit = settings.tcp_retries2
        if c.endpoint is None:
            alive = c.rto < c.layer.rto_max
            limit = settings.tcp_orphan_retries or (_ORPHAN_RETRIES if alive else 0)
        expired = _exceeded(c, c.user_timeout) if c.user_timeout else _model_exceeded(c, limit)
    if c.fast_open is not None and (c.retransmits == _BLACK_HOLE or (c.retransmits < _BLACK_HOLE and expired)):
        c.fast_open.on_black_hole(c)
    if expired:
        _give_up(c)
    return expired


def _exceeded(c: Connection, timeout: int) -> bool:
    return bool(c.retransmits) and c.layer.us - (c.recovery.retransmit_stamp or c.sent[0].sent_at) >= timeout


def _model_exceeded(c: Connection, boundary: int) -> bool:
    """Whether so much time has gone as `boundary` doubled timeouts from the least RTO would take (R1, R2)."""
    return _exceeded(c, _doubled(c, boundary, c.layer.settings.tcp_rto_min_us))


def _doubled(c: Connection, boundary: int, base: int) -> int:
    """Time of so many timeouts, each twice the one before as far as that goes."""
    limit = c.layer.rto_max
    doublings = (limit // base).bit_length() - 1
    if boundary <= doublings:
        return ((2 << boundary) - 1) * base
    return ((2 << doublings) - 1) * base + (boundary - doublings) * limit


def _give_up(c: Connection) -> None:
    c.layer.counters.aborts_on_timeout += 1
    fail(c, c.soft_error or Fault.TIMED_OUT)


def _window_probe(c: Connection) -> None:
    """Probe a closed window (RFC 9293 3.8.6.1), without end while the peer answers."""
    if c.packets_out or c.write_seq <= c.snd_nxt:
        c.probes_out = 0
        return
    if not c.probes_out:
        c.probe_stamp = c.layer.us
    started = c.probe_stamp
    limit = c.layer.settings.tcp_retries2
    if c.user_timeout and c.layer.us - started >= c.user_timeout:
        _give_up(c)
        return
    if c.endpoint is None:
        alive = _probe_delay(c) < c.layer.rto_max
        limit = c.layer.settings.tcp_orphan_retries or (_ORPHAN_RETRIES if alive else 0)
        if not alive and c.backoff >= limit:
            _give_up(c)
            return
    if c.probes_out >= limit:
        _give_up(c)
        return
    wake_up(c)
    if c.packets_out or c.write_seq <= c.snd_nxt:
        c.probes_out = 0
        c.backoff = 0
        return
    c.probes_out += 1
    if c.layer.held:
        set_timer(c, PROBE_TIMER, _cap_probe(c, _PROBE_RETRY, started))
        return
    if c.backoff < c.layer.settings.tcp_retries2:
        c.backoff += 1
    set_timer(c, PROBE_TIMER, _cap_probe(c, _probe_delay(c), started))


def _cap_probe(c: Connection, delay: Micros, started: Micros) -> int:
    """Do not wait for the next probe beyond the user timeout."""
    return max(1000, min(delay, c.user_timeout - (c.layer.us - started))) if c.user_timeout else delay


def _probe_delay(c: Connection) -> int:
    base = max(c.rto, c.layer.settings.tcp_rto_min_us)
    return min(base << min(c.backoff, 16), c.layer.rto_max)


def set_keepalive(c: Connection, delay: Micros) -> None:
    """Start the timer that keepalive and FIN-WAIT-2 share."""
    c.keepalive_at = c.layer.us + delay
    set_deadline(c, c.keepalive_at)


def _keepalive(c: Connection) -> None:
    if c.state == states.FIN_WAIT_2 and c.endpoint is None:
        _end_fin_wait_2(c)
        return
    if not c.option("SO_KEEPALIVE", 0) or c.state in (states.CLOSED, states.SYN_SENT, states.LISTEN):
        return
    settings = c.layer.settings
    idle_limit = (c.option("TCP_KEEPIDLE", 0) or settings.tcp_keepalive_time) * SECOND
    interval = (c.option("TCP_KEEPINTVL", 0) or settings.tcp_keepalive_intvl) * SECOND
    if c.packets_out or c.write_seq > c.snd_nxt:
        set_keepalive(c, idle_limit)
        return
    idle = c.layer.us - max(c.last_data_in, c.last_heard)
    if idle < idle_limit:
        set_keepalive(c, idle_limit - idle)
        return
    if c.user_timeout:
        expired = idle >= c.user_timeout and c.probes_out > 0
    else:
        expired = c.probes_out >= (c.option("TCP_KEEPCNT", 0) or settings.tcp_keepalive_probes)
    if expired:
        send_reset(c)
        _give_up(c)
        return
    send_probe(c)
    c.probes_out += 1
    set_keepalive(c, interval)


def _end_fin_wait_2(c: Connection) -> None:
    """End FIN-WAIT-2, as the peer did not close in time: hand the rest of the wait over, or reset the connection."""
    linger = fin_timeout(c)
    if linger >= 0 and linger > TIME_WAIT_LENGTH:
        c.layer.enter_time_wait(c, linger - TIME_WAIT_LENGTH, states.FIN_WAIT_2)
        return
    send_reset(c)
    done(c)


def fin_timeout(c: Connection) -> int:
    """How long FIN-WAIT-2 of a closed socket may last; negative: not at all (TCP_LINGER2)."""
    seconds = c.option("TCP_LINGER2", 0) or c.layer.settings.tcp_fin_timeout
    if seconds < 0:
        return -1
    return max(seconds * SECOND, (c.rto << 2) - (c.rto >> 1))
