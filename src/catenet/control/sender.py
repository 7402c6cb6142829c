"""What congestion control knows of a sender, and what it sets in it.

A transport derives its connection from `Sender`, and what it keeps of each transmission from `Transmission`. It counts
what is sent, delivered and lost, tells its congestion control of events (`base.Congestion`), and keeps to `cwnd` and
`pacing_rate`. Whether it numbers bytes or packets is its own affair: a position is an integer that never wraps.

Times are integer microseconds of a clock that does not begin at 0, which stands for "never".
"""

from __future__ import annotations

from random import Random

from catenet.compiled import mypyc_attr
from catenet.control.delivery_rate import DeliveryRate
from catenet.control.rtt import RttEstimator
from catenet.control.settings import ControlSettings
from catenet.control.states import CA_OPEN, INFINITE

__all__ = ["Sender", "Transmission"]


class Transmission:
    """What is remembered of one transmission until it is acknowledged.

    `delivered` and what follows is as it was when it was sent (`delivery_rate.on_sent`).
    """

    __slots__ = (
        "app_limited",
        "count",
        "delivered",
        "delivered_at",
        "delivered_ce",
        "end",
        "first_sent_at",
        "in_flight",
        "lost",
        "marks",
        "sent_at",
        "seq",
    )

    def __init__(self, seq: int, end: int, count: int) -> None:
        self.seq = seq
        """Position of its first byte, or its number."""
        self.end = end
        """First position beyond it."""
        self.count = count
        """Segments of at most one MSS that it stands for."""
        self.marks = 0
        """Bits: what is known of it."""
        self.sent_at = 0
        """Microseconds: when it was last sent."""
        self.delivered = 0
        """Segments that were delivered."""
        self.delivered_at = 0
        """Microseconds: when `delivered` had last grown; 0 once it made its sample."""
        self.delivered_ce = 0
        """Segments that were delivered with a congestion mark."""
        self.first_sent_at = 0
        """Microseconds: when what was delivered last had been sent."""
        self.app_limited = False
        """Whether the program had given too little to fill the window."""
        self.in_flight = 0
        """Segments in flight, this one included."""
        self.lost = 0
        """Segments that were marked lost."""


@mypyc_attr(allow_interpreted_subclasses=True)  # other transports, and tests
class Sender:
    """The variables of one connection that congestion control reads or sets."""

    __slots__ = (
        "app_limited",
        "ca_state",
        "cwnd",
        "cwnd_count",
        "cwnd_limited",
        "delivered",
        "delivered_ce",
        "last_data_out",
        "lost",
        "lost_out",
        "max_packets_out",
        "mss",
        "pacing_rate",
        "packets_out",
        "prior_cwnd",
        "rate",
        "retransmitted_out",
        "rtt",
        "sack_ok",
        "sacked_out",
        "settings",
        "snd_nxt",
        "snd_una",
        "ssthresh",
    )

    def __init__(self, settings: ControlSettings) -> None:
        self.settings = settings
        self.rtt = RttEstimator()
        self.rate = DeliveryRate()
        self.cwnd = 10
        """Segments: congestion window."""
        self.ssthresh = INFINITE
        """Segments: slow start threshold."""
        self.cwnd_count = 0
        """Segments acknowledged towards the next segment of window."""
        self.cwnd_limited = False
        """Whether the window bounded what was in flight."""
        self.max_packets_out = 0
        """Segments: most in flight when that was last found out."""
        self.prior_cwnd = 0
        """Segments: window before the last reduction."""
        self.pacing_rate = 0
        """Bytes per second: rate at which segments leave, if they are paced."""
        self.ca_state = CA_OPEN
        """Congestion state."""
        self.mss = 536
        """Bytes of a full segment."""
        self.snd_una = 0
        """First position not acknowledged."""
        self.snd_nxt = 0
        """Next position to send."""
        self.packets_out = 0
        """Segments sent and not cumulatively acknowledged."""
        self.sacked_out = 0
        """Segments of these that have arrived all the same."""
        self.lost_out = 0
        """Segments of these that are lost and not yet delivered."""
        self.retransmitted_out = 0
        """Segments retransmitted and in flight."""
        self.sack_ok = False
        """Whether the peer tells of every segment that arrives (SACK)."""
        self.delivered = 0
        """Segments delivered so far."""
        self.delivered_ce = 0
        """Segments of these with a congestion mark."""
        self.lost = 0
        """Segments marked lost so far."""
        self.app_limited = 0
        """Segments: `delivered` from which on the program no longer limits the rate; 0: it does not."""
        self.last_data_out = 0
        """Microseconds: when data was last sent."""

    @property
    def now(self) -> int:
        """Microseconds: the time."""
        raise NotImplementedError

    @property
    def random(self) -> Random:
        """Where randomness comes from."""
        raise NotImplementedError

    @property
    def initial_cwnd(self) -> int:
        """Segments: window to begin with."""
        return 10

    @property
    def pacing_limit(self) -> int:
        """Bytes per second that `pacing_rate` must not exceed, 0 for none."""
        return 0

    @property
    def is_paced(self) -> bool:
        """Whether segments leave at the pacing rate instead of in bursts."""
        return False

    @property
    def in_flight(self) -> int:
        """Segments believed to be in the network (RFC 6675's pipe)."""
        return self.packets_out - self.sacked_out - self.lost_out + self.retransmitted_out
