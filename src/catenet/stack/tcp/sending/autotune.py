"""The budget that automatic sizing shares among the buffers of all connections.

Linux sizes each connection's buffers alone, up to `tcp_rmem[2]` and `tcp_wmem[2]`: 100 busy connections may then have
300 MB under way. Between two kernels that does no harm, for a packet is received while it is sent. In front of a TUN
device it waits, and nothing but the windows bounds how much: the kernel's TCP no longer counts what a TUN device holds
(it orphans packets, so small queues, tcp_limit_output_bytes, end there). Data that comes out of a queue larger than the
processor's caches is read from memory: measured, 100 connections moved half as much, and unequally, as the first ones
had grown largest. So connections that want more share one budget.
"""

from __future__ import annotations

from typing import Final

from catenet.stack.units import Micros

__all__ = ["BufferBudget"]

_PERIOD: Final = 1_000_000
"""Microseconds for which a connection counts after it wanted a larger buffer."""
_LEAST: Final = 131_072
"""Bytes that every buffer may have, however many share: Linux's initial receive buffer."""


class BufferBudget:
    """Divides `tcp_autotune_total` among the connections that want to grow."""

    __slots__ = ("_growing", "_since", "_were")

    def __init__(self) -> None:
        self._growing: set[object] = set()
        self._since = 0
        self._were = 0
        """Number of connections that wanted to grow in the last period."""

    def limit(self, connection: object, total: int, us: Micros) -> int:
        """Largest buffer (bytes) for a connection that wants to grow at time `us` (microseconds)."""
        growing = self._growing
        if us - self._since >= _PERIOD:
            self._were = len(growing) if us - self._since < 2 * _PERIOD else 0
            self._since = us
            growing.clear()
        growing.add(connection)
        return max(total // max(self._were, len(growing)), _LEAST)
