"""The kinds of isolation, by name."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from catenet.world.scenario.units import nearest

__all__ = ["Mode", "check_mode"]

Mode: TypeAlias = Literal["process", "shared"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)


def check_mode(mode: object) -> Mode:
    """ValueError for what is no kind of isolation."""
    for known in MODES:
        if mode == known:
            return known
    raise ValueError(f"it must be 'process' or 'shared', not {mode!r}{nearest(str(mode), MODES)}")
