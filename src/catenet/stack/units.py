"""Units of time in signatures: a driver's clock counts seconds, TCP counts microseconds inside.

A checker tells the two apart in both directions, at no cost while running: a float is neither `Seconds` nor `Micros`,
and an int is not `Seconds`.
"""

from __future__ import annotations

from typing import NewType, TypeAlias

__all__ = ["Micros", "Seconds"]

Seconds = NewType("Seconds", float)
"""A point in time or a duration on the clock of the host's driver."""
Micros: TypeAlias = int
"""A point in time or a duration in whole microseconds; as a point in time on the clock `TcpLayer.us`."""
