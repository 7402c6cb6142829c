"""Events of a world file that give hosts addresses, checked when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from catenet.stack.endpoint import Address
from catenet.wire.address import Prefix, format_address, parse_interface
from catenet.world.engine.configuring import NetworkService, check_move, check_renumbering
from catenet.world.scenario.tables import errors_at

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.scenario.worldfile import EventPlan
    from catenet.world.world import World

__all__ = ["check_events"]


def check_events(world: World, events: Iterable[EventPlan]) -> None:
    """Check events in order of time; `ValueError` at the line of one that cannot be when it comes."""
    checks = _Checks(world)
    for event in events:
        with errors_at(event.place):
            for name in event.groups[0] if event.action in ("renumber", "move") else ():
                if event.action == "move":
                    checks.move(name, event.network)
                else:
                    checks.renumber(name, event.addresses)


class _Checks:
    """Each event finds networks and hosts as those before it leave them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._prefixes: dict[str, list[Prefix]] = {}
        """What networks are given, the last first."""
        self._moved: dict[str, str] = {}

    def move(self, name: str, network: str) -> None:
        """A host moves to a network; ValueError if it cannot."""
        check_move(self._world.hosts[self._world.topology.known(name)], network)
        if self._networks(name) != [network]:
            self._moved[name] = network

    def renumber(self, name: str, texts: Sequence[str]) -> None:
        """A host or network gets other addresses or prefixes; ValueError if it cannot."""
        world = self._world
        if name not in world.hosts and name in world.services:
            prefixes = world.services[name].check_prefixes(texts)
            self._prefixes[name] = [*reversed(prefixes), *self._prefixes.get(name, ())]
            return
        networks = self._networks(world.topology.known(name))
        if not texts or not (name in self._moved or any(network in self._prefixes for network in networks)):
            check_renumbering(world, name, texts)
            return
        for text in texts:
            self._check(world.hosts[name], networks, parse_interface(text)[0])

    def _networks(self, name: str) -> list[str]:
        if name in self._moved:
            return [self._moved[name]]
        return [port.network.name for port in self._world.topology.ports_of(name)]

    def _check(self, host: Host, networks: list[str], address: Address) -> None:
        """ValueError if a host cannot get an address then; whether others have it then is not known."""
        for name in networks:
            later = self._prefixes.get(name, [])
            if any(address in prefix for prefix in (*later, *self._world.topology.networks[name].prefixes)):
                service = self._world.services.get(name)
                if service is not None and len(address) in service.plan.sizes and self._asks(host, service):
                    service.check_move(host, address, next((p for p in later if len(p.address) == len(address)), None))
                return
        raise ValueError(f"{format_address(address)} is in no network of {host.name}")

    def _asks(self, host: Host, service: NetworkService) -> bool:
        if host.name in self._moved:
            return host.name not in self._world.fixed
        return host.asking is not None and service in host.asking.services.values()
