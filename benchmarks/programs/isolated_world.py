"""Worlds of the `isolation` benchmark: `isolated_world.py KIND ISOLATION WORKERS NUMBERS...`, each in its own process.

Prints one line of JSON. Seconds of processor are those of the world's process and of all hosts' together: `processor`
once programs have started, `life` from before the hosts' processes are forked until they have ended.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from pathlib import Path

from catenet.link.properties import LinkProperties
from catenet.world import World

HERE = Path(__file__).parent
APART = "apart.py"


def echo(world: World, latency: float, count: float) -> None:
    """A server and a client, a link between them."""
    for name in ("server", "client"):
        world.host(name, link=LinkProperties(latency=latency / 2))
    world.host("server").run(f"{APART} serve", daemon=True)
    world.host("client").run(f"{APART} echo server {count:.0f}", start=1.0)


def bulk(world: World, hosts: float, latency: float, rate: float, blocks: float) -> None:
    """Hosts in pairs, each pair on a link of its own, one connection a pair; no rate is one without end."""
    usual = LinkProperties(latency=latency / 2)
    for number in range(int(hosts) // 2):
        left, right = (world.host(f"{side}{number}", link=usual) for side in ("left", "right"))
        if rate:
            world.link(left, right, latency=latency, rate=rate)
        else:
            world.link(left, right, latency=latency)
        right.run(f"{APART} sink")
        left.run(f"{APART} bulk {right.name} {blocks:.0f}", start=1.0)


def trivial(world: World, hosts: float) -> None:
    """Hosts whose programs end at once."""
    for number in range(int(hosts)):
        world.host(f"host{number}").run("-c pass")


def memory(world: World, hosts: float) -> None:
    """Hosts in pairs, of which each has a server; each asks its neighbour once, and all are there at the end."""
    for number in range(int(hosts)):
        world.host(f"host{number}")
    for number in range(int(hosts)):
        host = world.hosts[f"host{number}"]
        host.run(f"{APART} serve", daemon=True)
        host.run(f"{APART} echo host{(number + 1) % int(hosts)} 1", start=1.0)


CONVERSATIONS = {each.__name__: each for each in (echo, bulk)}
KINDS = CONVERSATIONS | {each.__name__: each for each in (trivial, memory)}
BEGUN = 0.5
"""Virtual second at which servers run and clients are about to start."""


def children() -> list[Path]:
    """What the kernel tells of each process of a host."""
    own = os.getpid()
    return [Path("/proc") / child for child in Path(f"/proc/{own}/task/{own}/children").read_text().split()]


def private_memory() -> list[float]:
    """MB that no other process shares, of each process of a host."""
    found = []
    for child in children():
        lines = (child / "smaps_rollup").read_text().splitlines()
        found.append(sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024)
    return found


def processor() -> float:
    """Seconds of this process, of its children and of those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = sum(int((child / "schedstat").read_text().split()[0]) for child in children())
    return time.process_time() + ended.ru_utime + ended.ru_stime + running / 1e9


def main() -> None:
    kind, isolation, workers, *words = sys.argv[1:]
    world = World(seed=1, directory=HERE, isolation=isolation, workers=int(workers), quiet=0)
    KINDS[kind](world, *map(float, words))
    gc.collect()
    began = processor()
    with world:
        if kind in CONVERSATIONS:
            world.run(until=BEGUN)
        before, started, spent, own = world.trace.records, time.perf_counter(), processor(), time.process_time()
        world.run()
        wall, spent, own = time.perf_counter() - started, processor() - spent, time.process_time() - own
        private, packets = private_memory(), (world.trace.records - before) // 2
    figures = {
        "wall": wall,
        "processor": spent,
        "world": own,
        "life": processor() - began,
        "packets": packets,
        "private": sum(private) / len(private) if private else 0.0,
        "all": sum(private),
        "hash": world.trace.hexdigest(),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
