"""Ctrl-C while a world runs."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from catenet.world.patches import install

if TYPE_CHECKING:
    from catenet.world.world import World

__all__ = ["Interruptible"]


class Interruptible:
    """Handles Ctrl-C while a world runs in the main thread: the first stops it between events, the second at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._previous: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            handler = install.original(signal, "getsignal")(signal.SIGINT)
            if handler is signal.default_int_handler:
                self._previous = install.original(signal, "signal")(signal.SIGINT, self._handle_interrupt)

    def _handle_interrupt(self, number: int, frame: Any) -> None:
        world = self._world
        works = world.isolation.interrupt()
        if works and world.closing:  # nothing is left to be stopped
            return
        if world.interrupted and not works:
            raise KeyboardInterrupt
        world.interrupted = True
        world.hub.stop()

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if self._previous is not None:
            install.original(signal, "signal")(signal.SIGINT, self._previous)
            if self._world.interrupted and kind is None:
                raise KeyboardInterrupt
