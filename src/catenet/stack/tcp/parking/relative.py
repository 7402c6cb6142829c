"""Positions and times as distances from those that differ between connections with the same history."""

from __future__ import annotations

from typing import Final, TypeAlias

Track: TypeAlias = list[tuple[int, int]]

__all__ = ["absolute", "absolute_track", "relative", "relative_track"]

_UNSET: Final = 1 << 61
"""Distance of a variable that is 0, as which it was never set."""


def relative(value: int, base: int) -> int:
    """Distance of a position or time from `base`."""
    return value - base if value else _UNSET


def absolute(distance: int, base: int) -> int:
    """Position or time at that distance from `base`."""
    return base + distance if distance != _UNSET else 0


def relative_track(track: Track | None, base: int) -> tuple[int, int, Track | None]:
    """Distance and value of the first of a list of (time, value), and the others if there are any."""
    if track is None:
        return _UNSET, 0, None
    at, value = track[0]
    return at - base, value, None if len(track) == 1 else [(at - base, value) for at, value in track[1:]]


def absolute_track(distance: int, value: int, later: Track | None, base: int) -> Track | None:
    """The list of which these are the first and the others."""
    if distance == _UNSET:
        return None
    first = [(base + distance, value)]
    return first if later is None else first + [(base + at, value) for at, value in later]
