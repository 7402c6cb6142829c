"""Messages in a body: the five-byte envelope of gRPC, gRPC-Web and Connect streams, and the body that is one message.

The limit is checked against the announced length, before a byte of the message is kept (gRPC PROTOCOL-HTTP2,
"Length-Prefixed-Message"; Connect, "Enveloped-Message").
"""

from __future__ import annotations

from typing import Protocol

from catenet.rpc.model.status import Code, RpcError

__all__ = [
    "COMPRESSED",
    "LARGE",
    "EnvelopeReader",
    "Frame",
    "MessageReader",
    "WholeReader",
    "envelope",
]

COMPRESSED = 0x01
"""Flag of an envelope whose payload is compressed with the stream's encoding."""

Frame = tuple[int, bytes]
"""Flags of the envelope, payload as it was sent (perhaps compressed)."""


class MessageReader(Protocol):
    """Cuts a body into messages."""

    @property
    def buffered(self) -> int:
        """The number of bytes it holds."""

    @property
    def missing(self) -> int:
        """The number of bytes, as far as it is known, that a message which has begun still lacks."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the body; return the messages they complete. Raise `RpcError`."""

    def finish(self) -> list[Frame]:
        """The body has ended: return what is left; raise `RpcError` if that is part of a message."""


def envelope(payload: bytes, flags: int = 0) -> bytes:
    """Return `payload` with the five bytes before it: flags, length in big-endian order."""
    return flags.to_bytes(1, "big") + len(payload).to_bytes(4, "big") + payload


LARGE = 64 << 10
"""From this size on it pays to send the prefix by itself rather than to copy the message behind it."""


class EnvelopeReader:
    """Reads messages with the five-byte prefix.

    `limit` is the largest payload in bytes; a longer one raises `RESOURCE_EXHAUSTED`. `known_flags` is the mask
    of flags that the wire gives a meaning to; others raise `INTERNAL`.
    """

    __slots__ = ("_chunks", "_flags", "_have", "_known_flags", "_left", "_limit", "_prefix")

    def __init__(self, limit: int, known_flags: int = COMPRESSED) -> None:
        self._limit = limit
        self._known_flags = known_flags
        self._prefix = b""  # part of the five bytes
        self._left: int | None = None  # bytes of payload that have not come; None: before a message
        self._flags = 0
        self._chunks: list[bytes] = []
        self._have = 0

    @property
    def buffered(self) -> int:
        """Bytes of a message that is not complete."""
        return self._have + len(self._prefix)

    @property
    def missing(self) -> int:
        """What the prefix has announced and is not here."""
        return self._left or 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the body; return the messages they complete."""
        frames: list[Frame] = []
        position, end = 0, len(data)
        if self._prefix:
            data, self._prefix = self._prefix + data, b""
            end = len(data)
        while True:
            if self._left is None:
                if end - position < 5:
                    self._prefix = data[position:]
                    return frames
                flags, length = data[position], int.from_bytes(data[position + 1 : position + 5], "big")
                self._check_prefix(flags, length)
                position += 5
                if end - position >= length:
                    frames.append((flags, data[position : position + length]))
                    position += length
                    continue
                self._flags, self._left = flags, length
            # A large message is joined once, when its last piece has come, and nothing of it is copied before.
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            self._have += len(piece)
            self._chunks.append(piece)
            if self._left:
                return frames
            frames.append((self._flags, b"".join(self._chunks)))
            self._chunks.clear()
            self._have, self._left = 0, None

    def finish(self) -> list[Frame]:
        """The body has ended: raise `INTERNAL` if it ended inside a message."""
        if self._left is not None:
            whole = self._have + self._left
            raise RpcError(Code.INTERNAL, f"the stream ended inside a message: {self._have} of {whole} bytes")
        if self._prefix:
            raise RpcError(Code.INTERNAL, "the stream ended inside the prefix of a message")
        return []

    def _check_prefix(self, flags: int, length: int) -> None:
        if flags & ~self._known_flags:
            raise RpcError(Code.INTERNAL, f"unknown flags 0x{flags:02x} in a message prefix")
        if length > self._limit:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"message of {length} bytes is over the limit of {self._limit}")


class WholeReader:
    """Reads a body that is one message (unary Connect), or an error document; the frame's flags are those given."""

    __slots__ = ("_chunks", "_flags", "_limit", "buffered")

    missing = 0
    """Nothing announces the length of such a message."""

    def __init__(self, limit: int, flags: int = 0) -> None:
        self._limit = limit
        self._flags = flags
        self._chunks: list[bytes] = []
        self.buffered = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Keep the bytes; nothing is complete before the end."""
        self.buffered += len(data)
        if self.buffered > self._limit:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"message is over the limit of {self._limit} bytes")
        self._chunks.append(data)
        return []

    def finish(self) -> list[Frame]:
        """Return the whole body as one message, also if it is empty."""
        body = b"".join(self._chunks)
        self._chunks.clear()
        self.buffered = 0
        return [(self._flags, body)]
