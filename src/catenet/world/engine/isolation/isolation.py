"""Which hosts of a world are run in processes of their own, and the one place where the world speaks of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from catenet.processors import processors
from catenet.world.engine.isolation.coordinator import Coordinator
from catenet.world.scenario.isolation import Mode, check_mode

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.world import World

__all__ = ["Isolation"]


class Isolation:
    """Of one world. Hosts are chosen, and their processes forked, when it runs for the first time."""

    def __init__(self, world: World, mode: str | None, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self._world = world
        self.mode: Mode = "shared" if mode is None else check_mode(mode)
        self.workers = workers or processors()
        self.stall: float | None = None
        """Seconds of real time after which a host's process ends in which a program stands still; None: never."""
        self.lost_programs = 0
        """Programs of which nothing was heard before the process of their host ended by itself."""
        self.is_host = False
        """Whether this is the process of a host."""
        self.tell_addresses: Callable[[float, Any], None] | None = None
        """How the process of a host tells the world's that it has other addresses."""
        self._begun = False
        self._coordinator: Coordinator | None = None

    @property
    def is_split(self) -> bool:
        """Whether any host is run by another process."""
        return self._coordinator is not None

    def cannot(self) -> str | None:
        """Why hosts of this world cannot have processes of their own; None if they can."""
        if self._world.is_real:
            return "a world in real time runs in one process"
        return None

    def begin(self) -> None:
        """Give hosts processes of their own, when a world begins to run."""
        if self._begun:
            return
        self._begun = True
        chosen = [host for host in self._world.hosts.values() if self._wants(host)]
        if not chosen:
            return
        if (reason := self.cannot()) is not None:
            raise ValueError(f"isolation 'process': {reason}")
        self._coordinator = Coordinator(self._world, chosen, self.workers)

    def _wants(self, host: Host) -> bool:
        if host.isolation is not None:
            return host.isolation == "process"
        programs = [service.program for service in host.services.values()]
        return self.mode == "process" and bool(programs) and not any(program.is_callable for program in programs)

    def check_complete(self) -> None:
        """RuntimeError once hosts have processes of their own, which know the world as it was then."""
        if self.is_split:
            raise RuntimeError("a world with isolated hosts is complete when it runs for the first time")

    def check_change(self) -> None:
        """RuntimeError where isolated hosts would not learn of a change: they make those that `World.at` was told."""
        if self.is_split and not self._world.hub.is_between:
            raise RuntimeError(
                "a world with isolated hosts is changed by what World.at was told before it ran for the first time"
            )

    def become_host(self) -> None:
        """Note that this is the process of a host."""
        self._coordinator = None
        self.is_host = True

    # What the world and its hosts tell and ask.

    def crashed(self, host: Host) -> None:
        """A host crashes."""
        if self._coordinator is not None:
            self._coordinator.crashed(host)

    def booted(self, host: Host) -> None:
        """A host has booted again after a crash."""
        if self._coordinator is not None:
            self._coordinator.booted(host)

    def announce(self, host: Host, when: float, told: Any) -> None:
        """Have all know at `when` what addresses a host has got, at the end of the round in which it has."""
        if self.tell_addresses is not None:
            self.tell_addresses(when, told)
        elif when > self._world.hub.now:
            self._world.hub.call_between_last(when, self._spread, host, told)
        else:
            self._spread(host, told)

    def _spread(self, host: Host, told: Any) -> None:
        """Tell all of addresses; a host's process hears it from the world's."""
        if self.is_host or host.asking is None:
            return
        host.asking.learn(told)
        if self._coordinator is not None:
            self._coordinator.tell("addresses", (host.name, told))

    def refresh(self) -> None:
        """Learn what decides whether the run is over."""
        if self._coordinator is not None:
            self._coordinator.refresh()

    def ask_waiting(self) -> None:
        """Learn what programs wait for."""
        if self._coordinator is not None:
            self._coordinator.ask_waiting()

    def real_threads_wake(self) -> bool:
        """Wait for real threads beside the programs; whether one has anything to do then."""
        return self._coordinator is not None and self._coordinator.real_threads_wake()

    def reached(self, now: float) -> float:
        """Time that no host has passed, `now` or later."""
        return now if self._coordinator is None else max(now, self._coordinator.reached)

    def interrupt(self) -> bool:
        """Note a signal that is to end the run, in its handler: hosts that do not answer have a while, then none.

        Returns whether hosts elsewhere are waited for, or the engine itself works, which then heeds the signal soon.
        """
        if self._coordinator is None:
            return False
        self._coordinator.interrupt()
        return self._world.switcher.locals.current_values.get("task") is None

    def go_on(self) -> None:
        """A run begins, or goes on after an interrupt."""
        if self._coordinator is not None:
            self._coordinator.go_on()

    def call(self, name: str, argument: Any = None) -> None:
        """Have all hosts elsewhere do something."""
        if self._coordinator is not None:
            self._coordinator.call(name, argument)

    def sockets_of(self, host: Host) -> Iterable[tuple[Any, ...]]:
        """Values of the rows of a host's sockets."""
        if self._coordinator is None:
            return []
        return [row for _, rows in self._coordinator.ask("sockets", host) for row in rows]

    def take_figures(self) -> None:
        """Learn what reports say."""
        if self._coordinator is not None:
            self._coordinator.take_figures()

    def collect(self) -> None:
        """Learn what was seen in hosts while they sent."""
        if self._coordinator is not None:
            self._coordinator.collect()

    def close(self) -> None:
        """End all processes, whose figures are taken before."""
        if self._coordinator is not None:
            self._coordinator.take_figures()
            self._coordinator.collect()
            self._coordinator.close()
            self._coordinator = None
