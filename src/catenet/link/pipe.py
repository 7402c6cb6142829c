"""Two connected devices without time, for stacks that are driven by hand.

Packets wait in the pipe until `deliver` is called, because a `send` that called the other end's stack at once would
let two stacks recurse into each other.
"""

from __future__ import annotations

from collections import deque

from catenet.link.device import BaseDevice

__all__ = ["Pipe", "PipeEnd"]


class PipeEnd(BaseDevice):
    """One end: packets sent here wait for the other end."""

    __slots__ = ("dropped", "limit", "mtu", "queue")

    def __init__(self, mtu: int, limit: int) -> None:
        super().__init__()
        self.mtu = mtu
        self.limit = limit
        self.queue: deque[bytes] = deque()
        self.dropped = 0

    def send(self, packet: bytes, now: float) -> None:
        """Queue one packet for the other end; too large or too many are dropped and counted."""
        if len(packet) > self.mtu or len(self.queue) >= self.limit:
            self.dropped += 1
        else:
            self.queue.append(packet)


class Pipe:
    """Two connected devices, `left` and `right`, each holding at most `limit` undelivered packets."""

    __slots__ = ("left", "right")

    def __init__(self, mtu: int = 1500, limit: int = 10_000) -> None:
        self.left = PipeEnd(mtu, limit)
        self.right = PipeEnd(mtu, limit)

    def deliver(self, now: float) -> int:
        """Deliver what was in the pipe when called; returns the number of packets."""
        crossing = [(self.right, self.left.queue), (self.left, self.right.queue)]
        counts = [len(queue) for _, queue in crossing]
        for (end, queue), count in zip(crossing, counts, strict=True):
            for _ in range(count):
                end.receive(queue.popleft(), now)
        return sum(counts)
