"""Congestion control behind one small interface, chosen per connection by name (TCP_CONGESTION)."""

from __future__ import annotations

from typing import Final

from catenet.control.base import Congestion, Reno
from catenet.control.bbr import Bbr
from catenet.control.cubic import Cubic
from catenet.control.delivery_rate import RateSample
from catenet.control.sender import Sender, Transmission

__all__ = [
    "ALGORITHMS",
    "Bbr",
    "Congestion",
    "Cubic",
    "RateSample",
    "Reno",
    "Sender",
    "Transmission",
    "make",
    "register",
]

ALGORITHMS: dict[str, type[Congestion]] = {"reno": Reno, "cubic": Cubic, "bbr": Bbr}
"""Names as TCP_CONGESTION knows them."""
_LONGEST_NAME: Final = 15


def make(name: str) -> Congestion:
    """A new controller of that name.

    Raises:
        KeyError: no such algorithm.
    """
    return ALGORITHMS[name]()


def register(algorithm: type[Congestion]) -> None:
    """Let sockets and hosts choose an algorithm by its `name`.

    Raises:
        ValueError: the name is empty, longer than TCP_CONGESTION can carry, or taken.
    """
    name = algorithm.name
    if not 0 < len(name.encode()) <= _LONGEST_NAME:
        raise ValueError(f"algorithm.name: {name!r} is not 1 to {_LONGEST_NAME} bytes long")
    if ALGORITHMS.setdefault(name, algorithm) is not algorithm:
        raise ValueError(f"algorithm.name: {name!r} is taken")
