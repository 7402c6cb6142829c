"""From a world file's plan to a world, and a run of it to its end: Ctrl-C, deadlocks, services, report.

When a run is over, the world decides (`ending.py`). Programs that still run then, which are services, are asked to stop
by SIGTERM, and killed after a grace.
"""

from __future__ import annotations

import gc
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.world.engine.errors import DeadlockError
from catenet.world.engine.event_checks import check_events
from catenet.world.engine.name_servers import run_name_servers, tell_hosts
from catenet.world.engine.realtime import VirtualClock
from catenet.world.observe.report import Report, make_report
from catenet.world.scenario.events import Announce, schedule_events
from catenet.world.scenario.resolv import stub_config
from catenet.world.scenario.tables import errors_at

if TYPE_CHECKING:
    from catenet.world.scenario.worldfile import WorldPlan
    from catenet.world.world import World

__all__ = ["Runner", "build_world", "give_folders"]

GRACE: Final = 5.0
"""Seconds of the world's time that programs have to end when they are asked to."""

NAMES_READY: Final = 0.01
"""Seconds after which a world's name servers listen, however short its links: no other program starts before."""

BELOW_HOME: Final = {
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
}
"""Where programs look for what is a user's, and where that is by default (XDG Base Directory Specification)."""

SLICE: Final = 0.25
"""Seconds of the world's time between two looks at the progress: long beside the cost of a look."""
LITTLE, MUCH = 500, 5000
"""Events of a slice, of some 50 us each, below which the next is longer, and above which it is shorter."""


def build_world(plan: WorldPlan, world: World, announce: Announce) -> None:
    """Make what the plan says: networks, hosts, links, programs, events. Raises `ValueError`."""
    for network in plan.networks:
        with errors_at(network.place):
            world.network(network.name, *network.prefixes, configure=network.autoconf or ())
    if plan.dns is not None:  # whom others ask has addresses from the beginning
        world.fixed |= {*plan.dns.resolvers, *(name for zone in plan.dns.zones for name in zone.hosts)}
    for host in plan.hosts:
        with errors_at(host.place):
            world.host(
                host.name,
                host.addresses,
                network=host.networks or None,
                link=host.link,
                settings=host.settings,
                forwarding=host.router,
                clock=host.clock,
                isolation=host.isolation,
            )
    for host in plan.hosts:
        if host.nat is not None:
            world.use_nat(host.name, host.nat)
    if plan.dns is not None:
        tell_hosts(world, plan)
        run_name_servers(world, plan)
    earliest = 0.0 if plan.dns is None else NAMES_READY
    for host in plan.hosts:
        made = world.hosts[host.name]
        made.environment |= host.env
        if host.resolv is not None and plan.dns is None:
            made.use_name_servers(stub_config(host.resolv, world.addresses))
        for line in host.run:
            begin = max(host.start, earliest)
            made.run(line, start=begin, restart=host.restart, daemon=host.service, stdin=host.stdin)
    for link in plan.links:
        world.topology.link(link.a, link.b, link.properties)
    world.refresh_routes()
    check_events(world, plan.events)
    schedule_events(world, plan.events, announce)


def give_folders(world: World, folder: Path, plan: WorldPlan) -> None:
    """Give every host a folder that survives its crashes, named by the variable that systemd has for that.

    Hosts whose files are their own have a temporary directory and a home there as well, named by the variables in
    which programs look for them, unless the world file gives these variables. No host's name has an underscore.
    """
    files = {host.name: host.files or plan.files for host in plan.hosts}
    for name, host in world.hosts.items():
        own = folder / name
        own.mkdir()
        variables = {"STATE_DIRECTORY": str(own)}
        if files.get(name, plan.files) == "own":
            temporary, home = folder / "_tmp" / name, folder / "_home" / name
            for each in (temporary, home):
                each.mkdir(parents=True)
            variables |= {"TMPDIR": str(temporary), "HOME": str(home)}
            variables |= {variable: str(home / where) for variable, where in BELOW_HOME.items()}
            host.machines_temporary = tempfile.gettempdir()
        host.environment = variables | host.environment


class Runner:
    """One run of a world.

    `progress(now)` is called now and then; `wall` is the clock for `wall_seconds`, and for how seldom "now and then"
    is: nothing else depends on it.
    """

    def __init__(self, world: World, *, wall: Callable[[], float], progress: Callable[[float], None]) -> None:
        self._world = world
        self._wall = wall
        self._progress = progress
        self._virtual = isinstance(world.hub.clock, VirtualClock)
        self.interrupted = False

    def run(self, until: float | None) -> Report:
        """Run until the world is over or until `until`; the first KeyboardInterrupt stops it in order."""
        began = self._wall()
        deadlock = None
        world = self._world
        # Between two slices nothing may be collected: it may close a socket, and slices depend on how fast we are.
        collects = gc.isenabled()
        gc.disable()
        try:
            self._run(until)
        except DeadlockError as error:
            deadlock = str(error)
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            if collects:
                gc.enable()
        ended = world.now
        programs_ended = world.ending.programs_ended if world.finished else None
        stopped = [id(process) for process in world.processes if process.alive]
        try:
            if deadlock is None and stopped:
                world.terminate(signal.SIGINT if self.interrupted else signal.SIGTERM, GRACE)
        except KeyboardInterrupt:
            self.interrupted = True
        world.close()
        return make_report(
            world,
            virtual=ended,
            wall=self._wall() - began,
            programs_ended=programs_ended,
            stopped=() if deadlock else stopped,
            deadlock=deadlock,
        )

    def _run(self, until: float | None) -> None:
        world = self._world
        slice_ = SLICE
        while until is None or world.now < until:
            target = world.now + slice_
            due = world.hub.next_event()
            if due is not None and self._virtual:
                target = max(target, due)
            before, done = world.now, _work(world)
            world.run(target if until is None else min(target, until), check=False)
            if world.over:
                return
            if self._virtual:
                slice_ = _adapt(min(slice_, world.now - before), _work(world) - done)
            self._progress(world.now)


def _work(world: World) -> float:
    """How much has happened so far: packets, timers, turns of programs."""
    hub = world.hub
    return hub.packets + hub.link_events + hub.sequence + sum(process.turns for process in world.processes)


def _adapt(slice_: float, work: float) -> float:
    """A slice for the next look at the progress, which should come ten times a second or so.

    By what happened in the last one, not by how long that took: where slices end, objects are made, and what programs
    have in memory must not move with the machine's speed.
    """
    if work < LITTLE:
        return max(SLICE / 4, slice_ * 2)
    return max(SLICE / 4, slice_ / 2) if work > MUCH else slice_
