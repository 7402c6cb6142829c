"""The send buffer of a datagram socket: what counts against SO_SNDBUF until it has left the host's own queue.

A device without a queue takes datagrams at once. One with a queue (a simulated link with a `rate`) keeps them for a
while, and as on Linux they stay charged to their socket so long, each with what its buffer takes of memory (skb's
truesize): a sender faster than the device has to wait, or gets EAGAIN, from its own socket.
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
        """When its last bit has left the queue; infinite while that is unknown, `GONE` when it was dropped."""
        self.owner: SendBuffer | None = None
        """Send buffer to be told when its departure becomes known or changes."""


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
        """Whether it accepts no more."""
        return self.charged >= self._endpoint.send_buffer

    def is_crowded(self) -> bool:
        """Whether half of it or more is taken: then it does not count as writable (`sock_writeable`)."""
        return self.charged >= self.half

    def settle(self, now: float) -> None:
        """Release the charges for what has left by `now` (seconds); tell the endpoint when less than half is taken."""
        crowded = self.is_crowded()
        now += self._endpoint.stack.slept
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
        """Note that the departure of a charged packet has become known or has changed."""
        if self.is_crowded():
            known = 0  # without sorting, as a queue with active management calls this for every packet
            for queued, size in self.held:
                if queued.departure < inf:
                    known += size
            if self.charged - known < self.half:
                self._arm()

    def resize(self) -> None:
        """Adopt a changed SO_SNDBUF; writers check again, as on Linux."""
        self.half = 0.5 * self._endpoint.send_buffer
        if self.is_crowded():
            self._arm()
        else:
            self._endpoint.on_space()

    def close(self) -> None:
        """Drop the timer and all charges."""
        self._disarm()
        self.held.clear()
        self.charged = 0

    def _arm(self) -> None:
        """Set a timer for when less than half will be taken; if that changes, the queue calls `on_departure`."""
        taken, when = self.charged, inf
        for queued, _ in self.held:
            if queued is not PASSED:
                queued.owner = self
        for departure, size in sorted([(queued.departure, size) for queued, size in self.held]):
            taken -= size
            if taken < self.half:
                when = departure
                break
        when -= self._endpoint.stack.slept
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
"""A packet that a device took without queueing it."""
PASSED.departure = GONE
