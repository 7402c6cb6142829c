"""Standard streams of simulated processes: output is shown line by line, each behind the name of the host."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any, Final

from catenet.printable import write

__all__ = ["CLOSED", "Streams", "print_line"]

CLOSED: Final = -1
"""Where a standard stream leads that the program has closed."""

Emit = Callable[[str, str], None]
"""`emit(stream, line)`: one line (no newline) of "stdout" or "stderr"."""


def print_line(host: str, stream: str, line: str) -> None:
    """Write one line of a host to the interpreter's own stream, as docker compose does."""
    out = sys.stdout if stream == "stdout" else sys.stderr
    write(f"{host} | {line}\n", out)
    out.flush()


class _Lines(io.RawIOBase):
    """The raw end of an output stream: cuts what is written into lines."""

    def __init__(self, stream: str, emit: Emit, number: int, redirected: dict[int, int]) -> None:
        self._stream = stream
        self._emit = emit
        self._number = number
        self._redirected = redirected
        self.begun = b""
        """A line that has no end yet."""
        self.muted = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def write(self, data: Any, /) -> int:
        if self._number in self._redirected and not self.muted:
            return os.write(self._number, data)  # which knows where it leads
        return self.write_lines(data)

    def write_lines(self, data: Any) -> int:
        """Write lines of the host."""
        count = len(data)
        if not self.muted:
            *lines, self.begun = (self.begun + bytes(data)).split(b"\n")
            for line in lines:
                self._emit(self._stream, line.decode("utf-8", "replace"))
        return count

    def adopt(self, emit: Emit, begun: bytes) -> None:
        """Go on with lines of another process, the first of which has begun so."""
        self._emit = emit
        self.begun = begun

    def finish(self) -> None:
        """Emit a last line that has no newline."""
        if self.begun and not self.muted:
            self._emit(self._stream, self.begun.decode("utf-8", "replace"))
        self.begun = b""


class _Input(io.RawIOBase):
    """The raw end of standard input: a text, or what it is redirected to."""

    def __init__(self, data: bytes, redirected: dict[int, int]) -> None:
        self.data = io.BytesIO(data)
        self._redirected = redirected

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = os.read(0, len(view)) if 0 in self._redirected else self.data.read(len(view))
        view[: len(data)] = data
        return len(data)


class Streams:
    """The three standard streams of one process."""

    def __init__(self, emit: Emit, stdin: str | bytes) -> None:
        self.redirected: dict[int, int] = {}
        """Where descriptors lead that dup2(2) has made: to a simulated one, that of a file, or 0 to 2 of the host.

        A standard stream that was closed leads to CLOSED.

        Above 2, simulated ones are the kernel's (`Kernel.duplicate_to`).
        """
        self.set_aside: set[int] = set()
        """Descriptors of the machine that dup(2) of a stream of the host has taken, so that nothing else has them."""
        self._raw = (_Lines("stdout", emit, 1, self.redirected), _Lines("stderr", emit, 2, self.redirected))
        self.stdout: IO[str] = _text(self._raw[0])
        self.stderr: IO[str] = _text(self._raw[1])
        data = stdin.encode() if isinstance(stdin, str) else stdin
        self._input = _Input(data, self.redirected)
        self.stdin: IO[str] = io.TextIOWrapper(io.BufferedReader(self._input), encoding="utf-8")

    def read_input(self, size: int) -> bytes:
        """Read up to `size` bytes of standard input, past what `stdin` has buffered."""
        return self._input.data.read(size)

    def unread_input(self) -> bytes:
        """What a program that is run in the process's place can read (execve(2))."""
        at = self._input.data.tell()
        return self._input.data.getbuffer()[at:].tobytes()

    def write_output(self, descriptor: int, data: bytes) -> int:
        """Write to standard output (1) or standard error (2), past what the text stream has buffered."""
        return self._raw[descriptor - 1].write_lines(data)

    def mute(self) -> None:
        """Drop what is written from now on, because the process has been killed."""
        for raw in self._raw:
            raw.muted = True

    def adopt(self, emit: Emit, moves: bool) -> None:
        """Let a child have them, which has what its parent had not flushed, as after fork(2).

        A line that was begun is the parent's, unless the child is the same process, which moves.
        """
        for raw in self._raw:
            raw.adopt(emit, raw.begun if moves else b"")

    def keep(self, numbers: Iterable[int]) -> None:
        """Forget other descriptors that lead somewhere, but for the standard ones, for another program begins."""
        wanted = {0, 1, 2, *numbers}
        for number in [number for number in self.redirected if number not in wanted]:
            del self.redirected[number]

    def go_on(self, other: Streams) -> None:
        """Lead where others do, and go on with the lines that were begun there: another program begins (execve(2))."""
        self.redirected.update(other.redirected)
        for raw, before in zip(self._raw, other._raw, strict=True):
            raw.begun = before.begun

    def finish_raw(self) -> None:
        """Emit the last lines that were written, but not what was not flushed."""
        for raw in self._raw:
            raw.finish()

    def finish(self) -> None:
        """Emit what an ended process has left unflushed."""
        for stream in (self.stdout, self.stderr):
            try:
                stream.flush()
            except (ValueError, OSError):  # the program closed it, or nobody reads it
                pass
        for raw in self._raw:
            raw.finish()


def _text(raw: _Lines) -> IO[str]:
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", write_through=True)
