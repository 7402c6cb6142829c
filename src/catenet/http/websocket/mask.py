"""Masking of payloads (RFC 6455 section 5.3), which costs a client each byte it sends, and a server each it gets.

An exclusive or of two long integers is the fastest for what fits into a cache line or a few; for longer payloads it is
`bytes.translate` on each of the four interleaved sequences, which does not convert between digits of 30 bits and bytes.
"""

from __future__ import annotations

from typing import Final

__all__ = ["mask"]

_TRANSLATED_FROM: Final = 1024
"""Bytes from which on `translate` is faster (CPython 3.11 to 3.13)."""
_TABLES: Final = [bytes([byte ^ key for byte in range(256)]) for key in range(256)]


def mask(data: bytes, key: bytes) -> bytes:
    """Return `data` masked, or unmasked, by a key of four bytes."""
    size = len(data)
    if size < _TRANSLATED_FROM:
        mask = (key * ((size + 3) >> 2))[:size]
        return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")
    masked = bytearray(size)
    for place in range(4):
        masked[place::4] = data[place::4].translate(_TABLES[key[place]])
    return bytes(masked)
