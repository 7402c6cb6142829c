"""Messages in a body: the five-byte envelope of gRPC, gRPC-Web and Connect streams, and the body that is one message.

The limit is checked against the announced length, before a byte of the message is kept (gRPC PROTOCOL-HTTP2,
"Length-Prefixed-Message"; Connect, "Enveloped-Message").
"""

from __future__ import annotations

from typing import Protocol

from catenet.rpc.status import Code, RpcError

COMPRESSED = 0x01
"""Flag of an envelope whose payload is compressed with the stream's encoding."""

Frame = tuple[int, bytes]
"""Flags of the envelope, payload as it was sent (perhaps compressed)."""


class MessageReader(Protocol):
    """Cuts a body into messages."""

    @property
    def buffered(self) -> int:
        """The number of bytes it holds."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the body; return the messages they complete. Raise :class:`RpcError`."""

    def finish(self) -> list[Frame]:
        """The body has ended: return what is left; raise :class:`RpcError` if that is part of a message."""


def envelope(payload: bytes, flags: int = 0) -> bytes:
    """Return ``payload`` with the five bytes before it: flags, length in big-endian order."""
    return flags.to_bytes(1, "big") + len(payload).to_bytes(4, "big") + payload


class EnvelopeReader:
    """Reads messages with the five-byte prefix.

    ``limit`` is the largest payload in bytes; a longer one raises ``RESOURCE_EXHAUSTED``. ``known_flags`` is the mask
    of flags that the wire gives a meaning to; others raise ``INTERNAL``.
    """

    __slots__ = ("_chunks", "_known_flags", "_limit", "_need", "buffered")

    def __init__(self, limit: int, known_flags: int = COMPRESSED) -> None:
        self._limit = limit
        self._known_flags = known_flags
        self._chunks: list[bytes] = []
        self._need = 5
        self.buffered = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the body; return the messages they complete."""
        if self.buffered:
            self._chunks.append(data)
            self.buffered += len(data)
            # Joining only when something completes keeps a 4 MB message at one copy instead of one per DATA frame.
            if self.buffered < self._need:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
        frames: list[Frame] = []
        offset, end = 0, len(data)
        while end - offset >= 5:
            length = self._check_prefix(data[offset], int.from_bytes(data[offset + 1 : offset + 5], "big"))
            stop = offset + 5 + length
            if stop > end:
                break
            frames.append((data[offset], data[offset + 5 : stop]))
            offset = stop
        self._keep(data[offset:] if offset else data)
        return frames

    def finish(self) -> list[Frame]:
        """The body has ended: raise ``INTERNAL`` if it ended inside a message."""
        if self.buffered:
            raise RpcError(Code.INTERNAL, f"the stream ended inside a message: {self.buffered} of {self._need} bytes")
        return []

    def _check_prefix(self, flags: int, length: int) -> int:
        if flags & ~self._known_flags:
            raise RpcError(Code.INTERNAL, f"unknown flags 0x{flags:02x} in a message prefix")
        if length > self._limit:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"message of {length} bytes is over the limit of {self._limit}")
        return length

    def _keep(self, rest: bytes) -> None:
        self.buffered = len(rest)
        if rest:
            self._chunks.append(rest)
        self._need = 5 + int.from_bytes(rest[1:5], "big") if len(rest) >= 5 else 5


class WholeReader:
    """Reads a body that is one message (unary Connect), or an error document; the frame's flags are those given."""

    __slots__ = ("_chunks", "_flags", "_limit", "buffered")

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
