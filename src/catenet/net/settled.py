"""What may be awaited and has ended already.

A call that has done its work need not be a coroutine only because its callers await it: each would cost an object, a
frame and an exception. They await one object again and again, whose iteration C does.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Settled"]


class Settled(asyncio.Future[None]):
    """A future that is done; also a coroutine for `asyncio.create_task`, which takes no future."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.set_result(None)

    def send(self, value: object) -> Any:
        """End."""
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        """Raise what is thrown."""
        raise error[0]

    def close(self) -> None:
        """It has ended already."""
