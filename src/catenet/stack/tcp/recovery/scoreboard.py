"""The SACK scoreboard (RFC 2018, RFC 2883, RFC 6675 terms): which segments in flight have arrived."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from catenet.control.delivery_rate import on_delivered
from catenet.control.states import CA_LOSS, SACKED
from catenet.stack.tcp.control.connection import ANY_RETRANSMISSION, LOST, RETRANSMITTED, Connection, Sent, position
from catenet.stack.tcp.recovery import ackstate, rack
from catenet.stack.tcp.recovery.ackstate import AckState
from catenet.stack.tcp.sending.retransmit import split

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_reordering", "tag"]

_seq = attrgetter("seq")
_MAX_BLOCKS: Final = 5


def tag(c: Connection, sacks: Sequence[tuple[int, int]], ack: int, prior_una: int, state: AckState) -> None:
    """Take in the SACK blocks of one segment whose acknowledgment number is `ack`."""
    blocks = [(position(left, c.snd_una), position(right, c.snd_una)) for left, right in sacks[:_MAX_BLOCKS]]
    dsack = _check_dsack(c, blocks, ack, prior_una, state)
    if not c.packets_out:
        return
    usable = []
    for number, (left, right) in enumerate(blocks):
        duplicate = dsack and number == 0
        if not _is_valid(c, duplicate, left, right):
            continue
        if right <= c.snd_una and not duplicate:
            continue
        usable.append((left, right, duplicate))
    if dsack and usable and usable[0][2]:
        _walk(c, usable[0][0], usable[0][1], True, state)
        usable = usable[1:]
    for left, right, _ in sorted(usable):
        _walk(c, left, right, False, state)
    if c.ca_state != CA_LOSS or c.recovery.undo_marker is not None:
        check_reordering(c, state.reordered)


def _is_valid(c: Connection, dsack: bool, left: int, right: int) -> bool:
    """Whether a block can be true: within what was sent; a D-SACK may lie before `snd_una`, but not far."""
    recovery = c.recovery
    if right > c.snd_nxt or left >= right or left >= c.snd_nxt:
        return False
    if left >= c.snd_una:
        return True
    if not dsack or recovery.undo_marker is None:
        return False
    if right > c.snd_una:
        return False
    if left >= recovery.undo_marker:
        return True
    return right > recovery.undo_marker and left >= right - c.max_window


def _check_dsack(c: Connection, blocks: list[tuple[int, int]], ack: int, prior_una: int, state: AckState) -> bool:
    """Whether the first block is a D-SACK (RFC 2883 4), and what follows from it."""
    recovery = c.recovery
    if not blocks:
        return False
    left, right = blocks[0]
    if left >= ack and not (len(blocks) > 1 and right <= blocks[1][1] and left >= blocks[1][0]):
        return False
    duplicates = _count_duplicates(c, left, right, state)
    if not duplicates:
        state.flags &= ~ackstate.DSACK_TLP
        return False
    if (
        recovery.undo_marker is not None
        and recovery.undo_retransmits > 0
        and right <= prior_una
        and right > recovery.undo_marker
    ):
        recovery.undo_retransmits = max(0, recovery.undo_retransmits - duplicates)
    return True


def _count_duplicates(c: Connection, left: int, right: int, state: AckState) -> int:
    """Segments that arrived twice; 0 when the report cannot be of our making."""
    if left >= right or right - left > c.max_window:
        return 0
    duplicates = -(-(right - left) // c.mss) if right - left > c.mss else 1
    c.dsack_duplicates += duplicates
    if c.dsack_duplicates > c.total_retransmits:
        return 0
    c.dsack_seen = True
    if c.tlp_high_seq is not None and c.tlp_high_seq == right:
        state.flags |= ackstate.DSACK_TLP
    else:
        c.rack.dsack_seen = True
    state.flags |= ackstate.DSACKING
    state.sack_delivered += duplicates
    return duplicates


def _walk(c: Connection, left: int, right: int, dsack: bool, state: AckState) -> None:
    """Mark the segments in flight that [left, right) covers."""
    sent_queue = c.sent
    at = bisect_right(sent_queue, left, key=_seq) - 1
    if at < 0:
        at = 0
    while at < len(sent_queue):
        sent = sent_queue[at]
        if sent.seq >= right:
            break
        at += 1
        if sent.marks & SACKED and not dsack:
            # Every ACK of a recovery reports the same blocks again: most of a window is passed over here.
            continue
        if sent.end <= left:
            continue
        if (left > sent.seq or right < sent.end) and not _split_at_edges(c, sent, left, right):
            continue
        if sent.seq < left:
            continue
        tag_one(c, sent, dsack, state)


def _split_at_edges(c: Connection, sent: Sent, left: int, right: int) -> bool:
    """Cut a run of segments where a block begins or ends; whether a part of this entry may be marked."""
    if sent.count <= 1:
        return False
    if left > sent.seq:
        length = (left - sent.seq) - (left - sent.seq) % c.mss
        if length < left - sent.seq:
            length += c.mss
        if 0 < length < sent.size:
            split(c, sent, length, c.mss)
        # What follows is the next entry of the queue; this one lies before the block.
        return False
    length = (right - sent.seq) // c.mss * c.mss
    if length <= 0:
        return False
    if length < sent.size:
        split(c, sent, length, c.mss)
    return sent.end <= right


def tag_one(c: Connection, sent: Sent, dsack: bool, state: AckState) -> None:
    """One segment is reported as received."""
    marks = sent.marks
    if dsack and marks & ANY_RETRANSMISSION:
        if c.recovery.undo_marker is not None and c.recovery.undo_retransmits > 0 and sent.end > c.recovery.undo_marker:
            c.recovery.undo_retransmits = max(0, c.recovery.undo_retransmits - sent.count)
        if marks & SACKED and sent.seq < state.reordered:
            state.reordered = sent.seq
    if sent.end <= c.snd_una:
        return
    if not marks & SACKED:
        rack.advance(c, marks, sent.end, sent.sent_at)
        if marks & RETRANSMITTED:
            # Without LOST the retransmission is believed to be still in flight, beside the original that arrived.
            if marks & LOST:
                marks &= ~(LOST | RETRANSMITTED)
                c.lost_out -= sent.count
                c.retransmitted_out -= sent.count
        else:
            if not marks & ANY_RETRANSMISSION:
                _note_original(c, sent, state)
            if marks & LOST:
                marks &= ~LOST
                c.lost_out -= sent.count
        marks |= SACKED
        state.flags |= ackstate.DATA_SACKED
        c.sacked_out += sent.count
        c.delivered += sent.count
        state.delivered_bytes += sent.size
        sent.marks = marks
        if sent.end > c.sack_high:
            c.sack_high = sent.end
        on_delivered(c, sent, state.rate)
    if dsack and marks & RETRANSMITTED:
        marks &= ~RETRANSMITTED
        c.retransmitted_out -= sent.count
    sent.marks = marks


def _note_original(c: Connection, sent: Sent, state: AckState) -> None:
    """The first transmission of a segment arrived: late if something sent after it was there before."""
    if sent.seq < c.highest_sacked and sent.seq < state.reordered:
        state.reordered = sent.seq
    if sent.end <= c.recovery.high_seq:
        state.flags |= ackstate.ORIG_SACK_ACKED
    if not state.first_sacked_at:
        state.first_sacked_at = sent.sent_at
    state.last_sacked_at = sent.sent_at


def check_reordering(c: Connection, low: int) -> None:
    """A segment below the highest SACKed one arrived late: the network reorders by that much."""
    high = c.highest_sacked
    if low >= high:
        return
    extent = -(-(high - low) // c.mss)
    if extent > c.reordering:
        c.reordering = min(extent, c.layer.settings.tcp_max_reordering)
    c.reordering_seen += 1
