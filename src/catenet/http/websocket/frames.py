"""Frames on the wire (RFC 6455 section 5.2)."""

from __future__ import annotations

from typing import Final

from catenet.http.websocket.mask import mask

__all__ = ["FIN", "RSV1", "build_frame", "frame_head"]

FIN: Final = 0x80
RSV1: Final = 0x40
_MASKED: Final = 0x80


def frame_head(first: int, size: int, key: bytes) -> bytes:
    """Return the head of a frame whose first byte is `first`; `key` is empty for a server."""
    masked = _MASKED if key else 0
    if size < 126:
        return bytes((first, masked | size)) + key
    if size < 1 << 16:
        return bytes((first, masked | 126)) + size.to_bytes(2) + key
    return bytes((first, masked | 127)) + size.to_bytes(8) + key


def build_frame(first: int, payload: bytes, key: bytes = b"") -> bytes:
    """Return a frame whole; with a key its payload is masked."""
    return frame_head(first, len(payload), key) + (mask(payload, key) if key else payload)
