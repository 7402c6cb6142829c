"""XXH64, the hash by which gRPC and Envoy place addresses and requests on a ring. Pure.

Source: xxHash's specification, `xxhash_spec.md`, section "XXH64 algorithm description". It is no cryptographic hash.
"""

from __future__ import annotations

import struct

__all__ = ["xxh64"]

_MASK = (1 << 64) - 1
_P1 = 0x9E3779B185EBCA87
_P2 = 0xC2B2AE3D27D4EB4F
_P3 = 0x165667B19E3779F9
_P4 = 0x85EBCA77C2B2AE63
_P5 = 0x27D4EB2F165667C5
_STRIPE = struct.Struct("<4Q")
_LANE = struct.Struct("<Q")


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _round(accumulator: int, lane: int) -> int:
    return _rotate((accumulator + lane * _P2) & _MASK, 31) * _P1 & _MASK


def _stripes(data: bytes, seed: int) -> int:
    """Take in all complete stripes of 32 bytes."""
    accumulators = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed, (seed - _P1) & _MASK]
    for offset in range(0, len(data) - 31, 32):
        lanes = _STRIPE.unpack_from(data, offset)
        accumulators = [_round(accumulator, lane) for accumulator, lane in zip(accumulators, lanes, strict=True)]
    rotated = zip(accumulators, (1, 7, 12, 18), strict=True)
    result = sum(_rotate(accumulator, bits) for accumulator, bits in rotated) & _MASK
    for accumulator in accumulators:
        result = ((result ^ _round(0, accumulator)) * _P1 + _P4) & _MASK
    return result


def xxh64(data: bytes, seed: int = 0) -> int:
    """Return the hash of `data`, 64 bits."""
    size = len(data)
    result = _stripes(data, seed) if size >= 32 else (seed + _P5) & _MASK
    result = (result + size) & _MASK
    offset = size & ~31
    while offset + 8 <= size:
        (lane,) = _LANE.unpack_from(data, offset)
        result = (_rotate(result ^ _round(0, lane), 27) * _P1 + _P4) & _MASK
        offset += 8
    if offset + 4 <= size:
        lane = int.from_bytes(data[offset : offset + 4], "little")
        result = (_rotate(result ^ (lane * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        offset += 4
    for byte in data[offset:]:
        result = _rotate(result ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    result = (result ^ (result >> 33)) * _P2 & _MASK
    result = (result ^ (result >> 29)) * _P3 & _MASK
    return result ^ (result >> 32)
