"""Python file objects on simulated descriptors and on the standard streams of a host, for `open`."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any, Final

from catenet.posix.file import File
from catenet.posix.kernel import Kernel
from catenet.posix.pysocket import kernel_after_fork

__all__ = ["RawFile", "RawStream"]


LINES_OF_BYTES: Final = (
    "line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be used"
)
"""The interpreter's warning."""


class _Raw(io.RawIOBase):
    """A descriptor with a mode."""

    def __init__(self, descriptor: int, mode: str, *, closefd: bool) -> None:
        self._descriptor = descriptor
        self._closes = closefd
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
        if "b" in mode and buffering == 1:
            warnings.warn(LINES_OF_BYTES, RuntimeWarning, stacklevel=3)
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered: Any
        if self._reads and self._writes:
            buffered = io.BufferedRWPair(self, self, size)
        else:
            buffered = io.BufferedReader(self, size) if self._reads else io.BufferedWriter(self, size)
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


class RawFile(_Raw):
    """Reads and writes a simulated descriptor."""

    def __init__(self, kernel: Kernel, descriptor: int, mode: str, *, closefd: bool = True) -> None:
        self._kernel = kernel
        self._file = kernel.file(descriptor)
        super().__init__(descriptor, mode, closefd=closefd)

    def _open(self) -> File:
        """The open file; in a child another object than before fork(2)."""
        if not self._file.references and (kernel := kernel_after_fork(self._kernel)) is not None:
            self._kernel, self._file = kernel, kernel.file(self._descriptor)
        return self._file

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into a buffer; None: would block."""
        view = memoryview(buffer).cast("B")
        try:
            file = self._open()
            found = file.read(len(view))
            data = self._kernel.retry("read", file, file.read, self._timeout(), len(view)) if found is None else found
        except BlockingIOError:
            return None
        view[: len(data)] = bytes(data)
        return len(data)

    def write(self, data: Any, /) -> int | None:
        """Write what is taken at once; None: would block."""
        try:
            file = self._open()
            count = file.write(data)
            return self._kernel.retry("write", file, file.write, self._timeout(), data) if count is None else count
        except BlockingIOError:
            return None

    def _timeout(self) -> float | None:
        return 0.0 if self._file.is_nonblocking() else None

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            super().close()
            if self._closes and self._open().references:
                self._kernel.close(self._descriptor)


class RawStream(_Raw):
    """Reads and writes a descriptor that leads to a standard stream of the host."""

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer."""
        view = memoryview(buffer).cast("B")
        data = os.read(self._descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, data: Any, /) -> int:
        """Write to the stream."""
        return os.write(self._descriptor, data)

    def close(self) -> None:
        """Close the descriptor, unless it is one of the streams themselves."""
        if not self.closed:
            super().close()
            if self._closes:
                os.close(self._descriptor)
