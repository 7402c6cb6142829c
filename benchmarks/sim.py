"""Simulated worlds: packets and virtual seconds per second of wall and processor time, beside ns-3 and simloop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import peers
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, interleave

PROGRAMS = Path(__file__).parent / "programs"
LIMIT = 600.0


def figures(*words: str, path: Path | None = None) -> dict[str, float]:
    """Run a simulator in its own process, with `path` ahead of installed modules; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(path)} if path is not None else None
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        raise Failed(f"no end within {LIMIT:.0f} s") from None
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return dict(json.loads(line))
    raise Failed(" ".join((done.stderr.strip().splitlines() or ["no figures"])[-1:]))


def catenet(*words: object) -> dict[str, float]:
    """One world of ours."""
    return figures(sys.executable, str(PROGRAMS / "catenet_world.py"), *map(str, words))


def compiled(*words: object) -> dict[str, float]:
    """One world of ours with the hot modules compiled by mypyc."""
    path = peers.built("compiled") / "src"
    return figures(sys.executable, str(PROGRAMS / "catenet_world.py"), *map(str, words), path=path)


def ns3(kind: str, hosts: int, seconds: float, rate: float, latency: float) -> dict[str, float]:
    """The same world on ns-3, which prints no processor time: it has one thread and waits for nothing."""
    program = str(peers.built("ns3"))
    told = figures(program, kind, str(hosts), str(seconds), f"{rate:.0f}bps", f"{latency * 1000:g}")
    return {**told, "processor": told["wall"]}


def simloop(*words: object) -> dict[str, float]:
    """A conversation on simloop."""
    python = str(peers.built("simloop") / "bin" / "python")
    return figures(python, str(peers.HERE / "simloop_world.py"), *map(str, words))


def loopback(loop: str, purpose: str, clients: int, count: int) -> dict[str, float]:
    """The same conversation on the kernel's loopback."""
    return figures(sys.executable, str(PROGRAMS / "loopback.py"), loop, purpose, str(clients), str(count))


def packet_rate(told: dict[str, float]) -> Sample:
    return {
        "packets": told["packets"] / told["wall"],
        "processor": told["packets"] / told["processor"],
        "speed": told["virtual"] / told["wall"],
        "count": told["packets"],
    }


PACKET_COLUMNS = [
    Column("packets", "packets/s"),
    Column("processor", "packets per CPU second"),
    Column("speed", "virtual s per s", 2),
    Column("count", "packets"),
]

PACKET_NOTE = """Hosts in pairs, each pair on a link of its own (latency 10 ms each way, queue of 1,000 packets). TCP:
one bulk connection a pair, 1,448-byte segments, both directions counted. UDP: 1,000-byte datagrams at half the link's
rate. The link's rate falls with the number of hosts so that all worlds carry about the same number of packets. On
Catenet the senders and receivers are ordinary blocking Python programs, and what they cost is in the figures; on ns-3
they are its own C++ applications. ns-3's TCP computes no checksums by default, nor does it hash a trace."""

WORLDS = ((2, 100e6, 10.0), (100, 10e6, 2.0), (1000, 1e6, 2.0))


def packet_tables(quick: bool, wanted: Callable[[str], bool]) -> list[Table]:
    tables: list[Table] = []
    for kind in ("tcp", "udp"):
        for hosts, rate, seconds in WORLDS:
            if quick:
                seconds /= 5
            rows = [
                Contender("Catenet", lambda a=(kind, hosts, seconds, rate, 0.01): packet_rate(catenet(*a))),  # type: ignore[misc]
                Contender("Catenet (mypyc)", lambda a=(kind, hosts, seconds, rate, 0.01): packet_rate(compiled(*a))),  # type: ignore[misc]
                Contender("ns-3", lambda a=(kind, hosts, seconds, rate, 0.01): packet_rate(ns3(*a))),  # type: ignore[misc]
            ]
            title = f"{kind.upper()}, {hosts:,} hosts, {rate / 1e6:g} Mbit/s a pair, {seconds:g} virtual s"
            tables.append(
                Table(
                    title, PACKET_COLUMNS, [row for row in rows if wanted(row.name)], PACKET_NOTE if not tables else ""
                )
            )
    return tables


def message_rate(count: float) -> Callable[[dict[str, float]], Sample]:
    def rate(told: dict[str, float]) -> Sample:
        return {"messages": count / told["wall"], "processor": count / told["processor"]}

    return rate


MESSAGE_COLUMNS = [Column("messages", "messages/s"), Column("processor", "messages per CPU second")]

MESSAGE_NOTE = """The same asyncio programs (benchmarks/programs/streams.py) on each. `echo`: 64 bytes there and back,
one at a time; a message is one of the two. `bulk`: writes of 1,460 bytes with drain, a message is one write. simloop
delivers what was written as it is; on Catenet every byte goes through TCP segments with loss recovery, congestion
control, checksums and a trace hash. The kernel's loopback is no simulation and runs in real time."""


def message_tables(quick: bool, wanted: Callable[[str], bool]) -> list[Table]:
    tables: list[Table] = []
    scale = 5 if quick else 1
    for purpose, clients, count in (("echo", 1, 10000), ("echo", 10, 1000), ("bulk", 1, 20000), ("bulk", 10, 2000)):
        count //= scale
        messages = clients * count * (2 if purpose == "echo" else 1)
        rate = message_rate(messages)
        work = (purpose, clients, count)
        rows = [
            Contender("Catenet", lambda w=work, r=rate: r(catenet(*w))),  # type: ignore[misc]
            Contender("Catenet (mypyc)", lambda w=work, r=rate: r(compiled(*w))),  # type: ignore[misc]
            Contender("simloop", lambda w=work, r=rate: r(simloop(*w))),  # type: ignore[misc]
            Contender("kernel, asyncio", lambda w=work, r=rate: r(loopback("asyncio", *w))),  # type: ignore[misc]
            Contender("kernel, uvloop", lambda w=work, r=rate: r(loopback("uvloop", *w))),  # type: ignore[misc]
        ]
        title = f"{purpose}, {clients} client{'s' if clients > 1 else ''}, {count:,} each"
        rows = [row for row in rows if wanted(row.name)]
        tables.append(Table(title, MESSAGE_COLUMNS, rows, MESSAGE_NOTE if not tables else ""))
    return tables


def other_tables(wanted: Callable[[str], bool]) -> list[Table]:
    """An idle hour, and TCP with large packets."""

    def spent(told: dict[str, float]) -> Sample:
        return {"wall": told["wall"], "processor": told["processor"]}

    idle = [
        Contender("Catenet, asyncio", lambda: spent(catenet("idle", 10, 3600))),
        Contender("Catenet (mypyc), asyncio", lambda: spent(compiled("idle", 10, 3600))),
        Contender("Catenet, blocking", lambda: spent(catenet("idle-blocking", 10, 3600))),
        Contender("Catenet (mypyc), blocking", lambda: spent(compiled("idle-blocking", 10, 3600))),
        Contender("simloop", lambda: spent(simloop("idle", 10, 3600))),
    ]

    def payload(told: dict[str, float]) -> Sample:
        return {"rate": told["bytes"] * 8 / told["wall"] / 1e9, "core": told["bytes"] * 8 / told["processor"] / 1e9}

    jumbo = [
        Contender(f"{name}, MTU {mtu}", lambda m=mtu, world=world: payload(world("jumbo", 0.2, m)))  # type: ignore[misc]
        for name, world in (("Catenet", catenet), ("Catenet (mypyc)", compiled))
        for mtu in (9000, 65535)
    ]
    columns = [Column("rate", "Gbit per wall second", 2), Column("core", "Gbit per CPU second", 2)]
    return [
        Table(
            "One idle virtual hour of 10 hosts, each of which sleeps a second 3,600 times",
            [Column("wall", "s", 3), Column("processor", "CPU s", 3)],
            idle,
        ),
        Table("TCP bulk with a large MTU, 10 Gbit/s link, 0.1 ms", columns, jumbo),
    ]


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure all worlds."""
    repetitions = repetitions or (1 if quick else 3)

    def wanted(name: str) -> bool:
        return not only or only.lower() in name.lower()

    tables = [*packet_tables(quick, wanted), *message_tables(quick, wanted), *other_tables(wanted)]
    for table in tables:
        table.contenders = [row for row in table.contenders if wanted(row.name)]
    tables = [table for table in tables if table.contenders]
    for table in tables:
        interleave(table.contenders, repetitions)
    versions = {
        "Catenet (mypyc)": peers.compiled_commit(),
        "ns-3 (Debian libns3-dev)": peers.package_version("libns3-dev"),
        "simloop": peers.SIMLOOP[9:],
    }
    summary = (
        "Worlds in one process each. A second is one of wall time; CPU seconds leave other work on the machine out."
    )
    return Report("sim", summary, tables, versions, repetitions)
