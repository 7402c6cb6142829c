"""The lifespan of an ASGI application: it hears of the server's start and end (ASGI, lifespan 2.0)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from catenet.net.failures import text_of
from catenet.printable import printable

__all__ = ["Lifespan", "LifespanError"]

logger = logging.getLogger("catenet.http")

MODES: Final = ("auto", "on", "off")

Message = dict[str, Any]
App = Callable[..., Awaitable[None]]


class LifespanError(RuntimeError):
    """An application cannot start; the text is one line."""


class Lifespan:
    """Tells one application. `mode`: `auto` takes an application that raises at once for one that does not care.

    `state` is what the application has put there for its requests; None: it takes no part.
    """

    def __init__(self, app: App, mode: str = "auto") -> None:
        if mode not in MODES:
            raise ValueError(f"no mode {mode!r} of lifespan; known: {', '.join(MODES)}")
        self._app = app
        self._mode = mode
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answer: asyncio.Future[str | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self.state: dict[str, Any] | None = None

    async def start(self) -> None:
        """Wait until the application is ready. Raises `LifespanError`."""
        if self._mode == "off":
            return
        state: dict[str, Any] = {}
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(scope))
        failure = await self._tell("lifespan.startup")
        if self._task.done() and failure is None:
            self._check_early_end(self._task)
            self._task = None
            return
        if failure is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            raise LifespanError(f"the application does not start: {failure}")
        self.state = state

    async def stop(self) -> None:
        """Wait until the application has cleaned up; what goes wrong there is logged."""
        task = self._task
        if task is None:
            return
        if not task.done():
            failure = await self._tell("lifespan.shutdown")
            if failure is not None:
                logger.error("the application did not stop properly: %s", failure)
            # It has said that it is done; some never return after that.
            await asyncio.wait([task], timeout=1.0)
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the application failed in its lifespan: %s", _line(error), exc_info=error)

    def _check_early_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._mode == "on":
            cause = "it returned without an answer" if error is None else _line(error)
            raise LifespanError(f"the application does not start: {cause}")
        if error is not None:
            logger.debug("the application takes no part in lifespan: %s", _line(error))

    async def _tell(self, kind: str) -> str | None:
        """Return what the application says is wrong; None if nothing is, or it has ended."""
        assert self._task is not None
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": kind})
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None

    async def _run(self, scope: Message) -> None:
        await self._app(scope, self._events.get, self._send)

    async def _send(self, message: Message) -> None:
        kind = str(message.get("type"))
        answer = self._answer
        if answer is None or answer.done():
            if kind.endswith(".failed"):  # it was cancelled; nobody waits to hear of that
                return
            raise RuntimeError(f"unexpected message {kind!r}")
        if kind in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            answer.set_result(None)
        elif kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            answer.set_result(_first_line(str(message.get("message") or "no reason given")))
        else:
            raise RuntimeError(f"unexpected message {kind!r}")


def _line(error: BaseException) -> str:
    name, text = type(error).__name__, _first_line(text_of(error))
    return f"{name}: {text}" if text and text != name else name


def _first_line(text: str) -> str:
    """The last line of what may be a traceback says what it was."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return printable(lines[-1])[:500] if lines else ""
