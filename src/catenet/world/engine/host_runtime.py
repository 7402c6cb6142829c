"""The runtime of a simulated host's system calls: programs are tasks, and they wait in the world's hub."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from catenet.posix.file import File
from catenet.posix.runtime import Owner, Runtime
from catenet.world.engine.current import current
from catenet.world.engine.process import Process

if TYPE_CHECKING:
    from catenet.world.engine.host import Host

__all__ = ["HostRuntime"]

_current: Final = current
_effective_user: Final = os.geteuid
"""The interpreter's own, by which processes begin."""


class HostRuntime(Runtime):
    """See `Runtime`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._hub = host.hub
        self._garbage = host.world.garbage

    def park(self, call: str, files: Sequence[File], timeout: float | None) -> bool:
        """Wait in the hub; every blocking call of every program ends here."""
        task = _current.task
        if task is None:
            raise RuntimeError(f"{call} would block outside of any simulated process")
        return task.park(call, tuple(files), timeout)

    def now(self) -> float:
        """Seconds of virtual time that the host has not slept."""
        return self._hub.now - self._host.slept

    def monotonic(self) -> float:
        """Seconds by the host's monotonic clock."""
        clock = self._host.clock
        return self._hub.now - self._host.slept if clock is None else clock.at(self._hub.now)

    def elapsed(self, seconds: float) -> float:
        """What the monotonic clock showed at a moment of virtual time."""
        clock = self._host.clock
        return seconds if clock is None else clock.at(seconds + self._host.slept)

    def owner(self) -> Owner | None:
        """The process that runs; ProcessKilled when it has been killed."""
        task = _current.task
        if task is None:
            return None
        if task.process.dying:
            task.check_alive()
        return task.process

    def running(self) -> Owner | None:
        """The process that runs, killed or not."""
        task = _current.task
        return None if task is None else task.process

    def redirected(self, descriptor: int) -> int:
        """Where a descriptor of the process that runs leads."""
        task = _current.task
        return descriptor if task is None else int(task.process.streams.redirected.get(descriptor, descriptor))

    def has_found(self, descriptor: int, owner: Owner | None) -> bool:
        """Note what the garbage collector finds: it is closed when its process collects, whoever found it."""
        return isinstance(owner, Process) and self._garbage.has_found(descriptor, owner)

    def spin(self) -> None:
        """Note that the program polls; time passes for one that does nothing else."""
        task = _current.task
        if task is not None:
            task.spin()

    def served(self) -> None:
        """Let others have their turns now and then, and time pass, beside a program that is always served at once."""
        task = _current.task
        if task is not None:
            task.be_served()

    def may_unwind(self) -> bool:
        """Whether the task that runs has been killed and cleans up after itself."""
        task = _current.task
        return task is not None and task.may_unwind()

    def may_use_raw_sockets(self) -> bool:
        """Whether the process that runs is root on its host."""
        task = _current.task
        if task is None:
            return False
        credentials = task.process.credentials
        return (_effective_user() if credentials is None else credentials.user[1]) == 0

    def broken_pipe(self) -> None:
        """Deliver SIGPIPE to the process that runs."""
        task = _current.task
        if task is not None:
            task.process.deliver_to_itself(signal.SIGPIPE)

    def transmit_now(self) -> None:
        """Transmit what a program has just sent before it goes on."""
        self._host.transmit_now()
