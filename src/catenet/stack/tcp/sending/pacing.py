"""The rate at which a window would leave in one round trip (Linux's sk_pacing_rate), and departures spread by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["depart", "update_rate"]

_EXEMPT: Final = 10
"""Segments of a connection that leave at once, as Linux has it."""


def depart(c: Connection, size: int) -> int:
    """A burst of `size` bytes leaves now; returns when the next one may, in microseconds.

    A late sender has up to half of a burst's time as credit, so that the rate is kept in spite of late timers and
    ACKs (Linux, tcp_update_skb_after_send).
    """
    now = c.layer.us
    credit = now - c.paced_until
    c.paced_until = max(now, c.paced_until)
    if c.pacing_rate and c.data_segments_out >= _EXEMPT:
        duration = size * 1_000_000 // c.pacing_rate
        c.paced_until += duration - min(duration // 2, max(credit, 0))
    return c.paced_until


def update_rate(c: Connection) -> None:
    """Twice the current rate in slow start, 1.2 times later, so that the window can grow; bytes per second."""
    settings = c.layer.settings
    ratio = settings.tcp_pacing_ss_ratio if c.cwnd < c.ssthresh // 2 else settings.tcp_pacing_ca_ratio
    # Two factors below 2**30, which compiled code multiplies without an object.
    rate = (c.mss * max(c.cwnd, c.packets_out)) * (80_000 * ratio)
    if c.rtt.srtt:
        rate //= c.rtt.srtt
    limit = c.pacing_limit
    c.pacing_rate = min(rate, limit) if limit else rate
