"""What `-v` shows: the heads that went and came, and when each phase began and ended, as bars below each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from catenet.printable import printable, say

if TYPE_CHECKING:
    from catenet.http.client.timings import Phase

__all__ = ["show_head", "waterfall"]

WIDTH = 32
EIGHTHS = " ▏▎▍▌▋▊▉"


def waterfall(phases: Sequence[Phase]) -> list[str]:
    """Return a line for each phase: name, bar, when it began and how long it took, and what was agreed on."""
    last = max((phase.end if phase.end is not None else phase.start for phase in phases), default=0.0)
    scale = WIDTH / last if last > 0 else 0.0
    width = max((len(phase.name) for phase in phases), default=0)
    return [_line(phase, scale, width) for phase in phases]


def _line(phase: Phase, scale: float, width: int) -> str:
    begin = round(max(0.0, phase.start) * scale)
    if phase.end is None:
        bar, took = "?", "   not ended"
    else:
        length = max(1, round((phase.end - phase.start) * scale))
        bar, took = "█" * min(length, WIDTH - min(begin, WIDTH - 1)), f"{(phase.end - phase.start) * 1000:9.1f} ms"
    shown = (" " * min(begin, WIDTH - 1) + bar).ljust(WIDTH)
    at = f"{phase.start * 1000:9.1f} ms"
    return f"{phase.name:<{width}} |{shown}| at {at}, {took}  {printable(phase.detail)}".rstrip()


def show_head(mark: str, first: str, fields: Sequence[tuple[str, str]]) -> None:
    """Print a head on standard error, each line behind `mark` as curl has it; secrets are not shown."""
    lines = [first, *(f"{name}: {_shown(name, value)}" for name, value in fields), ""]
    for line in lines:
        say(f"{mark} {printable(line)}".rstrip(), file=sys.stderr)


def _shown(name: str, value: str) -> str:
    hidden = name.lower() in ("authorization", "proxy-authorization")
    return f"{value.partition(' ')[0]} ***" if hidden else value
