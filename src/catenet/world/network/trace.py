"""The trace of a world: a hash over all packets on its links, and taps that see them.

The hash covers every packet that a host put on a link, and the time, length and headers of every packet that a link
handed to a host (the rest is what was sent, or damage that the link's seed decides). So two runs with the same hash
have carried the same bytes at the same moments, as `sim` promises for the same seed and the same programs.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

__all__ = ["INBOUND", "OUTBOUND", "Tap", "Trace"]

OUTBOUND: Final = 0
INBOUND: Final = 1
HEADERS: Final = 60
"""Bytes of an arriving packet that are hashed: enough for an IPv6 header and that of a transport."""

Tap: TypeAlias = Callable[[int, int, Any, float], None]
"""`tap(port, direction, packet, now)`: sees what `Trace.record` sees."""

_pack_record: Final = struct.Struct(">dII").pack
_TIME: Final = struct.Struct(">d")
_BATCH: Final = 64
"""Pieces of a batch, two for each packet: so few that they are still in the processor's cache when they are hashed."""


class Trace:
    """The running hash of a world, and `taps` that see the same records (a capture, a time series)."""

    __slots__ = ("_hash", "_last", "_pending", "records", "taps")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pending: list[bytes | memoryview] = []
        self._last: bytes | memoryview = bytes(_TIME.size)
        self.records = 0
        """Number of packets recorded."""
        self.taps: list[Tap] = []

    def record(self, port: int, direction: int, packet: bytes | memoryview, now: float) -> None:
        """Record one packet; packets are hashed in batches."""
        self.records += 1
        pending = self._pending
        pending.append(_pack_record(now, port << 1 | direction, len(packet)))
        pending.append(packet[:HEADERS] if direction == INBOUND else packet)
        if len(pending) >= _BATCH:
            self._flush()
        if self.taps:
            for tap in self.taps:
                tap(port, direction, packet, now)

    def hexdigest(self) -> str:
        """SHA-256 over all records so far: `(time, port and direction, length)` in network order, then the packet
        (of one that arrives, its first 60 bytes).
        """
        self._flush()
        return self._hash.hexdigest()

    @property
    def latest(self) -> float:
        """Time of the last record, 0 without any."""
        if self._pending:
            self._last = self._pending[-2]
        return float(_TIME.unpack_from(self._last)[0])

    def _flush(self) -> None:
        if self._pending:
            self._last = self._pending[-2]
        self._hash.update(b"".join(self._pending))
        self._pending.clear()
