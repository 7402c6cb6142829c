"""The retransmission timeout of a connection (RFC 6298), from the estimates of `control/rtt.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.units import Micros

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["sample_rtt", "set_rto", "update_min_rtt"]


def sample_rtt(c: Connection, rtt: Micros) -> None:
    """Take in one measurement in microseconds, and set the timeout by it."""
    c.rtt.sample(rtt, c.snd_una, c.snd_nxt, c.layer.settings.tcp_rto_min_us)
    set_rto(c)


def set_rto(c: Connection) -> None:
    """Set the timeout by the estimates, without doublings."""
    c.rto = c.rtt.timeout(c.layer.rto_max)


def update_min_rtt(c: Connection, rtt: Micros, now: Micros) -> None:
    """Note a round trip time for the minimum of the last `tcp_min_rtt_wlen` seconds."""
    c.rtt.update_minimum(rtt, now, c.layer.settings.tcp_min_rtt_wlen * 1_000_000)
