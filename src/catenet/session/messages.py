"""Messages on a session's stream: a length of 32 bits before each. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST", "MAX_MESSAGE", "Assembly", "MessageError", "pack"]

MAX_MESSAGE: Final = 4 << 20
"""Bytes of a message that is sent or taken, if nothing else is said."""
LONGEST: Final = 0xFFFFFFFF
"""Bytes that the length before a message can tell."""
_HEAD: Final = 4


class MessageError(ValueError):
    """A message is larger than is taken."""


def pack(message: bytes) -> bytes:
    """Return a message as the stream has it."""
    return len(message).to_bytes(_HEAD, "big") + message


class Assembly:
    """Bytes in, messages out; `most`: the largest that is taken."""

    __slots__ = ("_buffer", "_most")

    def __init__(self, most: int) -> None:
        self._buffer = bytearray()
        self._most = most

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what has come. Raises `MessageError`."""
        self._buffer += data
        self._check()

    def next(self) -> bytes | None:
        """Return the next message, or None. Raises `MessageError` for the one after it."""
        buffer = self._buffer
        if len(buffer) < _HEAD:
            return None
        end = _HEAD + int.from_bytes(buffer[:_HEAD], "big")
        if len(buffer) < end:
            return None
        message = bytes(buffer[_HEAD:end])
        del buffer[:end]
        self._check()
        return message

    def _check(self) -> None:
        if len(self._buffer) >= _HEAD:
            size = int.from_bytes(self._buffer[:_HEAD], "big")
            if size > self._most:
                raise MessageError(f"the peer sends a message of {size} bytes; {self._most} are taken")
