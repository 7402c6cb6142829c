"""Sets of record types as NSEC and NSEC3 have them (RFC 4034 4.1.2)."""

from __future__ import annotations

from collections.abc import Iterable

from catenet.wire.errors import Malformed

__all__ = ["has_type", "pack_types", "unpack_types"]


def has_type(bitmap: bytes, kind: int) -> bool:
    """Whether a type is in the set. Windows that are cut off have no types."""
    at, size, window, low = 0, len(bitmap), kind >> 8, kind & 0xFF
    while at + 2 <= size:
        number, length = bitmap[at], bitmap[at + 1]
        if number == window:
            place = at + 2 + (low >> 3)
            return low >> 3 < length and place < size and bool(bitmap[place] & 0x80 >> (low & 7))
        at += 2 + length
    return False


def pack_types(kinds: Iterable[int]) -> bytes:
    """The bit map of these types."""
    windows: dict[int, bytearray] = {}
    for kind in sorted(set(kinds)):
        bits = windows.setdefault(kind >> 8, bytearray())
        place = (kind & 0xFF) >> 3
        bits.extend(bytes(place + 1 - len(bits)))
        bits[place] |= 0x80 >> (kind & 7)
    return b"".join(bytes((window, len(bits))) + bits for window, bits in windows.items())


def unpack_types(bitmap: bytes) -> list[int]:
    """The types of a bit map, in order. Raises Malformed for windows out of order, of a wrong length or cut off."""
    kinds, at, last = [], 0, -1
    while at < len(bitmap):
        window, length = bitmap[at], bitmap[at + 1] if at + 1 < len(bitmap) else 0
        bits = bitmap[at + 2 : at + 2 + length]
        if window <= last or not 0 < length <= 32 or len(bits) != length:
            raise Malformed("dns: bit map of types")
        kinds += [
            window << 8 | byte << 3 | bit for byte in range(length) for bit in range(8) if bits[byte] & 0x80 >> bit
        ]
        last, at = window, at + 2 + length
    return kinds
