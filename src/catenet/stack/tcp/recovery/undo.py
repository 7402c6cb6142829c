"""Undoing a reduction of the window that turned out to be for nothing (RFC 3522, RFC 4015, RFC 2883, RFC 5682).

Two proofs: the echo of a timestamp older than the first retransmission (Eifel), or D-SACKs for everything that was
retransmitted since `undo_marker`.
"""

from __future__ import annotations

from typing import Final

from catenet.control.states import CA_DISORDER, CA_OPEN, EVER_RETRANSMITTED
from catenet.stack.tcp.control.connection import ECN_QUEUE_CWR, LOST, Connection
from catenet.stack.tcp.recovery import prr
from catenet.stack.tcp.recovery.marks import clear_marks
from catenet.stack.tcp.recovery.scoreboard import check_reordering

__all__ = [
    "any_retransmitted",
    "begin",
    "keep_open",
    "try_by_dsack",
    "try_loss",
    "try_partial",
    "try_recovery",
]

_RECOVERIES: Final = 16


def begin(c: Connection) -> None:
    """Remember where we stood, before the first retransmission."""
    recovery = c.recovery
    recovery.undo_marker = c.snd_una
    recovery.undo_retransmits = c.retransmitted_out
    if c.tlp_high_seq is not None and c.tlp_retransmission:
        recovery.undo_retransmits += 1
    if not recovery.undo_retransmits:
        recovery.undo_retransmits = -1


def _is_echo_older(c: Connection, echo: int) -> bool:
    """Whether the ACK, by its TSecr `echo`, answers what left before the first retransmission (RFC 3522 3.2)."""
    recovery = c.recovery
    if not c.timestamps or not echo or not recovery.retransmit_stamp:
        return False
    first = (recovery.retransmit_stamp // 1000 + c.ts_offset) & 0xFFFFFFFF
    return ((echo - first) & 0xFFFFFFFF) > 0x7FFFFFFF


def _may_undo(c: Connection, echo: int) -> bool:
    """Whether all retransmissions since the reduction were unnecessary."""
    recovery = c.recovery
    return recovery.undo_marker is not None and (not recovery.undo_retransmits or _is_echo_older(c, echo))


def any_retransmitted(c: Connection) -> bool:
    """Whether anything in flight was sent more than once."""
    return c.retransmitted_out > 0 or (bool(c.sent) and c.sent[0].marks & EVER_RETRANSMITTED != 0)


def _restore(c: Connection, unmark: bool) -> None:
    recovery = c.recovery
    if unmark:
        clear_marks(c, LOST)
    if recovery.prior_ssthresh:
        c.cwnd = c.congestion.undo(c)
        if recovery.prior_ssthresh > c.ssthresh:
            c.ssthresh = recovery.prior_ssthresh
            c.ecn &= ~ECN_QUEUE_CWR
    c.cwnd_stamp = c.layer.us
    recovery.undo_marker = None
    c.rack.advanced = True


def _holds_state(c: Connection) -> bool:
    """Without SACK the state is held until something above `high_seq` is acknowledged (RFC 6582 4.1)."""
    if c.snd_una == c.recovery.high_seq and not c.sack_ok:
        if not any_retransmitted(c):
            c.recovery.retransmit_stamp = 0
        return True
    return False


def try_recovery(c: Connection, echo: int) -> bool:
    """All that was in flight at the loss is acknowledged; True when the state must be held yet."""
    if _may_undo(c, echo):
        _restore(c, False)
    elif c.rack.persist:
        c.rack.persist -= 1
    if _holds_state(c):
        return True
    prr.set_state(c, CA_OPEN)
    c.reneging = False
    return False


def try_by_dsack(c: Connection) -> bool:
    """Everything retransmitted was reported as duplicate."""
    if c.recovery.undo_marker is not None and not c.recovery.undo_retransmits:
        c.rack.persist = min(_RECOVERIES, c.rack.persist + 1)
        _restore(c, False)
        return True
    return False


def try_loss(c: Connection, spurious: bool, echo: int) -> bool:
    """Leave Loss when the timeout was spurious."""
    if not (spurious or _may_undo(c, echo)):
        return False
    _restore(c, True)
    c.retransmits = 0
    if _holds_state(c):
        return True
    if spurious or c.sack_ok:
        prr.set_state(c, CA_OPEN)
        c.reneging = False
    return True


def try_partial(c: Connection, prior_una: int, echo: int) -> bool:
    """A partial ACK in recovery that acknowledges an original, late transmission; True when nothing is to be
    retransmitted now.
    """
    if c.recovery.undo_marker is None or not _is_echo_older(c, echo):
        return False
    check_reordering(c, prior_una)
    if c.retransmitted_out:
        return True
    if not any_retransmitted(c):
        c.recovery.retransmit_stamp = 0
    _restore(c, True)
    keep_open(c)
    return False


def keep_open(c: Connection) -> None:
    """Open, or Disorder while something is missing."""
    state = CA_DISORDER if c.sacked_out + c.lost_out or any_retransmitted(c) else CA_OPEN
    if c.ca_state != state:
        prr.set_state(c, state)
        c.recovery.high_seq = c.snd_nxt
