"""Retransmission of an entry of the queue, cut or joined to fit (RFC 9293 3.8.1)."""

from __future__ import annotations

from catenet.control.states import EVER_RETRANSMITTED, SACKED
from catenet.stack.tcp.control.connection import LOST, RETRANSMITTED, Connection, Sent
from catenet.stack.tcp.sending.output import RECORD_END, current_mss, send_sent
from catenet.wire.tcp import FIN, PSH, SYN

__all__ = ["recut", "retransmit", "retransmit_uncounted", "split"]


def retransmit(c: Connection, sent: Sent, segments: int) -> bool:
    """Send an entry again and count it as in flight again; False when it may not be sent."""
    if not retransmit_uncounted(c, sent, segments):
        return False
    sent.marks |= RETRANSMITTED
    c.retransmitted_out += sent.count
    if c.recovery.undo_retransmits < 0:
        c.recovery.undo_retransmits = 0
    c.recovery.undo_retransmits += sent.count
    return True


def retransmit_uncounted(c: Connection, sent: Sent, segments: int) -> bool:
    """Send an entry again: as little as fits MSS, `segments` and window, splitting it first where needed."""
    if c.layer.held:
        return False
    if c.mtu_probing is not None:
        c.mtu_probing.probe_size = 0
    if sent.seq < c.snd_una:
        _trim(c, sent)
    mss = current_mss(c)
    window = c.snd_una + c.snd_wnd - sent.seq
    if window <= 0:
        if sent.seq != c.snd_una:
            return False
        window = mss
    length = mss * min(segments, max(c.layer.gso_size // mss, 1))
    if length > window:
        length = window - window % mss or window
    if sent.size > length:
        split(c, sent, length, mss)
    elif sent.count != (count := -(-sent.size // mss) or 1):
        _adjust_count(c, sent, count)
    elif sent.size < mss:
        _collapse(c, sent, mss)
    c.total_retransmits += sent.count
    c.bytes_retransmitted += sent.size
    c.layer.counters.retransmitted += sent.count
    send_sent(c, sent, False, sent.count > 1)
    sent.marks |= EVER_RETRANSMITTED
    if not c.recovery.retransmit_stamp:
        c.recovery.retransmit_stamp = c.layer.us
    on_retransmitted(c, sent)
    return True


def on_retransmitted(c: Connection, sent: Sent) -> None:
    """Begin a new sample of the delivery rate with a retransmission."""
    sent.delivered = c.delivered
    sent.delivered_at = c.rate.delivered_at
    sent.first_sent_at = c.rate.first_sent_at
    sent.app_limited = bool(c.app_limited)
    sent.delivered_ce = c.delivered_ce
    sent.lost = c.lost
    sent.in_flight = c.in_flight + sent.count


def recut(c: Connection, mss: int) -> None:
    """Cut what was lost for its size anew, across the old borders, into full segments."""
    run: list[Sent] = []
    for sent in [*c.sent, None]:
        joins = sent is not None and sent.size and sent.marks & (SACKED | RETRANSMITTED | LOST) == LOST
        if joins and sent is not None:
            run.append(sent)
        if run and (not joins or run[-1].flags & (RECORD_END | FIN)):
            _recut_run(c, run, mss)
            run = []


def _recut_run(c: Connection, run: list[Sent], mss: int) -> None:
    head, last = run[0], run[-1]
    if len(run) == 1 or c.urgent_mode:
        return
    head.data = b"".join([sent.data for sent in run])
    head.end = last.end
    head.flags = head.flags & ~(PSH | RECORD_END) | last.flags
    for sent in run[1:]:
        head.marks |= sent.marks & EVER_RETRANSMITTED
    at = c.sent.index(head)
    del c.sent[at + 1 : at + len(run)]
    count = -(-head.size // mss)
    _recount(c, LOST, count - sum(sent.count for sent in run))
    head.count = count
    while head.size > mss:
        head = split(c, head, mss, mss)


def _trim(c: Connection, sent: Sent) -> None:
    """Forget the acknowledged head of an entry."""
    cut = c.snd_una - sent.seq
    sent.data = sent.data[cut:]
    sent.seq = c.snd_una


def split(c: Connection, sent: Sent, length: int, mss: int) -> Sent:
    """Cut an entry in two after `length` bytes; returns the new second one, which follows in the queue."""
    old = sent.count
    rest = Sent(sent.seq + length, sent.end, sent.data[length:], sent.flags, 1)
    sent.data = sent.data[:length]
    sent.end = rest.seq
    sent.flags &= ~(FIN | PSH | RECORD_END)
    rest.marks = sent.marks
    for name in ("sent_at", "delivered", "delivered_at", "first_sent_at", "app_limited", "in_flight", "lost"):
        setattr(rest, name, getattr(sent, name))
    rest.delivered_ce = sent.delivered_ce
    c.sent.insert(c.sent.index(sent) + 1, rest)
    sent.count = -(-length // mss) or 1
    rest.count = -(-rest.size // mss) or 1
    _recount(c, sent.marks, sent.count + rest.count - old)
    return rest


def _adjust_count(c: Connection, sent: Sent, count: int) -> None:
    """Set the number of segments that an entry stands for, as the MSS has changed."""
    _recount(c, sent.marks, count - sent.count)
    sent.count = count


def _recount(c: Connection, marks: int, change: int) -> None:
    c.packets_out += change
    if marks & SACKED:
        c.sacked_out += change
    if marks & RETRANSMITTED:
        c.retransmitted_out += change
    if marks & LOST:
        c.lost_out += change


def _collapse(c: Connection, sent: Sent, mss: int) -> None:
    """Join what follows to a short segment that is sent again anyway (RFC 9293 3.7.4 lets it)."""
    if not c.layer.settings.tcp_retrans_collapse or sent.flags & (SYN | FIN) or sent.count > 1:
        return
    at = c.sent.index(sent)
    while at + 1 < len(c.sent):
        following = c.sent[at + 1]
        if following.flags & SYN or following.count > 1 or following.marks & SACKED or not following.size:
            return
        if sent.size + following.size > mss or following.end > c.snd_una + c.snd_wnd:
            return
        if c.urgent_mode or sent.flags & RECORD_END:
            return
        sent.data = b"".join((sent.data, following.data))
        sent.end = following.end
        sent.flags |= following.flags
        sent.marks |= following.marks & EVER_RETRANSMITTED
        _recount(c, following.marks, -following.count)
        del c.sent[at + 1]
