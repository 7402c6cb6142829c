"""What the connection notes when data leaves (Linux's `tcp_event_data_sent`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.tcp.control.constants import MAX_PINGPONG

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["note_data_sent"]


def note_data_sent(c: Connection, size: int, segments: int, transmissions: int) -> None:
    """Count data that leaves now.

    Args:
        c: the connection.
        size: bytes.
        segments: on the wire.
        transmissions: entries of the retransmission queue: each that follows data received soon before counts as an
            answer, which makes delaying ACKs the rule.
    """
    now = c.layer.us
    c.bytes_sent += size
    c.data_segments_out += segments
    c.last_data_out = now
    ack = c.delayed_ack
    if now - c.last_data_in < ack.ato and ack.pingpong < MAX_PINGPONG:
        ack.pingpong = min(ack.pingpong + transmissions, MAX_PINGPONG)
