"""Random worlds made and run in other orders: the trace is the same.

A world of a seed is a list of steps: networks, hosts, links, programs, accidents. They are taken as they come, and
once more in an order that is drawn (what belongs to one host keeps its own), with hosts that have their turns in any
order (`any_order.py`). Everything begins at multiples of 10 ms and most links have latencies of whole milliseconds or
none, so much happens at one instant.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from tests.long_runs import run_many
from tests.world.any_order import use_any_order

from catenet.world import World

STREAM, TASKS, DATAGRAMS, ALL = 9000, 9001, 5353, 9999
UNTIL = 2.0
SIZES = (1, 100, 100, 2000, 9000)

LINKS: dict[str, tuple[Any, ...]] = {
    "latency": (0.0, 0.0, 0.001, 0.001, 0.01),
    "rate": (None, None, None, 1e6, 10e6),
    "jitter": (0.0, 0.0, 0.0, 0.002),
    "loss": (0.0, 0.0, 0.03, 0.2),
    "duplicate": (0.0, 0.0, 0.0, 0.2),
    "reorder": (0.0, 0.0, 0.0, 0.2),
    "corrupt": (0.0, 0.0, 0.0, 0.05),
    "queue": ("droptail", "droptail", "droptail 5 packets", "codel", "fq_codel", "dualpi2"),
}


@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    packets: int
    lost: int
    ended: float
    faults: list[str] = field(default_factory=list)


# Programs.


def serve() -> None:
    with socket.create_server(("", STREAM)) as listener:
        while True:
            threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()


def answer(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while data := connection.recv(4096):
            connection.sendall(data)


def serve_in_tasks() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(answer, "0.0.0.0", TASKS) as server:
            await server.serve_forever()

    asyncio.run(main())


def return_datagrams() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::", DATAGRAMS))
        while True:
            with suppress(OSError):
                receiver.sendto(*receiver.recvfrom(10_000))


def hear_all() -> None:
    """Answers what is sent to everybody, so that many send to one at the same instant."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("", ALL))
        while True:
            data, peer = receiver.recvfrom(2000)
            with suppress(OSError):
                receiver.sendto(data[::-1], peer)


SERVICES = (serve, serve_in_tasks, return_datagrams, hear_all)


def converse(peer: str, sizes: Sequence[int], pause: float) -> None:
    with suppress(OSError), socket.create_connection((peer, STREAM), 1.0) as connection:
        for size in sizes:
            connection.sendall(bytes(size))
            while size > 0 and (got := len(connection.recv(4096))):
                size -= got
            time.sleep(pause)


def converse_in_tasks(peer: str, sizes: Sequence[int], pause: float) -> None:
    async def one(size: int) -> None:
        reader, writer = await asyncio.open_connection(peer, TASKS)
        writer.write(bytes(size))
        await reader.readexactly(size)
        await asyncio.sleep(pause)
        writer.close()

    async def main() -> None:
        tasks = [asyncio.wait_for(one(size), 1.0) for size in sizes]
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())


def send_datagrams(peer: str, sizes: Sequence[int], pause: float) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.05)
        for size in sizes:
            with suppress(OSError):
                sender.sendto(random.randbytes(size), socket.getaddrinfo(peer, DATAGRAMS, socket.AF_INET6)[0][4])
                sender.recv(10_000)
            time.sleep(pause)


def tell_all(peer: str, sizes: Sequence[int], pause: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.settimeout(0.05)
        for _ in sizes:
            with suppress(OSError):
                sender.sendto(random.randbytes(50), ("255.255.255.255", ALL))
                while sender.recv(100):
                    pass
            time.sleep(pause)


CLIENTS = (converse, converse, converse_in_tasks, send_datagrams, tell_all)


# Worlds.

Step = Callable[[World], object]


class Plan:
    """The steps of a seed; those of one list keep their order, those of one phase do not."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        count = chance.choice((1, 1, 2, 3))
        self.networks = [f"net{number}" for number in range(count)]
        self.phases: list[list[list[Step]]] = []
        self.phases.append([[_network(name, f"10.{n}.0.0/24", f"fd0{n}::/64")] for n, name in enumerate(self.networks)])
        self.names: list[str] = []
        self._hosts(count)
        self._links()
        self._programs()
        self._accidents()

    def _hosts(self, count: int) -> None:
        steps: list[list[Step]] = []
        for number in range(self.chance.randrange(3, 6)):
            home = self.chance.randrange(count)
            name = "edcba"[number]
            self.names.append(name)
            steps.append([_host(name, [home], number + 10)])
        for number in range(count - 1):  # two ways from each network to the next, now and then
            for twin in range(self.chance.choice((1, 1, 2))):
                name = f"{'yz'[twin]}{number}"
                steps.append([_host(name, [number, number + 1], 100 + twin + 2 * number, forwarding=True)])
                self.names.append(name)
        self.phases.append(steps)

    def _links(self) -> None:
        chance = self.chance
        steps: list[list[Step]] = [[_link(name, _chosen(chance))] for name in self.names if chance.random() < 0.8]
        if len(self.networks) == 1 and chance.random() < 0.5:
            steps.append([_link(*chance.sample(self.names, 2), _chosen(chance))])
        self.phases.append(steps)

    def _programs(self) -> None:
        chance, steps = self.chance, []
        hosts = [name for name in self.names if len(name) == 1]
        for name in hosts:
            likely = 1.0 if name is hosts[0] else 0.3
            own: list[Step] = [_run(name, service, daemon=True) for service in SERVICES if chance.random() < likely]
            for _ in range(chance.randrange(1, 3)):
                sizes = [chance.choice(SIZES) for _ in range(chance.randrange(1, 6))]
                pause, start = chance.choice((0.0, 0.01, 0.1)), chance.choice((0.0, 0.01, 0.01, 0.5))
                peer = hosts[0] if chance.random() < 0.6 else chance.choice(hosts)
                own.append(_run(name, chance.choice(CLIENTS), peer, sizes, pause, start=start))
            steps.append(own)
        steps[0].append(_run(hosts[0], time.sleep, 1.0))
        self.phases.append(steps)

    def _accidents(self) -> None:
        chance = self.chance
        steps: list[list[Step]] = []
        times = chance.sample([n / 100 for n in range(1, 101)], 12)
        for _ in range(chance.choice((0, 1, 2, 3))):
            begin, end = sorted((times.pop(), times.pop()))
            name = chance.choice(self.names)
            match chance.randrange(6):
                case 0:
                    steps += [[_at(begin, World.link, name, **_chosen(chance))]]
                case 1:
                    steps += [[_at(begin, World.partition, name)], [_at(end, World.heal)]]
                case 2:
                    steps += [[_at_host(begin, name, "crash")], [_at_host(end, name, "restart")]]
                case 3:
                    steps += [[_at(begin, World.pause, name)], [_at(end, World.resume, name)]]
                case 4:
                    steps += [[_at(begin, World.freeze, name)], [_at(end, World.thaw, name)]]
                case _:
                    steps += [[_at_host(begin, name, "restart")]]
        self.phases.append(steps)

    def make(self, world: World, draw: random.Random | None) -> None:
        """Take the steps, as they come or in an order that is drawn."""
        for phase in self.phases:
            lists = [list(steps) for steps in phase]
            while lists:
                steps = lists[0] if draw is None else draw.choice(lists)
                steps.pop(0)(world)
                lists = [each for each in lists if each]


def _chosen(chance: random.Random) -> dict[str, Any]:
    return {name: chance.choice(values) for name, values in LINKS.items()}


def _network(name: str, *prefixes: str) -> Step:
    return lambda world: world.network(name, *prefixes)


def _host(name: str, homes: list[int], number: int, *, forwarding: bool = False) -> Step:
    addresses = [text for home in homes for text in (f"10.{home}.0.{number}", f"fd0{home}::{number}")]
    networks = [f"net{home}" for home in homes]
    return lambda world: world.host(name, addresses, network=networks, forwarding=forwarding)


def _link(*words: Any) -> Step:
    *names, properties = words
    return lambda world: world.link(*names, **properties)


def _run(name: str, program: Callable[..., object], *args: object, **options: Any) -> Step:
    return lambda world: world.hosts[name].run(program, *args, **options)


def _at(when: float, action: Callable[..., object], *args: object, **options: Any) -> Step:
    return lambda world: world.at(when, partial(action, world, *args, **options))


def _at_host(when: float, name: str, action: str) -> Step:
    return lambda world: world.at(when, getattr(world.hosts[name], action))


Told: TypeAlias = tuple[str, float, int, list[tuple[float, str, str]], int]
"""Hash of the trace, when the world ended, packets, what its hosts printed (by time and host), packets lost."""


def told(seed: int, order: int | None = None, *, apart: bool = False, workers: int = 1) -> Told:
    """Run the world of a seed; with its hosts apart, each in a process of its own, so many at a time."""
    world = World(seed, output=lambda host, _, line: lines.append((world.now, host, line)), workers=workers)
    lines: list[tuple[float, str, str]] = []
    draw = None if order is None else random.Random(f"{seed}/{order}")
    Plan(seed).make(world, draw)
    if draw is not None:
        use_any_order(world, draw)
    for host in world.hosts.values() if apart else ():
        host.isolation = "process"
    with world:
        world.run(UNTIL, check=False)
        trace = world.trace.hexdigest()
        lost = sum(link.counters.dropped for _, link in world.topology.links())
        return trace, world.now, world.trace.records, sorted(lines, key=lambda x: x[:2]), lost


def run(seed: int) -> Outcome:
    """Run one world twice."""
    usual, other = told(seed), told(seed, 1)
    outcome = Outcome(seed, usual[2], usual[4], usual[1])
    if other != usual:
        outcome.faults.append(f"seed {seed}: {other[:3]} in another order, not {usual[:3]}")
    return outcome


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The table of docs/long.md."""
    rows = (
        ("worlds (seeds)", f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})"),
        ("packets", f"{sum(each.packets for each in outcomes):,}"),
        ("lost", f"{sum(each.lost for each in outcomes):,}"),
        ("other traces, ends or output in another order", f"{sum(len(each.faults) for each in outcomes)}"),
        ("wall time", f"{seconds:,.0f} s"),
    )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "random orders", run, table))
