"""What is said when a library asks the machine for a socket, past the modules that programs have: once a host."""

from __future__ import annotations

import _thread
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.world.enclosure.callers import Caller

if TYPE_CHECKING:
    from catenet.world.world import World

__all__ = ["ByPipe", "say_so"]

LONGEST: Final = 4096
"""Bytes of a message: pipe(7) writes that many at once."""

# The interpreter's own functions, bound before any world.
_start_thread = _thread.start_new_thread
_read = os.read


def say_so(complain: Callable[[str], None], host: str | None, caller: Caller) -> None:
    """Say who has asked, and what to use instead."""
    from catenet.world.patches.refusals import PYTHON_MODULES
    from catenet.world.patches.table import LIBRARIES

    # What they are packed with may have another name: pyzmq, psycopg2_binary.
    rows = [row for row in LIBRARIES if row.module.partition(".")[0] in caller.package]
    where = "a program" if host is None else host
    complain(
        f"{where}: {caller.describe()} asked the machine for a socket, and there is no way out of a simulated host; "
        f"{rows[0].note if rows else PYTHON_MODULES}"
    )


class ByPipe:
    """Notices of a process that alone knows its hosts: they come by a pipe, and a thread says whose turn it is."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._reader, self._writer = os.pipe()

    def notice(self, host: str | None, caller: Caller) -> None:
        """Called by the doorkeeper, in its process."""
        text = json.dumps([caller.library, caller.package])
        if len(text) < LONGEST:
            os.write(self._writer, text.encode() + b"\n")

    def listen(self, world: World) -> None:
        """Begin to listen, in the process that runs the world, when it is closed."""
        os.close(self._writer)
        begun = _thread.allocate_lock()
        begun.acquire()
        _start_thread(self._listen, (world, begun))
        begun.acquire()

    def _listen(self, world: World, begun: _thread.LockType) -> None:
        begun.release()
        told: set[tuple[str | None, Caller]] = set()
        text = b""
        while data := _read(self._reader, LONGEST):
            host = _whose_turn(world)
            *lines, text = (text + data).split(b"\n")
            for line in lines:
                caller = Caller(*json.loads(line))
                if (host, caller) not in told:
                    told.add((host, caller))
                    say_so(self._complain, host, caller)


def _whose_turn(world: World) -> str | None:
    """The host whose turn it is; it may be over by now, so the one that had the last turn, or the only one."""
    from catenet.world.engine.stalling import last_task

    task: Any = last_task(world)
    if task is not None:
        return str(task.process.host.name)
    names = [host.name for host in world.hosts.values() if host.services]
    return names[0] if len(names) == 1 else None
