"""Bytes of files on their way to sockets, never the whole file in memory.

Not by mapping files: whoever truncates one that is being read from a mapping kills this process (SIGBUS).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["pieces_of"]

_PIECE = 60 << 10
"""Below the size from which malloc maps memory anew for each block, whose pages would have to be zeroed."""


def pieces_of(file: BinaryIO, offset: int, count: int) -> Iterator[bytes]:
    """Yield `count` bytes of a file from `offset` on. Raises `EOFError` if it is shorter, `OSError`."""
    descriptor = _descriptor(file)
    if descriptor is None:
        file.seek(offset)
    while count:
        size = min(count, _PIECE)
        piece = file.read(size) if descriptor is None else os.pread(descriptor, size, offset)
        if not piece:
            raise EOFError("the file is shorter than it was")
        yield piece
        offset += len(piece)
        count -= len(piece)


def _descriptor(file: BinaryIO) -> int | None:
    try:
        return file.fileno()
    except (OSError, AttributeError):  # it is in memory
        return None
