"""Datagrams that come close together: handed over at once, answered at once, and the next waited for a moment.

The kernel joins datagrams that were sent by one call (UDP_GRO). Those that were sent one by one are read into one
buffer, so that a core gets them the same way. Where peers answer within microseconds, a turn of the event loop costs
more than the answer takes, and to be woken costs still more: so a reader looks again for a moment, unless
that was in vain before, or others have something to do.
"""

from __future__ import annotations

import socket
from itertools import count
from typing import ClassVar, Final, Generic, Protocol, TypeVar

from catenet.net.dial import SocketName
from catenet.net.pktinfo import Control, answering
from catenet.net.segments import segment_size

__all__ = ["BATCH", "BUFFER", "LOOKS", "MAX_DATAGRAM", "TRUNCATED", "Bursts", "Glance", "Taker"]

P = TypeVar("P")

BATCH: Final = 64
"""Datagrams that are read in one turn of the event loop, so that others get their turn too."""
MAX_DATAGRAM: Final = 65535
TRUNCATED: Final = int(socket.MSG_TRUNC)
"""A number: the operators of its enumeration cost as much as a system call."""
BUFFER: Final = 256 << 10
LOOKS: Final = 40
"""How often a reader looks for the next datagram: some 60 microseconds."""
MOST_SKIPPED: Final = 255
_NOTHING: Final = memoryview(b"")
_buffers: Final[list[memoryview]] = []
"""Those that nobody reads into: as many as threads have read at a time, however many endpoints there are."""


def _take_buffer() -> memoryview:
    try:
        return _buffers.pop()
    except IndexError:
        return memoryview(bytearray(BUFFER))


class Glance:
    """Whether to look for the next datagram a moment longer. `found` and `missed` say what came of it."""

    _numbers: ClassVar = count(1)
    _latest: ClassVar[int] = 0

    def __init__(self) -> None:
        self._number = next(self._numbers)
        self._pause = 0
        self._skip = 0
        self._alone = False

    def begin(self) -> None:
        """The event loop has called; `looks` are for who was called the last time too."""
        self._alone = Glance._latest == self._number
        Glance._latest = self._number

    def looks(self) -> int:
        """How often to look; 0: leave it to the event loop."""
        if not self._alone:
            return 0
        if self._skip:
            self._skip -= 1
            return 0
        return LOOKS

    def found(self) -> None:
        """It has come."""
        self._pause = 0

    def missed(self) -> None:
        """It has not: leave it to the event loop for longer and longer."""
        self._pause = min(2 * self._pause + 1, MOST_SKIPPED)
        self._skip = self._pause


class Taker(Protocol[P]):
    """For whom datagrams are read."""

    def peer_of(self, address: SocketName, index: int, control: Control | None) -> P:
        """Return the peer of a datagram, the same object as long as it is the same peer."""

    def take(self, data: bytes, size: int, peer: P) -> None:
        """Datagrams of `size` bytes have come, the last may be shorter."""

    def take_error(self, error: OSError) -> None:
        """The socket has something else to say."""


class Bursts(Generic[P]):
    """Reads the sockets of one endpoint for it."""

    def __init__(self, taker: Taker[P], control_size: int) -> None:
        self._taker = taker
        self._control_size = control_size
        self._view = _NOTHING
        # What has been read and not handed over: from `_begin` to `_end`, datagrams of one size and one peer.
        self._begin = 0
        self._end = 0
        self._size = 0
        self._may_grow = False
        self._peer: P | None = None
        self._address: SocketName | None = None

    def read(self, sock: socket.socket, index: int, most: int, looks: int) -> int:
        """Hand over the next datagrams, some `most` of them; return how many; 0: there are none.

        `looks`: how often to look again while there is none.
        """
        self._view = _take_buffer()
        try:
            return self._read(sock, index, most, looks)
        finally:
            _buffers.append(self._view)
            self._view = _NOTHING
            self._begin = self._end = 0

    def _read(self, sock: socket.socket, index: int, most: int, looks: int) -> int:
        taker, view, control_size, found = self._taker, self._view, self._control_size, 0
        while found < most and self._end <= BUFFER - MAX_DATAGRAM:
            try:
                count, control, flags, address = sock.recvmsg_into([view[self._end :]], control_size)
            except (BlockingIOError, InterruptedError):
                looks -= 1
                if found or looks < 0:
                    break
            except OSError as error:  # ICMP about what was sent before
                found += 1
                taker.take_error(error)
            else:
                if self._may_grow and count == self._size and address == self._address and not control and not flags:
                    self._end += count
                    found += 1
                elif flags & TRUNCATED:
                    found += 1
                else:
                    peer = taker.peer_of(address, index, answering(control) if control else None)
                    found += self._add(count, segment_size(control) if control else 0, peer)
                    self._address = None if control else address
        self._hand_over()
        return found

    def _add(self, count: int, joined: int, peer: P) -> int:
        """Bytes of a peer stand at the end, joined from datagrams of a size, or one; return how many those are."""
        each = joined if 0 < joined < count else count
        size = self._size
        if not (self._may_grow and peer is self._peer and (each == size or 0 < count == each < size)):
            self._hand_over()
            self._peer = peer
            self._size = size = each
        self._end += count
        self._may_grow = size > 0 and count % size == 0
        return 1 if each == count else -(-count // each)

    def _hand_over(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            data = bytes(self._view[self._begin : self._end])
            self._begin = self._end
            self._may_grow = False
            self._taker.take(data, self._size, peer)
