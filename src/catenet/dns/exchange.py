"""What a core that asks servers wants to be sent."""

from __future__ import annotations

from typing import NamedTuple

from catenet.wire.dns.stub import Server

__all__ = ["Exchange"]


class Exchange(NamedTuple):
    """A message to be sent from a socket of its own, or over a connection.

    Attributes:
        token: names it in `receive` and `fail`.
        server: to whom.
        transport: `udp`, `tcp` or `tls`.
        data: the message.
    """

    token: int
    server: Server
    transport: str
    data: bytes
