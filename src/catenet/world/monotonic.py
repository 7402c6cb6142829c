"""`time.monotonic`, which event loops read all the time: a function that compiles."""

from __future__ import annotations

import time
from typing import Final

from catenet.world.current import current

__all__ = ["BOOTED", "monotonic"]

BOOTED: Final = 1000.0
"""What the monotonic clocks show when a world begins: no program expects 0."""

_current: Final = current
_original: Final = time.monotonic


def monotonic() -> float:
    """Monotonic clock, cannot go backward."""
    task = _current.task
    if task is None:
        return _original()
    task.spin()
    hub = task.owner.hub
    return BOOTED + (hub.time() if hub.is_real else hub.now)
