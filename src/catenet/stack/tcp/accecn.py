"""Accurate ECN (RFC 9768)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.stack.tcp.connection import Connection
    from catenet.stack.tcp.recovery.ackstate import AckState
    from catenet.wire.tcp import TcpSegment

__all__ = ["AccEcn"]


class AccEcn:
    """Counters of one connection."""

    __slots__ = ()

    def option(self, c: Connection, room: int) -> tuple[int, tuple[int, ...]] | None:
        """Option for the next segment."""
        return None

    def expected_length(self, c: Connection) -> int:
        """Bytes that the option will take."""
        return 0

    def on_ack(self, c: Connection, segment: TcpSegment, state: AckState) -> None:
        """Take in the peer's counters."""
