"""New data that leaves in a run of plain segments: the fast path of `output.send_new`.

Whatever is the same for all segments of a run (window, timestamps, header, counters) is worked out once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.control.delivery_rate import on_sent
from catenet.stack.tcp.control.connection import Sent
from catenet.stack.tcp.control.constants import MAX_PINGPONG
from catenet.stack.tcp.receiving.window import select_window
from catenet.stack.tcp.sending.header import header_of
from catenet.wire.gather import Gather
from catenet.wire.offload import VIEWED
from catenet.wire.tcp import ACK, PSH

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection
    from catenet.stack.tcp.sending.header import Header

__all__ = ["gather_pending", "header_for_run", "send_run", "take_pending", "view_pending"]


def take_pending(c: Connection, length: int) -> bytes:
    """The next `length` bytes that were never sent."""
    pending = c.pending
    offset = c.pending_offset
    chunk = pending[0]
    if isinstance(chunk, bytes) and len(chunk) - offset > length:
        c.pending_offset = offset + length
        return chunk[offset : offset + length]
    parts = _take_pieces(c, length)
    first = parts[0]
    return first if len(parts) == 1 and isinstance(first, bytes) else b"".join(parts)


def _take_pieces(c: Connection, length: int) -> list[bytes | memoryview]:
    pending = c.pending
    offset = c.pending_offset
    chunk = pending[0]
    parts: list[bytes | memoryview] = []
    while True:
        piece = chunk[offset : offset + length] if offset or len(chunk) > length else chunk
        parts.append(piece)
        length -= len(piece)
        if offset + len(piece) == len(chunk):
            pending.popleft()
            offset = 0
        else:
            offset += len(piece)
        if not length:
            break
        chunk = pending[0]
    c.pending_offset = offset
    return parts


def gather_pending(c: Connection, length: int) -> bytes | memoryview | Gather:
    """As `view_pending`, and of what several writes have left their pieces, unless those are small."""
    if length < VIEWED or len(c.pending[0]) - c.pending_offset >= length:
        return view_pending(c, length)
    pieces = _take_pieces(c, length)
    return Gather(pieces, length) if len(pieces) * VIEWED <= length else b"".join(pieces)


def view_pending(c: Connection, length: int) -> bytes | memoryview:
    """As `take_pending`, but a view where that saves copying: of what one write has left."""
    chunk = c.pending[0]
    offset = c.pending_offset
    if length < VIEWED or len(chunk) - offset < length:
        return take_pending(c, length)
    if len(chunk) - offset > length:
        c.pending_offset = offset + length
    else:
        c.pending.popleft()
        c.pending_offset = 0
    return memoryview(chunk)[offset : offset + length]


def header_for_run(c: Connection, size: int, mss: int) -> Header | None:
    """Header of the segments if they may leave in a run: nothing but data, timestamps and an ACK; else None."""
    if c.reassembly is not None or c.urgent_mode or c.accecn is not None or c.ecn or not c.layer.offload:
        return None
    if (
        c.fin_queued
        or c.record_ends
        or c.stamps is not None
        or c.memory is not None
        or (size > mss and c.layer.gso_size)
        or not c.timestamps
    ):
        return None
    header = header_of(c)
    return header if header is not None and header.sends and mss <= header.room else None


def send_run(c: Connection, header: Header, size: int, mss: int) -> int:
    """Send `size` bytes of new data in segments of at most `mss`; returns how many those are."""
    layer = c.layer
    now = layer.us
    end = c.snd_nxt + size
    window = select_window(c)
    output = layer.output
    hop, counters, marks, queue = header.hop, header.counters, c.push_marks, c.sent
    delayed_ack = c.delayed_ack
    segments = 0
    if not c.packets_out:
        c.congestion.on_start_after_idle(c)
    while True:
        seq = c.snd_nxt
        length = min(mss, end - seq)
        upto = seq + length
        flags = ACK
        while marks and marks[0] <= upto:
            if marks.popleft() == upto:
                flags = ACK | PSH
        last = upto == end
        data = take_pending(c, length) if length < VIEWED else view_pending(c, length)
        # Linux pushes the end of each burst, which flushes the receiver's aggregation of segments; not when it is sent
        # again, so the entry does not keep it.
        packet = header.pack(c, seq, flags | PSH if last and segments else flags, window, data)
        sent = Sent(seq, upto, packet, flags, 1)
        sent.size = length
        sent.sent_at = now
        on_sent(c, sent)
        queue.append(sent)
        c.snd_nxt = upto
        c.packets_out += 1
        segments += 1
        if now - c.last_data_in < delayed_ack.ato and delayed_ack.pingpong < MAX_PINGPONG:
            delayed_ack.pingpong += 1
        output.send_ready(packet, hop, counters)
        if last:
            break
    c.departed_at = c.last_data_out = now
    c.bytes_sent += size
    c.data_segments_out += segments
    layer.counters.out_segments += segments
    if size % mss:
        c.snd_sml = end
    return segments
