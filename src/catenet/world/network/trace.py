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
from typing import Any, Final, Protocol, TypeAlias

__all__ = ["INBOUND", "OUTBOUND", "Collector", "PortTrace", "Tap", "Trace"]

OUTBOUND: Final = 0
INBOUND: Final = 1
HEADERS: Final = 60
"""Bytes of an arriving packet that are hashed: enough for an IPv6 header and that of a transport."""

Tap: TypeAlias = Callable[[int, int, Any, float], None]
"""`tap(port, direction, packet, now)`: sees what `PortTrace.record` sees."""


class Collector(Protocol):
    """A tap that looks into hosts while they send, and so is in the process of each. What it has seen is told later."""

    def tap(self, port: int, direction: int, packet: Any, now: float, /) -> None:
        """See `Tap`."""

    def begin_elsewhere(self) -> None:
        """Begin anew, in a process that runs one host."""

    def tell(self) -> Any:
        """All that was seen there, as values that marshal knows."""

    def take(self, told: Any, /) -> None:
        """Take over what was told in another process, again or for the first time."""


_pack_record: Final = struct.Struct(">dII").pack
_TIME: Final = struct.Struct(">d")
_BATCH: Final = 32
"""Pieces of a batch, two for each packet: so few that they are still in the processor's cache when they are hashed, and
that a thousand ports keep little."""


class PortTrace:
    """What one port has carried. `taps` see the same records as it does."""

    __slots__ = ("_adopted", "_hash", "_index", "_last", "_pending", "_records", "_taps")

    def __init__(self, index: int, taps: list[Tap]) -> None:
        self._index = index
        self._adopted = b""
        """The digest of what another process has recorded in its place."""
        self._hash: Any = None
        self._last: bytes | memoryview = bytes(_TIME.size)
        self._pending: list[bytes | memoryview] = []
        self._records = 0
        self._taps = taps

    def record(self, direction: int, packet: bytes | memoryview, now: float) -> None:
        """Record one packet; packets are hashed in batches."""
        pending = self._pending
        pending.append(_pack_record(now, direction, len(packet)))
        pending.append(packet[:HEADERS] if direction == INBOUND else packet)
        if len(pending) >= _BATCH:
            self._flush()
        if self._taps:
            for tap in self._taps:
                tap(self._index, direction, packet, now)

    @property
    def records(self) -> int:
        """Number of packets recorded."""
        return self._records + len(self._pending) // 2

    @property
    def latest(self) -> float:
        """Time of the last record, 0 without any."""
        if self._pending:
            self._last = self._pending[-2]
        return float(_TIME.unpack_from(self._last)[0])

    def digest(self) -> bytes:
        """SHA-256 over all records so far: `(time, direction, length)` in network order, then the packet (of one that
        arrives, its first 60 bytes). Empty without any.
        """
        if self._pending:
            self._flush()
        return self._adopted if self._hash is None else self._hash.digest()

    def boot(self) -> None:
        """Begin anew with the digest of all records so far, as a host that crashes takes with it what computed that."""
        digest = self.digest()
        if digest:
            self._hash = hashlib.sha256(digest)

    def figures(self) -> tuple[bytes, int, float]:
        """Digest, number of records, time of the last: what `adopt` takes."""
        return self.digest(), self.records, self.latest

    def adopt(self, digest: bytes, records: int, latest: float) -> None:
        """Take over what was recorded in another process, instead of what was recorded here."""
        self._pending.clear()
        self._hash = None
        self._adopted, self._records, self._last = digest, records, _TIME.pack(latest)

    def _flush(self) -> None:
        pending = self._pending
        if self._hash is None:
            self._hash = hashlib.sha256()
        self._last = pending[-2]
        self._records += len(pending) // 2
        self._hash.update(b"".join(pending))
        pending.clear()


class Trace:
    """The running hash of a world, and `taps` that see the same records (a capture, a time series)."""

    __slots__ = ("_ports", "collectors", "gather", "taps")

    def __init__(self) -> None:
        self.gather: Callable[[], None] | None = None
        """Gets what other processes have recorded, if any do."""
        self._ports: dict[tuple[str, int], PortTrace] = {}
        self.taps: Final[list[Tap]] = []
        self.collectors: Final[list[Collector]] = []
        """Those whose taps stay with their hosts."""

    def of_port(self, place: tuple[str, int], index: int) -> PortTrace:
        """The trace of a new port: its host's name and its number there, and its number in the world for taps."""
        trace = self._ports[place] = PortTrace(index, self.taps)
        return trace

    def recording_taps(self) -> list[Tap]:
        """Taps that see packets alone, wherever these are sent."""
        staying = [collector.tap for collector in self.collectors]
        return [tap for tap in self.taps if tap not in staying]

    def at(self, place: tuple[str, int]) -> PortTrace:
        """The trace of a port."""
        return self._ports[place]

    def of_host(self, name: str) -> float:
        """Time of the last record of a host, 0 without any."""
        return max([port.latest for (host, _), port in self._ports.items() if host == name], default=0.0)

    @property
    def records(self) -> int:
        """Number of packets recorded."""
        if self.gather is not None:
            self.gather()
        return sum([port.records for port in self._ports.values()])

    @property
    def latest(self) -> float:
        """Time of the last record, 0 without any."""
        return max([port.latest for port in self._ports.values()], default=0.0)

    def hexdigest(self) -> str:
        """SHA-256 over the digests of all ports that have carried packets, by host and number of the port there."""
        if self.gather is not None:
            self.gather()
        total = hashlib.sha256()
        for (host, number), port in sorted(self._ports.items(), key=_place):
            digest = port.digest()
            if digest:
                total.update(f"{host}/{number}\0".encode() + digest)
        return total.hexdigest()


def _place(item: tuple[tuple[str, int], PortTrace]) -> tuple[str, int]:
    return item[0]
