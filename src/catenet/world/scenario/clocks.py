"""Clocks of hosts in world files: the table `clock` of a host, and what an event changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from catenet.world.scenario.tables import KeyPath, Tables
from catenet.world.scenario.units import nearest, parse_duration

__all__ = ["CLOCK_CHANGES", "ClockProperties", "clock_properties", "parse_clock_change", "read_clock"]

LARGEST_DRIFT: Final = 0.1
"""A tenth: what Linux can correct at most, by the length of its ticks (adjtimex(2))."""

PARTS: Final = {"ppm": 1e6, "ppb": 1e9, "%": 100.0, "": 1.0}
LONGEST: Final = 1e9
"""Seconds of an offset, 30 years; the clock of a host goes from 1970 on."""


@dataclass(frozen=True, slots=True)
class ClockProperties:
    """The clock of a host: how far ahead it begins (seconds), how much too fast it runs, how far that wanders.

    `drift` and `wander` are fractions: 40e-6 is 40 ppm. The frequency wanders within `drift` ± `wander`.
    Raises ValueError.
    """

    offset: float = 0.0
    drift: float = 0.0
    wander: float = 0.0

    def __post_init__(self) -> None:
        if self.wander < 0:
            raise ValueError("wander must not be negative")
        if abs(self.drift) + self.wander > LARGEST_DRIFT:
            raise ValueError(f"a clock must not be off by more than {LARGEST_DRIFT:.0%} (100000ppm)")


def parse_offset(value: object) -> float:
    """Seconds of `"2.5s"`, `"-30ms"`, or of a bare number; ValueError."""
    behind = isinstance(value, str) and value.lstrip().startswith(("-", "−"))
    if behind:
        assert isinstance(value, str)
        seconds = -parse_duration(value.lstrip()[1:])
    elif isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        seconds = -parse_duration(-value)
    else:
        seconds = parse_duration(value.lstrip().removeprefix("+") if isinstance(value, str) else value)
    if abs(seconds) > LONGEST:
        raise ValueError(f"{value!r} is more than {LONGEST:.0e} seconds")
    return seconds


def parse_drift(value: object) -> float:
    """The fraction of `"40ppm"`, `"-12.5 ppm"`, `"3ppb"`, or of a bare number (40e-6); ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"a drift must be a number or a text as '40ppm', not {value!r}")
    match = re.fullmatch(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*", str(value))
    if match is None:
        raise ValueError(f"{value!r} is no drift; write for example '40ppm'")
    if match[2] not in PARTS:
        raise ValueError(f"unknown unit {match[2]!r} in {value!r}{nearest(match[2], PARTS, 'ppm')}")
    drift = float(match[1]) / PARTS[match[2]]
    if abs(drift) > LARGEST_DRIFT:
        hint = "" if match[2] else f"; did you mean '{value}ppm'?"
        raise ValueError(f"{value!r} is more than a tenth (100000ppm){hint}")
    return drift


def parse_wander(value: object) -> float:
    """As `parse_drift`, but not negative."""
    wander = parse_drift(value)
    if wander < 0:
        raise ValueError(f"{value!r} is negative; a clock wanders both ways")
    return wander


CLOCK: Final[Mapping[str, Callable[[object], float]]] = {
    "offset": parse_offset,
    "drift": parse_drift,
    "wander": parse_wander,
}
"""The keys of a clock, and who reads each."""

CHANGES: Final[Mapping[str, Callable[[object], float]]] = {
    "step": parse_offset,
    "drift": parse_drift,
    "wander": parse_wander,
}

CLOCK_CHANGES: Final = tuple(CHANGES)
"""What an event can do to a clock."""


def clock_properties(values: Mapping[str, object]) -> ClockProperties:
    """The clock of values as people write them; ValueError names the key at fault."""
    chosen: dict[str, float] = {}
    for key, value in values.items():
        if key not in CLOCK:
            raise ValueError(f"unknown key {key!r} of a clock{nearest(key, CLOCK)}")
        try:
            chosen[key] = CLOCK[key](value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return ClockProperties(**chosen)


def parse_clock_change(key: str, value: object) -> float:
    """What an event says that it changes; ValueError."""
    return CHANGES[key](value)


def read_clock(tables: Tables, host: dict[str, Any], path: KeyPath) -> ClockProperties | None:
    """The clock of a host's table, None if it has none; WorldFileError."""
    if "clock" not in host:
        return None
    table, where = tables.table(host, path, "clock"), (*path, "clock")
    tables.check_keys(table, where, tuple(CLOCK))
    chosen = {key: tables.value(table, where, key, parse, 0.0) for key, parse in CLOCK.items()}
    try:
        return ClockProperties(**chosen)
    except ValueError as error:
        raise tables.error(where, f"clock: {error}") from None
