"""Event loops of uvloop, where there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["uvloop_factory"]


def uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes event loops of uvloop; None where there is none, or none works: in a simulated host."""
    try:
        import uvloop

        uvloop.Loop().close()  # `new_event_loop` would make asyncio's own there, and say so
    except (ImportError, RuntimeError):
        return None
    found: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return found
