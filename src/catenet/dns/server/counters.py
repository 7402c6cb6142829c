"""What a server has counted, in its own process and in all that share its ports."""

from __future__ import annotations

import mmap
import struct
from typing import Final

__all__ = ["CODES", "NAMES", "Board", "Counters"]

NAMES: Final = (
    "queries_udp",
    "queries_tcp",
    "queries_tls",
    "queries_quic",
    "queries_https",
    "queries_unix",
    "malformed",
    "dropped_by_access",
    "refused_by_access",
    "bad_cookies",
    "rate_dropped",
    "rate_slipped",
    "recursive",
    "recursive_joined",
    "recursive_refused",
    "pending",
    "connections",
    "log_lost",
    "reloads",
    "transfers",
    "updates",
)
"""Counters, but for `pending` and `connections`, which are how many there are now."""
CODES: Final = 16
_SLOTS: Final = len(NAMES) + CODES


class Counters:
    """Those of one process. `codes`: replies by the second byte of their flags, the code in its low half."""

    __slots__ = ("codes", "values")

    def __init__(self) -> None:
        self.values = dict.fromkeys(NAMES, 0)
        self.codes = [0] * 256

    def add(self, name: str, count: int = 1) -> None:
        """Count."""
        self.values[name] += count

    def numbers(self) -> list[int]:
        """The values in the order of NAMES, then replies by code."""
        return [*(self.values[name] for name in NAMES), *(sum(self.codes[code::CODES]) for code in range(CODES))]


class Board:
    """Counters of several processes, in memory that they share. Made before they are forked."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._memory = mmap.mmap(-1, max(processes, 1) * _SLOTS * 8)
        self._row = struct.Struct(f"={_SLOTS}Q")

    def write(self, number: int, counters: Counters) -> None:
        """Publish what process `number` has counted."""
        self._row.pack_into(self._memory, number * self._row.size, *counters.numbers())

    def total(self) -> list[int]:
        """The sums over all processes, in the order of `Counters.numbers`."""
        rows = [self._row.unpack_from(self._memory, number * self._row.size) for number in range(self._processes)]
        return [sum(column) for column in zip(*rows, strict=True)]
