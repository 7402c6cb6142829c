"""`time.monotonic`, which event loops read all the time, and `time.sleep`: functions that compile."""

from __future__ import annotations

import time
from typing import Any, Final

from catenet.world.engine.current import current

__all__ = ["BOOTED", "monotonic", "sleep"]

BOOTED: Final = 1000.0
"""What the monotonic clocks show when a world begins, in seconds; no program expects 0."""

_current: Final = current
_original: Final = time.monotonic
_original_sleep: Final = time.sleep


def monotonic() -> float:
    """Monotonic clock, cannot go backward."""
    task = _current.task
    if task is None:
        return _original()
    task.spin()
    owner = task.owner
    clock = owner.clock
    if clock is not None:
        return BOOTED + clock.monotonic()
    hub = owner.hub
    return BOOTED + (hub.time() if hub.is_real else hub.now) - owner.slept


def sleep(seconds: Any, /) -> None:
    """Delay execution for a given number of seconds; a signal's handler runs and the sleep goes on (PEP 475)."""
    task = _current.task
    if task is None:
        _original_sleep(seconds)
    elif seconds < 0:
        raise ValueError("sleep length must be non-negative")
    else:
        task.sleep(float(seconds))
