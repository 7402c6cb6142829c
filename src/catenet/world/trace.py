"""What crossed the links: a hash over all of it, and a capture file.

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
"""`tap(port, direction, packet, now)`: what `Trace.record` is."""

_RECORD: Final = struct.Struct(">dII")
_BATCH: Final = 512


class Trace:
    """The running hash of a world, and `taps` that see the same records (a capture, a time series)."""

    __slots__ = ("_hash", "_hashed", "_pending", "taps")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pending: list[tuple[int, bytes, float]] = []
        self._hashed = 0
        self.taps: list[Tap] = []

    @property
    def records(self) -> int:
        """How many packets it has taken note of."""
        return self._hashed + len(self._pending)

    def record(self, port: int, direction: int, packet: bytes, now: float) -> None:
        """Take note of one packet; hashing waits until there is a batch of them."""
        pending = self._pending
        pending.append((port << 1 | direction, packet, now))
        if len(pending) > _BATCH:
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

    def _flush(self) -> None:
        parts: list[bytes] = []
        for where, packet, now in self._pending:
            parts.append(_RECORD.pack(now, where, len(packet)))
            parts.append(packet[:HEADERS] if where & INBOUND else packet)
        self._hash.update(b"".join(parts))
        self._hashed += len(self._pending)
        self._pending.clear()
