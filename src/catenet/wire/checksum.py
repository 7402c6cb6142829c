"""The internet checksum (RFC 1071), its incremental update (RFC 1624) and the pseudo header of both IP versions.

A ones' complement sum of 16-bit words is the number that the bytes spell modulo 65,535, since 65,536 leaves 1. CPython
reads and divides 1,480 bytes as one integer in some 3 us, a loop over words takes 100 and more. The remainder 0 stands
for both zeros of ones' complement: a sum of anything but zeros is written 0xffff, so its checksum is 0. Hence
`-total % 65535` is the checksum for every header that holds a byte that is not zero, which all of ours do.
"""

from __future__ import annotations

__all__ = ["checksum", "is_pseudo_sum", "is_valid", "pseudo_sum", "residue", "sum_words", "update", "update_sum"]

_from_bytes = int.from_bytes


def residue(data: bytes | bytearray | memoryview) -> int:
    """Sum of the words of `data` with their bytes swapped, modulo 65,535: times 256 it is the sum itself.

    The order of bytes does not matter to the sum (RFC 1071 2 B); little-endian, an odd last byte needs no padding.
    """
    return _from_bytes(data, "little") % 65535


def sum_words(data: bytes | bytearray | memoryview) -> int:
    """Sum of the 16-bit words of `data`, an odd last byte padded with zero; its residue modulo 65,535 counts."""
    total = _from_bytes(data, "big")
    return total << 8 if len(data) & 1 else total


def checksum(data: bytes | bytearray | memoryview, initial: int = 0) -> int:
    """Checksum of `data` (its checksum field zero) plus `initial`, a sum as from `pseudo_sum` (RFC 1071)."""
    total = _from_bytes(data, "big")
    if len(data) & 1:
        total <<= 8
    total += initial
    return -total % 65535 if total else 0xFFFF


def is_valid(data: bytes | bytearray | memoryview, initial: int = 0) -> bool:
    """Whether `data`, its checksum field included, sums to ones' complement zero with `initial`."""
    total = _from_bytes(data, "big")
    if len(data) & 1:
        total <<= 8
    total += initial
    return total % 65535 == 0 and total != 0


def pseudo_sum(source: bytes, destination: bytes, protocol: int) -> int:
    """Sum of the pseudo header except for the upper-layer length, which the caller adds (RFC 9293 3.1, RFC 8200 8.1).

    One formula serves both versions: they differ in field widths only, and leading zeros add nothing.
    """
    return (_from_bytes(source, "big") + _from_bytes(destination, "big") + protocol) % 65535


def is_pseudo_sum(found: int, total: int, zero_is_none: bool) -> bool:
    """Whether a checksum field holds the sum of the pseudo header, `total`: the checksum was left to the device.

    Linux writes 0xffff for a sum of 0 too; `zero_is_none` tells that a 0 says "no checksum", as in UDP (RFC 768).
    """
    return (found - total) % 65535 == 0 and (found > 0 or not zero_is_none)


def update(old_checksum: int, old_word: int, new_word: int) -> int:
    """Checksum after one 16-bit word changed: HC' = ~(~HC + ~m + m') (RFC 1624, equation 3)."""
    total = (~old_checksum & 0xFFFF) + (~old_word & 0xFFFF) + new_word
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def update_sum(old_checksum: int, old: bytes | bytearray, new: bytes | bytearray) -> int:
    """Checksum after `old`, which begins at an even place of the data, became `new` of the same length (RFC 1624).

    It is equation 3 for any number of words: HC' = HC + m - m' in ones' complement.
    """
    return (old_checksum + sum_words(old) - sum_words(new)) % 65535
