"""Explicit congestion notification (RFC 3168): marks that arrive, their echoes, and the reaction to echoes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import ACK_NOW, ECN_DEMAND_CWR, ECN_OK, ECN_SEEN, Connection
from catenet.stack.tcp.receiving.receive_data import enter_quick_mode
from catenet.stack.tcp.recovery import ackstate
from catenet.wire.ecn import CE, NOT_ECT
from catenet.wire.tcp import CWR, ECE, SYN, TcpSegment

if TYPE_CHECKING:
    from catenet.stack.tcp.recovery.ackstate import AckState

__all__ = ["on_ack", "on_data"]


def on_data(c: Connection, flags: int, ecn: int) -> None:
    """Data arrived with these IP ECN bits: echo congestion until the peer says that it has reacted."""
    if not c.ecn & ECN_OK:
        return
    if flags & CWR:
        c.ecn &= ~ECN_DEMAND_CWR
        # The peer reduces its window, so it wants to hear of progress at once.
        c.ack_pending |= ACK_NOW
    if ecn == NOT_ECT:
        # A retransmission (never ECN-capable) while marks were seen before: the path may drop our ACKs' meaning.
        if c.ecn & ECN_SEEN:
            enter_quick_mode(c, 2)
        return
    if ecn == CE and not c.ecn & ECN_DEMAND_CWR:
        enter_quick_mode(c, 2)
        c.ecn |= ECN_DEMAND_CWR
    c.ecn |= ECN_SEEN


def on_ack(c: Connection, segment: TcpSegment, state: AckState) -> None:
    """The peer echoes congestion, or has reacted to our echo (RFC 3168 6.1.2, 6.1.3)."""
    if not c.ecn & ECN_OK or segment.flags & SYN or c.state == states.SYN_SENT:
        return
    if segment.flags & ECE:
        state.flags |= ackstate.ECE
    if segment.flags & CWR:
        # Some systems set CWR on pure ACKs too; accepting it there does no harm.
        c.ecn &= ~ECN_DEMAND_CWR
