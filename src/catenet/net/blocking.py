"""Asynchronous clients for programs without an event loop: each thread drives a loop of its own while it calls.

No thread is started, so it works wherever the program may block, after `fork`, and in a simulated world. What a loop
does between calls (timers, reading what a server says by itself) waits for the next call.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["LoopOfThread"]

C = TypeVar("C")
T = TypeVar("T")


class _Face(threading.local, Generic[C]):
    """The loop and the client of one thread."""

    loop: asyncio.AbstractEventLoop | None = None
    client: C | None = None
    process = 0


class LoopOfThread(Generic[C]):
    """A client for each thread that asks for one, with the loop it belongs to.

    `make` makes a client, `close` ends it; `instead` names what to use where a loop runs.
    """

    def __init__(
        self,
        make: Callable[[], C],
        close: Callable[[C], Awaitable[None]],
        instead: str,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self._make = make
        self._close = close
        self._instead = instead
        self._loop_factory = loop_factory
        self._face: _Face[C] = _Face()

    def client(self) -> C:
        """Return this thread's client. Raises `RuntimeError` where an event loop runs, which calls would block."""
        if _in_loop():
            raise RuntimeError(self._instead)
        face = self._face
        if face.loop is None or face.client is None or face.process != os.getpid():
            # A loop that was inherited through fork is left alone: its sockets are the parent's.
            face.loop, face.client, face.process = self._loop_factory(), self._make(), os.getpid()
        return face.client

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Drive this thread's loop until `work` is done; `client` has been called before."""
        loop = self._face.loop
        assert loop is not None
        return loop.run_until_complete(work)

    def close(self) -> None:
        """Close this thread's client and loop; other threads' go with the threads."""
        face = self._face
        loop, client = face.loop, face.client
        face.loop = face.client = None
        if loop is not None and client is not None and face.process == os.getpid():
            if not _in_loop():
                loop.run_until_complete(_ended(self._close(client)))
                loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


async def _ended(closing: Awaitable[None]) -> None:
    await closing


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
