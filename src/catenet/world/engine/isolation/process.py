"""A program of a host that another process runs, as the world knows it."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import TYPE_CHECKING

from catenet.world.engine.process import KILLED, Process
from catenet.world.engine.task import TaskOwner

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.engine.hostclock import HostClock
    from catenet.world.engine.task import Task

__all__ = ["RemoteProcess"]


class RemoteProcess(Process):
    """Has what reports say of a process: name, times, status. It is sent signals by its own host's process."""

    def __init__(self, host: Host, pid: int, name: str, declared: bool | None, is_child: bool) -> None:
        TaskOwner.__init__(self, host.hub, host.world.switcher, None)
        self.host = host
        self.world = host.world
        self.pid = pid
        self.name = name
        self.declared = declared
        self.is_child = is_child
        self.status = None
        self.exception = None
        self.crashed = self.replaced = self.reported = self.killed = False
        self.started_at = self.hub.now
        self.ended_at = None
        self.killed_status = KILLED
        self.tasks: dict[int, Task] = {}
        self.handlers = {}
        self.service_now = False
        """Whether others could come to it when that was asked last."""
        self.waits_for: list[str] = []
        """What it waited for when that was asked last."""

    def end(self, status: int, replaced: bool) -> None:
        """Note its end."""
        self.status, self.replaced = status, replaced
        self.ended_at = self.hub.now
        self.dying = True

    def deliver(self, number: int) -> None:
        """Nothing: whoever signals to a host's programs does it in the host's process."""

    def kill(self, status: int = KILLED) -> None:
        """Nothing, as `deliver`."""

    def hold(self, stop_clock: bool) -> None:
        """Nothing."""

    def release(self, slept: float) -> None:
        """Nothing."""

    def follow(self, clock: HostClock) -> None:
        """Nothing."""

    def is_service(self) -> bool:
        """See `Process`."""
        return self.service_now if self.declared is None else self.declared

    def waits(self) -> Iterable[str]:
        """See `Process`."""
        return self.waits_for

    def _make_main(self) -> types.ModuleType:
        raise TypeError("a program of another process has no module here")
