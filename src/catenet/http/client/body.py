"""Bodies of requests: bytes, text, files, iterables and async iterables, as pieces that leave when there is room."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import BinaryIO, Protocol, TypeAlias, cast, runtime_checkable

from catenet.http.message import Fields

__all__ = ["AsyncPieces", "Bytes", "Content", "File", "Pieces", "Readable", "Source", "source_of"]

PIECE = 256 << 10
"""Bytes that are read, and handed to a connection, at a time."""


@runtime_checkable
class Readable(Protocol):
    """A file, or what reads like one."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, b"" at the end."""


Content: TypeAlias = (
    bytes | bytearray | memoryview | str | Readable | Iterable[bytes | str] | AsyncIterable[bytes | str]
)
"""What a request's body can be given as."""


class Source:
    """A body. `length` is None where it is not known; `replayable`: it can be sent again."""

    length: int | None = None
    replayable = False

    @property
    def trailers(self) -> Fields:
        """What follows the body, known when the last piece is."""
        return ()

    @property
    def whole(self) -> bytes | None:
        """The body, if it is at hand and small enough to leave in one piece."""
        return None

    def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Iterate over the body from its beginning."""
        raise NotImplementedError


class Bytes(Source):
    """A body in memory."""

    replayable = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    @property
    def whole(self) -> bytes | None:
        """The body, unless it is long."""
        return self._data if len(self._data) <= PIECE else None

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Iterate over the body from its beginning."""
        view = memoryview(self._data)
        for at in range(0, len(view), PIECE):
            yield view[at : at + PIECE]


class File(Source):
    """An open file from where it stands; on a disk it is read here, anything else in a thread."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._start: int | None = None
        self._regular = False
        try:
            descriptor = cast(BinaryIO, file).fileno()
            self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        except (AttributeError, OSError, ValueError):
            self._regular = hasattr(file, "getbuffer")  # io.BytesIO
        try:
            seekable = cast(BinaryIO, file)
            self._start = seekable.tell()
            self.length = seekable.seek(0, os.SEEK_END) - self._start
            seekable.seek(self._start)
            self.replayable = True
        except (AttributeError, OSError, ValueError):
            self._start = None

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Iterate over the body from its beginning."""
        if self._start is not None:
            cast(BinaryIO, self._file).seek(self._start)
        left = self.length
        while left is None or left > 0:
            size = PIECE if left is None else min(PIECE, left)
            piece = self._file.read(size) if self._regular else await asyncio.to_thread(self._file.read, size)
            if not isinstance(piece, bytes):
                raise TypeError("the file of a request's body is to be opened in binary mode")
            if not piece:
                break
            left = None if left is None else left - len(piece)
            yield piece


class Pieces(Source):
    """What an iterable yields, once."""

    def __init__(self, given: Iterable[bytes | str]) -> None:
        self._given = given
        # A list can be iterated over again, an iterator cannot.
        self.replayable = not isinstance(given, Iterator)

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Iterate over the body from its beginning."""
        for piece in self._given:
            yield _as_bytes(piece)


class AsyncPieces(Source):
    """What an async iterable yields, once."""

    def __init__(self, given: AsyncIterable[bytes | str]) -> None:
        self._given = given
        self.replayable = not isinstance(given, AsyncIterator)

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Iterate over the body from its beginning."""
        try:
            async for piece in self._given:
                yield _as_bytes(piece)
        finally:
            if isinstance(self._given, AsyncGenerator):  # what it holds open is not needed any more
                await self._given.aclose()


EMPTY = Bytes(b"")


def source_of(content: Content | Source | None) -> Source:
    """Return the body that `content` is; raise `TypeError` for what can be none."""
    if content is None:
        return EMPTY
    if isinstance(content, Source):
        return content
    if isinstance(content, str):
        return Bytes(content.encode())
    if isinstance(content, bytes | bytearray | memoryview):
        return Bytes(bytes(content))
    if isinstance(content, Readable):
        return File(content)
    if isinstance(content, AsyncIterable):
        return AsyncPieces(content)
    if isinstance(content, Iterable) and not isinstance(content, dict):
        return Pieces(content)
    raise TypeError(f"a {type(content).__name__} is no body: give bytes, text, a file, an iterable of bytes, or json=")


def _as_bytes(piece: bytes | str) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"a body's iterable yields bytes or text, not {type(piece).__name__}")
