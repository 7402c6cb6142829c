"""Pipes (pipe(7))."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from typing import ClassVar

from catenet.posix.errors import os_error
from catenet.posix.file import File
from catenet.posix.stream import ByteQueue
from catenet.stack.endpoint import Buffer, Readiness

__all__ = ["PipeReader", "PipeWriter", "make_pipe"]

PIPE_BUF = 4096


class PipeReader(File):
    """The end of a pipe that is read."""

    __slots__ = ("queue", "writer")

    kind: ClassVar[str] = "pipe"
    mode: ClassVar[int] = stat.S_IFIFO | 0o600

    def __init__(self, queue: ByteQueue) -> None:
        super().__init__()
        self.queue = queue
        self.writer: PipeWriter | None = None

    def readiness(self) -> int:
        """IN with bytes, HUP when the writer is gone."""
        return (Readiness.IN if self.queue.size else 0) | (Readiness.HUP if self.writer is None else 0)

    def read(self, size: int) -> Buffer | None:
        """Up to `size` bytes; empty at the end of the stream."""
        if not self.queue.size:
            return b"" if self.writer is None or not size else None
        was_full = self.queue.room < PIPE_BUF
        data = self.queue.pull(size)
        if was_full and self.writer is not None:
            self.writer.notify()
        return data

    def write(self, data: Buffer) -> int | None:
        """Not open for writing."""
        raise os_error(errno.EBADF)

    def close(self) -> None:
        """The writer will get EPIPE."""
        if self.writer is not None:
            self.writer.reader = None
            self.writer.notify()


class PipeWriter(File):
    """The end of a pipe that is written."""

    __slots__ = ("broken_pipe", "queue", "reader")

    kind: ClassVar[str] = "pipe"
    mode: ClassVar[int] = stat.S_IFIFO | 0o600

    def __init__(self, queue: ByteQueue, reader: PipeReader, broken_pipe: Callable[[], object]) -> None:
        super().__init__()
        self.queue = queue
        self.broken_pipe = broken_pipe
        """Sends SIGPIPE to a writer without a reader."""
        self.reader: PipeReader | None = reader
        reader.writer = self

    def readiness(self) -> int:
        """OUT with room for an atomic write, ERR when the reader is gone."""
        broken = Readiness.ERR if self.reader is None else 0
        return broken | (Readiness.OUT if self.queue.room >= PIPE_BUF else 0)

    def read(self, size: int) -> Buffer | None:
        """Not open for reading."""
        raise os_error(errno.EBADF)

    def write(self, data: Buffer) -> int | None:
        """Write what fits; up to PIPE_BUF bytes go whole or not at all."""
        size = memoryview(data).nbytes
        if not size:
            return 0
        if self.reader is None:
            self.broken_pipe()
            raise os_error(errno.EPIPE)
        if not self.queue.room or (size <= PIPE_BUF and size > self.queue.room):
            return None
        count = self.queue.push(data)
        self.reader.notify()
        return count

    def close(self) -> None:
        """The reader will see the end."""
        if self.reader is not None:
            self.reader.writer = None
            self.reader.notify()


def make_pipe(broken_pipe: Callable[[], object]) -> tuple[PipeReader, PipeWriter]:
    """Make the two ends of a pipe; `broken_pipe` sends SIGPIPE to the program that runs."""
    reader = PipeReader(ByteQueue())
    return reader, PipeWriter(reader.queue, reader, broken_pipe)
