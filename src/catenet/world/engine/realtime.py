"""How time passes for a hub: simulated time jumps to the next event, real time waits for it or for the kernel."""

from __future__ import annotations

import select
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from catenet.world.engine.hub import Hub

__all__ = ["Clock", "RealClock", "VirtualClock"]

Reader: TypeAlias = Callable[[float], int]


class Clock(Protocol):
    """How time passes for a hub."""

    def start(self, now: float) -> None:
        """Begin a run with the hub's clock at `now`."""

    def advance(self, until: float | None, hub: Hub) -> float | None:
        """Let time pass up to `until` (None: nothing is due) and return the new time; None when no event can come."""


class VirtualClock:
    """Simulated time, which jumps to the next event."""

    def start(self, now: float) -> None:
        """Nothing to prepare."""

    def advance(self, until: float | None, hub: Hub) -> float | None:
        """Jump to `until`."""
        return until


BUSY_POLL_TIME: Final = 100e-6
"""Seconds for which a real clock polls before it sleeps, while its waits are short: an answer that comes at once is
then read before the processor has gone to sleep and been woken."""
BUSY_POLL_FACTOR: Final = 2
"""Waits are short up to so many times as long: a wait that was slept through contains the waking, some 50 us, which
must not keep a peer that answers within BUSY_POLL_TIME from being waited for awake."""


class RealClock:
    """Real time, waiting on file descriptors of the kernel (a TUN device); for the network `tun`.

    `spin` (seconds) is how long to look for work before sleeping while work comes at short intervals; 0 never does.
    A reader's callback takes the time, serves what its descriptor has and returns how much that was (0: nothing).
    """

    def __init__(self, spin: float = BUSY_POLL_TIME) -> None:
        self.spin = spin
        self.waited = True
        """Whether nothing could be read when the last wait began."""
        self._busy = False
        self._origin: float | None = None
        self._poll = select.epoll()
        self._readers: dict[int, Reader] = {}

    def add_reader(self, descriptor: int, reader: Reader) -> None:
        """Call `reader(now)` when the kernel's `descriptor`, which must not block, can be read, or may be readable."""
        self._readers[descriptor] = reader
        self._poll.register(descriptor, select.EPOLLIN)

    def remove_reader(self, descriptor: int) -> None:
        """No longer watch `descriptor`."""
        del self._readers[descriptor]
        self._poll.unregister(descriptor)

    def start(self, now: float) -> None:
        """Pin the hub's `now` to the kernel's monotonic clock."""
        self._origin = monotonic() - now

    def advance(self, until: float | None, hub: Hub) -> float | None:
        """Wait until `until` or until a descriptor is readable, whichever comes first, and serve the descriptors."""
        if until is None and not self._readers:
            return None
        if self._busy and self._serve(hub):
            self.waited = False
            return self.time()
        begun = monotonic()
        timeout = -1.0 if until is None else max(0.0, until - self.time())
        self.waited = True
        if not (self._busy and self._spin(begun, timeout, hub)):
            ready = [] if self._busy else self._poll.poll(0)
            self.waited = not ready
            for descriptor, _ in ready or self._poll.poll(timeout):
                hub.now = max(hub.now, self.time())
                self._readers[descriptor](hub.now)
        self._busy = monotonic() - begun < BUSY_POLL_FACTOR * self.spin
        return self.time()

    def _spin(self, begun: float, timeout: float, hub: Hub) -> bool:
        """Poll for as long as sleeping would take, unless `timeout` (seconds) is shorter; whether any work came."""
        if 0 <= timeout < self.spin:
            return False
        while monotonic() - begun < self.spin:
            if self._serve(hub):
                return True
        return False

    def _serve(self, hub: Hub) -> bool:
        """Call every reader, which costs less than asking epoll which is ready; whether any found work."""
        found = 0
        for reader in self._readers.values():
            hub.now = max(hub.now, self.time())
            found += reader(hub.now)
        return found > 0

    def time(self) -> float:
        """Seconds since the hub's time 0."""
        if self._origin is None:
            self._origin = monotonic()
        return monotonic() - self._origin

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._poll.close()
