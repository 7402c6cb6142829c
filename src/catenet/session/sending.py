"""The half of a session that sends: what was written and is not acknowledged, so that it can be sent again. Pure."""

from __future__ import annotations

from catenet.session.chunks import Chunks
from catenet.session.wire import FrameError, expand

__all__ = ["Sending"]


class Sending:
    """A stream on its way to the peer. Offsets count from `start`; the end of the stream counts as one byte.

    `sent`: how far the connection has it that is written to now; `limit`: how far the peer lets us go.
    """

    __slots__ = (
        "_acknowledged", "_chunks", "_end_acknowledged", "_end_released", "_released", "cut_short", "finished", "limit",
        "replayed", "sent", "start", "stopped",
    )  # fmt: skip

    def __init__(self, start: int, window: int) -> None:
        self.start = start
        self.sent = start
        self.limit = start + window
        self.finished = False
        """Nothing more will be written: a FIN follows the last byte."""
        self.stopped = False
        """The peer reads nothing more: what is left is not sent."""
        self.cut_short = False
        """Something was written that the peer did not want."""
        self.replayed = 0
        """Bytes that were sent more than once."""
        self._acknowledged = 0
        self._released: int | None = None
        self._end_released = False
        self._chunks = Chunks(start)
        self._end_acknowledged = False

    @property
    def held(self) -> int:
        """Bytes that are not acknowledged."""
        return len(self._chunks)

    @property
    def acknowledged(self) -> int:
        """Bytes that the peer has said to have."""
        return self._acknowledged

    @property
    def written(self) -> int:
        """Bytes that have ever been written."""
        return self._chunks.end - self.start

    @property
    def end_sent(self) -> bool:
        """Whether everything has left, the end with it."""
        return self.sent > self._chunks.end

    @property
    def outstanding(self) -> bool:
        """Whether something was sent whose acknowledgement has not come."""
        return self.sent > self._chunks.start + self._end_acknowledged

    @property
    def complete(self) -> bool:
        """Whether the peer has everything, and knows that it is everything; or wants nothing more."""
        return self._end_acknowledged or self.stopped

    def between(self, start: int, end: int) -> bytes:
        """Return what was written from one offset to another, and is not acknowledged."""
        return self._chunks.between(start, end)

    def hold(self) -> None:
        """Send only what is released (`release`)."""
        self._released = self._chunks.end

    def release(self, end: int) -> None:
        """What is before `end` may be sent, and the end of the stream if it has ended there."""
        self._released = end
        self._end_released = self.finished

    def go_on(self, first: int, pieces: list[bytes], finished: bool) -> None:
        """Take over what another process has written: `pieces` from `first` on, which the peer may have in part."""
        self._chunks = Chunks(first)
        for piece in pieces:
            self._chunks.append(piece)
        self._acknowledged = first - self.start
        self.sent = self.limit = first
        self.finished = finished
        self.release(self._chunks.end)

    @property
    def _reach(self) -> int:
        return self.limit if self._released is None else min(self.limit, self._released)

    @property
    def _may_end(self) -> bool:
        return self.finished and (self._released is None or self._end_released)

    @property
    def ready(self) -> bool:
        """Whether `next_data` or `next_end` has something."""
        if self.stopped:
            return False
        return self.sent < min(self._chunks.end, self._reach) or (self._may_end and self.sent == self._chunks.end)

    def write(self, data: bytes) -> None:
        """Add to the stream."""
        self._chunks.append(data)

    def next_data(self, most: int) -> tuple[int, bytes] | None:
        """Return the next bytes to be sent, and their offset; at most so many."""
        if self.stopped:
            return None
        offset = self.sent
        reach = self._reach
        data = self._chunks.peek(offset, min(most, reach - offset)) if offset < reach else b""
        if not data:
            return None
        self.sent = offset + len(data)
        return offset, data

    def next_end(self) -> int | None:
        """Return the offset of the end, if that is the next thing to be sent."""
        end = self._chunks.end
        if not self._may_end or self.sent != end or self.stopped:
            return None
        self.sent = end + 1
        return end

    def acknowledge(self, received: int, limit: int) -> bool:
        """Take an acknowledgement, 32 bits or more of each; return whether it is news. Raises `FrameError`."""
        before = self._chunks.start + self._end_acknowledged
        received = expand(received & 0xFFFFFFFF, before)
        end = self._chunks.end
        if received > end + self.finished:
            raise FrameError("the peer acknowledges what was not sent")
        # What another connection says, which is older, is no news.
        self.limit = max(self.limit, expand(limit & 0xFFFFFFFF, self.limit))
        if received <= before:
            return False
        if received > end:
            self._end_acknowledged = True
        if not self.stopped:
            self._acknowledged = min(received, end) - self.start
        self._chunks.drop(min(received, end))
        self.sent = max(self.sent, received)
        return True

    def rewind(self) -> None:
        """Begin again at the first byte that is not acknowledged: another connection is written to now."""
        first = self._chunks.start + self._end_acknowledged
        self.replayed += max(min(self.sent, self._chunks.end) - first, 0)
        self.sent = first

    def abandon(self) -> None:
        """The peer reads nothing more."""
        self.stopped = True
        end = self._chunks.end
        self.cut_short = self.held > 0
        self._chunks.drop(end)
        self.sent = end + self._end_acknowledged

    def forget(self) -> None:
        """Hold no bytes any more: nobody will ask for them."""
        self._chunks.drop(self._chunks.end)
