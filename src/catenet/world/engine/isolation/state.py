"""What the world's process takes over from that of a host: figures for reports, and what outlives a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catenet.link.simulated import Counters, SimulatedLink
from catenet.world.engine.configuring import Asking
from catenet.world.engine.hub import Call
from catenet.world.engine.programs import Programs

if TYPE_CHECKING:
    from catenet.world.engine.host import Host
    from catenet.world.network.links import Port
    from catenet.world.world import World

__all__ = ["Baseline", "adopt", "adopt_memory", "memory_of", "owner_of", "pending_starts"]

NUMBERS: Final = ("packets", "bytes", "duplicated", "reordered", "corrupted", "marked")


def _figures(counters: Counters) -> tuple[tuple[int, ...], dict[str, int]]:
    return tuple(getattr(counters, name) for name in NUMBERS), dict(counters.drops)


def _add(counters: Counters, numbers: tuple[int, ...], drops: dict[str, int]) -> None:
    for name, number in zip(NUMBERS, numbers, strict=True):
        setattr(counters, name, getattr(counters, name) + number)
    for cause, count in drops.items():
        counters.drops[cause] = counters.drops.get(cause, 0) + count


class Baseline:
    """Figures of links and ports when they were told last: a host counts at links at which others count too."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host
        self._links: dict[int, tuple[tuple[int, ...], dict[str, int]]] = {}
        self._sent: list[tuple[int, int]] = []
        self._begin()

    def _counters(self) -> dict[str, Counters]:
        """Every set of counters of links and ports, by names that are the same in all processes."""
        topology = self._world.topology
        found = {f"{port.index}^": port.up.counters for port in topology.ports}
        found |= {f"{port.index}v": port.down.counters for port in topology.ports}
        found |= {f"{port.index}-": port.undeliverable for port in topology.ports}
        return found | {f"{one}>{other}": link.counters for (one, other), link in topology.dedicated.items()}

    def _begin(self) -> None:
        self._before = {name: _figures(counters) for name, counters in self._counters().items()}
        self._sent = [(port.sent_packets, port.sent_bytes) for port in self._ports()]

    def _ports(self) -> list[Port]:
        return self._world.topology.ports_of(self._host.name)

    def tell(self) -> dict[str, Any]:
        """The host's figures, and how those of links have grown since they were told last."""
        host = self._host
        grown = {}
        for name, counters in self._counters().items():
            now, before = _figures(counters), self._before.get(name, ((0,) * len(NUMBERS), {}))
            if now != before:
                causes = {*now[1], *before[1]}
                drops = {cause: now[1].get(cause, 0) - before[1].get(cause, 0) for cause in sorted(causes)}
                grown[name] = (tuple(a - b for a, b in zip(now[0], before[0], strict=True)), drops)
        ports = self._ports()
        sent = [
            (port.sent_packets - packets, port.sent_bytes - size)
            for port, (packets, size) in zip(ports, self._sent, strict=True)
        ]
        told = {
            "grown": grown,
            "sent": sent,
            "traces": [port.trace.figures() for port in ports if port.trace is not None],
            "counters": host.counters(),
            "drops": host.drops(),
        }
        self._begin()
        return told


def adopt(world: World, host: Host, told: dict[str, Any]) -> None:
    """Take over what `Baseline.tell` has told."""
    counters = Baseline(world, host)._counters()
    for name, (numbers, drops) in told["grown"].items():
        if name in counters:
            _add(counters[name], numbers, drops)
    for port, (packets, size) in zip(world.topology.ports_of(host.name), told["sent"], strict=True):
        port.sent_packets += packets
        port.sent_bytes += size
        if port.undeliverable.drops:
            port.undeliverable.drops = {cause: count for cause, count in port.undeliverable.drops.items() if count}
    for port, figures in zip(world.topology.ports_of(host.name), told["traces"], strict=True):
        world.trace.at(port.outbox.place).adopt(*figures)
    host.past_counters, host.past_drops = told["counters"], told["drops"]


def memory_of(world: World, host: Host) -> dict[str, Any]:
    """What outlives the crash of a host that has just lost power."""
    ports = world.topology.ports_of(host.name)
    paths = [
        {key: path.last_arrival() for key, path in port.paths.items() if path.last_arrival() > world.hub.now}
        for port in ports
    ]
    return {
        "links": [link.memory() for link in world.topology.links_up(host.name)],
        "paths": paths,
        "pid": host.next_pid,
        "descriptor": host.kernel.next_descriptor,
        "restarts": [service.restarts for service in host.services.values()],
        "clock": (host.wall.origin, host.wall.epoch),
        "leases": [service.memory() for service, _ in host.serving],
    }


def adopt_memory(world: World, host: Host, memory: dict[str, Any]) -> None:
    """Take over what `memory_of` has told."""
    links: list[SimulatedLink] = world.topology.links_up(host.name)
    for link, told in zip(links, memory["links"], strict=True):
        link.remember(told)
    for port, paths in zip(world.topology.ports_of(host.name), memory["paths"], strict=True):
        for key, last in paths.items():
            half = len(key) // 2
            path = port.network.find_path(port, key[:half], key[half:])
            if not isinstance(path, str):
                path.latest = path.earliest = last
                port.paths[key] = path
    host.next_pid, host.kernel.next_descriptor = memory["pid"], memory["descriptor"]
    for service, restarts in zip(host.services.values(), memory["restarts"], strict=True):
        service.restarts = restarts
    host.wall.origin, host.wall.epoch = memory["clock"]
    for (network, _), leases in zip(host.serving, memory["leases"], strict=True):
        network.remember(leases)


def owner_of(event: object) -> object:
    """The object whose method a call of the hub is; the host, for a call of what belongs to it."""
    owner = getattr(event.callback, "__self__", None) if isinstance(event, Call) else None
    return owner.host if isinstance(owner, Programs | Asking) else owner


def pending_starts(host: Host) -> list[tuple[float, bool]]:
    """When programs of a host are going to start, and whether each is a declared service."""
    held = [(host.hub.now, declared) for declared in host.programs.held()]
    return held + [
        (when, event.args[0].declared is True)
        for when, _, event in host.hub.heap
        if isinstance(event, Call) and owner_of(event) is host and getattr(event.callback, "__name__", "") == "_start"
    ]
