"""When BBR changes its state (draft-ietf-ccwg-bbr-06 section 5.3).

Startup → Drain → ProbeBW: DOWN → CRUISE → REFILL → UP → DOWN …      ProbeRTT from any of them every five seconds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.control.bbr.control import inflight, inflight_with_headroom, probe_rtt_cwnd
from catenet.control.bbr.loss import check_startup_high_loss, is_inflight_too_high, note_marks
from catenet.control.bbr.states import (
    enter_drain,
    enter_probe_rtt,
    exit_probe_rtt,
    raise_inflight_longterm_slope,
    start_probe_bw_cruise,
    start_probe_bw_down,
    start_probe_bw_refill,
    start_probe_bw_up,
)
from catenet.control.bbr.variables import (
    ACKS_INIT,
    ACKS_PROBE_FEEDBACK,
    ACKS_PROBE_STARTING,
    ACKS_PROBE_STOPPING,
    DRAIN,
    DRAIN_ROUNDS,
    MAX_RENO_ROUNDS,
    PROBE_BW_CRUISE,
    PROBE_BW_DOWN,
    PROBE_BW_REFILL,
    PROBE_BW_UP,
    PROBE_RTT,
    PROBE_RTT_DURATION,
    STARTUP,
    UNLIMITED,
    Variables,
)
from catenet.control.delivery_rate import RateSample

if TYPE_CHECKING:
    from catenet.control.sender import Sender

__all__ = ["check_drain_done", "check_probe_rtt", "check_probe_rtt_done", "check_startup_done", "update_probe_bw"]


def check_startup_done(b: Variables, c: Sender, rate: RateSample) -> None:
    """Leave Startup on a plateau of the rate, or on losses (5.3.1)."""
    check_startup_high_loss(b, c, rate)
    if b.state == STARTUP and b.full_bw_reached:
        enter_drain(b)


def check_drain_done(b: Variables, c: Sender) -> None:
    """Leave Drain when no more is in flight than the path holds, or after three rounds (5.3.2)."""
    if b.state != DRAIN:
        return
    if c.in_flight <= inflight(b, c, b.bw, 1.0) or b.round_count > b.drain_start_round + DRAIN_ROUNDS:
        start_probe_bw_down(b, c)


def update_probe_bw(b: Variables, c: Sender, acked: int, rate: RateSample) -> None:
    """Go through the four states of ProbeBW (5.3.3.9)."""
    if not b.full_bw_reached:
        return
    note_marks(b, c, rate)
    if _adapt_longterm_model(b, c, acked, rate) or not b.is_in_probe_bw:
        return
    state = b.state
    if state in (PROBE_BW_DOWN, PROBE_BW_CRUISE):
        if _is_time_to_probe_bw(b, c):
            start_probe_bw_refill(b, c)
        elif state == PROBE_BW_DOWN and _is_time_to_cruise(b, c):
            start_probe_bw_cruise(b)
    elif state == PROBE_BW_REFILL:
        if b.round_start:
            b.is_bw_probe_sample = True
            start_probe_bw_up(b, c)
    elif _is_time_to_go_down(b, c):
        b.prev_probe_too_high = False
        start_probe_bw_down(b, c)


def _is_time_to_probe_bw(b: Variables, c: Sender) -> bool:
    """After two to three seconds, or after as many rounds as Reno would need to grow by as much (5.3.3.8)."""
    if c.now > b.cycle_stamp + b.bw_probe_wait:
        return True
    return b.rounds_since_probe_up >= min(b.target_inflight(c), MAX_RENO_ROUNDS)


def _is_time_to_cruise(b: Variables, c: Sender) -> bool:
    """The queue is gone and others have room."""
    return c.in_flight <= min(inflight_with_headroom(b), inflight(b, c, b.max_bw, 1.0))


def _is_time_to_go_down(b: Variables, c: Sender) -> bool:
    """The probe has shown what there is to see; after one that went too high, as soon as it comes near (5.3.3.6)."""
    if b.prev_probe_too_high and c.in_flight >= b.inflight_longterm:
        b.prev_probe_precautionary = True
        return True
    if c.cwnd_limited and c.cwnd >= b.inflight_longterm:
        # The bound, not the path, limits the rate: no plateau.
        b.reset_full_bw()
        b.full_bw = b.delivery_rate
        return False
    return b.full_bw_now


def _adapt_longterm_model(b: Variables, c: Sender, acked: int, rate: RateSample) -> bool:
    """Follow what the ACKs tell of the probe; whether that decided on the next state."""
    if b.ack_phase == ACKS_PROBE_STARTING and b.round_start:
        b.ack_phase = ACKS_PROBE_FEEDBACK
    if b.ack_phase == ACKS_PROBE_STOPPING and b.round_start:
        b.is_bw_probe_sample = False
        b.ack_phase = ACKS_INIT
        if b.is_in_probe_bw:
            if not rate.app_limited:
                b.cycle_count += 1
            if b.prev_probe_precautionary and not b.prev_probe_too_high:
                # The careful probe did no harm: at once a bold one.
                start_probe_bw_refill(b, c)
                return True
    if not is_inflight_too_high(c, rate) and b.inflight_longterm != UNLIMITED:
        b.inflight_longterm = max(b.inflight_longterm, rate.tx_in_flight)
        if b.state == PROBE_BW_UP:
            _probe_inflight_longterm_upward(b, c, acked)
    return False


def _probe_inflight_longterm_upward(b: Variables, c: Sender, acked: int) -> None:
    if not c.cwnd_limited or c.cwnd < b.inflight_longterm:
        return
    b.bw_probe_up_acked += acked
    if b.bw_probe_up_acked >= b.probe_up_acked_per_inc:
        delta = b.bw_probe_up_acked // b.probe_up_acked_per_inc
        b.bw_probe_up_acked -= delta * b.probe_up_acked_per_inc
        b.inflight_longterm += delta
    if b.round_start:
        raise_inflight_longterm_slope(b, c)


def check_probe_rtt(b: Variables, c: Sender, rate: RateSample) -> None:
    """Look at the empty path when no lower round trip was seen for five seconds (5.3.4.3)."""
    if b.state != PROBE_RTT and b.probe_rtt_expired and not b.idle_restart:
        enter_probe_rtt(b, c)
    if b.state == PROBE_RTT:
        _handle_probe_rtt(b, c)
    if rate.delivered > 0:
        b.idle_restart = False


def _handle_probe_rtt(b: Variables, c: Sender) -> None:
    # The low rates of this state say nothing about the path.
    c.app_limited = c.delivered + c.in_flight or 1
    if not b.probe_rtt_done_stamp:
        if c.in_flight <= probe_rtt_cwnd(b, c):
            b.probe_rtt_done_stamp = c.now + PROBE_RTT_DURATION
            b.probe_rtt_round_done = False
            b.start_round(c)
        return
    if b.round_start:
        b.probe_rtt_round_done = True
    if b.probe_rtt_round_done:
        check_probe_rtt_done(b, c)


def check_probe_rtt_done(b: Variables, c: Sender) -> None:
    """Leave ProbeRTT after 200 ms; the next is five seconds away."""
    if b.probe_rtt_done_stamp and c.now > b.probe_rtt_done_stamp:
        b.probe_rtt_min_stamp = c.now
        b.restore_cwnd(c)
        exit_probe_rtt(b, c)
