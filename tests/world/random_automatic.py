"""Random worlds of hosts that get their addresses from networks: losses, cuts, sleep, restarts, moves, renumberings.

`python -m tests.world.random_automatic FIRST COUNT` runs many, each with all hosts together, and with some of them in
processes of their own.
"""

from __future__ import annotations

import random
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.long_runs import run_many
from tests.world.any_order import use_any_order

from catenet.wire.address import Address, Prefix, is_link_local
from catenet.world import World

__all__ = ["Outcome", "run", "run_apart"]

NETWORKS = {"one": ("192.168.1.0/24", "fd01::/64"), "two": ("192.168.2.0/24", "fd02::/64")}
KINDS = (("slaac", "dhcp"), ("dhcpv6", "dhcp"), ("slaac", "dhcpv6", "dhcp"), ("dhcp", "slaac"))
TROUBLE = 600.0
"""Seconds of the world's time in which things happen."""
CALM = 700.0
"""Seconds after which everybody must have what the networks give: longer than any lease."""
HOSTS = 4


@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    packets: int = 0
    trace: str = ""
    addresses: int = 0
    """That hosts had at the end, all of them right."""
    faults: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    """What programs said, by host."""


def run(seed: int, *, in_any_order: bool = False, apart: Sequence[str] = (), workers: int = 1) -> Outcome:
    """Run a world, and see what every host has at its end.

    `in_any_order` asks hosts in a drawn order; those of `apart` have processes of their own.
    """
    chance = random.Random(seed)
    outcome = Outcome(seed)
    say = outcome.lines.append
    with World(seed, output=lambda host, _, line: say((host, line)), workers=workers) as world:
        if in_any_order:
            use_any_order(world, random.Random(seed))
        for name, prefixes in NETWORKS.items():
            world.network(name, *prefixes, configure=chance.choice(KINDS), lifetime=chance.choice((60, 300)))
        world.network("core", "10.9.0.0/24", "fd09::/64")
        for name in NETWORKS:
            world.host(f"{name}-gate", network=[name, "core"], forwarding=True)
        for number in range(HOSTS):
            host = world.host(f"host{number}", network=chance.choice([*NETWORKS]))
            host.run(_call_others, number, daemon=True)
        world.host("core", network="core").run(
            lambda: time.sleep(TROUBLE + CALM)
        )  # else the world were over when quiet
        for name in world.hosts:
            latency = chance.uniform(0.001, 0.2) if seed % 5 else 0.0
            world.link(name, latency=latency, loss=chance.choice((0, 0.05, 0.3)))
            world.hosts[name].isolation = "process" if name in apart else "shared"
        for number in range(12):
            _plan(world, chance, number)
        world.at(TROUBLE, _calm_down, world)
        try:
            world.run(TROUBLE + CALM, deadlock=False)
            outcome.addresses = len(_known(world)) if apart else _check(world)
        except Exception as error:
            outcome.faults.append(f"seed {seed}: {type(error).__name__}: {error}")
        outcome.trace = world.trace.hexdigest()
        world.isolation.take_figures()
        outcome.packets = sum(port.sent_packets for port in world.topology.ports)
    outcome.lines.sort(key=lambda line: line[0])  # of several hosts at one instant they come in any order
    return outcome


def run_apart(seed: int) -> Outcome:
    """Run a world with its hosts together, and with some, or all of them, in processes of their own."""
    together = run(seed)
    names = [*(f"host{number}" for number in range(HOSTS)), *(f"{name}-gate" for name in NETWORKS), "core"]
    apart = [name for name in names if seed % 3 == 0 or random.Random(f"{seed}/{name}/apart").random() < 0.6]
    found = run(seed, apart=apart or names, workers=1 + seed % 2)
    kinds = ("trace", "packets", "addresses", "lines", "faults")
    others = [kind for kind in kinds if getattr(found, kind) != getattr(together, kind)]
    if others:
        together.faults.append(f"seed {seed}, {' '.join(apart or names)} apart: other {', '.join(others)}")
    return together


def _call_others(number: int) -> None:
    """Look for others by their names, say which addresses they have, and send them something."""
    chance = random.Random(number)
    mine = socket.create_server(("", 7), family=socket.AF_INET6, dualstack_ipv6=True)
    mine.settimeout(0)
    while True:
        time.sleep(chance.uniform(1, 40))
        other = chance.choice([*(f"host{each}" for each in range(HOSTS)), "core"])
        try:
            found = sorted({each[4][0] for each in socket.getaddrinfo(other, 7)})
        except OSError as error:
            print(f"{time.monotonic():.6f} {other}: {error}")
            continue
        print(f"{time.monotonic():.6f} {other}: {' '.join(map(str, found))}")
        try:
            socket.create_connection((other, 7), timeout=5).close()
        except OSError as error:
            print(f"{time.monotonic():.6f} {type(error).__name__}")
        try:
            mine.accept()[0].close()
        except BlockingIOError:
            continue


def _plan(world: World, chance: random.Random, number: int) -> None:
    """Have something happen at a time."""
    host = f"host{chance.randrange(HOSTS)}"
    gate = f"{chance.choice([*NETWORKS])}-gate"
    network = chance.choice([*NETWORKS])
    start, length = chance.uniform(0, TROUBLE - 1), chance.uniform(1, 200)

    def begin_and_end(begin: Callable[[], object], end: Callable[[], object]) -> None:
        world.at(start, begin)
        world.at(min(start + length, TROUBLE - 0.5), end)

    match chance.randrange(6):
        case 0:
            begin_and_end(lambda: world.pause(host), lambda: world.resume(host))
        case 1:
            begin_and_end(world.hosts[host].crash, world.hosts[host].restart)
        case 2:
            begin_and_end(world.hosts[gate].crash, world.hosts[gate].restart)
        case 3:
            begin_and_end(lambda: world.partition(gate), world.heal)
        case 4:
            world.at(start, world.move, host, network)
        case _:
            prefixes = [f"192.168.{100 + number}.0/24", f"fd{50 + number}::/64"]
            world.at(start, world.renumber, network, prefixes)


def _calm_down(world: World) -> None:
    """No more losses: what is asked for from now on is answered."""
    world.heal()
    for name in world.hosts:
        world.link(name, latency="10ms")


def _check(world: World) -> int:
    """How many addresses hosts have; AssertionError if one is wrong, or missing."""
    owners: dict[Address, str] = {}
    for name, host in world.hosts.items():
        if not name.startswith("host"):
            continue
        (port,) = world.topology.ports_of(name)
        service = world.services[port.network.name]
        entries = [entry for entry in host.stack.interfaces[2].addresses if not is_link_local(entry.address)]
        assert all(entry.is_usable for entry in entries), (name, entries)
        assert {len(entry.address) for entry in entries} == {4, 16}, (name, entries)
        for entry in entries:
            newest = _newest(port.network.prefixes, len(entry.address))
            assert entry.address in newest, (name, entry, str(newest))
            assert owners.setdefault(entry.address, name) == name
            assert world.topology._owners[entry.address] is port, (name, entry)
        kinds = [entry.origin for entry in entries if len(entry.address) == 16]
        assert len(kinds) == len({"slaac", "dhcpv6"} & set(service.plan.protocols)), (name, entries)
    return len(owners)


def _known(world: World) -> list[Address]:
    """The addresses that hosts have, as others know."""
    return [each for name in world.hosts if name.startswith("host") for each in world.addresses(name)]


def _newest(prefixes: list[Prefix], size: int) -> Prefix:
    return next(prefix for prefix in prefixes if len(prefix.address) == size)


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The table of docs/long.md."""
    rows = (
        ("worlds (seeds)", f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})"),
        ("packets", f"{sum(each.packets for each in outcomes):,}"),
        ("right addresses at the end", f"{sum(each.addresses for each in outcomes):,}"),
        ("wrong or missing addresses, other errors", f"{sum(len(each.faults) for each in outcomes)}"),
        ("wall time", f"{seconds:,.0f} s"),
    )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "random addresses", run_apart, table))
