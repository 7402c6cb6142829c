"""The messages of a request stream, kept in case that they have to be sent again (gRFC A6, "Buffered RPCs"). Pure.

A call is committed when its response begins, or when there is no room for its messages any more: from then on nothing
is sent again, and a message is forgotten once it is sent.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Replay", "ReplayRoom"]


class ReplayRoom:
    """Bytes that all calls of a channel may keep."""

    __slots__ = ("left",)

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, size: int) -> bool:
        """Take so many bytes; False if there are not so many left."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def give_back(self, size: int) -> None:
        """They are free again."""
        self.left += size


class Replay:
    """The request stream of one call. `limit`: bytes that it may keep; `room`: what is left for all calls."""

    __slots__ = ("_end_sent", "_held", "_limit", "_payloads", "_room", "_sent", "committed", "ended")

    def __init__(self, limit: int, room: ReplayRoom) -> None:
        self.committed = False
        self.ended = False
        """The program has no more messages."""
        self._limit = limit
        self._room = room
        self._held = 0
        self._payloads: deque[bytes] = deque()
        self._sent = 0
        """How many of them the attempt that is going on has sent."""
        self._end_sent = False

    def add(self, payload: bytes) -> None:
        """Add a message that has yet to be sent."""
        self._payloads.append(payload)
        if self.committed:
            return
        size = len(payload)
        if self._held + size > self._limit or not self._room.take(size):
            self.commit()
        else:
            self._held += size

    def next(self) -> bytes | None:
        """Return the next message to be sent; None if all that there are have been."""
        if self._sent == len(self._payloads):
            return None
        if self.committed:
            return self._payloads.popleft()
        self._sent += 1
        return self._payloads[self._sent - 1]

    def next_end(self) -> bool:
        """Return whether the end of the stream is to be sent now, once."""
        if not self.ended or self._end_sent or self._sent < len(self._payloads):
            return False
        self._end_sent = True
        return True

    def rewind(self) -> None:
        """Another attempt is made: all is to be sent again."""
        assert not self.committed
        self._sent = 0
        self._end_sent = False

    def commit(self) -> None:
        """Nothing will be sent again."""
        if not self.committed:
            self.committed = True
            self._room.give_back(self._held)
            self._held = 0
            for _ in range(self._sent):
                self._payloads.popleft()
            self._sent = 0
