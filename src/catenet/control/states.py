"""Numbers that senders and congestion controls share."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CA_CWR",
    "CA_DISORDER",
    "CA_LOSS",
    "CA_OPEN",
    "CA_RECOVERY",
    "EVER_RETRANSMITTED",
    "INFINITE",
    "SACKED",
]

INFINITE: Final = 0x7FFFFFFF
"""Slow start threshold before the first loss, as Linux shows it in TCP_INFO."""

# Congestion states, with the numbers of TCP_INFO.
CA_OPEN: Final = 0
"""Nothing unusual."""
CA_DISORDER: Final = 1
"""Something arrived out of order; nothing is known to be lost."""
CA_CWR: Final = 2
"""The window is being reduced without a loss."""
CA_RECOVERY: Final = 3
"""What was lost is being retransmitted."""
CA_LOSS: Final = 4
"""A timeout."""

# Bits of `Transmission.marks`.
SACKED: Final = 1
"""Delivered, though not cumulatively acknowledged."""
EVER_RETRANSMITTED: Final = 8
