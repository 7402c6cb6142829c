"""The trace of a world: a hash over all packets on its links, and taps that see them.

Each port has a digest of its own. It covers every packet that the host put on the link, and the time, length and
headers of every packet that the link handed to the host (the rest is what was sent, or damage that the link's seed
decides). The hash of the world is made of these digests, in the order of hosts' names, so it does not depend on the
order in which hosts were made, or had their turns at one instant. Two runs with the same hash have carried the same
bytes at the same moments, as `sim` promises for the same seed and the same programs.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

__all__ = ["INBOUND", "OUTBOUND", "PortTrace", "Tap", "Trace"]

OUTBOUND: Final = 0
INBOUND: Final = 1
HEADERS: Final = 60
"""Bytes of an arriving packet that are hashed: enough for an IPv6 header and that of a transport."""

Tap: TypeAlias = Callable[[int, int, Any, float], None]
"""`tap(port, direction, packet, now)`: sees what `PortTrace.record` sees."""

_pack_record: Final = struct.Struct(">dII").pack
_BATCH: Final = 32
"""Packets that are hashed together: so few that they are still in the processor's cache."""


class PortTrace:
    """What one port has carried."""

    __slots__ = ("_hash", "_index", "_pending", "_trace")

    def __init__(self, trace: Trace, index: int) -> None:
        self._trace = trace
        self._index = index
        self._hash: Any = None
        self._pending: list[bytes | memoryview] = []

    def record(self, direction: int, packet: bytes | memoryview, now: float) -> None:
        """Record one packet; packets are hashed in batches."""
        trace, pending = self._trace, self._pending
        trace.records += 1
        trace.latest = now
        if not pending:
            trace.pending.append(self)
        pending.append(_pack_record(now, direction, len(packet)))
        pending.append(packet[:HEADERS] if direction == INBOUND else packet)
        if trace.records >= trace.next_batch:
            trace.hash_pending()
        if trace.taps:
            for tap in trace.taps:
                tap(self._index, direction, packet, now)

    def hash_pending(self) -> None:
        """Hash what was recorded."""
        if self._hash is None:
            self._hash = hashlib.sha256()
        pending = self._pending
        self._hash.update(b"".join(pending))
        pending.clear()

    def digest(self) -> bytes:
        """SHA-256 over all records so far: `(time, direction, length)` in network order, then the packet (of one that
        arrives, its first 60 bytes). Empty without any.
        """
        if self._pending:
            self._trace.hash_pending()
        return b"" if self._hash is None else self._hash.digest()


class Trace:
    """The running hash of a world, and `taps` that see the same records (a capture, a time series)."""

    __slots__ = ("_ports", "latest", "next_batch", "pending", "records", "taps")

    def __init__(self) -> None:
        self._ports: dict[tuple[str, int], PortTrace] = {}
        self.pending: list[PortTrace] = []
        """Ports with records that are to be hashed."""
        self.records = 0
        """Number of packets recorded."""
        self.next_batch = _BATCH
        """Number of records at which the next batch is hashed."""
        self.latest = 0.0
        """Time of the last record."""
        self.taps: list[Tap] = []

    def of_port(self, place: tuple[str, int], index: int) -> PortTrace:
        """The trace of a new port: its host's name and its number there, and its number in the world for taps."""
        trace = self._ports[place] = PortTrace(self, index)
        return trace

    def hash_pending(self) -> None:
        """Hash what was recorded at all ports."""
        for port in self.pending:
            port.hash_pending()
        self.pending.clear()
        self.next_batch = self.records + _BATCH

    def hexdigest(self) -> str:
        """SHA-256 over the digests of all ports that have carried packets, by host and number of the port there."""
        total = hashlib.sha256()
        for (host, number), port in sorted(self._ports.items(), key=_place):
            digest = port.digest()
            if digest:
                total.update(f"{host}/{number}\0".encode() + digest)
        return total.hexdigest()


def _place(item: tuple[tuple[str, int], PortTrace]) -> tuple[str, int]:
    return item[0]
