"""BBR's model of the path: rounds, the largest rate, the smallest round trip, aggregation of ACKs.

draft-ietf-ccwg-bbr-06 sections 5.3.1.2, 5.3.4.3, 5.5.1 to 5.5.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.control.bbr.loss import adapt_lower_bounds
from catenet.control.bbr.variables import (
    EXTRA_ACKED_ROUNDS,
    FULL_BW_GROWTH,
    FULL_BW_ROUNDS,
    MAX_BW_CYCLES,
    MIN_RTT_FILTER,
    PROBE_RTT_INTERVAL,
    Variables,
    windowed_max,
)
from catenet.control.delivery_rate import RateSample

if TYPE_CHECKING:
    from catenet.control.sender import Sender

__all__ = [
    "advance_latest_delivery_signals",
    "check_full_bw_reached",
    "update_ack_aggregation",
    "update_congestion_signals",
    "update_latest_delivery_signals",
    "update_min_rtt",
]


def update_latest_delivery_signals(b: Variables, c: Sender, rate: RateSample) -> None:
    """The largest rate and volume delivered in this round, and whether the round that began with a loss is over."""
    b.delivery_rate = rate.delivered / rate.interval if rate.interval > 0 and rate.delivered > 0 else 0.0
    b.loss_round_start = False
    if rate.delivered < 0:
        return
    b.bw_latest = max(b.bw_latest, b.delivery_rate)
    b.inflight_latest = max(b.inflight_latest, rate.delivered)
    if rate.prior_delivered >= b.loss_round_delivered:
        b.loss_round_delivered = c.delivered
        b.loss_round_start = True


def advance_latest_delivery_signals(b: Variables, rate: RateSample) -> None:
    """The next round begins with this ACK's sample."""
    if b.loss_round_start:
        b.bw_latest = b.delivery_rate
        b.inflight_latest = rate.delivered


def update_congestion_signals(b: Variables, c: Sender, rate: RateSample) -> None:
    """The largest rate on every ACK; the answer to losses once per round."""
    _update_round(b, c, rate)
    sample = b.delivery_rate
    if sample > 0 and (sample >= b.max_bw or not rate.app_limited):
        b.max_bw_samples = windowed_max(b.max_bw_samples, b.cycle_count, sample, MAX_BW_CYCLES)
        b.max_bw = b.max_bw_samples[0][1]
    if b.loss_round_start:
        adapt_lower_bounds(b, c)
        b.is_loss_in_round = False


def _update_round(b: Variables, c: Sender, rate: RateSample) -> None:
    b.round_start = rate.delivered >= 0 and rate.prior_delivered >= b.next_round_delivered
    if b.round_start:
        b.start_round(c)
        b.round_count += 1
        b.rounds_since_probe_up += 1


def update_ack_aggregation(b: Variables, c: Sender, acked: int) -> None:
    """How much more than expected was acknowledged at once (5.5.9): the window must cover the silence after it."""
    now = c.now
    expected = b.bw * (now - b.extra_acked_interval_start)
    if b.extra_acked_delivered <= expected:
        b.extra_acked_delivered = 0
        b.extra_acked_interval_start = now
        expected = 0.0
    b.extra_acked_delivered += acked
    extra = min(b.extra_acked_delivered - expected, float(c.cwnd))
    rounds = EXTRA_ACKED_ROUNDS if b.full_bw_reached else 1
    b.extra_acked_samples = windowed_max(b.extra_acked_samples, b.round_count, extra, rounds)
    b.extra_acked = b.extra_acked_samples[0][1]


def check_full_bw_reached(b: Variables, rate: RateSample) -> None:
    """The pipe is full when three rounds of sending faster brought less than a quarter more (5.3.1.2)."""
    if b.full_bw_now or not b.round_start or rate.app_limited or not b.delivery_rate:
        return
    if b.delivery_rate >= b.full_bw * FULL_BW_GROWTH:
        b.reset_full_bw()
        b.full_bw = b.delivery_rate
        return
    b.full_bw_count += 1
    b.full_bw_now = b.full_bw_count >= FULL_BW_ROUNDS
    if b.full_bw_now:
        b.full_bw_reached = True


def update_min_rtt(b: Variables, c: Sender, rtt: int) -> None:
    """Two filters (5.3.4.3): of five seconds, to know when to look at the empty path, and of ten for the model."""
    now = c.now
    b.probe_rtt_expired = now > b.probe_rtt_min_stamp + PROBE_RTT_INTERVAL
    if rtt >= 0 and (not b.probe_rtt_min_delay or rtt < b.probe_rtt_min_delay or b.probe_rtt_expired):
        b.probe_rtt_min_delay = rtt or 1
        b.probe_rtt_min_stamp = now
    if not b.probe_rtt_min_delay:
        return
    expired = now > b.min_rtt_stamp + MIN_RTT_FILTER
    if not b.min_rtt or b.probe_rtt_min_delay < b.min_rtt or expired:
        b.min_rtt = b.probe_rtt_min_delay
        b.min_rtt_stamp = b.probe_rtt_min_stamp
