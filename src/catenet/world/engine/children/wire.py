"""Messages between the process that holds a host's kernel and a child: frames of plain values, by `marshal`.

A frame is its length in four bytes, and a tuple of numbers, texts, bytes and tuples, lists and dictionaries of such.
Nothing in it can name code, as a pickle does. The kernel's side refuses frames that are longer than LONGEST.
"""

from __future__ import annotations

import marshal
from posix import close, read, write  # what they are outside of worlds
from typing import Any, Final

__all__ = ["LONGEST", "PRIVATE", "Wire", "WireError", "plain"]

LONGEST: Final = 16 << 20
"""Bytes of the longest frame that a child may send; requests carry a megabyte of data at most."""

READ_SIZE: Final = 16_384
"""Bytes that are read at once: a buffer of a megabyte doubled the cost of a call."""

HEAD: Final = 4

PRIVATE: Final[set[int]] = set()
"""Descriptors of the machine that belong to the engine, and that no child may have."""


class WireError(Exception):
    """What came is no message."""


class Wire:
    """One end of the connection between a kernel and a child, with what has come and is not taken yet."""

    def __init__(self, descriptor: int, limit: int | None = None) -> None:
        self.descriptor = descriptor
        PRIVATE.add(descriptor)
        self._limit = limit
        self._input = b""
        self._output: list[bytes] = []

    def queue(self, message: tuple[Any, ...]) -> None:
        """Have a message sent together with the next one."""
        try:
            body = marshal.dumps(message)
        except ValueError:
            body = marshal.dumps(plain(message))
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
        sent = write(self.descriptor, data)
        while sent < len(data):
            sent += write(self.descriptor, memoryview(data)[sent:])

    def receive(self) -> tuple[Any, ...] | None:
        """Wait for a message, in real time; None when the other side has ended. Raises WireError."""
        data = self._input
        while len(data) < HEAD or len(data) < (end := HEAD + int.from_bytes(data[:HEAD], "little")):
            if self._limit is not None and len(data) >= HEAD and end > self._limit:
                raise WireError(f"a message of {end} bytes is longer than {self._limit}")
            try:
                more = read(self.descriptor, READ_SIZE if len(data) < READ_SIZE else len(data))
            except ConnectionError:
                return None
            if not more:
                return None
            data += more
        self._input = data[end:] if len(data) > end else b""
        try:
            message = marshal.loads(memoryview(data)[HEAD:end])
        except (ValueError, EOFError, TypeError) as error:
            raise WireError(f"a message that cannot be read: {error}") from None
        if not isinstance(message, tuple) or not message:
            raise WireError("a message that is no tuple")
        return message

    def close(self) -> None:
        """Close this end; harmless to repeat."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            PRIVATE.discard(descriptor)
            close(descriptor)


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
