"""Garbage collection in a world: at moments that follow, for each process, from its own turns and nothing else.

What is collected may close a socket, which sends a packet. All processes of a world share one collector of the
interpreter, so whoever collects finds the garbage of all. What it finds of others waits: a descriptor is closed when
its own process collects, in the order of numbers, for the order in which the collector finds things depends on
everybody's. As a process must find all of its garbage then, however often others have looked before it and made it
old, it looks at everything. That costs time in proportion to the world, so a process of a larger world does it less
often.

Other destructors (`__del__` of a program's own classes) run when the garbage is found.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.world.engine.task import COUNTED_TURNS

if TYPE_CHECKING:
    from catenet.world.engine.process import Process
    from catenet.world.world import World

__all__ = ["Garbage"]

YOUNG_TURNS: Final = 10_000
"""Turns of a world's tasks between two collections of young objects, which keep memory small. Most young objects are
packets in flight, so the fewer collections there are, the fewer packets they meet."""

OWN_TURNS: Final = 10_000
OWN_TURNS_PER_HOST: Final = 250
"""Turns of a process, and more for each host of the world, between two of its own collections."""

_collect: Final = gc.collect


class Garbage:
    """The garbage of a world's processes."""

    def __init__(self, world: World, leave: Callable[[], None]) -> None:
        """`leave` puts the interpreter's own state in the place of a task's."""
        self._world = world
        self._leave = leave
        self._collecting = False
        self._turns = 0
        self._next = YOUNG_TURNS

    def count(self, process: Process) -> None:
        """Note that a process has had `COUNTED_TURNS` more turns; the next has not begun."""
        self._turns += COUNTED_TURNS
        if process.turns >= process.collects_at:
            due, process.collects_at = process.collects_at, process.turns + self._interval()
            if due:
                self.collect()
                _close_found(process)
        elif self._turns >= self._next:
            self.collect(1)

    def _interval(self) -> int:
        return OWN_TURNS + OWN_TURNS_PER_HOST * len(self._world.hosts)

    def collect(self, generation: int = 2) -> None:
        """Collect garbage, for nobody: descriptors that are found wait for their processes."""
        self._next = self._turns + YOUNG_TURNS
        self._leave()
        self._run(generation)

    def collect_in(self, process: Process, generation: int = 2) -> int:
        """`gc.collect` in a program."""
        count = self._run(generation)
        _close_found(process)
        return count

    def _run(self, generation: int) -> int:
        self._collecting = True
        try:
            return _collect(generation)
        finally:
            self._collecting = False

    def has_found(self, descriptor: int, owner: Process) -> bool:
        """Whether it is the collector that wants to close a descriptor; then it is noted."""
        if self._collecting:
            owner.found.append(descriptor)
        return self._collecting


def _close_found(process: Process) -> None:
    found, process.found = sorted(process.found), []
    process.host.kernel.close_of(process, found)
