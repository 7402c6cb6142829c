"""What losses and congestion marks change in BBR's model (draft-ietf-ccwg-bbr-06 sections 5.3.1.3, 5.5.10, 5.5.11).

While BBR probes for bandwidth, a loss rate above the threshold says how much in flight is too much. At any other time a
round with a loss takes rate and volume down towards what was delivered in it. The draft leaves the answer to ECN open
but asks that marks are congestion (3.7): here they count as losses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from catenet.control.bbr.states import enter_drain, start_probe_bw_down, start_probe_bw_refill
from catenet.control.bbr.variables import (
    BETA,
    LOSS_THRESHOLD,
    NO_STATE,
    PROBE_BW_UP,
    PROBE_RTT,
    STARTUP,
    STARTUP_FULL_LOSS_COUNT,
    UNLIMITED,
    Variables,
)
from catenet.control.delivery_rate import RateSample
from catenet.control.states import CA_RECOVERY

if TYPE_CHECKING:
    from catenet.control.sender import Sender, Transmission

__all__ = [
    "adapt_lower_bounds",
    "check_startup_high_loss",
    "handle_lost_segment",
    "handle_spurious_loss",
    "is_inflight_too_high",
    "note_loss",
    "note_marks",
]


def note_loss(b: Variables, c: Sender) -> None:
    """Something was lost in this round trip; before a recovery's first loss, remember the model in case of undo."""
    if not b.is_loss_in_round:
        b.loss_round_delivered = c.delivered
    b.is_loss_in_round = True
    if not b.has_saved:
        b.has_saved = True
        b.save_cwnd(c)
        b.undo_state = NO_STATE
        b.undo_bw_shortterm = b.bw_shortterm
        b.undo_inflight_shortterm = b.inflight_shortterm
        b.undo_inflight_longterm = b.inflight_longterm


def handle_lost_segment(b: Variables, c: Sender, sent: Transmission) -> None:
    """A segment was marked lost; what was in flight when it was sent may have been too much (5.5.10.2)."""
    note_loss(b, c)
    if sent.seq != b.lost_end:
        b.loss_ranges += 1
    b.lost_end = sent.end
    if not b.is_bw_probe_sample:
        return
    in_flight, lost = sent.in_flight, c.lost - sent.lost
    if _is_too_much(c, in_flight, lost):
        _handle_inflight_too_high(b, c, _inflight_at_loss(in_flight, lost, sent.count), sent.app_limited)


def note_marks(b: Variables, c: Sender, rate: RateSample) -> None:
    """Congestion marks in the sample of one ACK, while probing."""
    if rate.delivered_ce > 0 and b.is_bw_probe_sample and is_inflight_too_high(c, rate):
        note_loss(b, c)
        _handle_inflight_too_high(b, c, rate.tx_in_flight, rate.app_limited)


def is_inflight_too_high(c: Sender, rate: RateSample) -> bool:
    """Whether an ACK's sample shows more loss than is to be tolerated."""
    return _is_too_much(c, rate.tx_in_flight, c.lost - rate.tx_lost + rate.delivered_ce)


def _is_too_much(c: Sender, in_flight: int, lost: int) -> bool:
    # Without SACK no more than one loss per round trip is ever seen.
    return lost > in_flight * LOSS_THRESHOLD or (lost > 0 and not c.sack_ok)


def _inflight_at_loss(in_flight: int, lost: int, size: int) -> int:
    """Where in an entry of `size` segments the loss rate crossed the threshold."""
    before, lost_before = in_flight - size, lost - size
    prefix = (LOSS_THRESHOLD * before - lost_before) / (1 - LOSS_THRESHOLD)
    return int(before + prefix)


def _handle_inflight_too_high(b: Variables, c: Sender, in_flight: int, app_limited: bool) -> None:
    """The probe went too far: bound what is in flight, once per probe, and not by more than CUBIC would."""
    b.prev_probe_too_high = True
    b.is_bw_probe_sample = False
    if not app_limited:
        b.inflight_longterm = max(in_flight, int(b.target_inflight(c) * BETA), 1)
    if b.state == PROBE_BW_UP:
        b.undo_state = PROBE_BW_UP
        start_probe_bw_down(b, c)


def check_startup_high_loss(b: Variables, c: Sender, rate: RateSample) -> None:
    """Leave Startup when a whole round in recovery lost too much in several places, or too much was marked."""
    if b.full_bw_reached or not b.loss_round_start:
        return
    needed = STARTUP_FULL_LOSS_COUNT if c.sack_ok else 1
    in_recovery = c.ca_state == CA_RECOVERY and b.loss_ranges >= needed
    if (in_recovery or rate.delivered_ce > 0) and is_inflight_too_high(c, rate):
        b.undo_state = STARTUP
        b.full_bw_reached = True
        b.inflight_longterm = max(int(b.bdp), b.inflight_latest)
        enter_drain(b)
    b.loss_ranges = 0


def adapt_lower_bounds(b: Variables, c: Sender) -> None:
    """Once per round with a loss, while not probing: down to what was delivered, by three tenths at most (5.5.10.3)."""
    if b.is_probing_bw or not b.is_loss_in_round:
        return
    if b.bw_shortterm == math.inf:
        b.bw_shortterm = b.max_bw
    if b.inflight_shortterm == UNLIMITED:
        b.inflight_shortterm = c.cwnd
    b.bw_shortterm = max(b.bw_latest, BETA * b.bw_shortterm)
    b.inflight_shortterm = max(b.inflight_latest, int(BETA * b.inflight_shortterm))


def handle_spurious_loss(b: Variables, c: Sender) -> None:
    """Nothing was lost after all: the model as it was before, and back to the probe that ended (5.5.11.2)."""
    b.restore_cwnd(c)
    b.is_loss_in_round = False
    b.reset_full_bw()
    b.bw_shortterm = max(b.bw_shortterm, b.undo_bw_shortterm)
    b.inflight_shortterm = max(b.inflight_shortterm, b.undo_inflight_shortterm)
    b.inflight_longterm = max(b.inflight_longterm, b.undo_inflight_longterm)
    if b.undo_state == STARTUP and b.state != STARTUP:
        b.full_bw_reached = False
        if b.state != PROBE_RTT:
            b.state = STARTUP
    elif b.undo_state == PROBE_BW_UP and b.state not in (PROBE_BW_UP, PROBE_RTT):
        start_probe_bw_refill(b, c)
    b.undo_state = NO_STATE
    b.has_saved = False
