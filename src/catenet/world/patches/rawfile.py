"""A Python file object on a simulated descriptor, for `os.fdopen`."""

from __future__ import annotations

import io
from typing import Any

from catenet.posix.kernel import Kernel

__all__ = ["RawFile"]


class RawFile(io.RawIOBase):
    """Reads and writes a descriptor."""

    def __init__(self, kernel: Kernel, descriptor: int, mode: str) -> None:
        self._kernel = kernel
        self._file = kernel.file(descriptor)
        self._descriptor = descriptor
        self._reads = "r" in mode or "+" in mode
        self._writes = any(letter in mode for letter in "wax+")
        self.name = descriptor
        self.mode = mode

    def wrap(
        self, mode: str, buffering: int = -1, encoding: Any = None, errors: Any = None, newline: Any = None
    ) -> Any:
        """Put the buffers and the encoding on top that `open` would."""
        if buffering == 0:
            return self
        buffered: Any
        if self._reads and self._writes:
            buffered = io.BufferedRWPair(self, self)
        else:
            buffered = io.BufferedReader(self) if self._reads else io.BufferedWriter(self)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self._reads

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._writes

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer; None: would block."""
        view = memoryview(buffer).cast("B")
        try:
            data = self._kernel.wait("read", self._file, self._file.read, self._timeout(), len(view))
        except BlockingIOError:
            return None
        view[: len(data)] = bytes(data)
        return len(data)

    def write(self, data: Any, /) -> int | None:
        """Write what is taken at once; None: would block."""
        try:
            return self._kernel.wait("write", self._file, self._file.write, self._timeout(), data)
        except BlockingIOError:
            return None

    def _timeout(self) -> float | None:
        return 0.0 if self._file.nonblocking else None

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            super().close()
            if self._file.references:
                self._kernel.close(self._descriptor)
