"""Marks of the segments in flight that are believed lost."""

from __future__ import annotations

from catenet.control.states import SACKED
from catenet.stack.tcp.control.connection import LOST, RETRANSMITTED, Connection, Sent

__all__ = ["clear_marks", "mark_lost"]


def mark_lost(c: Connection, sent: Sent) -> None:
    """Believe a segment, or its retransmission, lost."""
    marks = sent.marks
    if marks & SACKED or marks & (LOST | RETRANSMITTED) == LOST:
        return
    if marks & LOST:
        sent.marks = marks & ~RETRANSMITTED
        c.retransmitted_out -= sent.count
    else:
        c.lost_out += sent.count
        sent.marks = marks | LOST
    c.lost += sent.count
    if c.congestion.controls:
        c.congestion.on_lost(c, sent)


def clear_marks(c: Connection, marks: int) -> None:
    """Take marks off every segment in flight."""
    for sent in c.sent:
        sent.marks &= ~marks
    if marks & SACKED:
        c.sacked_out = 0
        c.sack_high = 0
    if marks & LOST:
        c.lost_out = 0
