"""Packetization-layer path MTU discovery (RFC 4821), and the reaction to "packet too big" (RFC 1191, RFC 8201)."""

from __future__ import annotations

from catenet.stack.tcp.connection import Connection

__all__ = ["MtuProbing", "on_black_hole"]


class MtuProbing:
    """Search state of one connection."""

    __slots__ = ("probe_end", "probe_size", "probe_start", "search_high", "search_low")

    def __init__(self) -> None:
        self.probe_size = self.probe_start = self.probe_end = 0
        self.search_low = self.search_high = 0

    def try_probe(self, c: Connection, mss: int) -> bool:
        """Send a probe if it is time for one; whether it went."""
        return False

    def limit(self, c: Connection) -> int:
        """Largest segment that the search allows."""
        return c.mss_clamp

    def is_lost(self, c: Connection) -> bool:
        """Whether the segment found lost is the probe."""
        return bool(self.probe_size) and c.snd_una == self.probe_start

    def succeeded(self, c: Connection) -> None:
        """The probe was acknowledged."""
        self.probe_size = 0

    def failed(self, c: Connection) -> None:
        """The probe was lost."""
        self.probe_size = 0


def on_black_hole(c: Connection) -> None:
    """Several timeouts in a row: perhaps large segments vanish."""


def enable(c: Connection) -> None:
    """Begin to probe."""
