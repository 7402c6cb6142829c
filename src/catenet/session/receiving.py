"""The half of a session that receives: what has come, once and in order, and is not read. Pure."""

from __future__ import annotations

from typing import Final

from catenet.session.chunks import Chunks
from catenet.session.wire import FrameError, expand

__all__ = ["Receiving"]

MANY: Final = 256 << 10
"""Bytes after which an acknowledgement does not wait, however large the window is."""


class Receiving:
    """A stream on its way from the peer. `window`: bytes that may have come and not been read.

    What is acknowledged is what has come; with `commits` what was committed (`commit`), because what was not is lost
    when this process is.
    """

    __slots__ = (
        "_again", "_chunks", "_committed", "_dropping", "_told", "_told_limit", "commits", "duplicates", "ended",
        "start", "window",
    )  # fmt: skip

    def __init__(self, start: int, window: int, *, commits: bool = False) -> None:
        self.start = start
        self.window = window
        self.commits = commits
        self.ended = False
        """The end of the stream has come."""
        self.duplicates = 0
        """Bytes that came more than once."""
        self._chunks = Chunks(start)
        self._committed = start
        self._told = start
        self._told_limit = start + window
        self._dropping = False
        self._again = False

    @property
    def held(self) -> int:
        """Bytes that wait to be read."""
        return len(self._chunks)

    @property
    def consumed(self) -> int:
        """Offset up to which the stream was read."""
        return self._chunks.start

    @property
    def received(self) -> int:
        """What an acknowledgement says now."""
        if self.commits:
            return self._committed + (self.ended and self._committed == self._chunks.end)
        return self._chunks.end + self.ended

    @property
    def complete(self) -> bool:
        """Whether everything has come, its end with it, and may be acknowledged."""
        return self.received > self._chunks.end

    @property
    def limit(self) -> int:
        """How far the peer may go."""
        read = self._committed if self.commits else self._chunks.start
        return max(read + self.window, self._told_limit)

    @property
    def unsaid(self) -> bool:
        """Whether an acknowledgement would be news."""
        return self._again or self.received > self._told or self.limit - self._told_limit >= self.window // 4

    @property
    def urgent(self) -> bool:
        """Whether the news should not wait for others."""
        few = min(self.window // 8, MANY)
        return (
            self._again
            or self.received - self._told >= few
            or self.limit - self._told_limit >= self.window // 4
            or (self.ended and self.received > self._told)
        )

    def say(self) -> tuple[int, int]:
        """Return what to acknowledge, and remember that it was said."""
        self._told, self._told_limit = self.received, self.limit
        self._again = False
        return self._told, self._told_limit

    def say_again(self) -> None:
        """What was said may not have arrived: another connection is written to now."""
        self._again = True

    def accept(self, low: int, data: bytes) -> None:
        """Take what came; `low`: 32 bits of its offset. Raises `FrameError` for a gap, and beyond the limit."""
        end = self._chunks.end
        offset = expand(low, end)
        if offset > end:
            raise FrameError("there is a gap in the stream")
        if offset + len(data) > self._told_limit:
            raise FrameError("the peer sends more than it may")
        if offset < end:
            known = min(end - offset, len(data))
            self.duplicates += known
            data = data[known:]
        if data:
            if self.ended:
                raise FrameError("the stream goes on after its end")
            self._chunks.append(data)
            if self._dropping:
                self.read()

    def end(self, low: int) -> None:
        """The stream ends; `low`: 32 bits of where. Raises `FrameError`."""
        end = self._chunks.end
        offset = expand(low, end)
        if offset != end:
            raise FrameError("the stream ends elsewhere")
        self.ended = True

    def read(self) -> bytes:
        """Return what has come."""
        data = self._chunks.take()
        if self._dropping and self.commits:
            self._committed = self._chunks.end
        return data

    def commit(self, offset: int) -> None:
        """What is before `offset` will not be asked for again, whatever happens to this process."""
        self._committed = max(self._committed, offset)

    def go_on(self, offset: int, ended: bool) -> None:
        """Take over from another process, which had committed what is before `offset`."""
        self._chunks = Chunks(offset)
        self._committed = self._told = offset
        self._told_limit = offset + self.window
        self.ended = ended

    @property
    def end_of_data(self) -> int:
        """Offset of what comes next."""
        return self._chunks.end

    def drop(self) -> None:
        """Nobody will read: take what comes, and forget it."""
        self._dropping = True
        self.read()
