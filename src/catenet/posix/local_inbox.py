"""Receive queues of local sockets: bytes or messages, and the descriptors passed with them."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.posix.errors import os_error
from catenet.posix.file import File
from catenet.posix.stream import ByteQueue
from catenet.stack.endpoint import Buffer

if TYPE_CHECKING:
    from catenet.posix.local import LocalSocket
    from catenet.posix.local_credentials import Credentials

__all__ = ["BUFFER_SIZE", "MessageInbox", "ReceivedMessage", "StreamInbox"]

BUFFER_SIZE: Final = 212_992
"""Default of net.core.wmem_default."""

Files = tuple[File, ...]


class ReceivedMessage(NamedTuple):
    """Result of one receive: `size` is the whole length of a message, of which `data` may be the beginning."""

    data: bytes
    size: int
    files: Files
    sender: LocalSocket | None
    credentials: Credentials | None


class StreamInbox:
    """Bytes without boundaries, but descriptors stay with the byte that they came with."""

    def __init__(self) -> None:
        self._bytes = ByteQueue(BUFFER_SIZE)
        self._rights: deque[tuple[int, int, Files]] = deque()
        """(first byte, byte after the last, descriptors) of what was sent with descriptors, counted from the start."""
        self._senders: deque[tuple[int, Credentials | None]] = deque()
        """(byte after the last, who has sent them) in turn, from when somebody was noted on."""
        self._pulled = 0

    def __bool__(self) -> bool:
        return self._bytes.size > 0

    @property
    def has_room(self) -> bool:
        """Whether a writer may go on."""
        return self._bytes.room >= BUFFER_SIZE // 4

    def push(
        self, data: Buffer, files: Files, sender: LocalSocket, credentials: Credentials | None = None
    ) -> int | None:
        """Append what fits and return how much that is; None when nothing does."""
        position = self._pulled + self._bytes.size
        count = self._bytes.push(data)
        if count and files:
            self._rights.append((position, position + count, files))
        if count and (credentials is not None or self._senders):
            self._note_sender(position, count, credentials)
        return count or None

    def _note_sender(self, position: int, count: int, credentials: Credentials | None) -> None:
        if not self._senders and position > self._pulled:
            self._senders.append((position, None))
        if self._senders and self._senders[-1][1] == credentials:
            self._senders.pop()
        self._senders.append((position + count, credentials))

    def pull(self, size: int, peek: bool, apart: bool = False) -> ReceivedMessage:
        """Take, or look at, what one receive of `size` bytes gets; `apart`: of one sender."""
        files: Files = ()
        credentials: Credentials | None = None
        if self._senders:
            end, credentials = self._senders[0]
            if apart:
                size = min(size, end - self._pulled)
        if self._rights:
            first, end, passed = self._rights[0]
            if first == self._pulled:
                files = passed
            size = min(size, (end if files else first) - self._pulled)
        data = self._bytes.pull(size, peek=peek)
        if not peek:
            self._pulled += len(data)
            if files:
                self._rights.popleft()
            while self._senders and self._senders[0][0] <= self._pulled:
                self._senders.popleft()
        return ReceivedMessage(data, len(data), files, None, credentials)

    def waiting(self) -> int:
        """Bytes that one receive can take."""
        return self._bytes.size

    def drop_all(self) -> None:
        """Lose everything; descriptors in flight are closed."""
        for _, _, files in self._rights:
            _release(files)
        self._rights.clear()
        self._senders.clear()
        self._bytes = ByteQueue(BUFFER_SIZE)


class MessageInbox:
    """Messages with boundaries."""

    def __init__(self, limit: int) -> None:
        self._messages: deque[ReceivedMessage] = deque()
        self._limit = limit
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def has_room(self) -> bool:
        """Whether a writer may go on."""
        return len(self._messages) < self._limit and self._size < BUFFER_SIZE

    def push(
        self, data: Buffer, files: Files, sender: LocalSocket, credentials: Credentials | None = None
    ) -> int | None:
        """Append what fits and return how much that is; None when nothing does."""
        if not self.has_room:
            return None
        raw = bytes(data)
        if len(raw) > BUFFER_SIZE:
            raise os_error(errno.EMSGSIZE)
        self._messages.append(ReceivedMessage(raw, len(raw), files, sender, credentials))
        self._size += len(raw)
        return len(raw)

    def pull(self, size: int, peek: bool, apart: bool = False) -> ReceivedMessage:
        """Take, or look at, what one receive of `size` bytes gets."""
        piece = self._messages[0] if peek else self._messages.popleft()
        if not peek:
            self._size -= piece.size
        return piece._replace(data=piece.data[:size])

    def waiting(self) -> int:
        """Bytes that one receive can take."""
        return self._messages[0].size if self._messages else 0

    def waiting_in_all(self) -> int:
        """Bytes of all messages."""
        return self._size

    def drop_all(self) -> None:
        """Lose everything; descriptors in flight are closed."""
        for piece in self._messages:
            _release(piece.files)
        self._messages.clear()
        self._size = 0


def _release(files: Files) -> None:
    for file in files:
        file.release()
