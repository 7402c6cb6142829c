"""The regular file that scripts read from: zeros, as many as the script says."""

from __future__ import annotations

import errno

from catenet.posix.errors import os_error
from catenet.posix.file import File

__all__ = ["ZeroFile"]


class ZeroFile(File):
    """A regular file of zeros."""

    kind = "zeros"

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.position = 0

    def readiness(self) -> int:
        """Always ready."""
        return 5

    def read(self, size: int) -> bytes:
        """Zeros up to the end."""
        count = max(0, min(size, self.size - self.position))
        self.position += count
        return bytes(count)

    def write(self, data: object) -> int:
        """Refused: scripts only read such files."""
        raise os_error(errno.EBADF)
