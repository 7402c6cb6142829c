"""The simulated standard modules, one file per concern; each has `apply(patcher)`."""

from __future__ import annotations

from typing import Final

from catenet.world.patches import (
    chance,
    clocks,
    files,
    interfaces,
    libraries,
    loops,
    refusals,
    selection,
    signals,
    sockets,
    system,
    threads,
    tls,
)

__all__ = ["APPLY"]

APPLY: Final = (
    clocks.apply,
    chance.apply,
    threads.apply,
    loops.apply,
    sockets.apply,
    selection.apply,
    tls.apply,
    files.apply,
    signals.apply,
    system.apply,
    interfaces.apply,
    libraries.apply,
    refusals.apply,
)
