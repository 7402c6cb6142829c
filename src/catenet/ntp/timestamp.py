"""NTP timestamps: 64-bit counts of 2**-32 seconds since 1900, which begin anew every 136 years (RFC 5905 section 6).

A timestamp does not say to which era it belongs. Two of them can be subtracted all the same, as long as they are less
than 68 years apart, and one becomes a time when some time near it is known. Time elsewhere is Unix time in seconds.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "difference",
    "from_unix",
    "from_unix_ns",
    "short_from_seconds",
    "short_to_seconds",
    "to_unix",
]

UNIX_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""
_UNIT: Final = 1 << 32
_ERA: Final = 1 << 64
_HALF_ERA: Final = 1 << 63
_SHORT_UNIT: Final = 1 << 16
_SHORT_MOST: Final = (1 << 32) - 1


def from_unix(seconds: float) -> int:
    """Return the timestamp of a Unix time. Never 0, which means that a time is not known."""
    return (int(seconds * _UNIT) + UNIX_EPOCH * _UNIT) % _ERA or 1


def from_unix_ns(nanoseconds: int) -> int:
    """Return the timestamp of a Unix time in nanoseconds. Never 0."""
    return ((nanoseconds << 32) // 1_000_000_000 + UNIX_EPOCH * _UNIT) % _ERA or 1


def to_unix(timestamp: int, near: float) -> float:
    """Return the Unix time of a timestamp: of all eras the one within 68 years of `near`."""
    return near + difference(timestamp, from_unix(near))


def difference(later: int, earlier: int) -> float:
    """Return the seconds between two timestamps less than 68 years apart; negative in the other order."""
    return ((later - earlier + _HALF_ERA) % _ERA - _HALF_ERA) / _UNIT


def short_to_seconds(short: int) -> float:
    """Return the seconds that a field of the short format holds (16 bits of seconds, 16 bits of fraction)."""
    return short / _SHORT_UNIT


def short_from_seconds(seconds: float) -> int:
    """Return the short format of a duration, rounded up; as large as the field takes."""
    return max(0, min(-int(-seconds * _SHORT_UNIT // 1), _SHORT_MOST))
