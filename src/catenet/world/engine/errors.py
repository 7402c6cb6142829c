"""Errors of a world itself, as opposed to those of its programs."""

from __future__ import annotations

__all__ = ["DeadlockError", "ProcessFailed", "ProcessKilled", "StillRunning"]


class StillRunning(Exception):
    """Programs that are no services had not ended in the time that they were given.

    The message names each process and each of its threads and asyncio tasks, what it waits for and where.
    """


class DeadlockError(StillRunning):
    """No event is left while processes wait; the message lists them as that of StillRunning does."""


class ProcessFailed(Exception):
    """A process ended with a status other than 0; the cause is its exception if it had one."""


class ProcessKilled(SystemExit):
    """The process is dead: raised by whatever blocking or network call it makes next, until it has unwound.

    A SystemExit, because that is the one kind of exception that event loops and thread pools pass on.
    """
