"""Times and limits that several modules of TCP go by, with Linux's names where it has one. Times in microseconds."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ATO_MIN",
    "DELACK_MAX",
    "DELACK_MIN",
    "MAX_PINGPONG",
    "MAX_QUICKACKS",
    "MAX_WINDOW_SCALE",
    "MILLISECOND",
    "RCVBUF_LOCK",
    "SECOND",
    "SNDBUF_LOCK",
    "TIMEOUT_INIT",
    "TIMEOUT_MIN",
    "TIME_WAIT_LENGTH",
]

MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000

TIMEOUT_INIT: Final = SECOND
"""Retransmission timeout before the first round trip was measured (RFC 6298 2.1)."""
TIMEOUT_MIN: Final = 2 * MILLISECOND
"""Shortest time of a timer that waits for the peer."""
TIME_WAIT_LENGTH: Final = 60 * SECOND
"""How long TIME-WAIT lasts, and the longest FIN-WAIT-2 that is kept in its small object."""

ATO_MIN: Final = 40 * MILLISECOND
"""Shortest timeout of a delayed ACK that follows the intervals of arrival."""
DELACK_MIN: Final = 40 * MILLISECOND
DELACK_MAX: Final = 200 * MILLISECOND
MAX_QUICKACKS: Final = 16
"""Segments that are acknowledged at once when a connection begins, or when something unusual arrives."""
MAX_PINGPONG: Final = 255
"""Where the count of exchanges in both directions stays (a byte in Linux)."""

MAX_WINDOW_SCALE: Final = 14
"""RFC 7323 2.3."""

# Bits of `Connection.locks`, as Linux's sk_userlocks: buffers that keep the size that the program gave them.
SNDBUF_LOCK: Final = 1
RCVBUF_LOCK: Final = 2
