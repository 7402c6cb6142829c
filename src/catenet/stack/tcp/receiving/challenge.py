"""Challenge ACKs (RFC 5961): the sender of something suspicious has to prove that it knows our sequence numbers."""

from __future__ import annotations

from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.sending.output import send_ack

__all__ = ["challenge"]


def challenge(c: Connection) -> None:
    """Send a challenge ACK, limited per connection and per host (RFC 5961 7)."""
    if c.layer.us - c.last_oow_at < c.layer.settings.tcp_invalid_ratelimit * 1000 and c.last_oow_at:
        return
    c.last_oow_at = c.layer.us
    if not c.layer.may_challenge():
        return
    c.layer.counters.challenge_acks += 1
    send_ack(c)
