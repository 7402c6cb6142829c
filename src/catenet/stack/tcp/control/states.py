"""Connection states (RFC 9293 3.3.2), with the numbers that TCP_INFO shows, and the table of their transitions.

`TRANSITIONS` is the state diagram of RFC 9293 (figure 5): for each state the events that change it and the state that
follows. No other code decides where an event leads: whoever sees an event asks the table (`after`). Beside the figure's
arrows it has `END`, since a reset, a timeout or an error may end a connection in any state.

Three parts of the figure are not states of a `Connection`. A listener is a `Listener` and stays in LISTEN. A passive
open is a `HalfOpen` until its handshake is complete; SYN-RECEIVED falls back to LISTEN when that object is dropped.
TIME-WAIT is a `TimeWait`, as is FIN-WAIT-2 of a closed socket.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACK_OF_FIN",
    "ACK_OF_SYN",
    "ACTIVE_OPEN",
    "CLOSE",
    "CLOSED",
    "CLOSE_WAIT",
    "CLOSING",
    "END",
    "ESTABLISHED",
    "EVENT_NAMES",
    "FIN_ARRIVES",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "LAST_ACK",
    "LISTEN",
    "MAY_SEND",
    "NAMES",
    "SYN_ACK_ARRIVES",
    "SYN_ARRIVES",
    "SYN_RECEIVED",
    "SYN_SENT",
    "TIME_WAIT",
    "TRANSITIONS",
    "after",
    "diagram",
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

ACTIVE_OPEN: Final = 1
"""The program calls `connect`."""
PASSIVE_OPEN: Final = 2
"""The program calls `listen`."""
CLOSE: Final = 3
"""The program ends its stream (`shutdown`, `close`), and the FIN is queued."""
SYN_ARRIVES: Final = 4
SYN_ACK_ARRIVES: Final = 5
ACK_OF_SYN: Final = 6
FIN_ARRIVES: Final = 7
"""The peer's end of stream, in order; its segment's ACK is processed first, so it never comes in SYN-RECEIVED."""
ACK_OF_FIN: Final = 8
END: Final = 9
"""A reset, a timeout, an error; in TIME-WAIT the end of the wait, in LISTEN the end of the listener."""

EVENT_NAMES: Final = {
    ACTIVE_OPEN: "active open",
    PASSIVE_OPEN: "passive open",
    CLOSE: "close",
    SYN_ARRIVES: "SYN arrives",
    SYN_ACK_ARRIVES: "SYN-ACK arrives",
    ACK_OF_SYN: "ACK of SYN arrives",
    FIN_ARRIVES: "FIN arrives",
    ACK_OF_FIN: "ACK of FIN arrives",
    END: "end",
}

TRANSITIONS: Final[dict[int, dict[int, int]]] = {
    CLOSED: {ACTIVE_OPEN: SYN_SENT, PASSIVE_OPEN: LISTEN},
    LISTEN: {SYN_ARRIVES: SYN_RECEIVED, END: CLOSED},
    SYN_SENT: {SYN_ARRIVES: SYN_RECEIVED, SYN_ACK_ARRIVES: ESTABLISHED, END: CLOSED},
    SYN_RECEIVED: {ACK_OF_SYN: ESTABLISHED, CLOSE: FIN_WAIT_1, END: CLOSED},
    ESTABLISHED: {CLOSE: FIN_WAIT_1, FIN_ARRIVES: CLOSE_WAIT, END: CLOSED},
    FIN_WAIT_1: {ACK_OF_FIN: FIN_WAIT_2, FIN_ARRIVES: CLOSING, END: CLOSED},
    FIN_WAIT_2: {FIN_ARRIVES: TIME_WAIT, END: CLOSED},
    CLOSE_WAIT: {CLOSE: LAST_ACK, END: CLOSED},
    CLOSING: {ACK_OF_FIN: TIME_WAIT, END: CLOSED},
    LAST_ACK: {ACK_OF_FIN: CLOSED, END: CLOSED},
    TIME_WAIT: {END: CLOSED},
}


def after(state: int, event: int) -> int:
    """State that follows `state` upon `event`; KeyError, an error of ours, where the table has no such transition."""
    return TRANSITIONS[state][event]


def diagram() -> str:
    """The table as a Mermaid state diagram; what ends a connection in any state is left out, TIME-WAIT's end is not."""
    lines = ["stateDiagram-v2"]
    for state, events in TRANSITIONS.items():
        for event, following in events.items():
            if event != END or state == TIME_WAIT:
                label = EVENT_NAMES[event]
                lines.append(f"    {_identifier(state)} --> {_identifier(following)}: {label}")
    return "\n".join(lines) + "\n"


def _identifier(state: int) -> str:
    """A state's name as Mermaid takes it."""
    return NAMES[state].replace("-", "_")
