"""How BBR enters its states (draft-ietf-ccwg-bbr-06 sections 5.3.1.1, 5.3.2, 5.3.3.9, 5.3.4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.control.bbr.variables import (
    ACKS_PROBE_STARTING,
    ACKS_PROBE_STOPPING,
    ACKS_REFILLING,
    DRAIN,
    PROBE_BW_CRUISE,
    PROBE_BW_DOWN,
    PROBE_BW_REFILL,
    PROBE_BW_UP,
    PROBE_RTT,
    STARTUP,
    UNLIMITED,
    Variables,
)

if TYPE_CHECKING:
    from catenet.control.sender import Sender

__all__ = [
    "enter_drain",
    "enter_probe_rtt",
    "exit_probe_rtt",
    "raise_inflight_longterm_slope",
    "start_probe_bw_cruise",
    "start_probe_bw_down",
    "start_probe_bw_refill",
    "start_probe_bw_up",
]


def enter_drain(b: Variables) -> None:
    """Take the queue away that Startup has made."""
    b.state = DRAIN
    b.drain_start_round = b.round_count


def start_probe_bw_down(b: Variables, c: Sender) -> None:
    """Send less than is delivered, and decide when to probe again: flows that share a path must not do so together."""
    b.reset_congestion_signals()
    b.probe_up_acked_per_inc = UNLIMITED
    random = c.random
    b.rounds_since_probe_up = random.randrange(2)
    b.bw_probe_wait = 2_000_000 + int(random.random() * 1_000_000)
    b.cycle_stamp = c.now
    b.ack_phase = ACKS_PROBE_STOPPING
    b.start_round(c)
    b.state = PROBE_BW_DOWN


def start_probe_bw_cruise(b: Variables) -> None:
    """Send what is delivered."""
    b.state = PROBE_BW_CRUISE


def start_probe_bw_refill(b: Variables, c: Sender) -> None:
    """Fill the pipe before probing, forgetting what losses have said of other flows' bursts."""
    b.reset_shortterm_model()
    b.bw_probe_up_rounds = b.bw_probe_up_acked = 0
    b.prev_probe_precautionary = False
    b.ack_phase = ACKS_REFILLING
    b.start_round(c)
    b.state = PROBE_BW_REFILL


def start_probe_bw_up(b: Variables, c: Sender) -> None:
    """Send more than is delivered."""
    b.ack_phase = ACKS_PROBE_STARTING
    b.start_round(c)
    b.reset_full_bw()
    b.full_bw = b.delivery_rate
    b.state = PROBE_BW_UP
    raise_inflight_longterm_slope(b, c)


def raise_inflight_longterm_slope(b: Variables, c: Sender) -> None:
    """Let the long-term bound grow twice as fast in this round as in the last."""
    growth = 1 << b.bw_probe_up_rounds
    b.bw_probe_up_rounds = min(b.bw_probe_up_rounds + 1, 30)
    b.probe_up_acked_per_inc = max(c.cwnd // growth, 1)


def enter_probe_rtt(b: Variables, c: Sender) -> None:
    """Empty the queue for a moment, to see the path's own round trip time."""
    b.state = PROBE_RTT
    b.save_cwnd(c)
    b.probe_rtt_done_stamp = 0
    b.ack_phase = ACKS_PROBE_STOPPING
    b.start_round(c)


def exit_probe_rtt(b: Variables, c: Sender) -> None:
    """Go on where the pipe is known to be full, else look for its rate again (5.3.4.4)."""
    b.reset_shortterm_model()
    if b.full_bw_reached:
        start_probe_bw_down(b, c)
        start_probe_bw_cruise(b)
    else:
        b.state = STARTUP
