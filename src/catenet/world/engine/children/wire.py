"""Messages between two processes of a run, as that which holds a host's kernel and a child: plain values, by `marshal`.

A frame is its length in four bytes, and a tuple of numbers, texts, bytes and tuples, lists and dictionaries of such.
Nothing in it can name code, as a pickle does. The kernel's side refuses frames that are longer than LONGEST.
"""

from __future__ import annotations

import marshal
from posix import close, read, write  # what they are outside of worlds
from typing import Any, Final

__all__ = ["LARGEST", "LONGEST", "PRIVATE", "Wire", "WireError", "plain"]

LONGEST: Final = 16 << 20
"""Bytes of the longest frame that a child may send; requests carry a megabyte of data at most."""

READ_SIZE: Final = 16_384
"""Bytes that are read at once: a buffer of a megabyte doubled the cost of a call."""
NEXT_READ: Final = 1 << 20
"""Bytes of a longer frame that are read at once."""
LARGEST: Final = 1 << 31
"""Bytes of the longest frame of all."""

HEAD: Final = 4
FORMAT: Final = 2
"""Of `marshal`: later ones look for values that occur twice, which doubles the time."""

PRIVATE: Final[set[int]] = set()
"""Descriptors of the machine that belong to the engine, and that no child may have."""


class WireError(Exception):
    """What came is no message."""


class Wire:
    """One end of the connection between two processes, with what has come and is not taken yet."""

    def __init__(self, descriptor: int, limit: int = LARGEST, writer: int | None = None) -> None:
        """Read from a descriptor, and write to it, or to `writer`; `limit` is for what the other end sends."""
        self.descriptor = descriptor
        self._writer = descriptor if writer is None else writer
        PRIVATE.update((descriptor, self._writer))
        self._limit = limit
        self._input = b""
        self._output: list[bytes] = []

    def queue(self, message: tuple[Any, ...]) -> None:
        """Have a message sent together with the next one; ValueError for one that is too large."""
        try:
            body = marshal.dumps(message, FORMAT)
        except ValueError:
            body = marshal.dumps(plain(message), FORMAT)
        if len(body) > LARGEST:
            raise ValueError(f"a message of {len(body):,} bytes between two processes is too large")
        self._output.append(len(body).to_bytes(HEAD, "little"))
        self._output.append(body)

    def send(self, message: tuple[Any, ...]) -> None:
        """Send what is queued and a message; BrokenPipeError when there is nobody."""
        self.queue(message)
        self.flush()

    def flush(self) -> None:
        """Send what is queued."""
        data = b"".join(self._output)
        self._output.clear()
        sent = write(self._writer, data)
        while sent < len(data):
            sent += write(self._writer, memoryview(data)[sent:])

    def receive(self) -> tuple[Any, ...] | None:
        """Wait for a message, in real time; None when the other side has ended. Raises WireError."""
        data = self._input
        while len(data) < HEAD:
            if not (more := self._read(READ_SIZE)):
                return None
            data += more
        end = HEAD + int.from_bytes(data[:HEAD], "little")
        if end > self._limit:
            raise WireError(f"a message of {end} bytes is longer than {self._limit}")
        if len(data) < end:
            parts, have = [data], len(data)
            while have < end:
                if not (more := self._read(min(end - have, NEXT_READ))):
                    return None
                parts.append(more)
                have += len(more)
            data = b"".join(parts)
        self._input = data[end:] if len(data) > end else b""
        try:
            message = marshal.loads(memoryview(data)[HEAD:end])
        except (ValueError, EOFError, TypeError) as error:
            raise WireError(f"a message that cannot be read: {error}") from None
        if not isinstance(message, tuple) or not message:
            raise WireError("a message that is no tuple")
        return message

    def _read(self, size: int) -> bytes:
        """What has come; empty at the end."""
        try:
            return read(self.descriptor, size)
        except ConnectionError:
            return b""

    def close(self) -> None:
        """Close this end; harmless to repeat."""
        for descriptor in {self.descriptor, self._writer} - {-1}:
            PRIVATE.discard(descriptor)
            close(descriptor)
        self.descriptor = self._writer = -1


def plain(value: Any) -> Any:
    """A value as messages carry it: members of enumerations are numbers, buffers bytes; TypeError for other objects."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, tuple):
        return tuple([plain(each) for each in value])
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(each) for each in value)
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if hasattr(value, "__index__"):
        return value.__index__()
    raise TypeError(f"cannot use {type(value).__name__!r} object as an argument of a system call")
