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
from types import CoroutineType

from catenet.net.eager_steps import Finish, Spare, Steps, Work, awaited

__all__ = ["Runner"]


class Runner:
    """Starts coroutines on one event loop; made and used on it."""

    __slots__ = ("_loop", "_send", "_spare", "_steps")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._spare: Spare | None = None
        self._renew()

    def _renew(self) -> None:
        self._steps = Steps()
        self._send = self._steps.send

    def run(self, work: Work, finish: Finish) -> asyncio.Task[None] | None:
        """Run `work` up to where it suspends; return the task it goes on in, or None if it has ended.

        `finish` is called once in either case: before this returns None, or later from the task.
        """
        spare = self._spare
        if spare is None:
            spare = self._spare = Spare(self._loop)
        if type(work) is not CoroutineType:
            work = awaited(work)
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
