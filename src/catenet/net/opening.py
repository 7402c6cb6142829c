"""Servers that listen but read nothing yet, until their process is what it is to be.

A server that binds as root and then gives root up must not serve anybody in between: connections and datagrams that
come meanwhile wait in the kernel.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["held", "when_open"]


class _Hold:
    """What waits; `over`: nothing does any more, also for callbacks that were made while it did."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.over = False


_HOLD: contextvars.ContextVar[_Hold | None] = contextvars.ContextVar("catenet.net.hold", default=None)
"""A context variable: several servers of one interpreter, as in worlds, do not wait for each other."""


def when_open(start: Callable[[], None]) -> None:
    """Call `start` now, or when `held` ends; not at all if that ends by an exception."""
    hold = _HOLD.get()
    if hold is None or hold.over:
        start()
    else:
        hold.waiting.append(start)


@contextmanager
def held() -> Iterator[None]:
    """Let servers that begin to listen within it read nothing before its end."""
    hold = _Hold()
    token = _HOLD.set(hold)
    try:
        yield
    finally:
        _HOLD.reset(token)
        hold.over = True
    for start in hold.waiting:
        start()
