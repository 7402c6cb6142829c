"""Questions that run, and who waits for whom."""

from __future__ import annotations

from typing import NamedTuple

from catenet.dns.resolver.steps import Ask, Effect, Failure, Send, Steps
from catenet.dns.response import Response
from catenet.wire.dns.numbers import SERVFAIL

__all__ = ["Deadline", "Pending", "Task", "failed", "leave", "waits_for"]


class Task:
    """A question that runs as a generator.

    Attributes:
        ask: what others find it by; None for a question of a client, with its number in `ticket`.
        waits: whom it waits for.
        waiters: who waits for it.
        effect: what it waits for, in its own words.
        alarm: number of the deadline at which it stops to wait.
    """

    __slots__ = ("alarm", "ask", "done", "effect", "generator", "response", "ticket", "waiters", "waits")

    def __init__(self, generator: Steps[Response], ask: Ask | None, ticket: int = 0) -> None:
        self.generator = generator
        self.ask = ask
        self.ticket = ticket
        self.waits: tuple[Task, ...] = ()
        self.waiters: list[Task] = []
        self.effect: Effect | None = None
        self.alarm = 0
        self.done = False
        self.response = Response(SERVFAIL)


class Pending:
    """A message that is under way: who sent it and when, and how many came that answer something else."""

    __slots__ = ("begun", "forged", "send", "task")

    def __init__(self, task: Task, send: Send, begun: float) -> None:
        self.task = task
        self.send = send
        self.begun = begun
        self.forged = 0


class Deadline(NamedTuple):
    """When to stop to wait: for a message, for another task, or with a question of a client."""

    at: float
    order: int
    token: int
    ticket: int
    task: Task | None


def leave(task: Task, ended: Task | None = None) -> None:
    """It waits for nobody any more; `ended` need not be told."""
    for one in task.waits:
        if one is not ended:
            one.waiters = [waiter for waiter in one.waiters if waiter is not task]
    task.waits = ()
    task.alarm = 0


def waits_for(task: Task, other: Task) -> bool:
    """Whether a task waits for another one, itself or through those that it waits for."""
    stack, seen = [task], {id(task)}
    while stack:
        one = stack.pop()
        if one is other:
            return True
        for following in one.waits:
            if id(following) not in seen:
                seen.add(id(following))
                stack.append(following)
    return False


def failed(failure: Failure) -> Response:
    """What is said of a question that could not be answered."""
    return Response(SERVFAIL, recursion=True, reason=failure.reason, errors=list(failure.errors))
