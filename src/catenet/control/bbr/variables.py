"""BBR's constants and what it remembers of a connection, by the names of draft-ietf-ccwg-bbr-06 section 2.

Volumes are segments, times microseconds, rates segments per microsecond. All is plain numbers and lists of them, so
that an idle connection can be parked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from catenet.control.base import Congestion
from catenet.control.states import CA_RECOVERY

if TYPE_CHECKING:
    from catenet.control.sender import Sender

__all__ = [
    "ACKS_INIT",
    "ACKS_PROBE_FEEDBACK",
    "ACKS_PROBE_STARTING",
    "ACKS_PROBE_STOPPING",
    "ACKS_REFILLING",
    "BETA",
    "CWND_GAINS",
    "DRAIN",
    "DRAIN_ROUNDS",
    "EXTRA_ACKED_ROUNDS",
    "FULL_BW_GROWTH",
    "FULL_BW_ROUNDS",
    "HEADROOM",
    "LOSS_THRESHOLD",
    "MAX_BW_CYCLES",
    "MAX_RENO_ROUNDS",
    "MIN_PIPE_CWND",
    "MIN_RTT_FILTER",
    "NO_STATE",
    "PACING_GAINS",
    "PACING_MARGIN",
    "PROBE_BW_CRUISE",
    "PROBE_BW_DOWN",
    "PROBE_BW_REFILL",
    "PROBE_BW_UP",
    "PROBE_RTT",
    "PROBE_RTT_DURATION",
    "PROBE_RTT_INTERVAL",
    "STARTUP",
    "STARTUP_FULL_LOSS_COUNT",
    "UNLIMITED",
    "Variables",
    "windowed_max",
]

STARTUP: Final = 0
DRAIN: Final = 1
PROBE_BW_DOWN: Final = 2
PROBE_BW_CRUISE: Final = 3
PROBE_BW_REFILL: Final = 4
PROBE_BW_UP: Final = 5
PROBE_RTT: Final = 6

PACING_GAINS: Final[tuple[float, ...]] = (2.77, 0.5, 0.9, 1.0, 1.0, 1.25, 1.0)
"""By state (5.6.1)."""
CWND_GAINS: Final[tuple[float, ...]] = (2.0, 2.0, 2.0, 2.0, 2.0, 2.25, 0.5)

# What the ACKs that come now tell of a probe for bandwidth (2.14).
ACKS_INIT: Final = 0
ACKS_REFILLING: Final = 1
ACKS_PROBE_STARTING: Final = 2
ACKS_PROBE_FEEDBACK: Final = 3
ACKS_PROBE_STOPPING: Final = 4

LOSS_THRESHOLD: Final = 0.02
BETA: Final = 0.7
HEADROOM: Final = 0.15
MIN_PIPE_CWND: Final = 4
PACING_MARGIN: Final = 0.01
MAX_BW_CYCLES: Final = 2
EXTRA_ACKED_ROUNDS: Final = 10
STARTUP_FULL_LOSS_COUNT: Final = 6
FULL_BW_GROWTH: Final = 1.25
FULL_BW_ROUNDS: Final = 3
DRAIN_ROUNDS: Final = 3
MIN_RTT_FILTER: Final = 10_000_000
PROBE_RTT_INTERVAL: Final = 5_000_000
PROBE_RTT_DURATION: Final = 200_000
MAX_RENO_ROUNDS: Final = 63

UNLIMITED: Final = 1 << 30
"""An infinite volume."""
NO_STATE: Final = -1


class Variables(Congestion):
    """The model of one connection's path, and where the state machine stands."""

    __slots__ = (
        "ack_phase",
        "bw",
        "bw_latest",
        "bw_probe_up_acked",
        "bw_probe_up_rounds",
        "bw_probe_wait",
        "bw_shortterm",
        "cycle_count",
        "cycle_stamp",
        "delivery_rate",
        "drain_start_round",
        "extra_acked",
        "extra_acked_delivered",
        "extra_acked_interval_start",
        "extra_acked_samples",
        "full_bw",
        "full_bw_count",
        "full_bw_now",
        "full_bw_reached",
        "has_rtt",
        "has_saved",
        "idle_restart",
        "inflight_latest",
        "inflight_longterm",
        "inflight_shortterm",
        "is_bw_probe_sample",
        "is_loss_in_round",
        "is_started",
        "loss_ranges",
        "loss_round_delivered",
        "loss_round_start",
        "lost_end",
        "max_bw",
        "max_bw_samples",
        "min_rtt",
        "min_rtt_stamp",
        "next_round_delivered",
        "prev_probe_precautionary",
        "prev_probe_too_high",
        "prior_cwnd",
        "probe_rtt_done_stamp",
        "probe_rtt_expired",
        "probe_rtt_min_delay",
        "probe_rtt_min_stamp",
        "probe_rtt_round_done",
        "probe_up_acked_per_inc",
        "round_count",
        "round_start",
        "rounds_since_probe_up",
        "state",
        "undo_bw_shortterm",
        "undo_inflight_longterm",
        "undo_inflight_shortterm",
        "undo_state",
    )

    def __init__(self) -> None:
        self.state = STARTUP
        self.round_count = self.next_round_delivered = self.drain_start_round = 0
        self.is_started = self.round_start = self.idle_restart = self.has_rtt = False
        self.prior_cwnd = 0
        self._init_rates()
        self._init_volumes()
        self._init_probing()
        self._init_losses()

    def _init_rates(self) -> None:
        self.delivery_rate = 0.0
        """RS.delivery_rate: of the ACK at hand, 0 if it gave none."""
        self.bw = self.max_bw = self.bw_latest = 0.0
        self.bw_shortterm = math.inf
        self.max_bw_samples: list[tuple[int, float]] = []
        self.cycle_count = 0
        self.full_bw = 0.0
        self.full_bw_count = 0
        self.full_bw_now = self.full_bw_reached = False

    def _init_volumes(self) -> None:
        self.min_rtt = self.min_rtt_stamp = 0
        """The smallest round trip; 0: none known."""
        self.inflight_longterm = self.inflight_shortterm = UNLIMITED
        self.inflight_latest = 0
        self.extra_acked = 0.0
        self.extra_acked_samples: list[tuple[int, float]] = []
        self.extra_acked_interval_start = self.extra_acked_delivered = 0

    def _init_probing(self) -> None:
        self.ack_phase = ACKS_INIT
        self.is_bw_probe_sample = self.prev_probe_too_high = self.prev_probe_precautionary = False
        self.probe_up_acked_per_inc = UNLIMITED
        self.bw_probe_up_acked = self.bw_probe_up_rounds = self.rounds_since_probe_up = 0
        self.bw_probe_wait = self.cycle_stamp = 0
        self.probe_rtt_min_delay = self.probe_rtt_min_stamp = self.probe_rtt_done_stamp = 0
        self.probe_rtt_expired = self.probe_rtt_round_done = False

    def _init_losses(self) -> None:
        self.is_loss_in_round = self.loss_round_start = False
        self.loss_round_delivered = 0
        self.loss_ranges = self.lost_end = 0
        """Ranges of sequence numbers lost in this round, and where the last one ends."""
        self.has_saved = False
        """Whether the undo state is that of the recovery under way."""
        self.undo_state = NO_STATE
        self.undo_bw_shortterm = 0.0
        self.undo_inflight_shortterm = self.undo_inflight_longterm = 0

    @property
    def is_in_probe_bw(self) -> bool:
        """One of the four states that probe for bandwidth in turn."""
        return PROBE_BW_DOWN <= self.state <= PROBE_BW_UP

    @property
    def is_probing_bw(self) -> bool:
        """Whether more is sent than the model says, to see what happens."""
        return self.state in (STARTUP, PROBE_BW_REFILL, PROBE_BW_UP)

    @property
    def bdp(self) -> float:
        """The path's bandwidth-delay product."""
        return self.bw * self.min_rtt

    def start_round(self, c: Sender) -> None:
        """A round ends when something is acknowledged that is sent from now on (5.5.1)."""
        self.next_round_delivered = c.delivered

    def target_inflight(self, c: Sender) -> float:
        """What should be in flight: the estimate, unless congestion has cut the window (5.3.3.8)."""
        return min(self.bdp, c.cwnd)

    def reset_full_bw(self) -> None:
        """Begin to look anew whether the pipe is full (5.3.1.2)."""
        self.full_bw = 0.0
        self.full_bw_count = 0
        self.full_bw_now = False

    def reset_shortterm_model(self) -> None:
        """Forget what losses said since the last probe (5.5.10.3)."""
        self.bw_shortterm = math.inf
        self.inflight_shortterm = UNLIMITED

    def reset_congestion_signals(self) -> None:
        """A new look at what is delivered (5.5.10.3)."""
        self.is_loss_in_round = False
        self.bw_latest = 0.0
        self.inflight_latest = 0

    def save_cwnd(self, c: Sender) -> None:
        """Remember the last window that neither recovery nor PROBE_RTT has cut (5.6.4.4)."""
        if c.ca_state < CA_RECOVERY and self.state != PROBE_RTT:
            self.prior_cwnd = c.cwnd
        else:
            self.prior_cwnd = max(self.prior_cwnd, c.cwnd)

    def restore_cwnd(self, c: Sender) -> None:
        """Back to the remembered window; the model bounds it at the end of the ACK."""
        c.cwnd = max(c.cwnd, self.prior_cwnd)


def windowed_max(samples: list[tuple[int, float]], now: int, value: float, length: int) -> list[tuple[int, float]]:
    """The samples of a filter with one more: only those that may yet be the maximum of the last `length` times.

    The first of the result is the maximum.
    """
    kept = [sample for sample in samples if sample[1] > value and now - sample[0] < length]
    kept.append((now, value))
    return kept
