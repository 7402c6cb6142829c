"""The option lists of IPv4 and TCP, which are one format: END, NOP, and kind, length (of all), body (RFC 9293 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["END", "NOP", "pad_options", "split_options"]

END: Final = 0
NOP: Final = 1


def split_options(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Kinds and bodies in the order of the wire, NOPs too; ends after END, or at the first impossible length."""
    position, end = 0, len(raw)
    while position < end:
        kind = raw[position]
        if kind == NOP:
            position += 1
            yield kind, b""
            continue
        if kind == END:
            yield kind, b""
            return
        if position + 1 >= end:
            return
        size = raw[position + 1]
        if size < 2 or position + size > end:
            return
        yield kind, raw[position + 2 : position + size]
        position += size


def pad_options(raw: bytes) -> bytes:
    """Return `raw` with zeros (END) up to a multiple of 4 bytes."""
    return raw + bytes(-len(raw) % 4)
