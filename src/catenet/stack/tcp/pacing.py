"""The rate at which a window would leave in one round trip (Linux's sk_pacing_rate): sizes bursts, and paces BBR."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.stack.tcp.connection import Connection

__all__ = ["update_rate"]


def update_rate(c: Connection) -> None:
    """Twice the current rate in slow start, 1.2 times later, so that the window can grow; bytes per second."""
    settings = c.layer.settings
    ratio = settings.tcp_pacing_ss_ratio if c.cwnd < c.ssthresh // 2 else settings.tcp_pacing_ca_ratio
    rate = c.mss * 10_000 * 8 * ratio * max(c.cwnd, c.packets_out)
    if c.srtt:
        rate //= c.srtt
    limit = c.option("SO_MAX_PACING_RATE", 0)
    c.pacing_rate = min(rate, limit) if limit else rate
