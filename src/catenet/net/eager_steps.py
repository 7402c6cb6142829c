"""What `catenet.net.eager_task` runs coroutines by: generators and tasks, which the interpreter alone can make."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any

__all__ = ["Finish", "Spare", "Steps", "Work", "awaited"]

Finish = Callable[[Any, BaseException | None], None]
"""Called with `(value, None)` or `(None, error)` when the coroutine has ended, whatever it raised.

A task lets KeyboardInterrupt and SystemExit out of the event loop; here that is for the callee to do, by raising them.
"""
Work = Coroutine[Any, Any, Any]


class Steps:
    """Awaits one coroutine after another. What `send` returns is this object itself when one has ended.

    `value` and `error` are then what it has returned or raised.
    """

    __slots__ = ("close", "error", "send", "throw", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        steps = _each(self)
        self.send = steps.send
        self.throw = steps.throw
        self.close = steps.close  # they know each other: what is not closed would wait for the collector
        self.send(None)


@coroutine
def _each(steps: Steps) -> Generator[Any, Any, None]:
    while True:
        work = yield steps
        try:
            steps.value = yield from work
        except BaseException as error:
            steps.error = error


async def awaited(work: Any) -> Any:
    """Await what is no coroutine of the interpreter: one that has been compiled, or a mistake."""
    return await work


class Spare:
    """A task that waits to be given a half-run coroutine."""

    __slots__ = ("_parked", "_taken", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._taken: tuple[Steps, contextvars.Context, Any, Finish] | None = None
        self._parked: asyncio.Future[None] = loop.create_future()
        work = _drive(self, self._parked)
        # Into its try: a task that is cancelled before its first step would not run a line of it.
        work.send(None)
        self.task: asyncio.Task[None] = loop.create_task(work)
        # A spare is never waited for; a loop that closes around it is not worth a message.
        self.task._log_destroy_pending = False  # type: ignore[attr-defined]

    def take(self, steps: Steps, context: contextvars.Context, waits_for: Any, finish: Finish) -> None:
        """Go on with a coroutine that waits for something."""
        self._taken = (steps, context, waits_for, finish)
        self.task._log_destroy_pending = True  # type: ignore[attr-defined]
        if not self._parked.done():
            self._parked.set_result(None)

    def taken(self) -> tuple[Steps, contextvars.Context, Any, Finish] | None:
        """Return what was taken, if anything was."""
        return self._taken


async def _drive(spare: Spare, parked: asyncio.Future[None]) -> None:
    await _rest(spare, parked)  # since CPython 3.12 a task takes no generator, even one that is marked as a coroutine


@coroutine
def _rest(spare: Spare, parked: asyncio.Future[None]) -> Generator[Any, Any, None]:
    thrown: BaseException | None = None
    try:
        yield
        yield from parked
    except BaseException as stopped:  # cancelled before the first step of its own: the coroutine must hear of it
        thrown = stopped
    taken = spare.taken()
    if taken is None:
        return
    steps, context, waits_for, finish = taken
    del spare, taken
    while waits_for is not steps:
        if thrown is None:
            try:
                value = yield waits_for
            except BaseException as raised:
                thrown = raised
        if thrown is None:
            waits_for = context.run(steps.send, value)
        else:
            cause, thrown = thrown, None
            waits_for = context.run(steps.throw, cause)
    steps.close()
    error, steps.error = steps.error, None
    finish(steps.value, error)
