"""Worlds whose hosts have processes of their own beside the same worlds in one process; many hosts beside two."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import connections, peers
from benchmarks.goals import Goal, summary
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, interleave
from benchmarks.sim import PROGRAMS, catenet, compiled, figures

SHARED = "shared"
BUILDS: dict[str, Callable[[], Path | None]] = {
    "Catenet": lambda: None,
    "Catenet (mypyc)": lambda: peers.built("compiled") / "src",
}
"""Where the package is, by name."""

WARM = 0.6
"""Virtual second from which packets of many hosts are measured: then all programs run."""

MODES = ((SHARED, 1), ("process", 1), ("process", 2))


def world(build: str, isolation: str, workers: int, *words: object) -> dict[str, float]:
    """One world in its own process; what it told."""
    kind, *numbers = words
    program = PROGRAMS / "isolated_world.py"
    told: Sequence[object] = (sys.executable, program, kind, isolation, workers, *numbers)
    return figures(*map(str, told), path=BUILDS[build]())


def label(build: str, isolation: str, workers: int) -> str:
    """Name of a row."""
    return f"{build}, {isolation}" + (f", {workers} at a time" if isolation != SHARED else "")


class Same:
    """Checks that all rows of a table come to the same packets."""

    def __init__(self) -> None:
        self._digest: object = None

    def measure(self, build: str, isolation: str, workers: int, words: Sequence[object]) -> Sample:
        """Run a world."""
        told = world(build, isolation, workers, *words)
        self._digest = self._digest or told["hash"]
        if told["hash"] != self._digest:
            raise Failed("other packets than the row above")
        packets = max(1.0, told["packets"])
        sample = {name: told[name] for name in ("wall", "processor", "world", "packets")}
        return sample | {"each": told["processor"] / packets * 1e6, "own": told["world"] / packets * 1e6}


PACKETS = [
    Column("processor", "CPU s", 2),
    Column("wall", "s", 2),
    Column("each", "CPU us a packet", 1),
    Column("own", "of the world's process", 1),
    Column("packets", "packets"),
]

PACKET_NOTE = """`shared`: one process for all hosts; `process`: one for each, of which one or two compute at a time.
CPU seconds are those of all processes, once the programs have started. All rows of a table carry the same packets at
the same times, by the hash of the trace."""


def packet_tables(quick: bool) -> list[Table]:
    """Conversations, apart and together."""
    scale = 10 if quick else 1
    hosts = 100 // scale
    kinds = (
        ("Echo, 2 hosts, 10 ms there and back", ("echo", 0.005, 5_000 // scale), MODES[:2]),
        (f"Bulk, {hosts} hosts in pairs, 10 ms, 10 Mbit/s a pair", ("bulk", hosts, 0.01, 10e6, 10), MODES),
        (f"No latency, bulk, {hosts // 5} hosts in pairs", ("bulk", hosts // 5, 0, 0, 20), MODES),
    )
    tables: list[Table] = []
    for title, words, modes in kinds:
        same = Same()
        rows = [
            Contender(label(build, *mode), partial(same.measure, build, *mode, words))
            for build in BUILDS
            for mode in modes
        ]
        tables.append(Table(title, PACKETS, rows, "" if tables else PACKET_NOTE))
    return tables


def life(build: str, hosts: int) -> Sample:
    """What a host costs whose program ends at once, beyond what that costs in a shared process."""
    told, none = world(build, "process", 1, "trivial", hosts), world(build, SHARED, 1, "trivial", hosts)
    return {"life": (told["life"] - none["life"]) / hosts * 1e3, "private": told["private"]}


def memory(build: str, hosts: int) -> Sample:
    """What the processes of hosts with a server and a client hold."""
    told = world(build, "process", 1, "memory", hosts)
    return {"private": told["private"], "total": told["all"] / 1024}


def host_tables(quick: bool) -> list[Table]:
    """What a host costs."""
    few, many = (10, 20) if quick else (20, 200)
    lives = [Contender(build, partial(life, build, few)) for build in BUILDS]
    held = [Contender(build, partial(memory, build, many)) for build in BUILDS]
    life_note = f"{few} hosts; from fork to end, beyond the same program in a shared process. The program is `-c pass`."
    memory_note = "A server and a client on each host; memory that a process does not share, when both have run."
    columns = [Column("private", "private MB a host", 1), Column("total", "GB of all", 2)]
    return [
        Table("A host, from fork to end", [Column("life", "CPU ms", 1), columns[0]], lives, life_note),
        Table(f"{many} hosts", columns, held, memory_note),
    ]


def pair_cost(run: Callable[..., dict[str, float]], kind: str, hosts: int, rate: float, seconds: float) -> Sample:
    """What a packet costs between hosts in one process, once programs run."""
    told = run(kind, hosts, WARM + seconds, rate, 0.01, WARM)
    return {"packet": told["processor"] / told["packets"] * 1e6}


def many_tables(quick: bool) -> list[Table]:
    """Packets of 1,000 hosts beside two."""
    scale = 5 if quick else 1
    tables: list[Table] = []
    for kind in ("tcp", "udp"):
        rows = [
            Contender(f"{name}, {hosts:,} hosts", partial(pair_cost, run, kind, hosts, rate, seconds / scale))
            for name, run in (("Catenet", catenet), ("Catenet (mypyc)", compiled))
            for hosts, rate, seconds in ((2, 100e6, 2.0), (1000, 1e6, 0.4))
        ]
        tables.append(Table(f"{kind.upper()} in one process", [Column("packet", "CPU us a packet", 1)], rows))
    tables[0].note = "The worlds of [sim](sim.md), after the starts of programs and connections."
    return tables


def parked(row: Contender, count: int, build: str) -> Sample:
    """Messages on connections of which most are parked, and on ten that are not."""
    return connections.measure(row, count, BUILDS[build]() is not None)


def parked_tables(quick: bool) -> list[Table]:
    """A message on a parked connection and on one that is not."""
    rows = []
    for build in BUILDS:
        row = Contender(build, dict)
        row.run = partial(parked, row, 2_000 if quick else 20_000, build)
        rows.append(row)
    columns = [Column("message", "CPU us a message, on any", 1), Column("few", "on ten in turn", 1)]
    return [Table("Messages among parked connections", columns, rows, "As in [connections](connections.md).")]


def goals() -> list[Goal]:
    """What was aimed at."""
    found = []
    for build in BUILDS:
        shared, one, two = (label(build, *mode) for mode in MODES)
        most = 1.8 if build == "Catenet" else 2.5
        found += [
            Goal(f"{build}: echo, isolated by shared, CPU time", "Echo", one, shared, "processor", most=most),
            Goal(f"{build}: bulk, isolated by shared, CPU time", "Bulk", two, shared, "processor"),
            Goal(f"{build}: bulk, two at a time by shared, time", "Bulk", two, shared, "wall", most=1.5),
            Goal(f"{build}: bulk, one at a time by two, time", "Bulk", one, two, "wall", least=1.6),
            Goal(
                f"{build}: no latency, isolated by shared, CPU time", "No latency", one, shared, "processor", most=2.0
            ),
            Goal(f"{build}: a host, CPU ms", "A host", build, "", "life", most=15.0),
            Goal(f"{build}: a host, private MB", "A host", build, "", "private", most=12.0),
            Goal(f"{build}: 200 hosts, GB", "200 hosts", build, "", "total", most=4.0),
        ]
        parking = ("Messages", build, build, "message")
        found.append(Goal(f"{build}: a message, parked by hot", *parking, most=1.5, their_key="few"))
        for kind in ("TCP", "UDP"):
            rows = f"{build}, 1,000 hosts", f"{build}, 2 hosts"
            found.append(Goal(f"{build}: {kind}, 1,000 hosts by two", kind, *rows, "packet", most=1.5))
    return found


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure all of it."""
    repetitions = repetitions or (1 if quick else 7)
    tables = [*packet_tables(quick), *host_tables(quick), *many_tables(quick), *parked_tables(quick)]
    for table in tables:
        table.contenders = [row for row in table.contenders if not only or only.lower() in row.name.lower()]
    tables = [table for table in tables if table.contenders]
    for table in tables:
        interleave(table.contenders, repetitions)
    told = summary(tables, goals())
    versions = {"Catenet (mypyc)": peers.compiled_commit()}
    text = (
        "Hosts in processes of their own beside the same worlds in one process, what a host costs, and what a packet "
        "costs where there are many hosts or connections."
    )
    return Report("isolation", text, [told, *tables], versions, repetitions)
