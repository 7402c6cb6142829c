"""The fast path of new data: a run of plain segments, sent in one loop.

What all segments of a run have in common (window, timestamps, header, counters) is computed once. The slow path sends
the same segments one entry of the retransmission queue at a time (`sending/output.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.control.delivery_rate import on_sent
from catenet.stack.tcp.control.connection import Sent
from catenet.stack.tcp.receiving.window import select_window
from catenet.stack.tcp.sending.data_sent import note_data_sent
from catenet.stack.tcp.sending.header import header_of
from catenet.stack.tcp.sending.pending import is_pushed_at, take_pending, view_pending
from catenet.wire.offload import VIEW_THRESHOLD
from catenet.wire.tcp import ACK, PSH

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection
    from catenet.stack.tcp.sending.header import Header

__all__ = ["header_for_run", "send_run"]


def header_for_run(c: Connection, size: int, mss: int) -> Header | None:
    """Header of the segments if they may leave in a run (data, timestamps and an ACK, nothing else); else None."""
    if c.reassembly is not None or c.urgent_mode or c.accecn is not None or c.ecn or not c.layer.offload:
        return None
    if (
        c.fin_queued
        or c.record_ends
        or c.tx_timestamps is not None
        or c.memory is not None
        or (size > mss and c.layer.gso_size)
        or not c.timestamps
    ):
        return None
    header = header_of(c)
    return header if header is not None and header.can_send and mss <= header.max_payload else None


def send_run(c: Connection, header: Header, size: int, mss: int) -> int:
    """Send `size` bytes of new data in segments of at most `mss`; returns how many those are."""
    layer = c.layer
    now = layer.us
    end = c.snd_nxt + size
    window = select_window(c)
    output = layer.output
    hop, counters, marks, queue = header.hop, header.counters, c.push_marks, c.sent
    segments = 0
    if not c.packets_out:
        c.congestion.on_start_after_idle(c)
    while True:
        seq = c.snd_nxt
        length = min(mss, end - seq)
        upto = seq + length
        flags = ACK | PSH if marks and marks[0] <= upto and is_pushed_at(marks, upto) else ACK
        last = upto == end
        data = take_pending(c, length) if length < VIEW_THRESHOLD else view_pending(c, length)
        # Linux pushes the end of each burst, which flushes the receiver's aggregation of segments; not when it is sent
        # again, so the entry does not keep it.
        packet = header.pack(c, seq, flags | PSH if last and segments else flags, window, data)
        sent = Sent(seq, upto, packet, flags, 1)
        sent.size = length
        sent.sent_at = now
        on_sent(c, sent, now)
        queue.append(sent)
        c.snd_nxt = upto
        c.packets_out += 1
        segments += 1
        output.send_ready(packet, hop, counters)
        if last:
            break
    c.departed_at = now
    note_data_sent(c, size, segments, segments)
    layer.counters.out_segments += segments
    if size % mss:
        c.snd_sml = end
    return segments
