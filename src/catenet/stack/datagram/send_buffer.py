"""The send buffer of a datagram socket: what counts against SO_SNDBUF until it has left the host's own queue.

A device without a queue takes datagrams at once. One with a queue (a simulated link with a `rate`) keeps them for a
while, and as on Linux they stay charged to their socket so long, each with what its buffer takes of memory (skb's
truesize): who sends faster than the device does is made to wait, or told EAGAIN, by its own socket.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.stack.datagram.datagram import DatagramEndpoint
    from catenet.stack.timers import Timer

__all__ = ["GONE", "PASSED", "Queued", "SendBuffer", "truesize"]

GONE: Final = -1.0
"""`departure` of what has left a queue, or was never in it."""

_SHARED: Final = 320
"""Bytes of skb_shared_info behind the data of a buffer."""
_BUFFER: Final = 256
"""Bytes of sk_buff itself."""
_SMALL: Final = 576
"""Heads up to this size come from a cache of their own; above, from those of powers of two."""
_LARGE: Final = 16384
"""Above it, data is kept in pages that count as they are."""


class Queued:
    """A packet in the queue of a device. Devices make these, and say when it leaves."""

    __slots__ = ("departure", "owner")

    def __init__(self) -> None:
        self.departure: float = inf
        """When its last bit has left the queue; infinite while nobody knows, `GONE` when it was dropped."""
        self.owner: SendBuffer | None = None
        """Who wants to be told when its departure has become known or has changed."""


def truesize(size: int, version: int) -> int:
    """Bytes that Linux charges a socket for a packet of `size` bytes: link-layer room, alignment, allocator."""
    room = size + 31 + (8 if version == 6 else 0)
    head = (room + 63 & -64) + _SHARED
    if head > _LARGE:
        return head + _BUFFER
    return (_SMALL if head <= _SMALL else 1 << (head - 1).bit_length()) + _BUFFER


class SendBuffer:
    """What one socket is charged for; `charged` counts also what has left since the last `settle`."""

    __slots__ = ("_endpoint", "_timer", "charged", "half", "held")

    def __init__(self, endpoint: DatagramEndpoint) -> None:
        self._endpoint = endpoint
        self._timer: Timer | None = None
        self.charged = 0
        self.half = 0.5 * endpoint.send_buffer
        self.held: list[tuple[Queued, int]] = []
        """What was put into the queues of devices, and the bytes that are charged for it."""

    def is_full(self) -> bool:
        """Whether nothing more is taken."""
        return self.charged >= self._endpoint.send_buffer

    def is_crowded(self) -> bool:
        """Whether half of it or more is taken: then it does not count as writable (`sock_writeable`)."""
        return self.charged >= self.half

    def settle(self, now: float) -> None:
        """Charge no longer for what has left; tell the endpoint when less than half is taken again."""
        crowded = self.is_crowded()
        kept = []
        for entry in self.held:
            if entry[0].departure > now:
                kept.append(entry)
            else:
                self.charged -= entry[1]
        self.held = kept
        if self.is_crowded():
            self._arm()
        elif crowded:
            self._disarm()
            self._endpoint.on_space()

    def moved(self) -> None:
        """When something leaves that is charged for has become known, or has changed."""
        if self.is_crowded():
            known = 0  # without sorting, for a queue that decides tells it of every packet
            for queued, size in self.held:
                if queued.departure < inf:
                    known += size
            if self.charged - known < self.half:
                self._arm()

    def resize(self) -> None:
        """SO_SNDBUF has changed; who waits has another look, as on Linux."""
        self.half = 0.5 * self._endpoint.send_buffer
        if self.is_crowded():
            self._arm()
        else:
            self._endpoint.on_space()

    def close(self) -> None:
        """Nobody waits any more."""
        self._disarm()
        self.held.clear()
        self.charged = 0

    def _arm(self) -> None:
        """Come back when so much has left that less than half is taken; if that changes, the queue will tell."""
        taken, when = self.charged, inf
        for queued, _ in self.held:
            if queued is not PASSED:
                queued.owner = self
        for departure, size in sorted([(queued.departure, size) for queued, size in self.held]):
            taken -= size
            if taken < self.half:
                when = departure
                break
        if self._timer is not None and self._timer.deadline == when:
            return
        self._disarm()
        if when < inf:
            self._timer = self._endpoint.stack.timers.call_at(when, self._come_back)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _come_back(self) -> None:
        self._timer = None
        self.settle(self._endpoint.stack.now)


PASSED: Final = Queued()
"""What a device took without putting it into a queue."""
PASSED.departure = GONE
