"""Reading from a connection."""

from __future__ import annotations

from catenet.stack.endpoint import Fault, StackError
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.control.lifecycle import RCV_SHUTDOWN
from catenet.stack.tcp.receiving import urgent
from catenet.stack.tcp.sending import flush

__all__ = ["at_urgent_mark", "read", "read_into", "take_urgent", "unread"]


def read(c: Connection, limit: int, peek: bool) -> bytes | None:
    """See `TcpEndpoint.receive`."""
    skipped = 0
    if c.urgent_flags and c.rcv_urgent >= c.copied:
        if c.rcv_urgent > c.copied:
            limit = min(limit, c.rcv_urgent - c.copied)
        elif c.received and not c.option("SO_OOBINLINE", 0):
            if peek:
                skipped = 1
            else:
                urgent.skip(c)
                c.urgent_flags = 0
    if c.rcv_nxt - c.copied > skipped and c.received:
        data = _peek(c, limit, skipped) if peek else _take(c, limit)
        if not peek:
            c.copied += len(data)
            c.read_count += len(data)
            if c.urgent_flags and c.copied > c.rcv_urgent:
                c.urgent_flags = 0
            flush.schedule(c, flush.WORK_READ)
        return data
    return _nothing(c)


def read_into(c: Connection, buffer: memoryview) -> int | None:
    """See `TcpEndpoint.receive_into`: bytes go from where they arrived to where the program wants them, once."""
    if c.urgent_flags or not c.received:
        data = read(c, len(buffer), False)
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)
    received, offset, limit, at = c.received, c.received_offset, len(buffer), 0
    while received and at < limit:
        chunk = received[0]
        left = len(chunk) - offset
        if left > limit - at:
            buffer[at:limit] = memoryview(chunk)[offset : offset + limit - at]
            offset += limit - at
            at = limit
            break
        buffer[at : at + left] = memoryview(chunk)[offset:] if offset else chunk
        at += left
        received.popleft()
        offset = 0
    c.received_offset = offset
    c.copied += at
    c.read_count += at
    flush.schedule(c, flush.WORK_READ)
    return at


def _nothing(c: Connection) -> bytes | None:
    if c.fin_received:
        return b""
    if c.error is not None:
        fault, c.error = c.error, None
        raise StackError(fault)
    if c.shutdown & RCV_SHUTDOWN:
        return b""
    if c.state == states.CLOSED:
        raise StackError(Fault.NOT_CONNECTED)
    return None


def _take(c: Connection, limit: int) -> bytes:
    received = c.received
    offset = c.received_offset
    first = received[0]
    left = len(first) - offset
    if left > limit:
        c.received_offset = offset + limit
        return bytes(first[offset : offset + limit])
    if left == limit or len(received) == 1:
        received.popleft()
        c.received_offset = 0
        return bytes(first[offset:]) if offset else bytes(first)
    parts = [first[offset:] if offset else first]
    received.popleft()
    limit -= left
    c.received_offset = 0
    while received and limit:
        chunk = received[0]
        if len(chunk) > limit:
            parts.append(chunk[:limit])
            c.received_offset = limit
            break
        parts.append(chunk)
        received.popleft()
        limit -= len(chunk)
    return b"".join(parts)


def _peek(c: Connection, limit: int, skipped: int) -> bytes:
    """Waiting data without its first `skipped` bytes, left in the queue."""
    parts = []
    offset = c.received_offset + skipped
    for chunk in c.received:
        piece = chunk[offset : offset + limit]
        parts.append(piece)
        limit -= len(piece)
        offset = max(0, offset - len(chunk))
        if limit <= 0:
            break
    return b"".join(parts)


def unread(c: Connection) -> int:
    """Bytes that can be read before the urgent mark or the end."""
    if c.state in (states.SYN_SENT, states.SYN_RECEIVED):
        return 0
    waiting = sum(map(len, c.received)) - c.received_offset if c.received else 0
    if c.urgent_flags and not c.option("SO_OOBINLINE", 0) and c.copied <= c.rcv_urgent < c.rcv_nxt:
        return c.rcv_urgent - c.copied
    return waiting


def take_urgent(c: Connection, peek: bool) -> bytes | None:
    """See `TcpEndpoint.receive_urgent`."""
    if c.option("SO_OOBINLINE", 0) or c.urgent_flags in (0, urgent.URGENT_READ):
        raise StackError(Fault.INVALID)
    if c.urgent_flags == urgent.URGENT_VALID and c.urgent_byte is not None:
        if not peek:
            c.urgent_flags = urgent.URGENT_READ
        return bytes((c.urgent_byte,))
    if c.state == states.CLOSED or c.shutdown & RCV_SHUTDOWN:
        return b""
    return None


def at_urgent_mark(c: Connection) -> bool:
    """SIOCATMARK."""
    return bool(c.urgent_flags) and c.copied == c.rcv_urgent
