"""Transmit timestamps: when writes were sent and acknowledged (SO_TIMESTAMPING; Linux, networking/timestamping).

Each write is known by its last byte. There is no queue below us, so that handing down and sending are one instant; a
retransmission makes no further stamps. The layer above takes them as notifications of the error queue.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.stack.tcp.control.connection import MASK, START
from catenet.stack.tcp.control.lifecycle import wake

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["SCHEDULED", "SENT", "TX_FLAGS", "WITH_NUMBER", "TxTimestamp", "TxTimestamps"]

SENT: Final = 0
SCHEDULED: Final = 1
ACKNOWLEDGED: Final = 2
"""Kinds of stamps, by the numbers of SCM_TSTAMP."""

_TX_HARDWARE: Final = 0x1
_TX_SOFTWARE: Final = 0x2
_TX_SCHED: Final = 0x100
_TX_ACK: Final = 0x200
TX_FLAGS: Final = _TX_HARDWARE | _TX_SOFTWARE | _TX_SCHED | _TX_ACK
WITH_NUMBER: Final = 0x80
_WITH_NUMBER_OF_WRITES: Final = 0x10000
"""SOF_TIMESTAMPING_OPT_ID and OPT_ID_TCP: stamps carry the number of the byte, counted from what is unacknowledged or
unwritten when the option is set."""

_MOST: Final = 1024


class TxTimestamp(NamedTuple):
    """One event of a write."""

    kind: int
    number: int
    """Of the last byte of the write, from 0; 0 without OPT_ID."""
    seconds: float
    """Time of the stack."""


class TxTimestamps:
    """Transmit timestamps of one connection; at most 1,024 wait to be read, later ones are lost."""

    __slots__ = ("_base", "_flags", "_sent", "_written", "next_flags", "ready")

    def __init__(self) -> None:
        self.next_flags = 0
        """Those of the next write alone, 0 for the socket's."""
        self._flags = 0
        self._base = 0
        self._written: deque[tuple[int, int]] = deque()
        self._sent: deque[int] = deque()
        self.ready: deque[TxTimestamp] = deque()

    def configure(self, c: Connection, flags: int) -> None:
        """Apply SO_TIMESTAMPING."""
        if flags & WITH_NUMBER and not self._flags & WITH_NUMBER:
            self._base = c.write_seq if flags & _WITH_NUMBER_OF_WRITES else c.snd_una
        self._flags = flags

    def on_write(self, end: int) -> None:
        """Note a write that ends at position `end`."""
        flags = (self.next_flags or self._flags) & TX_FLAGS
        self.next_flags = 0
        if flags:
            self._written.append((end, flags))

    def on_sent(self, c: Connection, end: int) -> None:
        """Timestamp the writes up to `end`, which were sent."""
        written = self._written
        if not written or written[0][0] > end:
            return
        while written and written[0][0] <= end:
            position, flags = written.popleft()
            if flags & _TX_SCHED:
                self._add(c, SCHEDULED, position)
            if flags & _TX_SOFTWARE:
                self._add(c, SENT, position)
            if flags & _TX_ACK:
                self._sent.append(position)
        wake(c)

    def on_acknowledged(self, c: Connection) -> None:
        """Timestamp the writes that were acknowledged."""
        sent, una = self._sent, c.snd_una
        if not sent or sent[0] > una:
            return
        while sent and sent[0] <= una:
            self._add(c, ACKNOWLEDGED, sent.popleft())
        wake(c)

    def _add(self, c: Connection, kind: int, position: int) -> None:
        if len(self.ready) < _MOST:
            number = (position - 1 - self._base) & MASK if self._flags & WITH_NUMBER else 0
            self.ready.append(TxTimestamp(kind, number, (c.layer.us - START) / 1_000_000))
