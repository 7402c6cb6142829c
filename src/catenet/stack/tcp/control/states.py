"""Connection states (RFC 9293 3.3.2), with the numbers that TCP_INFO shows."""

from __future__ import annotations

from typing import Final

__all__ = [
    "CLOSED",
    "CLOSE_WAIT",
    "CLOSING",
    "ESTABLISHED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "LAST_ACK",
    "LISTEN",
    "MAY_SEND",
    "NAMES",
    "SYN_RECEIVED",
    "SYN_SENT",
    "TIME_WAIT",
]

ESTABLISHED: Final = 1
SYN_SENT: Final = 2
SYN_RECEIVED: Final = 3
FIN_WAIT_1: Final = 4
FIN_WAIT_2: Final = 5
TIME_WAIT: Final = 6
CLOSED: Final = 7
CLOSE_WAIT: Final = 8
LAST_ACK: Final = 9
LISTEN: Final = 10
CLOSING: Final = 11

NAMES: Final = {
    ESTABLISHED: "ESTABLISHED",
    SYN_SENT: "SYN-SENT",
    SYN_RECEIVED: "SYN-RECEIVED",
    FIN_WAIT_1: "FIN-WAIT-1",
    FIN_WAIT_2: "FIN-WAIT-2",
    TIME_WAIT: "TIME-WAIT",
    CLOSED: "CLOSED",
    CLOSE_WAIT: "CLOSE-WAIT",
    LAST_ACK: "LAST-ACK",
    LISTEN: "LISTEN",
    CLOSING: "CLOSING",
}

MAY_SEND: Final = frozenset((ESTABLISHED, CLOSE_WAIT))
"""States in which the program may write."""

AFTER_CLOSE: Final = {
    ESTABLISHED: FIN_WAIT_1,
    SYN_RECEIVED: FIN_WAIT_1,
    CLOSE_WAIT: LAST_ACK,
}
"""Where the program's end of stream leads (RFC 9293 3.3.2, the arrows marked CLOSE)."""
