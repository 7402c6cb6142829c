"""How the congestion window comes down: proportional rate reduction (RFC 6937, RFC 9937)."""

from __future__ import annotations

from catenet.control.states import CA_CWR, INFINITE
from catenet.stack.tcp.control.connection import ECN_OK, ECN_QUEUE_CWR, Connection
from catenet.stack.tcp.recovery import ackstate

__all__ = ["begin", "end", "enter_cwr", "queue_cwr", "reduce", "set_state"]


def set_state(c: Connection, state: int) -> None:
    """Change the congestion state."""
    c.congestion.on_state(c, state)
    c.ca_state = state


def queue_cwr(c: Connection) -> None:
    """Tell the peer with the next new segment that the window was reduced (RFC 3168 6.1.2)."""
    if c.ecn & ECN_OK:
        c.ecn |= ECN_QUEUE_CWR


def begin(c: Connection) -> None:
    """Start to reduce the window to what the congestion control says."""
    recovery = c.recovery
    recovery.high_seq = c.snd_nxt
    c.tlp_high_seq = None
    c.cwnd_count = 0
    c.prior_cwnd = c.cwnd
    recovery.prr_delivered = recovery.prr_out = 0
    c.ssthresh = c.congestion.ssthresh(c)
    queue_cwr(c)


def enter_cwr(c: Connection) -> None:
    """Reduce the window because the network marked segments or the host's own queue was full."""
    c.recovery.prior_ssthresh = 0
    if c.ca_state < CA_CWR:
        c.recovery.undo_marker = None
        begin(c)
        set_state(c, CA_CWR)


def reduce(c: Connection, newly_delivered: int, newly_lost: int, flags: int) -> None:
    """Set the window after an ACK in recovery (RFC 9937 6): slow start to the threshold when below it, else in
    proportion.
    """
    if newly_delivered <= 0 or not c.prior_cwnd:
        return
    recovery, in_flight = c.recovery, c.in_flight
    delta = c.ssthresh - in_flight
    recovery.prr_delivered += newly_delivered
    if delta < 0:
        count = (c.ssthresh * recovery.prr_delivered + c.prior_cwnd - 1) // c.prior_cwnd - recovery.prr_out
    else:
        count = max(recovery.prr_delivered - recovery.prr_out, newly_delivered)
        if flags & ackstate.UNA_ADVANCED and not newly_lost:
            count += 1
        count = min(delta, count)
    # The first ACK of recovery always lets the fast retransmission go.
    count = max(count, 0 if recovery.prr_out else 1)
    c.cwnd = in_flight + count


def end(c: Connection) -> None:
    """Recovery is over: the window is the threshold, unless it was undone."""
    if c.congestion.controls:
        return
    if c.ssthresh < INFINITE and (c.ca_state == CA_CWR or c.recovery.undo_marker is not None):
        c.cwnd = c.ssthresh
        c.cwnd_stamp = c.layer.us
