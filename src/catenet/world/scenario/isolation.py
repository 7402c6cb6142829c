"""The kinds of isolation of hosts and of their files, by name."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from catenet.world.scenario.units import nearest

__all__ = ["Files", "Mode", "check_files", "check_mode"]

Mode: TypeAlias = Literal["process", "shared"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

Files: TypeAlias = Literal["own", "machine"]
"""Whose temporary directory and home a host has."""
FILES: Final[tuple[Files, ...]] = get_args(Files)


def check_mode(mode: object) -> Mode:
    """ValueError for what is no kind of isolation."""
    for known in MODES:
        if mode == known:
            return known
    raise ValueError(f"it must be 'process' or 'shared', not {mode!r}{nearest(str(mode), MODES)}")


def check_files(files: object) -> Files:
    """ValueError for what is no kind of files."""
    for known in FILES:
        if files == known:
            return known
    raise ValueError(f"it must be 'own' or 'machine', not {files!r}{nearest(str(files), FILES)}")
