"""Data that was written and never sent: how segments take it off its queue."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from catenet.wire.gather import Gather
from catenet.wire.offload import VIEW_THRESHOLD

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["gather_pending", "is_pushed_at", "take_pending", "view_pending"]


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
    """As `view_pending`, but a gather of pieces where the data is of several writes, unless those are small."""
    if length < VIEW_THRESHOLD or len(c.pending[0]) - c.pending_offset >= length:
        return view_pending(c, length)
    pieces = _take_pieces(c, length)
    return Gather(pieces, length) if len(pieces) * VIEW_THRESHOLD <= length else b"".join(pieces)


def view_pending(c: Connection, length: int) -> bytes | memoryview:
    """As `take_pending`, but a view where that saves copying: of the data of one write."""
    chunk = c.pending[0]
    offset = c.pending_offset
    if length < VIEW_THRESHOLD or len(chunk) - offset < length:
        return take_pending(c, length)
    if len(chunk) - offset > length:
        c.pending_offset = offset + length
    else:
        c.pending.popleft()
        c.pending_offset = 0
    return memoryview(chunk)[offset : offset + length]


def is_pushed_at(marks: deque[int], end: int) -> bool:
    """Whether a segment up to `end` carries PSH; drops the push marks up to there, of which one may be there twice."""
    pushed = False
    while marks and marks[0] <= end:
        if marks.popleft() == end:
            pushed = True
    return pushed
