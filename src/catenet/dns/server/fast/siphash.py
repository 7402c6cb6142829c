"""SipHash-2-4 (Aumasson and Bernstein 2012), which server cookies are made with (RFC 9018 4.4)."""

from __future__ import annotations

from typing import Final

__all__ = ["siphash"]

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_FINISH: Final = 4


def siphash(key: bytes, data: bytes) -> bytes:
    """Eight bytes, as the cookie has them; `key` has sixteen."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
    a, b = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    c, d = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    size = len(data)
    padded = data + bytes(7 - size % 8) + bytes((size & 255,))
    words = [int.from_bytes(padded[at : at + 8], "little") for at in range(0, len(padded), 8)]
    for word in [*words, -1]:
        rounds = 2
        if word < 0:
            c ^= 0xFF
            rounds, word = _FINISH, 0
        d ^= word
        for _ in range(rounds):
            a = (a + b) & _MASK
            b = ((b << 13 | b >> 51) & _MASK) ^ a
            a = (a << 32 | a >> 32) & _MASK
            c = (c + d) & _MASK
            d = ((d << 16 | d >> 48) & _MASK) ^ c
            a = (a + d) & _MASK
            d = ((d << 21 | d >> 43) & _MASK) ^ a
            c = (c + b) & _MASK
            b = ((b << 17 | b >> 47) & _MASK) ^ c
            c = (c << 32 | c >> 32) & _MASK
        a ^= word
    return (a ^ b ^ c ^ d).to_bytes(8, "little")
