"""RACK (RFC 8985 6): a segment is lost when one sent sufficiently later has been delivered."""

from __future__ import annotations

from typing import Final

from catenet.control.states import CA_RECOVERY, SACKED
from catenet.stack.tcp.control.connection import (
    ANY_RETRANSMISSION,
    LOST,
    REORDER_TIMER,
    RETRANSMITTED,
    Connection,
    Sent,
)
from catenet.stack.tcp.control.constants import TIMEOUT_MIN
from catenet.stack.tcp.control.timers import set_timer
from catenet.stack.tcp.recovery.marks import mark_lost

__all__ = ["advance", "detect", "mark_by_time", "remaining", "update_window"]

_NO_DUPLICATE_THRESHOLD: Final = 4
_STATIC_WINDOW: Final = 2
_RECOVERIES: Final = 16
"""Recoveries for which a widened reordering window lasts (RFC 8985 6.2 step 4)."""


def advance(c: Connection, marks: int, end: int, sent_at: int) -> None:
    """A segment was delivered (steps 1 and 2): remember the one sent last among these."""
    state = c.rack
    rtt = c.layer.us - sent_at
    if marks & ANY_RETRANSMISSION and rtt < c.rtt.minimum():
        # Acknowledged sooner than any round trip: this ACK is for the original transmission.
        return
    state.advanced = True
    state.rtt = rtt
    if sent_at > state.latest_at or (sent_at == state.latest_at and end > state.latest_end):
        state.latest_at = sent_at
        state.latest_end = end
        state.latest_again = bool(marks & RETRANSMITTED)


def window(c: Connection) -> int:
    """Reordering window (step 4)."""
    if not c.reordering_seen:
        if c.ca_state >= CA_RECOVERY:
            return 0
        if c.sacked_out >= c.reordering and not c.layer.settings.tcp_recovery & _NO_DUPLICATE_THRESHOLD:
            return 0
    return min((c.rtt.minimum() >> 2) * c.rack.steps, c.rtt.srtt >> 3)


def remaining(c: Connection, sent: Sent, reorder_window: int) -> int:
    """Time until a segment counts as lost (step 5)."""
    return c.rack.rtt + reorder_window - (c.layer.us - sent.sent_at)


def detect(c: Connection) -> int:
    """Mark what is lost; returns the time until the next segment may count as lost, 0 for none."""
    reorder_window = window(c)
    latest, latest_end = c.rack.latest_at, c.rack.latest_end
    timeout = 0
    for sent in c.sent:
        marks = sent.marks
        if marks & SACKED or marks & (LOST | RETRANSMITTED) == LOST:
            continue
        if sent.sent_at > latest or (sent.sent_at == latest and sent.end >= latest_end):
            if not marks & ANY_RETRANSMISSION:
                # First transmissions are in order of time, so all that follow were sent later still.
                break
            continue
        if sent.sent_at == latest and marks & RETRANSMITTED and not c.rack.latest_again:
            # In virtual time a retransmission may share its instant with the first transmission that was delivered.
            continue
        left = remaining(c, sent, reorder_window)
        if left <= 0:
            mark_lost(c, sent)
        elif left > timeout:
            timeout = left
    return timeout


def mark_by_time(c: Connection) -> bool:
    """Detect losses after an ACK; whether the reordering timer was set."""
    if not c.rack.advanced:
        return False
    c.rack.advanced = False
    timeout = detect(c)
    if timeout:
        set_timer(c, REORDER_TIMER, min(-(-timeout // 1000) * 1000 + TIMEOUT_MIN, c.rto))
        return True
    return False


def update_window(c: Connection, prior_delivered: int) -> None:
    """Widen the reordering window in round trips with D-SACKs, narrow it after recoveries without (step 4)."""
    state = c.rack
    if c.layer.settings.tcp_recovery & _STATIC_WINDOW or not prior_delivered:
        return
    if prior_delivered < state.last_delivered:
        state.dsack_seen = False
    if state.dsack_seen:
        state.steps = min(0xFF, state.steps + 1)
        state.dsack_seen = False
        state.last_delivered = c.delivered
        state.persist = _RECOVERIES
    elif not state.persist:
        state.steps = 1
