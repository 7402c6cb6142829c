"""Fast Open (RFC 7413): data in the SYN, for those who have met before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.stack.tcp.connection import Connection, Sent
    from catenet.stack.tcp.listener import Listener
    from catenet.wire.tcp import TcpOptions, TcpSegment

__all__ = ["FastOpenState"]


class FastOpenState:
    """Of one connection that tries it."""

    __slots__ = ("listener",)

    def __init__(self) -> None:
        self.listener: Listener | None = None

    def start(self, c: Connection, sent: Sent) -> bool:
        """Send the SYN with data; False when an ordinary one is to be sent."""
        return False

    def on_timeout(self, c: Connection) -> bool:
        """The retransmission timer fired; True when that was ours."""
        return False

    def on_syn_ack(self, c: Connection, segment: TcpSegment, ack: int) -> None:
        """The SYN-ACK arrived."""

    def syn_option(self, c: Connection, options: TcpOptions) -> bytes:
        """Add the cookie to a SYN's options; returns the data that the SYN carries."""
        return b""
