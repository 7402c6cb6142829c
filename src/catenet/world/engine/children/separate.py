"""Command lines of one host that have nothing of each other: each runs in a process of the machine of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.world.engine.children.forking import move
from catenet.world.engine.process import Process

if TYPE_CHECKING:
    from catenet.world.engine.task import Task

__all__ = ["SeparateProcess"]


class SeparateProcess(Process):
    """A process that moves before its program begins, while nothing has run where the kernel is.

    `move` makes another kind of process of it, in both places, which is what its first task then runs as: it takes no
    turn more than one that stays.
    """

    def task_runs(self, task: Task) -> None:
        """See `Process`."""
        move(self)
        self.task_runs(task)
