"""Delivery rate (draft-cheng-iccrg-delivery-rate-estimation): how fast the network delivers, per ACK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.tcp.congestion.base import RateSample

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection, Sent

__all__ = ["finish", "finish_in_order", "on_delivered", "on_sent"]


def on_sent(c: Connection, sent: Sent) -> None:
    """Note in a segment what was delivered when it left."""
    now = c.layer.us
    if not c.packets_out:
        # Idle before: the sample's interval starts with this segment.
        c.first_sent_at = c.delivered_at = now
    sent.first_sent_at = c.first_sent_at
    sent.delivered_at = c.delivered_at
    sent.delivered = c.delivered
    sent.delivered_ce = c.delivered_ce
    sent.app_limited = c.app_limited > 0
    sent.lost = c.lost
    sent.in_flight = c.packets_out - c.sacked_out - c.lost_out + c.retransmitted_out + sent.count


def on_delivered(c: Connection, sent: Sent, rate: RateSample) -> None:
    """A segment was acknowledged or SACKed for the first time: the most recently sent one makes the sample."""
    if not sent.delivered_at:
        return
    if not rate.prior_delivered or (sent.sent_at, sent.end) > (c.first_sent_at, rate.last_end):
        rate.prior_delivered = sent.delivered
        rate.prior_delivered_ce = sent.delivered_ce
        rate.delivered_at = sent.delivered_at
        rate.app_limited = sent.app_limited
        rate.is_retransmission = bool(sent.marks & 8)
        rate.last_end = sent.end
        rate.tx_in_flight = sent.in_flight
        rate.tx_lost = sent.lost
        c.first_sent_at = sent.sent_at
        rate.sent_interval = sent.sent_at - sent.first_sent_at
    if sent.marks & 1:
        sent.delivered_at = 0


def finish(c: Connection, delivered: int, lost: int, rate: RateSample, reneging: bool) -> None:
    """Complete the sample of one ACK and remember the best recent rate for TCP_INFO."""
    now = c.layer.us
    if c.app_limited and c.delivered > c.app_limited:
        c.app_limited = 0
    if delivered:
        c.delivered_at = now
    rate.acked_sacked = delivered
    rate.losses = lost
    if not rate.delivered_at or reneging:
        rate.delivered = -1
        rate.interval = -1
        return
    rate.delivered = c.delivered - rate.prior_delivered
    rate.delivered_ce = c.delivered_ce - rate.prior_delivered_ce
    rate.interval = max(rate.sent_interval, now - rate.delivered_at)
    if c.min_rtt is None or rate.interval < c.min_rtt[0][1]:
        rate.interval = -1
        return
    if not rate.app_limited or rate.delivered * c.rate_interval >= c.rate_delivered * rate.interval:
        c.rate_delivered = rate.delivered
        c.rate_interval = rate.interval
        c.rate_app_limited = rate.app_limited


def finish_in_order(c: Connection, last: Sent) -> None:
    """`on_delivered` and `finish` for an ACK whose segments were sent once each, `last` the last of them."""
    now = c.layer.us
    c.first_sent_at = last.sent_at
    c.delivered_at = now
    if c.app_limited and c.delivered > c.app_limited:
        c.app_limited = 0
    interval = max(last.sent_at - last.first_sent_at, now - last.delivered_at)
    if c.min_rtt is None or interval < c.min_rtt[0][1]:
        return
    delivered = c.delivered - last.delivered
    if not last.app_limited or delivered * c.rate_interval >= c.rate_delivered * interval:
        c.rate_delivered = delivered
        c.rate_interval = interval
        c.rate_app_limited = last.app_limited
