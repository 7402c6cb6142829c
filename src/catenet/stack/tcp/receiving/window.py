"""The receive window: how much is offered, when it grows, and its avoidance of silly sizes (RFC 9293 3.8.6.2.2).

Half of the receive buffer is window, as Linux reckons before it has seen a packet's overhead; a byte that waits to be
read or reassembled takes one byte from it. The window starts small and opens by what arrives (`rcv_ssthresh`), and
the buffer itself grows with the rate at which the program reads (`adjust_buffer`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = [
    "adjust_buffer",
    "buffer_from_window",
    "full_space",
    "grow_buffer",
    "grow_window",
    "initial_window",
    "measure_rtt_by_timestamp",
    "measure_rtt_by_window",
    "new_window",
    "select_window",
    "space",
    "unread",
    "window_from_buffer",
]

_MAX_WINDOW: Final = 65535
_MAX_SCALE: Final = 14
_INITIAL_SEGMENTS: Final = 10


def window_from_buffer(size: int) -> int:
    """Window that a buffer of `size` bytes is good for."""
    return size >> 1


def buffer_from_window(window: int) -> int:
    """Buffer that a window of that size needs."""
    return window << 1


def unread(c: Connection) -> int:
    """Bytes in order that the program has not read."""
    return c.rcv_nxt - c.copied


def space(c: Connection) -> int:
    """Window that is free now."""
    if c.memory is not None:
        c.memory.release(c.copied)
        return c.memory.window(c.receive_buffer - c.memory.charged)
    free = (c.receive_buffer >> 1) - (c.rcv_nxt - c.copied)
    return free if c.reassembly is None else free - c.reassembly.size


def full_space(c: Connection) -> int:
    """Window of an empty buffer."""
    return window_from_buffer(c.receive_buffer) if c.memory is None else c.memory.window(c.receive_buffer)


def initial_window(
    space: int, mss: int, clamp: int, scaling: bool, settings_max: int, signed: bool = False, init_segments: int = 0
) -> tuple[int, int, int]:
    """(window, clamp, scale) of a SYN.

    Args:
        space: window of the empty buffer.
        mss: what the peer may send in one segment.
        clamp: TCP_WINDOW_CLAMP, 0 for none.
        scaling: whether window scaling may be used (RFC 7323 2.2).
        settings_max: largest buffer there may ever be, from which the scale follows.
        signed: keep below 2**15, for peers that take the window as signed.
        init_segments: initial window of the route in segments, 0 for none.
    """
    space = max(space, 0)
    if not clamp:
        clamp = _MAX_WINDOW << _MAX_SCALE
    space = min(clamp, space)
    if space > mss:
        space -= space % mss
    window = min(space, 32767 if signed else _MAX_WINDOW)
    if init_segments:
        window = min(window, init_segments * mss)
    scale = 0
    if scaling:
        largest = min(max(space, settings_max), clamp)
        scale = min(max(largest.bit_length() - 16, 0), _MAX_SCALE)
    return window, min(_MAX_WINDOW << scale, clamp), scale


def new_window(c: Connection) -> int:
    """Window to offer now, before the promise never to take any back is honoured."""
    mss = c.rx_max_mss
    free = space(c)
    allowed = full = min(c.window_clamp, full_space(c))
    if mss > full:
        mss = full
        if mss <= 0:
            return 0
    scale = c.rcv_scale
    shrinks = scale and c.layer.settings.tcp_shrink_window
    if shrinks:
        free = free >> scale << scale
    if free < full >> 1:
        c.ack_quick = 0
        free = free >> scale << scale
        if free < allowed >> 4 or free < mss or (shrinks and free < 1 << scale):
            return 0
    if free > c.rcv_ssthresh:
        free = c.rcv_ssthresh
    if scale:
        return -(-free >> scale) << scale
    window = c.rcv_wnd
    if window <= free - mss or window > free:
        return free - free % mss
    if mss == full and free > window + (full >> 1):
        return free
    return window


def select_window(c: Connection) -> int:
    """Window field of the segment that is about to leave; remembers what it promises."""
    scale = c.rcv_scale
    if c.memory is not None and c.memory.starved:
        c.memory.starved = False
        c.rcv_wnd, c.rcv_wup = 0, c.rcv_nxt
        return 0
    current = c.rcv_wup + c.rcv_wnd - c.rcv_nxt
    if current < 0:
        current = 0
    window = new_window(c)
    if window < current and not (scale and c.layer.settings.tcp_shrink_window):
        window = -(-current >> scale) << scale
    limit = _MAX_WINDOW << scale
    if not scale and c.layer.settings.tcp_workaround_signed_windows:
        limit = 32767
    if window > limit:
        window = limit
    c.rcv_wnd = window
    c.rcv_wup = c.rcv_nxt
    if c.memory is not None:
        c.memory.edge = max(c.memory.edge, c.rcv_nxt + window)
    return window >> scale


def grow_window(c: Connection, length: int) -> None:
    """Open the window by what a segment that arrived shows the peer to be worth (Linux's slow start of the window)."""
    room = min(c.window_clamp, space(c)) - c.rcv_ssthresh
    if room > 0:
        fits = length >= 1152 if c.memory is None else c.memory.window(c.memory.last) <= length
        c.rcv_ssthresh += min(room, max(2 * c.advertised_mss, 2 * length) if fits else _small(c, length))


def _small(c: Connection, length: int) -> int:
    """Growth by a small segment: only while the window is small against the buffer, since its overhead is large."""
    cost = 1152 if c.memory is None else c.memory.window(c.memory.last)
    most = c.layer.settings.tcp_rmem[2]
    window = (window_from_buffer(most) if c.memory is None else c.memory.window(most)) >> 1
    while c.rcv_ssthresh <= window:
        cost >>= 1
        if cost <= length:
            return max(2 * c.rx_max_mss, 2 * length)
        window >>= 1
    return 0


def measure_rtt_by_window(c: Connection, now: int) -> None:
    """Receiver's round trip time without timestamps: the time in which one window arrives, an upper bound."""
    if c.rcv_rtt_at:
        if c.rcv_nxt < c.rcv_rtt_seq:
            return
        _update_rcv_rtt(c, now - c.rcv_rtt_at, True)
    c.rcv_rtt_seq = c.rcv_nxt + c.rcv_wnd
    c.rcv_rtt_at = now


def measure_rtt_by_timestamp(c: Connection, echo: int, length: int, now: int) -> None:
    """Receiver's round trip time by the echo of our timestamp, on segments of full size."""
    if length < c.rx_max_mss:
        return
    delta = (now // 1000 + c.ts_offset - echo) & 0xFFFFFFFF
    if delta < 0x7FFFFFFF // 1000:
        _update_rcv_rtt(c, (delta or 1) * 1000, False)


def _update_rcv_rtt(c: Connection, rtt: int, by_window: bool) -> None:
    old = c.rcv_rtt
    if not old:
        c.rcv_rtt = rtt << 3
    elif by_window:
        c.rcv_rtt = min(old, rtt << 3)
    else:
        c.rcv_rtt = old + rtt - (old >> 3)


def adjust_buffer(c: Connection, now: int) -> None:
    """Let the buffer grow with what the program read in the last round trip (dynamic right-sizing)."""
    if not c.rcv_rtt or now - c.rcv_space_at < c.rcv_rtt >> 3:
        return
    copied = c.copied - c.rcv_space_seq - unread(c)
    if copied > c.rcv_space:
        grow_buffer(c, copied)
    c.rcv_space_seq = c.copied
    c.rcv_space_at = now


def grow_buffer(c: Connection, space: int) -> None:
    """Hold twice what was read in a round trip, room for the sender to double its rate, and what is out of order."""
    settings = c.layer.settings
    old, c.rcv_space = c.rcv_space, space
    if not settings.tcp_moderate_rcvbuf or c.option("_rcvbuf_locked", 0):
        return
    window = space << 1
    rtt = c.rcv_rtt >> 3
    if rtt < settings.tcp_rcvbuf_low_rtt:
        window += window * rtt // settings.tcp_rcvbuf_low_rtt
    elif old:
        window += 2 * window * (space - old) // old
    if c.reassembly is not None and c.reassembly.ranges:
        window += c.reassembly.ranges[-1].end - c.rcv_nxt
    size = buffer_from_window(window) if c.memory is None else c.memory.buffer(window)
    if size > c.receive_buffer:
        size = min(size, c.layer.buffer_limit(c, settings.tcp_rmem[2]))
    if size > c.receive_buffer:
        c.receive_buffer = size
        c.window_clamp = full_space(c)
