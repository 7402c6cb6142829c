"""The memory that received packets cost, as Linux accounts for it: whole buffers and their descriptors, not bytes.

The share of a buffer that is data (`ratio`, Linux's scaling_ratio, of 256) is taken from what packets of full size cost
and turns buffers into windows. The costs are those of packets that a TUN device delivers: the head of a page at most,
whole pages for the rest. A host whose setting `tcp_truesize` is 0 counts bytes and has no such object.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ReceiveMemory", "truesize"]

_SCALE: Final = 8
_PAGE: Final = 4096
_DESCRIPTOR: Final = 256
_HEAD_OVERHEAD: Final = 386
"""Bytes of a packet's buffer beside the packet: headroom, and what Linux keeps behind it."""
_HEAD_MOST: Final = 3776
_HEAD_LEAST: Final = 512


def truesize(size: int) -> int:
    """Memory that a packet of `size` bytes takes."""
    if size > _HEAD_MOST:
        return _DESCRIPTOR + _PAGE + -(-(size - _HEAD_MOST) // _PAGE) * _PAGE
    head = max(size + _HEAD_OVERHEAD, _HEAD_LEAST)
    return _DESCRIPTOR + (1 << (head - 1).bit_length())


class ReceiveMemory:
    """Packets of one connection that wait to be read or reassembled."""

    __slots__ = ("_costs", "charged", "edge", "last", "ratio", "starved")

    def __init__(self) -> None:
        self.last = 0
        """Cost of the packet that came last."""
        self.ratio = 1 << (_SCALE - 1)
        self.edge = 0
        """Right edge of the furthest window ever offered."""
        self.starved = False
        """Whether a packet was just dropped for want of memory: the next window is closed."""
        self.charged = 0
        self._costs: list[tuple[int, int]] = []

    def charge(self, end: int, length: int, header: int) -> None:
        """Charge a packet with data up to position `end`."""
        self.last = truesize(length + header)
        self._costs.append((end, self.last))
        self.charged += self.last

    def is_full(self, copied: int, limit: int) -> bool:
        """Whether what waits costs more than the buffer: then nothing more is taken."""
        self.release(copied)
        return self.charged > limit

    def release(self, copied: int) -> None:
        """Release what was read: all before a position."""
        costs = self._costs
        if costs and any(end <= copied for end, _ in costs):
            self._costs = [one for one in costs if one[0] > copied]
            self.charged = sum(cost for _, cost in self._costs)

    def learn(self, length: int) -> bool:
        """Take the ratio from the packet that came last, which is of full size; whether it is another one now."""
        old = self.ratio
        self.ratio = max((length << _SCALE) // self.last, 1)
        return self.ratio != old

    def window(self, size: int) -> int:
        """Window that a buffer of so many bytes allows."""
        return size * self.ratio >> _SCALE

    def buffer(self, window: int) -> int:
        """Buffer that a window needs."""
        return (window << _SCALE) // self.ratio
