"""Congestion control behind one small interface, chosen per connection by name (TCP_CONGESTION)."""

from __future__ import annotations

from catenet.stack.tcp.congestion.base import Congestion, RateSample, Reno
from catenet.stack.tcp.congestion.bbr import Bbr
from catenet.stack.tcp.congestion.cubic import Cubic

__all__ = ["ALGORITHMS", "Congestion", "RateSample", "make"]

ALGORITHMS: dict[str, type[Congestion]] = {"reno": Reno, "cubic": Cubic, "bbr": Bbr}
"""Names as TCP_CONGESTION knows them; others may be added."""


def make(name: str) -> Congestion:
    """A new controller of that name.

    Raises:
        KeyError: no such algorithm.
    """
    return ALGORITHMS[name]()
