"""Data in several pieces, which the device joins (as `struct iovec`): nothing between the program and it does."""

from __future__ import annotations

__all__ = ["Gather"]


class Gather:
    """Pieces that follow each other; they must not change."""

    __slots__ = ("pieces", "size")

    def __init__(self, pieces: list[bytes | memoryview], size: int) -> None:
        self.pieces = pieces
        self.size = size
        """Bytes of all pieces together."""

    def __len__(self) -> int:
        return self.size

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)
