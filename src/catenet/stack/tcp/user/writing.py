"""Writing to a connection, and ending its stream."""

from __future__ import annotations

from collections import deque

from catenet.stack.endpoint import Buffer, Fault, StackError
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.control.lifecycle import SEND_SHUTDOWN
from catenet.stack.tcp.opening.fast_open import ClientHandshake
from catenet.stack.tcp.sending import flush
from catenet.stack.tcp.sending.output import burst_limit, size_goal
from catenet.stack.tcp.sending.send_space import low_water
from catenet.wire.offload import VIEW_THRESHOLD

__all__ = ["queue_fin", "queue_write"]


def queue_write(c: Connection, data: Buffer, is_urgent: bool, more: bool, end_of_record: bool) -> int | None:
    """See `TcpEndpoint.send`."""
    if c.state == states.SYN_SENT:
        return _before_established(c, data)
    if c.error is not None and c.state == states.CLOSED:
        fault, c.error = c.error, None
        raise StackError(fault)
    if c.shutdown & SEND_SHUTDOWN or c.state not in (states.ESTABLISHED, states.CLOSE_WAIT, states.SYN_RECEIVED):
        raise StackError(Fault.BROKEN_PIPE)
    if c.error is not None:
        fault, c.error = c.error, None
        raise StackError(fault)
    size = len(data) if not isinstance(data, memoryview) else data.nbytes
    if not size:
        return 0
    if more:
        flush.hold(c)
    taken = _plan(c, size)
    if taken < size:
        c.no_space = True
    if not taken:
        return None
    append(c, data, taken, more and taken == size)
    if taken == size:
        _mark_end(c, is_urgent, end_of_record)
    if c.tx_timestamps is not None:
        c.tx_timestamps.on_write(c.write_seq)
    if more and taken == size:
        flush.schedule(c, flush.WORK_SEND | flush.WORK_MORE)
    else:
        c.work &= ~flush.WORK_MORE
        flush.schedule(c, flush.WORK_SEND)
    return taken


def _mark_end(c: Connection, is_urgent: bool, end_of_record: bool) -> None:
    if end_of_record:
        if c.record_ends is None:
            c.record_ends = deque()
        c.record_ends.append(c.write_seq)
    if is_urgent:
        c.snd_up = c.write_seq
        c.urgent_mode = True


def append(c: Connection, data: Buffer, taken: int, more: bool) -> None:
    """Put data at the end of the stream and mark where PSH belongs."""
    if c.layer.gso_size and taken >= VIEW_THRESHOLD:
        c.pending.append(_view(c, data, taken))
    elif isinstance(data, bytes):
        c.pending.append(data if taken == len(data) else data[:taken])
    else:
        c.pending.append(bytes(memoryview(data).cast("B")[:taken]))
    c.buffered += taken
    c.write_seq += taken
    if not more:
        c.push_marks.append(c.write_seq)
        c.pushed = c.write_seq


def _view(c: Connection, data: Buffer, taken: int) -> bytes | memoryview:
    """The head of what is written, for a device that takes it from where it is: a copy only of what may change.

    A view keeps the whole object alive, which therefore must not be larger than a send buffer may be.
    """
    view = memoryview(data).cast("B")[:taken]
    whole = view.obj
    return view if isinstance(whole, bytes) and len(whole) <= c.layer.settings.tcp_wmem[2] else bytes(view)


def _plan(c: Connection, size: int) -> int:
    """How much of a write is taken, and where PSH falls within it.

    Linux gathers what is written in runs (of at most half of the peer's window): room is asked for when a run begins,
    so the last one may exceed the buffer, and a write that joins a run which waits takes its mark over.
    """
    at = c.write_seq
    if at == c.snd_nxt or at == c.due:
        c.run_start = at
    goal = size_goal(c, c.mss)
    room = 0
    if at > c.snd_nxt and at != c.due and not (c.record_ends and c.record_ends[-1] == at):
        room = goal - (at - max(c.run_start, c.snd_nxt))
        if room > 0 and c.push_marks and c.push_marks[-1] == at:
            c.push_marks.pop()
    return size if size <= room else _fill_runs(c, size, goal, max(room, 0))


def _fill_runs(c: Connection, size: int, goal: int, room: int) -> int:
    """Follow a write through its runs: while it goes on, what may leave of a full run leaves, and the rest of the run
    takes more; a run that ends beyond half of the window since the last PSH is pushed.
    """
    at, end = c.write_seq, c.write_seq + size
    sent, start, pushed = c.snd_nxt, c.run_start, False
    quota = min(c.cwnd - c.in_flight, (c.wnd_end - sent) // c.mss)
    first = min(burst_limit(c, c.mss), max(c.cwnd >> 1, 1))
    while True:
        if room <= 0:
            if pushed:
                c.push_marks.append(at)
            if c.buffered + at - c.write_seq >= c.send_buffer or at - sent >= low_water(c):
                break
            start, room, pushed = at, goal, False
        step = min(room, end - at)
        at += step
        if at == end:
            break
        if at > c.pushed + (c.max_window >> 1):
            pushed = True
            c.pushed = at
            segments = quota
        else:
            segments = min(quota, first) if sent >= start else 0
        if segments > 0:
            quota -= segments
            sent = min(sent + segments * c.mss, at)
        room = goal - (at - max(start, sent)) if sent < at else 0
    c.run_start = start
    return at - c.write_seq


def _before_established(c: Connection, data: Buffer) -> int | None:
    """Handle a write before the connection is established: data for the SYN (Fast Open), or too early."""
    if isinstance(c.fast_open, ClientHandshake) and c.fast_open.deferred:
        return flush_deferred(c, c.fast_open, data)
    if c.error is not None:
        fault, c.error = c.error, None
        raise StackError(fault)
    c.no_space = True
    return None


def flush_deferred(c: Connection, handshake: ClientHandshake, data: Buffer) -> int:
    """Begin the connect that waited for its first data, with as much of it as the SYN holds."""
    handshake.deferred = False
    size = min(len(data) if not isinstance(data, memoryview) else data.nbytes, handshake.room(c))
    if size:
        append(c, data, size, False)
        if c.tx_timestamps is not None:
            c.tx_timestamps.on_write(c.write_seq)
    flush.schedule(c, flush.WORK_CONNECT)
    return size


def queue_fin(c: Connection) -> None:
    """Queue the FIN after the last byte."""
    c.write_shut = True
    following = states.TRANSITIONS[c.state].get(states.CLOSE)
    if following is None:
        return  # nothing to end yet (SYN-SENT), or the FIN is queued already
    c.state = following
    c.fin_queued = True
    c.write_seq += 1
    flush.schedule(c, flush.WORK_FIN)
