"""Random worlds of names: root, two top levels, ten zones, lossy links, partitions, a crash; what programs got.

`python -m tests.dns.worlds.random_names FIRST COUNT [--jobs N] [--table FILE]` runs seeds, shows how far it is, and
puts a table of what came of them between the marks of a file. It exits with 1 if an answer was wrong or an error late.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.long_runs import run_many

from catenet.world import World
from catenet.world.engine.runner import build_world
from catenet.world.scenario.worldfile import parse_world

TOPS = ("com", "net")
ZONES = 10
SERVERS = 7
CLIENTS = 3
QUESTIONS = 12
LASTS = 150.0
"""Seconds in which programs ask."""
LONGEST = 25.0
"""Seconds that a call may take: two attempts of five seconds, and three for a half that is missing (resolv.conf(5))."""


@dataclass
class Outcome:
    """What came of one world."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    packets: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass
class Made:
    """A world as a file, and what its names stand for."""

    text: str
    known: dict[str, list[str]]


def make(seed: int) -> Made:
    """The world of a seed."""
    chance = random.Random(f"names/{seed}")
    servers = [f"ns{number}" for number in range(SERVERS)]
    lines = ["[link]", f'latency = "{chance.choice((1, 5, 20))}ms"', f'loss = "{chance.choice((0, 1, 3, 8))}%"', ""]
    lines += ["[dns]", f"sign = {str(chance.random() < 0.7).lower()}", f'ttl = "{chance.choice((5, 30, 300))}s"']
    lines += [f"cache = {str(chance.random() < 0.5).lower()}", 'resolver = "resolver"', ""]
    lines += _zone(".", chance.sample(servers, 2))
    for top in TOPS:
        lines += _zone(f"{top}.", chance.sample(servers, 2))
    known: dict[str, list[str]] = {}
    for number in range(ZONES):
        zone = f"zone{number}.{TOPS[number % 2]}."
        lines += _zone(zone, chance.sample(servers, chance.choice((1, 2, 2))))
        addresses = [f"192.0.2.{10 * number + last}" for last in range(1, 1 + chance.choice((1, 1, 3)))]
        known[f"www.{zone}"] = addresses
        names = {"www": addresses}
        if chance.random() < 0.5:
            other = f"www.zone{chance.randrange(ZONES)}"
            target = f"{other}.{TOPS[int(other.removeprefix('www.zone')) % 2]}."
            names["alias"] = [target]
            known[f"alias.{zone}"] = [target]
        lines += [f'[dns.zones."{zone}".names]'] + [f"{name} = {json.dumps(each)}" for name, each in names.items()]
    lines += [f"[hosts.{name}]" for name in (*servers, "resolver", *(f"client{n}" for n in range(CLIENTS)))]
    lines += _accidents(chance, servers)
    for name, targets in known.items():
        if targets[0].endswith("."):
            known[name] = known[targets[0]]
    return Made("\n".join(lines) + "\n", known)


def _zone(name: str, hosts: Sequence[str]) -> list[str]:
    return [f'[dns.zones."{name}"]', f"hosts = {json.dumps(list(hosts))}"]


def _accidents(chance: random.Random, servers: Sequence[str]) -> Iterator[str]:
    """A crash, and partitions of which some cut clients off."""
    yield from ("[[events]]", f"at = {chance.uniform(5, 60):.3f}", f'crash = "{chance.choice(servers)}"')
    yield f"for = {chance.uniform(5, 60):.3f}"
    at = 0.0
    for _ in range(chance.choice((1, 2, 3))):
        at += chance.uniform(5, 30)
        lasts = chance.uniform(1, 20)
        cut = chance.sample([*servers, "resolver", "client0"], chance.choice((1, 2, 4)))
        yield from ("[[events]]", f"at = {at:.3f}", f"partition = [{json.dumps(cut)}]", f"for = {lasts:.3f}")
        at += lasts


def run(seed: int) -> Outcome:
    """Run the world of a seed."""
    made = make(seed)
    outcome = Outcome(seed)
    with World(seed, output=lambda host, stream, line: None) as world:
        build_world(parse_world(made.text.encode(), Path("world.toml")), world, lambda line: None)
        for number in range(CLIENTS):
            chance = random.Random(f"names/{seed}/{number}")
            world.hosts[f"client{number}"].run(_asking(chance, made.known, outcome), start=0.01)
        world.run(LASTS + QUESTIONS * LONGEST)
        outcome.packets = world.trace.records
    return outcome


def _asking(chance: random.Random, known: dict[str, list[str]], outcome: Outcome) -> Callable[[], None]:
    """A program that asks for names that exist and for some that do not."""

    def program() -> None:
        for _ in range(QUESTIONS):
            time.sleep(chance.uniform(0, 2 * LASTS / QUESTIONS))
            exists = chance.random() < 0.8
            name = chance.choice(list(known)) if exists else f"none.{chance.choice(list(known)).partition('.')[2]}"
            family = chance.choice((socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6))
            begun = time.monotonic()
            said, told = _judge(known.get(name), name, family)
            took = time.monotonic() - begun
            if said == "half":
                # glibc takes "no data" for IPv6 beside a failure for IPv4 for the answer; alone IPv4 is not denied.
                again, told = _judge(known.get(name), name, socket.AF_INET)
                said = said if again in ("right", "errors") else "wrong"
            outcome.longest = max(outcome.longest, took)
            outcome.counts[said] += 1
            outcome.counts["late"] += took > LONGEST
            if said == "wrong" or took > LONGEST:
                outcome.faults.append(f"seed {outcome.seed}, {begun:.3f} s: {name}: {told} after {took:.3f} s")

    return program


def _judge(addresses: list[str] | None, name: str, family: int) -> tuple[str, object]:
    """Ask for a name, which has these IPv4 addresses or does not exist: what the answer is, and the answer."""
    try:
        found = sorted(entry[4][0] for entry in socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM))
    except socket.gaierror as error:
        code = error.errno
        if code == socket.EAI_AGAIN:
            return "errors", error
        if code == socket.EAI_NONAME and addresses is None:
            return "denied", error
        if code == socket.EAI_NODATA and addresses is not None and family == socket.AF_INET6:
            return "denied", error
        half = addresses is not None and family == socket.AF_UNSPEC and code in (socket.EAI_NODATA, socket.EAI_NONAME)
        return "half" if half else "wrong", error
    right = addresses is not None and family != socket.AF_INET6 and found == sorted(addresses)
    return "right" if right else "wrong", found


# A thousand of them.


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What came of the worlds, as a table of Markdown."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts += outcome.counts
    asked = sum(counts[kind] for kind in ("right", "denied", "errors", "half", "wrong"))
    rows = [
        ("worlds (seeds)", f"{len(outcomes):,} ({outcomes[0].seed} to {outcomes[-1].seed})"),
        ("packets", f"{sum(outcome.packets for outcome in outcomes):,}"),
        ("calls of `getaddrinfo`", f"{asked:,}"),
        ("right addresses", f"{counts['right']:,}"),
        ("names that do not exist, or have no IPv6 address, denied", f"{counts['denied']:,}"),
        ("EAI_AGAIN: nobody could be asked", f"{counts['errors']:,}"),
        ("no data for IPv6 beside a failure for IPv4, which glibc calls no data", f"{counts['half']:,}"),
        ("wrong addresses, wrong denials, other errors", f"{counts['wrong']:,}"),
        (f"calls of more than {LONGEST:g} s", f"{counts['late']:,}"),
        ("longest call", f"{max(outcome.longest for outcome in outcomes):.1f} s"),
        ("wall time", f"{seconds:,.0f} s"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "random names", run, table))
