"""A message of the peer being put together from its frames: limits, decompression, UTF-8 checked as it comes."""

from __future__ import annotations

import codecs
from typing import Final

from catenet.http.websocket.codes import BINARY, CONTINUATION, TEXT, CloseCode
from catenet.http.websocket.deflate import Inflater
from catenet.http.websocket.errors import Violation
from catenet.http.websocket.limits import WebSocketLimits

__all__ = ["Assembly"]

_Decoder: Final = codecs.getincrementaldecoder("utf-8")


class Assembly:
    """The message that has begun, if one has. What it holds is one buffer, however small the frames are."""

    __slots__ = ("_buffer", "_coming", "_decoder", "_frames", "_inflater", "_limits", "_packed", "_text", "begun")

    def __init__(self, limits: WebSocketLimits, inflater: Inflater | None) -> None:
        self.begun = False
        self._limits = limits
        self._inflater = inflater
        self._text = False
        self._packed = False
        self._frames = 0
        self._coming = 0
        self._buffer = bytearray()
        self._decoder: codecs.IncrementalDecoder | None = None

    def may_be_packed(self, opcode: int) -> bool:
        """Whether a frame may have RSV1 (RFC 7692 section 6): the first of a message, if that was agreed on."""
        return self._inflater is not None and opcode in (TEXT, BINARY)

    def frame(self, opcode: int, size: int, packed: bool) -> None:
        """A frame with `size` bytes begins. Raises `Violation`."""
        if opcode != CONTINUATION:
            self.begun, self._text, self._packed = True, opcode == TEXT, packed
            self._frames = self._coming = 0
        self._frames += 1
        self._coming += size
        limits = self._limits
        if self._coming > limits.max_message:
            raise _too_big(limits.max_message)
        if self._frames > limits.max_fragments:
            raise Violation(CloseCode.TOO_BIG, f"a message of more than {limits.max_fragments} frames")

    def add(self, piece: bytes) -> None:
        """A piece has come that is not the last. Raises `Violation`."""
        if self._packed:
            piece = self._inflate(piece)
        self._buffer += piece
        if self._text:
            if self._decoder is None:
                self._decoder = _Decoder()
            try:
                self._decoder.decode(piece)
            except UnicodeDecodeError as error:
                raise _not_utf8(error) from None

    def finish(self, piece: bytes) -> str | bytes:
        """The last piece has come: return the message. Raises `Violation`."""
        if self._packed and self._inflater is not None:
            piece = self._inflate(piece)
            room = self._limits.max_message - len(self._buffer) - len(piece)
            piece += self._bounded(self._inflater.finish(room), room)
        if self._buffer:
            self._buffer += piece
            piece = bytes(self._buffer)
        try:
            return piece.decode() if self._text else piece
        except UnicodeDecodeError as error:
            raise _not_utf8(error) from None
        finally:
            self.clear()

    def clear(self) -> None:
        """There is no message any more."""
        self.begun = False
        if self._buffer:
            self._buffer = bytearray()
        self._decoder = None

    def _inflate(self, piece: bytes) -> bytes:
        assert self._inflater is not None
        room = self._limits.max_message - len(self._buffer)
        return self._bounded(self._inflater.decompress(piece, room), room)

    def _bounded(self, content: bytes, room: int) -> bytes:
        if len(content) > room:
            raise _too_big(self._limits.max_message)
        return content


def _too_big(limit: int) -> Violation:
    return Violation(CloseCode.TOO_BIG, f"a message of more than {limit} bytes")


def _not_utf8(error: UnicodeDecodeError) -> Violation:
    return Violation(CloseCode.INVALID_DATA, f"a text message is not UTF-8: {error.reason}")
