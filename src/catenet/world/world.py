"""A simulated internet in one process: its hosts, networks and links, and how it runs.

>>> from catenet.world import World
>>> world = World(seed=1)
>>> world.host("server").run("-m http.server 80", daemon=True)
>>> world.host("client").run("client.py http://server/")
>>> world.run(until=60.0)
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from catenet.stack.settings import Settings
from catenet.world.engine.configuring import (
    NetworkService,
    check_move,
    check_renumbering,
    join_networks,
    move_host,
    usable_addresses,
)
from catenet.world.engine.context import ContextSwitcher
from catenet.world.engine.current import current
from catenet.world.engine.ending import QUIET, Ending
from catenet.world.engine.garbage import Garbage
from catenet.world.engine.host import Host
from catenet.world.engine.hub import NEVER, Hub
from catenet.world.engine.interruption import Interruptible
from catenet.world.engine.isolation.isolation import Isolation
from catenet.world.engine.outcome import check_failures, check_finished, finish_idle, threads_wake, wait_for_threads
from catenet.world.engine.realtime import Clock, RealClock
from catenet.world.engine.streams import print_line
from catenet.world.engine.wiring import nat_config
from catenet.world.engine.world_names import WorldNames
from catenet.world.network.topology import Topology
from catenet.world.network.trace import Trace
from catenet.world.patches import install
from catenet.world.patches.interpreter import prepared_interpreter
from catenet.world.patches.threads import call_at_exit
from catenet.world.scenario.autoconf import AutoconfPlan, autoconf_plan
from catenet.world.scenario.clocks import ClockProperties, clock_properties
from catenet.world.scenario.isolation import check_mode
from catenet.world.scenario.nat import NatPlan, parse_nat
from catenet.world.scenario.settings import SettingChanges, apply_settings
from catenet.world.scenario.units import link_properties, parse_duration, repeated

if TYPE_CHECKING:
    from catenet.link.properties import LinkProperties
    from catenet.posix.names import Names
    from catenet.stack.endpoint import Address
    from catenet.world.engine.process import Process

__all__ = ["World"]

P = ParamSpec("P")

EPOCH: Final = 1_735_689_600.0
"""Default of what `time.time()` shows when a world begins, in seconds since 1970: 2025-01-01T00:00:00Z."""

_open_worlds: dict[World, None] = {}
"""Worlds with running processes. Collecting one would end its greenlets outside of their processes."""


class World:
    """A simulated internet: hosts, links, programs and virtual time.

    `seed` decides everything that is left to chance: same seed, same programs, same Python, same packets. `output` gets
    each line that a program prints, as `output(host, stream, line)`. `epoch` is what `time.time()` shows at the
    beginning. Scripts are sought in `directory` (default: where the interpreter runs). `clock` is for worlds in real
    time. `quiet`: for how long, in seconds or as `"2s"`, nothing may happen before a run with services ends (default:
    30 s; in real time, where their peers are elsewhere, 0). Use it as a context manager, or call `close()`, to end
    programs that still run.
    """

    def __init__(
        self,
        seed: int | str = 0,
        *,
        output: Callable[[str, str, str], None] = print_line,
        epoch: float = EPOCH,
        directory: str | Path | None = None,
        clock: Clock | None = None,
        quiet: float | str | None = None,
        isolation: str | None = None,
        workers: int | None = None,
    ) -> None:
        if quiet is not None:
            quiet = parse_duration(quiet)
        self.seed = seed
        self.epoch = epoch
        self.output = output
        self.directory = None if directory is None else Path(directory)
        self.hub = Hub(clock)
        self.hosts: dict[str, Host] = {}
        self.services: dict[str, NetworkService] = {}
        """Networks that give their hosts addresses."""
        self.fixed: set[str] = set()
        """Hosts that have their own also there."""
        self.processes: list[Process] = []
        """Every process that has ever run, in order of start."""
        self.switcher = ContextSwitcher()
        self.garbage = Garbage(self, self.switcher.remove_task)
        self.switcher.count_turns = self.garbage.count
        self.trace = Trace()
        self.topology = Topology(self.hub, seed, self.trace)
        self.names: Names = WorldNames(self)
        self.isolation = Isolation(self, isolation, workers)
        self.stopping = False
        self.on_addresses: list[Callable[[], None]] = []
        """Called when a host may have other addresses."""
        self.on_end: list[Callable[[Process], None]] = []
        """Called with each process that has ended."""
        if quiet is None:
            quiet = 0.0 if self.is_real else QUIET
        self.ending = Ending(self.hub, self.trace, self.switcher, quiet)
        self._running = False
        self.interrupted = False
        """Whether Ctrl-C has interrupted this run."""
        self._stale_routes = False
        self.closing = False

    # Building.

    def host(
        self,
        name: str,
        address: str | Iterable[str] = (),
        *,
        network: str | Iterable[str] | None = None,
        link: LinkProperties | None = None,
        settings: Settings | SettingChanges | None = None,
        forwarding: bool = False,
        clock: ClockProperties | Mapping[str, object] | None = None,
        isolation: str | None = None,
    ) -> Host:
        """Add a host, or return the one of this name when nothing else is given.

        `address` is one or several texts such as `"10.1.0.7"`, `"10.1.0.7/16"`, `"fd07::7/64"`; without any the host
        gets one of each version. `network` names the networks it is on (the first network when None); each gets
        those of the addresses that lie in it. `link` is how it is joined to them. `forwarding` makes it a router.
        `settings` are what its stack has otherwise than Linux, by Linux's names, as `{"tcp_mtu_probing": 1}` (`catenet
        settings` lists them). `clock` is how wrong its clock is, as `{"offset": "2.5s", "drift": "40ppm"}` (None: it
        runs by the world's time). Raises ValueError for a name or address in use, an unknown setting or a wrong value.
        """
        addresses = (address,) if isinstance(address, str) else tuple(address)
        if name in self.hosts:
            if addresses or network or link or settings or forwarding or clock or isolation:
                raise ValueError(f"there is a host {name!r} already")
            return self.hosts[name]
        self.isolation.check_complete()
        networks: list[str | None] = [network] if network is None or isinstance(network, str) else [*network]
        if (twice := repeated(name for name in networks if name)) is not None:
            raise ValueError(f"host {name!r} is on network {twice!r} twice")
        chosen = settings if settings is None or isinstance(settings, Settings) else apply_settings(settings)
        properties = clock if clock is None or isinstance(clock, ClockProperties) else clock_properties(clock)
        install.install()
        host = self.hosts[name] = Host(self, name, chosen, forwarding)
        host.isolation = None if isolation is None else check_mode(isolation)
        join_networks(host, networks, addresses, link)
        if properties is not None:
            host.use_clock(properties)
        if forwarding:
            self.topology.add_router(name)
        host.reconfigure()
        host.configure_itself()
        self.refresh_routes()
        return host

    def network(
        self,
        name: str,
        *prefixes: str,
        configure: str | Iterable[str] | AutoconfPlan = (),
        by: str | None = None,
        lifetime: float | str = 3600.0,
    ) -> None:
        """Add a network (a switch) with these subnets, or with one of each version when none is given.

        Hosts without addresses of their own get them by the protocols of `configure` (`"slaac"`, `"dhcp"`, `"dhcpv6"`)
        from the host `by`, or the first router, for `lifetime` seconds. Raises ValueError.
        """
        network = self.topology.add_network(name, prefixes)
        if isinstance(configure, AutoconfPlan) or configure:
            made = configure if isinstance(configure, AutoconfPlan) else autoconf_plan(configure, by, lifetime)
            self.services[name] = NetworkService(self, network, made)

    def nat(self, router: str | Host, **options: Any) -> None:
        """Have a router translate the IPv4 addresses of its other networks to its own on the network outside.

        Options are the keys of `[routers.NAME.nat]` (docs/worlds.md), as `outside="wan"`, `timeouts={"udp": "30s"}`,
        `mapping="address-and-port-dependent"`, `forward=["tcp 8080 -> web:80"]`. Raises ValueError.
        """
        self.use_nat(_name(router), parse_nat(options))

    def use_nat(self, router: str, plan: NatPlan) -> None:
        """As `nat`, by a plan."""
        self.isolation.check_change()
        host = self.hosts[self.topology.known(router)]
        host.use_nat(nat_config(self, host, plan))

    def link(self, a: str | Host, b: str | Host | None = None, **properties: Any) -> None:
        """Connect two hosts by a dedicated link, or, given one host, change its link to its networks.

        Properties are those of `LinkProperties`: `latency`, `jitter` in seconds, `loss`, `duplicate`, `reorder`,
        `corrupt` from 0 to 1, `rate` in bits per second, `queue`, `mtu`; texts with units (`"20ms"`, `"1%"`) will do.
        """
        self.isolation.check_change()
        chosen = link_properties(properties)
        if b is None:
            self.topology.change(_name(a), chosen)
        else:
            self.topology.link(_name(a), _name(b), chosen)
        self.refresh_routes()

    def partition(self, *groups: str | Host | Iterable[str]) -> None:
        """Partition hosts, or groups of hosts, from each other until `heal()`; a single group from all other hosts."""
        self.isolation.check_change()
        self.topology.partition(*(_name(group) if isinstance(group, (str, Host)) else list(group) for group in groups))

    def heal(self) -> None:
        """Remove all partitions."""
        self.isolation.check_change()
        self.topology.heal()

    def renumber(self, host: str | Host, addresses: str | Iterable[str] = (), *, keep: float = 0.0) -> None:
        """Give a host other addresses; the old ones stay, deprecated, for `keep` seconds (`Host.renumber`).

        Or give a network that configures its hosts other prefixes, by its name.
        """
        wanted = (addresses,) if isinstance(addresses, str) else tuple(addresses)
        name = _name(host)
        if name not in self.hosts and name in self.services:
            self.services[name].renumber(wanted, keep)
        else:
            self.hosts[self.topology.known(name)].renumber(wanted, keep=keep)

    def move(self, host: str | Host, network: str) -> None:
        """Take a host to another network: its link goes with it, its addresses do not.

        It gets others as it would there, in an instant or by the network's protocols. Raises ValueError for a
        router, or a host of several networks.
        """
        self.isolation.check_change()
        move_host(self.hosts[self.topology.known(_name(host))], network)

    def check_addresses(self, name: str, addresses: Iterable[str] = (), network: str | None = None) -> None:
        """ValueError if `renumber`, or `move` to this network, would raise it now."""
        if network is None:
            check_renumbering(self, name, tuple(addresses))
        else:
            check_move(self.hosts[self.topology.known(name)], network)

    def pause(self, host: str | Host) -> None:
        """Suspend a host until `resume`, as a laptop whose lid is closed (`Host.pause`)."""
        self.hosts[self.topology.known(_name(host))].pause()

    def resume(self, host: str | Host) -> None:
        """Wake a suspended host up."""
        self.hosts[self.topology.known(_name(host))].resume()

    def freeze(self, host: str | Host) -> None:
        """Stop the programs of a host until `thaw`, while its kernel goes on (`Host.freeze`)."""
        self.hosts[self.topology.known(_name(host))].freeze()

    def thaw(self, host: str | Host) -> None:
        """Let the programs of a frozen host go on."""
        self.hosts[self.topology.known(_name(host))].thaw()

    def at(self, when: float, action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call an action, such as `world.heal` or `host.crash`, with its arguments at virtual time `when` (seconds).

        It comes before all else that happens at that time; one for a time that has come already, when all that happens
        at the present one is over. Several for one time come in the order in which they were asked for.

        The world waits for `host.restart` and `host.run`, as it waits for programs that start later, but for no other
        action: its run ends when `run` says.
        """
        self.isolation.check_change()
        host = getattr(action, "__self__", None)
        starts = isinstance(host, Host) and action in (host.restart, host.run)
        if starts:
            self.expect(1)
        self.hub.call_between(when, self._act, partial(action, *args, **kwargs), starts)

    def _act(self, action: Callable[[], object], starts: bool) -> None:
        self.switcher.leave()
        action()
        if starts:
            self.expect(-1)

    def refresh_routes(self) -> None:
        """Give every stack the current routes; before a run this is put off until the run begins."""
        self._stale_routes = not self._running
        if self._running:
            for host in self.hosts.values():
                host.reconfigure()

    def addresses(self, name: str) -> list[Address]:
        """Return the addresses of a host, in the order of its devices; empty when there is no such host."""
        host = self.hosts.get(name)
        if host is None:
            return []
        return usable_addresses(host) if host.asking is None else list(host.asking.known)

    def generator(self, label: str) -> random.Random:
        """Return a random generator: seeded by the world's seed, or the machine's own for a world in real time.

        There its peers are real, and its ports and sequence numbers must not be predictable.
        """
        return random.SystemRandom() if self.is_real else random.Random(f"{self.seed}/{label}")

    # Running.

    @property
    def is_real(self) -> bool:
        """Whether it runs in real time."""
        return isinstance(self.hub.clock, RealClock)

    @property
    def now(self) -> float:
        """Seconds of virtual time since the world began."""
        return self.hub.now

    @property
    def finished(self) -> bool:
        """Whether every program that is not a service has ended and none is about to start."""
        return not self.ending.waits_for_programs()

    @property
    def over(self) -> bool:
        """Whether the last run was complete: all programs but services had ended, and then the world was quiet."""
        return self.ending.over

    def run(
        self, until: float | None = None, *, check: bool = True, complete: bool = False, deadlock: bool = True
    ) -> float:
        """Run until the world is over, or until virtual time `until`; return the time. May be called again to go on.

        It is over when every program that is no service has ended and, since then, for `quiet` seconds no packet
        crossed a link, no line was printed and no thread computed (`catenet.world.engine.ending`).

        Raises DeadlockError when nothing can ever happen again while programs wait (unless not `deadlock`: then time
        passes up to `until`); StillRunning, if `complete`, when programs that are no services have not ended at
        `until`; and, if `check`, ProcessFailed when a process ended with a status other than 0 (not those of crashed
        hosts).
        """
        if current.task is not None or self._running:
            raise RuntimeError("World.run cannot be called from within a world")
        if self.closing:
            raise RuntimeError("the world is closed")
        for service in self.services.values():
            service.check()
        self.ending.begin()
        self.isolation.go_on()
        with self._hub_running():
            more = self._advance(until)
            self.isolation.refresh()
            while not more and self.ending.end_when_idle() is None and threads_wake(self):
                more = self._advance(until)
        if not more:
            finish_idle(self, until, deadlock)
        if check:
            check_failures(self)
        if complete:
            check_finished(self)
        return self.hub.now

    def _advance(self, until: float | None) -> bool:
        """Run until the world is over or until `until`; return False when no event is left."""
        ending, hub = self.ending, self.hub
        while True:
            limit = ending.check_at if until is None else min(until, ending.check_at)
            if not hub.run(None if limit == NEVER else limit, idle=False):
                return False
            if self.interrupted or hub.now < ending.check_at:
                return True
            self.isolation.refresh()
            if ending.check():
                return True

    def _run_hub_to(self, when: float) -> None:
        """Run the hub up to a time that hosts elsewhere may have reached, if that is to come."""
        if when > self.hub.now:
            self._run_hub(when)

    def _run_hub(self, until: float) -> None:
        """Run the hub up to `until`, without deciding whether the world is over."""
        with self._hub_running():
            self.hub.run(until)

    @contextmanager
    def _hub_running(self) -> Iterator[None]:
        """Prepare the interpreter and the world for the hub, and restore both afterwards."""
        with prepared_interpreter():
            self._running = True
            self.interrupted = False
            if self._stale_routes:
                self.refresh_routes()
            self.switcher.begin()
            self.isolation.begin()
            try:
                with Interruptible(self):
                    yield
            finally:
                self._running = False
                self.switcher.leave()

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Deliver a signal to every process, as Ctrl-C at a terminal would."""
        self._run_hub_to(self.isolation.reached(self.now))
        self.stopping = True
        self.isolation.call("interrupt", int(number))
        for host in self.hosts.values():
            host.thaw()
            host.resume()
        for process in list(self.processes):
            process.deliver(number)

    def terminate(self, number: int = signal.SIGTERM, grace: float = 5.0) -> None:
        """Ask every process to end, give them `grace` seconds of virtual time, then kill the rest."""
        self.interrupt(number)
        self._run_hub(self.hub.now + grace)
        self.close()

    def close(self) -> None:
        """Kill every process that still runs and let it unwind."""
        if self.closing or self._running:
            return
        self.closing = True
        self.stopping = True
        alive = [process for process in self.processes if process.alive]
        self._run_hub_to(self.isolation.reached(self.now))
        self.isolation.call("kill")
        for process in alive:
            process.kill()
        if alive:
            self._run_hub(self.hub.now)
            self.garbage.collect()  # what they had open, once for all of them
        self.isolation.close()
        for process in self.processes:
            process.reap(wait=True)
        _open_worlds.pop(self, None)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What hosts and processes report.

    def expect(self, count: int) -> None:
        """Note that `count` more (or fewer) programs that are not services are about to start."""
        if not self.isolation.is_host:  # then the world's process notes it
            self.ending.expect(count)

    def process_started(self, process: Process) -> None:
        """Note that a process runs (called by its host)."""
        self.processes.append(process)
        _open_worlds[self] = None
        self.ending.started(process)

    def process_ended(self, process: Process) -> None:
        """Note that a process has ended (called by its host)."""
        self.switcher.remove_task()
        for callback in self.on_end:
            callback(process)
        self.ending.ended(process)
        if self.stopping and not self.ending.alive:
            self.hub.finish()

    def wait_for_threads(self) -> None:
        """Wait for threads of the interpreter, as it is done before a deadlock is called one."""
        wait_for_threads(self)


def _name(host: str | Host) -> str:
    return host.name if isinstance(host, Host) else host


def _close_all() -> None:
    for world in list(_open_worlds):
        world.close()


call_at_exit(_close_all)
