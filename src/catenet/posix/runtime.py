"""What runs the programs of a host, as system calls see it: where they wait, which of them runs, what time it is.

`Kernel` asks a `Runtime` for everything that it cannot know itself. A runner of programs derives from it; the class
itself serves a caller that never blocks and has no processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from catenet.compiled import mypyc_attr
from catenet.posix.file import File

__all__ = ["Owner", "Runtime"]


class Owner(Protocol):
    """A process: it owns the descriptors that it has opened."""

    @property
    def pid(self) -> int:
        """Its number."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Runtime:
    """Serves a caller that never blocks, at time 0, outside of any process."""

    def park(self, call: str, files: Sequence[File], timeout: float | None) -> bool:
        """Wait until one of `files` may show something new; False when `timeout` seconds have passed.

        `call` is the system call, for reports. Callers look again in a loop, so an early return does no harm.
        """
        raise RuntimeError(f"{call} would block, and nobody here can wait")

    def now(self) -> float:
        """Seconds since the host's clock began."""
        return 0.0

    def monotonic(self) -> float:
        """Seconds by the clock that measures the time-outs of `park`; it may run faster or slower than `now`."""
        return self.now()

    def elapsed(self, seconds: float) -> float:
        """What `monotonic` showed when `now` was `seconds`."""
        return seconds

    def owner(self) -> Owner | None:
        """The process that runs, None outside of any; raises when it has been killed."""
        return None

    def running(self) -> Owner | None:
        """As `owner`, also of a process that has been killed and cleans up after itself."""
        return self.owner()

    def redirected(self, descriptor: int) -> int:
        """Where a descriptor leads: one of the machine's numbers may lead elsewhere (dup2(2))."""
        return descriptor

    def has_found(self, descriptor: int, owner: Owner | None) -> bool:
        """Whether the garbage collector runs, has found this descriptor, and leaves closing it for later."""
        return False

    def spin(self) -> None:
        """A program has looked and found nothing ready, without waiting."""

    def served(self) -> None:
        """A program has looked and found something ready at once: others must come to their turns all the same."""

    def may_unwind(self) -> bool:
        """Whether the program that runs has been killed and may go on for a while to clean up after itself."""
        return False

    def may_use_raw_sockets(self) -> bool:
        """Whether the process that runs is root on its host (CAP_NET_RAW)."""
        return False

    def broken_pipe(self) -> None:
        """Send SIGPIPE to the program that runs: it has written to a pipe or stream without a reader."""

    def transmit_now(self) -> None:
        """Transmit what waits, where a peer in real time waits for it while the program goes on."""
