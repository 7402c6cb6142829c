"""From a world file's plan to a world, and a run of it to its end: Ctrl-C, deadlocks, services, report.

A run ends when every program has ended, services aside. A service is a program that the file calls one
(`service = true`, `restart = "always"`) or, where it says nothing, one that does nothing but listen when all others
have ended: there is nobody left to talk to it. Services are then asked to stop by SIGTERM, and killed after a grace.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.world.errors import DeadlockError
from catenet.world.events import Announce, schedule_events
from catenet.world.hub import VirtualClock
from catenet.world.report import Report, make_report
from catenet.world.world import World

if TYPE_CHECKING:
    from catenet.posix.file import File
    from catenet.world.process import Process
    from catenet.world.worldfile import WorldPlan

__all__ = ["Runner", "build_world", "give_folders"]

GRACE: Final = 5.0
"""Seconds of the world's time that programs have to end when they are asked to."""

FIRST_EPHEMERAL: Final = 32768
"""Ports from here on are given out to those who ask for none (Linux's ip_local_port_range)."""

GROWTH: Final = 65 / 64
"""By what the world's time grows at the most between two looks whether only servers are left."""

SLICE: Final = 0.25
"""Seconds of the world's time between two looks at the progress: long beside the cost of a look."""


def build_world(plan: WorldPlan, world: World, announce: Announce) -> None:
    """Make what the plan says: networks, hosts, links, programs, events."""
    for network in plan.networks:
        world.network(network.name, *network.prefixes)
    for host in plan.hosts:
        made = world.host(
            host.name,
            host.addresses,
            network=host.networks or None,
            link=host.link,
            forwarding=host.router,
        )
        for line in host.run:
            made.run(line, start=host.start, restart=host.restart, daemon=host.is_service)
    for link in plan.links:
        world.topology.link(link.a, link.b, link.properties)
    world.refresh_routes()
    schedule_events(world, plan.events, announce)


def give_folders(world: World, folder: Path) -> None:
    """Give every host a folder that survives its crashes, named by the variable that systemd has for that."""
    for name, host in world.hosts.items():
        own = folder / name
        own.mkdir()
        host.environment["STATE_DIRECTORY"] = str(own)


class Runner:
    """One run of a world.

    `progress(now)` is called now and then; `wall` is the clock for `wall_seconds`. Programs of the hosts `awaited` are
    no services, whatever they do.
    """

    def __init__(
        self,
        world: World,
        *,
        wall: Callable[[], float],
        progress: Callable[[float], None],
        awaited: Iterable[str] = (),
    ) -> None:
        self._world = world
        self._awaited = frozenset(awaited)
        self._wall = wall
        self._progress = progress
        self._virtual = isinstance(world.hub.clock, VirtualClock)
        self.interrupted = False

    def run(self, until: float | None) -> Report:
        """Run until all programs have ended or `until`; the first KeyboardInterrupt stops them in order."""
        began = self._wall()
        deadlock = None
        world = self._world
        try:
            self._run(until)
        except DeadlockError as error:
            deadlock = str(error)
        except KeyboardInterrupt:
            self.interrupted = True
        ended = world.now
        stopped = [id(process) for process in world.processes if process.alive]
        try:
            if deadlock is None and stopped:
                world.terminate(signal.SIGINT if self.interrupted else signal.SIGTERM, GRACE)
        except KeyboardInterrupt:
            self.interrupted = True
        world.close()
        return make_report(
            world, virtual=ended, wall=self._wall() - began, stopped=() if deadlock else stopped, deadlock=deadlock
        )

    def _run(self, until: float | None) -> None:
        world = self._world
        slice_, look_at = SLICE, 0.0
        while not world.finished and (until is None or world.now < until):
            if world.now >= look_at:
                if self._only_servers():
                    return
                # These moments depend on the world's time alone, and are few in a long run.
                look_at = max(world.now + SLICE, world.now * GROWTH)
            due = world.hub.next_event()
            if due is None and self._virtual:
                world.run()  # which says who waits for what
                return
            target = min(world.now + slice_, look_at)
            if due is not None and self._virtual:
                target = max(target, due)
            before, began = world.now, self._wall()
            world.run(target if until is None else min(target, until), check=False)
            if self._virtual:
                slice_ = _adapt(min(slice_, look_at - before), self._wall() - began)
            self._progress(world.now)

    def _only_servers(self) -> bool:
        """Whether somebody has ended, nobody is about to start, and all who run do nothing but listen."""
        alive = [process for process in self._world.processes if process.alive]
        some_ended = len(alive) < len(self._world.processes)
        return some_ended and not self._world.starting and all(self._is_server(process) for process in alive)

    def _is_server(self, process: Process) -> bool:
        """Whether a process listens, or waits for datagrams on a port that it has chosen."""
        if process.host.name in self._awaited:
            return False
        if process.daemon:
            return True
        files = (file for _, file, owner in process.host.kernel.open_files() if owner is process)
        return any(_listens(file) for file in files)


def _adapt(slice_: float, wall: float) -> float:
    """A slice for the next look at the progress, which should come ten times a second or so."""
    if wall < 0.05:
        return slice_ * 2
    return max(SLICE / 4, slice_ / 2) if wall > 0.2 else slice_


def _listens(file: File) -> bool:
    """Whether a socket listens, or is a datagram socket without peer on a port that is no ephemeral one."""
    endpoint = getattr(file, "endpoint", None)
    if endpoint is None:
        return False
    if getattr(endpoint, "state", None) == "LISTEN":
        return True
    datagrams = not hasattr(endpoint, "listen")
    return datagrams and endpoint.peer() is None and 0 < endpoint.local().port < FIRST_EPHEMERAL
