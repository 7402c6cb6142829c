"""The program writes, and ends its stream."""

from __future__ import annotations

from collections import deque

from catenet.stack.endpoint import Buffer, Fault, StackError
from catenet.stack.tcp import flush, states
from catenet.stack.tcp.connection import Connection
from catenet.stack.tcp.fastopen import ClientHandshake
from catenet.stack.tcp.lifecycle import WRITE
from catenet.stack.tcp.output import burst_limit, size_goal
from catenet.stack.tcp.space import low_water

__all__ = ["queue_fin", "queue_write"]


def queue_write(c: Connection, data: Buffer, is_urgent: bool, more: bool, end_of_record: bool) -> int | None:
    """See `TcpEndpoint.send`."""
    if c.state == states.SYN_SENT:
        return _before_established(c, data)
    if c.error is not None and c.state == states.CLOSED:
        fault, c.error = c.error, None
        raise StackError(fault)
    if c.shutdown & WRITE or c.state not in (states.ESTABLISHED, states.CLOSE_WAIT, states.SYN_RECEIVED):
        raise StackError(Fault.BROKEN_PIPE)
    if c.error is not None:
        fault, c.error = c.error, None
        raise StackError(fault)
    size = len(data) if not isinstance(data, memoryview) else data.nbytes
    if not size:
        return 0
    free = c.send_buffer - c.buffered
    if free <= 0 or c.write_seq - c.snd_nxt >= low_water(c):
        c.no_space = True
        return None
    append(c, data, min(size, free), more)
    if size > free:
        c.no_space = True
    elif end_of_record:
        if c.record_ends is None:
            c.record_ends = deque()
        c.record_ends.append(c.write_seq)
    elif is_urgent:
        c.snd_up = c.write_seq
        c.urgent_mode = True
    flush.todo(c, flush.SEND | (flush.MORE if more else 0))
    return min(size, free)


def append(c: Connection, data: Buffer, taken: int, more: bool) -> None:
    """Put data at the end of the stream and mark where PSH belongs."""
    if isinstance(data, bytes):
        chunk = data if taken == len(data) else data[:taken]
    else:
        chunk = bytes(memoryview(data).cast("B")[:taken])
    _mark_push(c, taken, more)
    c.pending.append(chunk)
    c.buffered += taken


def _mark_push(c: Connection, size: int, more: bool) -> None:
    """PSH goes with the last byte of a write, and where half of the peer's window has been written since the last
    (RFC 9293 3.9.1.2); a write that joins unsent data takes its mark over.
    """
    marks = c.push_marks
    ended = c.record_ends is not None and c.record_ends and c.record_ends[-1] == c.write_seq
    if marks and marks[-1] == c.write_seq and c.write_seq > c.snd_nxt and not ended:
        marks.pop()
    if c.write_seq == c.snd_nxt:
        c.run_start = c.write_seq
    goal = size_goal(c, c.mss)
    if c.write_seq + size - max(c.run_start, c.snd_nxt) > goal and c.state != states.SYN_RECEIVED:
        _mark_runs(c, size, goal)
    c.write_seq += size
    if not more:
        marks.append(c.write_seq)
        c.pushed = c.write_seq


def _mark_runs(c: Connection, size: int, goal: int) -> None:
    """Where PSH falls within a write of several runs.

    Linux gathers runs of `goal` bytes, and while a long write goes on it sends what it may of each run that is full;
    the rest of the run then takes more. A run that ends beyond half of the window since the last PSH is pushed.
    """
    half = c.max_window >> 1
    at, end = c.write_seq, c.write_seq + size
    sent, start, pushed = c.snd_nxt, c.run_start, False
    quota = min(c.cwnd - c.in_flight, (c.wnd_end - sent) // c.mss)
    first = min(burst_limit(c, c.mss), max(c.cwnd >> 1, 1))
    while True:
        room = goal - (at - max(start, sent))
        if room <= 0 or sent >= at:
            if pushed:
                c.push_marks.append(at)
            start, room, pushed = at, goal, False
        at += min(room, end - at)
        if at == end:
            break
        if at > c.pushed + half:
            pushed = True
            c.pushed = at
            segments = quota
        else:
            segments = min(quota, first) if sent >= start else 0
        if segments > 0:
            quota -= segments
            sent = min(sent + segments * c.mss, at)
    c.run_start = start


def _before_established(c: Connection, data: Buffer) -> int | None:
    """Data for the SYN (Fast Open), or too early."""
    if c.options.get("_deferred"):
        return flush_deferred(c, data)
    if c.error is not None:
        fault, c.error = c.error, None
        raise StackError(fault)
    c.no_space = True
    return None


def flush_deferred(c: Connection, data: Buffer) -> int:
    """The connect that waited for its first data begins now, with as much as its SYN holds."""
    c.options["_deferred"] = 0
    assert isinstance(c.fast_open, ClientHandshake)
    size = min(len(data) if not isinstance(data, memoryview) else data.nbytes, c.fast_open.room(c))
    if size:
        append(c, data, size, False)
    flush.todo(c, flush.CONNECT)
    return size


def queue_fin(c: Connection) -> None:
    """End our stream: the FIN follows the last byte."""
    c.write_shut = True
    following = states.AFTER_CLOSE.get(c.state)
    if following is None:
        return
    c.state = following
    c.fin_queued = True
    c.write_seq += 1
    flush.todo(c, flush.FIN)
