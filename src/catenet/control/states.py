"""Numbers that senders and congestion controls share."""

from __future__ import annotations

from typing import Final

__all__ = ["CWR", "DISORDER", "EVER_RETRANSMITTED", "INFINITE", "LOSS", "OPEN", "RECOVERY", "SACKED"]

INFINITE: Final = 0x7FFFFFFF
"""Slow start threshold before the first loss, as Linux shows it in TCP_INFO."""

# Congestion states, with the numbers of TCP_INFO.
OPEN: Final = 0
"""Nothing unusual."""
DISORDER: Final = 1
"""Something arrived out of order; nothing is known to be lost."""
CWR: Final = 2
"""The window is being reduced without a loss."""
RECOVERY: Final = 3
"""What was lost is being retransmitted."""
LOSS: Final = 4
"""A timeout."""

# Bits of `Transmission.marks`.
SACKED: Final = 1
"""Delivered, though not cumulatively acknowledged."""
EVER_RETRANSMITTED: Final = 8
