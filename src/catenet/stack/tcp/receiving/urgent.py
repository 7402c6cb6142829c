"""The urgent mechanism as it is used (RFC 6093): one byte out of line, whose place is a mark in the stream."""

from __future__ import annotations

from typing import Final

from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.control.lifecycle import wake
from catenet.wire.tcp import TcpSegment

__all__ = ["URGENT_READ", "URGENT_VALID", "on_urgent", "skip"]

# Values of `Connection.urgent_flags`; 0: no urgent data.
_URGENT_NOT_YET: Final = 1
URGENT_VALID: Final = 2
URGENT_READ: Final = 3


def on_urgent(c: Connection, segment: TcpSegment, seq: int) -> None:
    """Process the urgent pointer of a segment."""
    pointer = segment.urgent
    if pointer and not c.layer.settings.tcp_stdurg:
        # BSD's interpretation, which all use: the pointer is to the byte after the urgent one.
        pointer -= 1
    at = seq + pointer
    if at < c.copied or at < c.rcv_nxt:
        _take_byte(c, segment, seq)
        return
    if c.urgent_flags in (_URGENT_NOT_YET, URGENT_VALID) and at <= c.rcv_urgent:
        _take_byte(c, segment, seq)
        return
    if c.urgent_flags and c.rcv_urgent == c.copied and c.received and not c.option("SO_OOBINLINE", 0):
        skip(c)  # the mark that kept it out of the stream moves on (`tcp_check_urg` of Linux)
    c.rcv_urgent = at
    c.urgent_flags = _URGENT_NOT_YET
    c.urgent_byte = None
    wake(c)
    _take_byte(c, segment, seq)


def skip(c: Connection) -> None:
    """Leave out the next byte of what waits to be read: the urgent one, which is not in line."""
    c.received_offset += 1
    if c.received_offset == len(c.received[0]):
        c.received.popleft()
        c.received_offset = 0
    c.copied += 1


def _take_byte(c: Connection, segment: TcpSegment, seq: int) -> None:
    if c.urgent_flags != _URGENT_NOT_YET:
        return
    at = c.rcv_urgent - seq
    if 0 <= at < len(segment.payload):
        c.urgent_byte = segment.payload[at]
        c.urgent_flags = URGENT_VALID
        wake(c)
