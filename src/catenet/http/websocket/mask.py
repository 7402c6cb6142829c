"""Masking of payloads (RFC 6455 section 5.3), which costs a client each byte it sends, and a server each it gets.

In Python an exclusive or of two long integers is the fastest for short payloads; for longer ones `bytes.translate` on
each of the four interleaved sequences, which does not convert between digits of 30 bits and bytes. Neither comes near a
loop in C, so that of the `websockets` package does it where that is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["mask", "mask_in_python"]

_TRANSLATED_FROM: Final = 1024
"""Bytes from which on `translate` is faster (CPython 3.11 to 3.13)."""
_TABLES: Final = [bytes([byte ^ key for byte in range(256)]) for key in range(256)]


def mask_in_python(data: bytes, key: bytes) -> bytes:
    """Return `data` masked, or unmasked, by a key of four bytes."""
    size = len(data)
    if size < _TRANSLATED_FROM:
        mask = (key * ((size + 3) >> 2))[:size]
        return (int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")
    masked = bytearray(size)
    for place in range(4):
        masked[place::4] = data[place::4].translate(_TABLES[key[place]])
    return bytes(masked)


def _fastest() -> Callable[[bytes, bytes], bytes]:
    try:
        from websockets.speedups import apply_mask
    except ImportError:
        return mask_in_python
    return apply_mask


mask: Final = _fastest()
"""`mask(data, key)`: the same, as fast as it can be done here."""
