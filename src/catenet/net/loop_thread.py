"""An event loop on a thread of its own: channels and servers of `grpc` run on one, for programs without a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from catenet.net.uvloops import uvloop_factory

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """Starts with the first work, ends with `close`. The thread keeps no program from ending. uvloop's if it is there.

    Rejected: one for the process, which hosts of a simulated world would share.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, which runs. Raises `RuntimeError` after the end."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the event loop has ended")
            if self._loop is None:
                self._loop = (uvloop_factory() or asyncio.new_event_loop)()
                threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True).start()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to run a coroutine there."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:
            work.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and return what it returns."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:  # Ctrl-C, too, ends the work
            future.cancel()
            raise

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function there. Raises `RuntimeError` after the end."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function there; nothing happens after the end."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return

    def close(self) -> None:
        """Let the loop end, when it has done what is due."""
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(loop.stop)
