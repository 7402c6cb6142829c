"""Run a coroutine at once, and make it a task only if it suspends.

Most handlers answer without waiting for anything. A task for each would cost more than the rest of the call: an object,
a trip through the loop's queue, a context. Here the coroutine's first step runs right where the request was parsed.

What a task would have given it, it still has. `asyncio.current_task()` is a *spare* task, parked until it is needed:
if the coroutine suspends, the spare wakes up and drives it to its end: the identity which `asyncio.timeout` or
a `TaskGroup` took hold of in the first step stays right. And each coroutine runs in a copy of the context of its own.
`_enter_task` and `_leave_task` are what asyncio documents for implementations of tasks ("Extending asyncio").

All coroutines are awaited by one generator, until one of them suspends, which keeps that generator. So their ends are
values that it yields, and not exceptions (StopIteration), which are a third of what it costs to run one.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType, coroutine
from typing import Any

__all__ = ["Runner"]

Finish = Callable[[Any, BaseException | None], None]
"""Called with `(value, None)` or `(None, error)` when the coroutine has ended, whatever it raised.

A task lets KeyboardInterrupt and SystemExit out of the event loop; here that is for the callee to do, by raising them.
"""
Work = Coroutine[Any, Any, Any]


class Runner:
    """Starts coroutines on one event loop; made and used on it."""

    __slots__ = ("_loop", "_send", "_spare", "_steps")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._spare: _Spare | None = None
        self._renew()

    def _renew(self) -> None:
        self._steps = _Steps()
        self._send = self._steps.send

    def run(self, work: Work, finish: Finish) -> asyncio.Task[None] | None:
        """Run `work` up to where it suspends; return the task it goes on in, or None if it has ended.

        `finish` is called once in either case: before this returns None, or later from the task.
        """
        spare = self._spare
        if spare is None:
            spare = self._spare = _Spare(self._loop)
        if type(work) is not CoroutineType:
            work = _awaited(work)
        context = contextvars.copy_context()
        task = spare.task
        _enter_task(self._loop, task)
        waits_for = context.run(self._send, work)
        _leave_task(self._loop, task)
        steps = self._steps
        if waits_for is steps:
            value, error = steps.value, steps.error
            steps.value = steps.error = None
            finish(value, error)
            return None
        self._spare = None
        self._renew()
        spare.take(steps, context, waits_for, finish)
        return task

    def close(self) -> None:
        """Let the spare task end."""
        if self._spare is not None:
            self._spare.task.cancel()
            self._spare = None


class _Steps:
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
def _each(steps: _Steps) -> Generator[Any, Any, None]:
    while True:
        work = yield steps
        try:
            steps.value = yield from work
        except BaseException as error:
            steps.error = error


async def _awaited(work: Any) -> Any:
    """Await what is no coroutine of the interpreter: one that has been compiled, or a mistake."""
    return await work


class _Spare:
    """A task that waits to be given a half-run coroutine."""

    __slots__ = ("_parked", "_taken", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._taken: tuple[_Steps, contextvars.Context, Any, Finish] | None = None
        self._parked: asyncio.Future[None] = loop.create_future()
        work = _drive(self, self._parked)
        # Into its try: a task that is cancelled before its first step would not run a line of it.
        work.send(None)
        self.task: asyncio.Task[None] = loop.create_task(work)
        # A spare is never waited for; a loop that closes around it is not worth a message.
        self.task._log_destroy_pending = False  # type: ignore[attr-defined]

    def take(self, steps: _Steps, context: contextvars.Context, waits_for: Any, finish: Finish) -> None:
        self._taken = (steps, context, waits_for, finish)
        self.task._log_destroy_pending = True  # type: ignore[attr-defined]
        if not self._parked.done():
            self._parked.set_result(None)

    def taken(self) -> tuple[_Steps, contextvars.Context, Any, Finish] | None:
        return self._taken


async def _drive(spare: _Spare, parked: asyncio.Future[None]) -> None:
    await _rest(spare, parked)  # since CPython 3.12 a task takes no generator, even one that is marked as a coroutine


@coroutine
def _rest(spare: _Spare, parked: asyncio.Future[None]) -> Generator[Any, Any, None]:
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
