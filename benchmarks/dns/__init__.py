"""`python -m benchmarks dns`: a name server on one processor beside its peers, the load on the other.

All servers of a table run at once and wait, and are asked in turn; what counts is the processor time of a query,
because wall rates depend on what else the machine does.
"""

from __future__ import annotations

import contextlib
import random
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.peers import environment

from benchmarks.dns.servers import Site, start
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave, progress
from benchmarks.serving import LOAD_CPU, Running, find, start_all

HOT, ALL, MISSES = 10_000, 100_000, 30_000
AUTHORITIES = ("catenet", "compiled", "BIND", "NSD", "Knot")
RECURSIVE = ("catenet", "compiled", "BIND", "Unbound")
COST = Column("processor", "server's CPU, us a query", 2)
RATE = Column("rate", "queries/s")
LOST = Column("lost", "lost, %", 2)
SHOWN = {"catenet": "catenet, pure Python", "compiled": "catenet, compiled"}


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 7)
    seconds = 1.0 if quick else 1.5
    with tempfile.TemporaryDirectory(prefix="catenet-bench-dns-") as name:
        folder = Path(name)
        _prepare(folder)
        tables = _measure(folder, rounds, seconds, only)
    return Report(
        "dns",
        "A name server on one processor, dnsperf on the other (4 sockets or connections, 200 queries in "
        "flight). catenet runs on uvloop. " + _ratios(tables),
        tables,
        {name: _version(program) for name, program in (("BIND", "named"), ("Unbound", "unbound"), ("NSD", "nsd"),
                                                       ("Knot DNS", "knotd"), ("dnsperf", "dnsperf"))},
        rounds,
    )  # fmt: skip


def _prepare(folder: Path) -> None:
    import trustme

    pem = trustme.CA().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.bytes()
    (folder / "server.pem").write_bytes(pem)
    draw = random.Random(1)
    lines = ["$ORIGIN bench.lab.", "$TTL 3600", "@ SOA ns h 1 7200 3600 604800 300", "@ NS ns", "ns A 127.0.0.1"]
    lines += ["*.miss A 10.9.9.9", *(f"n{number} A 10.{number >> 8 & 255}.{number & 255}.1" for number in range(ALL))]
    (folder / "bench.zone").write_text("\n".join(lines) + "\n")
    for name, count in (("hot", HOT), ("all", ALL)):
        numbers = list(range(count))
        draw.shuffle(numbers)
        (folder / name).write_text("".join(f"n{number}.bench.lab A\n" for number in numbers))
    with (folder / "mixed").open("w") as file:
        for _ in range(20 * HOT):
            text = f"n{draw.randrange(HOT)}.bench.lab"
            file.write("".join(letter.upper() if draw.random() < 0.5 else letter for letter in text) + " A\n")


def _measure(folder: Path, rounds: int, seconds: float, only: str | None) -> list[Table]:
    kinds: list[tuple[str, str, str, str, tuple[str, ...]]] = [
        ("Authoritative, 10,000 names", "auth", "hot", "udp", AUTHORITIES),
        ("Authoritative, 100,000 names spread evenly", "auth", "all", "udp", AUTHORITIES),
        ("Authoritative, 10,000 names in random case (0x20)", "auth", "mixed", "udp", AUTHORITIES),
        ("Authoritative, over TLS", "auth", "hot", "dot", ("catenet", "compiled", "BIND", "NSD")),
        ("Authoritative, over HTTPS", "auth", "hot", "doh", ("catenet", "compiled", "BIND")),
        ("Cached, 10,000 names", "forward", "hot", "udp", RECURSIVE),
        ("Cached, 10,000 names in random case (0x20)", "forward", "mixed", "udp", RECURSIVE),
        ("Forwarded, each name asked for once", "forward", "", "udp", RECURSIVE),
        ("Cached, over TLS", "forward", "hot", "dot", RECURSIVE),
        ("Cached, over HTTPS", "forward", "hot", "doh", RECURSIVE),
    ]
    tables = []
    for role in ("auth", "forward"):
        with contextlib.ExitStack() as stack:
            site_folder = folder / role
            site_folder.mkdir()
            for name in ("bench.zone", "server.pem"):
                (site_folder / name).symlink_to(folder / name)
            site = Site(site_folder)
            if role == "forward":
                upstream = stack.enter_context(start("NSD", site, LOAD_CPU))
                site = Site(site_folder, upstream.ports["udp"])
            running = start_all(
                AUTHORITIES if role == "auth" else RECURSIVE, SHOWN, only, partial(start, site=site), stack
            )
            for title, of, words, mode, names in kinds:
                if of != role:
                    continue
                progress(title)
                rows = [
                    Contender(SHOWN.get(name, name), _asked(running[name], folder, words, mode, seconds, name))
                    for name in names
                    if name in running
                ]
                interleave(rows, rounds)
                tables.append(Table(title, [COST, RATE, LOST], rows, first="server"))
    return tables


def _asked(
    running: Running | str, folder: Path, words: str, mode: str, seconds: float, name: str
) -> Callable[[], Sample]:
    """A measurement of one server; before the first one every name is asked for once, but where names are new."""
    turns = iter(range(1_000_000))

    def measure() -> Sample:
        if isinstance(running, str):
            raise Unavailable(running)
        turn = next(turns)
        if words:
            data, much = folder / words, ["-l", str(seconds)]
            if not turn:
                by_dnsperf(running, mode, data, ["-n", "1"])
        else:
            data, much = folder / f"miss-{name}", ["-n", "1"]
            data.write_text("".join(f"{name}{turn}x{number}.miss.bench.lab A\n" for number in range(MISSES)))
        return by_dnsperf(running, mode, data, much)

    return measure


def _load(running: Running, words: list[str]) -> tuple[str, float]:
    """Run a program on the processor of the load; what it prints, and the processor time of the server meanwhile."""
    before = running.processor()
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CPU), *words], capture_output=True, text=True, timeout=120, env=environment()
    )
    used = running.processor() - before
    if done.returncode:
        raise Failed(" ".join((done.stderr or done.stdout).split()[-12:]))
    return done.stdout, used


def by_dnsperf(running: Running, mode: str, data: Path, much: list[str]) -> Sample:
    words = [find("dnsperf"), "-s", "127.0.0.1", "-p", str(running.ports[mode]), "-m", mode, "-d", str(data)]
    shown, used = _load(running, [*words, "-c", "4", "-q", "200", "-T", "1", *much])
    found = re.search(r"Queries sent:\s+(\d+)\n\s*Queries completed:\s+(\d+)", shown)
    rate = re.search(r"Queries per second:\s+([\d.]+)", shown)
    if found is None or rate is None or not int(found[2]):
        raise Failed(" ".join(shown.split()[-12:]))
    if failed := re.search(r"(SERVFAIL|REFUSED|NXDOMAIN) \d+ \([\d.]+%\)", shown):
        raise Failed(failed[0])
    sent, completed = int(found[1]), int(found[2])
    return {"processor": used / completed * 1e6, "rate": float(rate[1]), "lost": 100 * (sent - completed) / sent}


def _ratios(tables: list[Table]) -> str:
    """How many queries ours answers for each of BIND's with the same processor time."""
    lines = []
    for table in tables:
        costs = {
            row.name: statistics.median(sample["processor"] for sample in row.samples)
            for row in table.contenders
            if row.samples
        }
        if "BIND" in costs:
            ours = [
                f"{costs['BIND'] / costs[name]:.2f}{' compiled' if name == SHOWN['compiled'] else ''}"
                for name in SHOWN.values()
                if name in costs
            ]
            if ours:
                lines.append(f"{table.title}: {', '.join(ours)}")
    return "Queries for each of BIND's with the same processor time: " + "; ".join(lines) + "." if lines else ""


def _version(name: str) -> str:
    options = {"named": "-v", "unbound": "-V", "nsd": "-v", "knotd": "-V", "dnsperf": "-h"}
    try:
        done = subprocess.run([find(name), options[name]], capture_output=True, text=True, env=environment())
    except Unavailable:
        return "not installed"
    found = re.search(r"\d+\.\d+(?:\.\d+)?\S*", done.stdout + done.stderr)
    return found[0] if found else "unknown"
