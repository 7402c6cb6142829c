"""When a run is over: every program that is no service has ended, and since then the world has been quiet.

A service is a program that is declared one (`daemon`, `restart="always"`), or one that is not declared and has a
socket that others can reach unasked: one that listens, or a datagram socket bound to a port or path. The world is
quiet while no packet crosses a link, no line is printed and no thread computes; it is over when that has lasted for
`quiet` seconds. It is over at once when no program is left at all.

Computing takes no time here, so a thread that computes is one that goes on by a timer of its own: it sleeps and works,
or works while it watches the clock. A wait for sockets that times out is no computing, because servers poll like that
for ever; nor is what a declared service does. And since a long piece of work cannot be told from an endless loop,
computing alone keeps a world going for COMPUTING_LIMIT times `quiet` at most.

All of it depends on the world's time and on nothing else. The world runs up to `check_at`, that instant to its end,
and then asks `check`. As long as a program is waited for, the run cannot be over before `quiet` has passed, so checks
are few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.link.simulated import SimulatedLink
from catenet.world.engine.hub import NEVER, Call, Event
from catenet.world.network.links import Arrival, InOrderQueue

if TYPE_CHECKING:
    from catenet.world.engine.context import ContextSwitcher
    from catenet.world.engine.hub import Hub
    from catenet.world.engine.process import Process
    from catenet.world.network.trace import Trace

__all__ = ["CHECK_INTERVAL", "QUIET", "Ending"]

QUIET: Final = 30.0
"""Default of how many seconds of virtual time a world is quiet before it is over."""

COMPUTING_LIMIT: Final = 10
"""Limit, in multiples of `quiet`, of how long a world lasts in which programs only compute."""

CHECK_INTERVAL: Final = 1.0
"""Least time between two checks, in seconds of virtual time."""


class Ending:
    """Decides when a world's run is over; told by the world what starts, ends and prints."""

    def __init__(self, hub: Hub, trace: Trace, switcher: ContextSwitcher, quiet: float) -> None:
        self._hub = hub
        self._trace = trace
        self._switcher = switcher
        self.quiet = quiet
        self.alive: dict[Process, None] = {}
        """Processes that run, in the order of their start."""
        self.awaited_starts = 0
        """Number of programs not declared services that are about to start, for the first time or again."""
        self.service_starts = 0
        """Number of declared services that are about to start."""
        self.over = False
        self.programs_ended: float | None = None
        """Virtual time at which the last program that was not declared a service ended for good and by itself."""
        self.printed_at = 0.0
        self.carried_elsewhere = self.computed_elsewhere = 0.0
        """When hosts in processes of their own last carried a packet, and last computed."""
        self.check_at = NEVER
        self._since = 0.0
        """Virtual time since which, at the earliest, no program has been waited for."""
        self._awaited: Process | None = None
        self._some_ended = False
        """Whether any program has ended by itself."""

    def begin(self) -> None:
        """Begin or continue a run. After one that was over, or had nothing to do, quiet counts from now."""
        if self.over or self.check_at == NEVER:
            self.over = False
            self._since = self._hub.now
            running = self.alive or self.awaited_starts or self.service_starts
            self.check_at = self._hub.now + self._interval if running else NEVER

    @property
    def _interval(self) -> float:
        return max(self.quiet, CHECK_INTERVAL)

    # What the world tells.

    def expect(self, count: int, *, service: bool = False) -> None:
        """`count` more (or fewer) programs are about to start."""
        if service:
            self.service_starts += count
        else:
            self.awaited_starts += count
        if count < 0:
            self._since = self._hub.now
            self._check_soon()

    def started(self, process: Process) -> None:
        """Note that a process runs."""
        self.alive[process] = None
        self.check_at = min(self.check_at, self._hub.now + self._interval)

    def ended(self, process: Process) -> None:
        """Note that a process has ended or its host has crashed; quiet counts from now in both cases."""
        self.alive.pop(process, None)
        self._since = self._hub.now
        if not process.crashed and not process.replaced:
            self._some_ended = True
            if process.declared is not True:
                self.programs_ended = self._hub.now
        self._check_soon()

    def _check_soon(self) -> None:
        """Check at this instant if the run may be over; where quiet is long, the next check comes early enough."""
        if not (self.awaited_starts or self.service_starts) and (not self.alive or self.quiet < CHECK_INTERVAL):
            self.check_at = self._hub.now
            self._hub.finish()

    # What the world asks.

    def waits_for_programs(self) -> bool:
        """Whether a program that is no service runs or is about to start."""
        if self.awaited_starts:
            return True
        if self._awaited is None or self._awaited not in self.alive or self._awaited.is_service():
            self._awaited = next((process for process in self.alive if not process.is_service()), None)
        return self._awaited is not None

    def check(self) -> bool:
        """Decide whether the run is over now; if not, `check_at` is when to ask again."""
        now = self._hub.now
        if self.waits_for_programs():
            self._since = now
            self.check_at = now + self._interval
        elif not self.alive and not self.service_starts:
            self.over = True
        else:
            end = self._active_until() + self.quiet
            if end <= now:
                end = max(end, self._arrivals_end() + self.quiet)
            self.over = end <= now
            self.check_at = max(end, now)
        return self.over

    def end_when_idle(self) -> float | None:
        """Return when a run in which no event is left is over; None when programs wait in vain.

        Services without clients are no deadlock, but programs that only listen are one if none has
        ever ended: they wait for each other.
        """
        if not self.alive:
            return self._hub.now
        if self.waits_for_programs() or not (self._some_ended or all(process.declared for process in self.alive)):
            return None
        return max(self._hub.now, self._active_until() + self.quiet)

    def _active_until(self) -> float:
        """Return when the world was last active."""
        active = max(self._since, self.printed_at, self._trace.latest, self.carried_elsewhere)
        computed = max(self._switcher.computed, self.computed_elsewhere)
        return max(active, min(computed, active + (COMPUTING_LIMIT - 1) * self.quiet))

    def _arrivals_end(self) -> float:
        """Return when the last packet in flight arrives or leaves its queue; 0 without any."""
        heap = self._hub.heap
        times = [when for when, number, event in heap if _is_packet(event) and event.is_due(when, number)]
        elsewhere = self._hub.elsewhere
        return max(times, default=0.0) if elsewhere is None else max([elsewhere.arrivals_end(), *times])


def _is_packet(event: Event) -> bool:
    """Whether an event is a packet in flight, or a link that serves its queue."""
    if isinstance(event, Call):
        return isinstance(getattr(event.callback, "__self__", None), SimulatedLink)
    return isinstance(event, (InOrderQueue, Arrival))
