"""Delivery rate (draft-cheng-iccrg-delivery-rate-estimation): how fast the network delivers, per ACK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.compiled import mypyc_attr
from catenet.control.states import EVER_RETRANSMITTED, SACKED

if TYPE_CHECKING:
    from catenet.control.sender import Sender, Transmission

__all__ = ["DeliveryRate", "RateSample", "finish", "finish_in_order", "on_delivered", "on_sent"]


@mypyc_attr(acyclic=True)
class DeliveryRate:
    """What the samples of one connection are made from, and the best recent one."""

    __slots__ = ("best_app_limited", "best_delivered", "best_interval", "delivered_at", "first_sent_at")

    def __init__(self) -> None:
        self.first_sent_at = 0
        """Microseconds: when the segment that was delivered last had been sent."""
        self.delivered_at = 0
        """Microseconds: when something was last delivered."""
        self.best_delivered = 0
        """Segments delivered in the best recent sample."""
        self.best_interval = 0
        """Microseconds that it took."""
        self.best_app_limited = False
        """Whether the program limited it."""


class RateSample:
    """What one ACK told about the rate of delivery (draft-cheng-iccrg-delivery-rate-estimation)."""

    __slots__ = (
        "acked_sacked",
        "app_limited",
        "delivered",
        "delivered_at",
        "delivered_ce",
        "interval",
        "is_retransmission",
        "last_end",
        "losses",
        "prior_delivered",
        "prior_delivered_ce",
        "prior_in_flight",
        "rtt",
        "sent_interval",
        "tx_in_flight",
        "tx_lost",
    )

    def __init__(self) -> None:
        self.prior_delivered = 0
        self.prior_delivered_ce = 0
        self.delivered_at = 0
        self.delivered = -1
        self.delivered_ce = 0
        self.interval = -1
        self.sent_interval = 0
        self.rtt = -1
        self.losses = 0
        self.acked_sacked = 0
        self.prior_in_flight = 0
        self.app_limited = False
        self.is_retransmission = False
        self.last_end = 0
        self.tx_in_flight = 0
        self.tx_lost = 0


def on_sent(c: Sender, sent: Transmission, now: int) -> None:
    """Note in a segment what was delivered when it left, which is `now` (microseconds)."""
    rate = c.rate
    if not c.packets_out:
        # Idle before: the sample's interval starts with this segment.
        rate.first_sent_at = rate.delivered_at = now
    sent.first_sent_at = rate.first_sent_at
    sent.delivered_at = rate.delivered_at
    sent.delivered = c.delivered
    sent.delivered_ce = c.delivered_ce
    sent.app_limited = c.app_limited > 0
    sent.lost = c.lost
    sent.in_flight = c.packets_out - c.sacked_out - c.lost_out + c.retransmitted_out + sent.count


def on_delivered(c: Sender, sent: Transmission, rate: RateSample) -> None:
    """A segment was acknowledged or SACKed for the first time: the most recently sent one makes the sample."""
    if not sent.delivered_at:
        return
    if not rate.prior_delivered or (sent.sent_at, sent.end) > (c.rate.first_sent_at, rate.last_end):
        rate.prior_delivered = sent.delivered
        rate.prior_delivered_ce = sent.delivered_ce
        rate.delivered_at = sent.delivered_at
        rate.app_limited = sent.app_limited
        rate.is_retransmission = bool(sent.marks & EVER_RETRANSMITTED)
        rate.last_end = sent.end
        rate.tx_in_flight = sent.in_flight
        rate.tx_lost = sent.lost
        c.rate.first_sent_at = sent.sent_at
        rate.sent_interval = sent.sent_at - sent.first_sent_at
    if sent.marks & SACKED:
        sent.delivered_at = 0


def finish(c: Sender, delivered: int, lost: int, rate: RateSample, reneging: bool) -> None:
    """Complete the sample of one ACK and remember the best recent rate for TCP_INFO."""
    now = c.now
    if c.app_limited and c.delivered > c.app_limited:
        c.app_limited = 0
    if delivered:
        c.rate.delivered_at = now
    rate.acked_sacked = delivered
    rate.losses = lost
    if not rate.delivered_at or reneging:
        rate.delivered = -1
        rate.interval = -1
        return
    rate.delivered = c.delivered - rate.prior_delivered
    rate.delivered_ce = c.delivered_ce - rate.prior_delivered_ce
    rate.interval = max(rate.sent_interval, now - rate.delivered_at)
    if c.rtt.min_track is None or rate.interval < c.rtt.min_track[0][1]:
        rate.interval = -1
        return
    if not rate.app_limited or rate.delivered * c.rate.best_interval >= c.rate.best_delivered * rate.interval:
        c.rate.best_delivered = rate.delivered
        c.rate.best_interval = rate.interval
        c.rate.best_app_limited = rate.app_limited


def finish_in_order(c: Sender, last: Transmission, now: int) -> None:
    """`on_delivered` and `finish` for an ACK whose segments were sent once each, `last` the last of them."""
    rate, min_track = c.rate, c.rtt.min_track
    rate.first_sent_at = last.sent_at
    rate.delivered_at = now
    if c.app_limited and c.delivered > c.app_limited:
        c.app_limited = 0
    interval = max(last.sent_at - last.first_sent_at, now - last.delivered_at)
    if min_track is None or interval < min_track[0][1]:
        return
    delivered = c.delivered - last.delivered
    if not last.app_limited or delivered * rate.best_interval >= rate.best_delivered * interval:
        rate.best_delivered = delivered
        rate.best_interval = interval
        rate.best_app_limited = last.app_limited
