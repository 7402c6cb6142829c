"""`python -m benchmarks dns.cold`: recursion that begins with nothing, beside Unbound; what a full cache takes.

The hierarchy is private: one NSD each has the root, a top level and its zones, all signed, on loopback addresses of a
network namespace of this benchmark (which needs root). Each name is asked for once, and each is in a zone that nobody
has asked for, so that every answer takes a referral and, validated, a DS set, which comes with it, and a DNSKEY set.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.dns import COST, LOST, RATE, by_dnsperf
from benchmarks.dns.servers import answers
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave, progress
from benchmarks.serving import LOAD_CPU, SERVER_CPU, Running, find, running

ZONES = 5_000
AUTHORITIES = "127.0.0.2", "127.0.0.3", "127.0.0.4"
"""Of the root, the top level, and the zones below it. One server for parent and child would never refer."""
CLONE_NEWNET = 0x4000_0000
FILL, QUICK_FILL = 1_000_000, 100_000
PORT = 5300
READY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0%s\0\0\2\0\1"
"""NS, of a name."""
APEXES = b"", b"\3lab", b"\2z0\3lab"
BYTES = Column("bytes", "bytes an entry")
SECONDS = Column("seconds", "us an entry", 2)


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 5)
    tables = [_cold_table(validated, quick, rounds, only) for validated in (False, True)]
    fill = QUICK_FILL if quick else FILL
    rows = [Contender("catenet, pure Python", lambda: _filled(fill))]
    interleave(rows, 1)
    tables.append(Table(f"A cache of {fill:,} names with an address", [BYTES, SECONDS], rows, first="server"))
    note = "From a private root, each name in a zone of its own; one processor for the server, one for NSD and dnsperf."
    return Report("dns.cold", note, tables, {}, rounds)


def _cold_table(validated: bool, quick: bool, rounds: int, only: str | None) -> Table:
    count = ZONES // 10 if quick else ZONES
    title = f"{count:,} cold names, {'validated' if validated else 'not validated'}"
    progress(title)
    rows = [
        Contender(shown, lambda kind=kind: _in_namespace(kind, validated, count))  # type: ignore[misc]
        for kind, shown in (("catenet", "catenet, pure Python"), ("Unbound", "Unbound"))
        if not only or only in shown
    ]
    interleave(rows, rounds)
    return Table(title, [COST, RATE, LOST], rows, first="server")


# A server that starts with nothing, in a namespace of its own.


def _in_namespace(kind: str, validated: bool, count: int) -> Sample:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_measure, args=(theirs, kind, validated, count))
    child.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        found = Failed("the measurement ended without a figure")
    child.join()
    if isinstance(found, Exception):
        raise found
    sample: Sample = found
    return sample


def _measure(pipe: Connection, kind: str, validated: bool, count: int) -> None:
    try:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise Unavailable("a network namespace needs root")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with tempfile.TemporaryDirectory(prefix="catenet-bench-cold-") as name, contextlib.ExitStack() as stack:
            tree = make_tree(Path(name), count)
            for level, host in enumerate(AUTHORITIES):
                ready = READY % APEXES[level]
                stack.enter_context(_running(_nsd(tree, level), tree.folder, LOAD_CPU, host, 53, ready))
            command = _catenet(tree, validated) if kind == "catenet" else _unbound(tree, validated)
            server = stack.enter_context(_running(command, tree.folder, SERVER_CPU, "127.0.0.1", PORT))
            pipe.send(by_dnsperf(server, "udp", tree.folder / "names", ["-n", "1"]))
    except (Unavailable, Failed, OSError, subprocess.SubprocessError) as error:
        pipe.send(error if isinstance(error, Unavailable) else Failed(str(error)))


@contextlib.contextmanager
def _running(
    words: list[str], folder: Path, cpu: int, host: str, port: int, ready: bytes = READY % b""
) -> Iterator[Running]:
    log = folder / f"{Path(words[0]).name}-{host}-{port}.log"
    with running(words, {"udp": port}, partial(answers, (host, port), ready), log=log, cwd=folder, cpu=cpu) as server:
        yield server


# The hierarchy.


@dataclass(frozen=True)
class Tree:
    """Files of a signed root, a top level `lab.`, and `z0.lab.` and so on."""

    folder: Path
    zones: list[str]


def make_tree(folder: Path, count: int) -> Tree:
    """Sign it all, with P-256."""
    from catenet.dns.dnssec import SigningSettings, generate_key, sign_zone
    from catenet.dns.dnssec.keys import ds_from_key
    from catenet.dns.master.writer import lines_of
    from catenet.dns.zone import Zone, read_zone
    from catenet.wire.dns.name import name_from_text

    now = int(time.time())
    settings = SigningSettings(inception=now - 3600, expiration=now + 86_400)
    names = [".", "lab.", *(f"z{number}.lab." for number in range(count))]
    keys = {name: generate_key(name_from_text(name), 13, is_entry_point=True) for name in names}

    def write(name: str, below: list[str], more: str = "") -> None:
        level = min(names.index(name), 2)
        origin = name_from_text(name)
        dot = "" if name == "." else f".{name}"
        lines = [f"$TTL 86400\n{name} SOA ns{dot or '.'} h. 1 7200 3600 604800 300\n{name} NS ns{dot or '.'}"]
        lines += [f"ns{dot or '.'} A {AUTHORITIES[level]}", more]
        for one in below:
            ds = ds_from_key(name_from_text(one), keys[one].key).to_text()
            lines.append(f"{one} NS ns.{one}\nns.{one} A {AUTHORITIES[level + 1]}\n{one} DS {ds}")
        zone = read_zone("\n".join(lines) + "\n", origin)
        signed = Zone(origin, sign_zone(list(zone), origin, [keys[name]], settings))
        (folder / f"zone{names.index(name) if name in names[:2] else name}").write_text("".join(lines_of(signed)))

    write(".", ["lab."])
    write("lab.", names[2:])
    for name in names[2:]:
        write(name, [], f"www.{name} A 192.0.2.1")
    (folder / "names").write_text("".join(f"www.{name} A\n" for name in names[2:]))
    (folder / "hints").write_text(f". 3600 NS ns.\nns. 3600 A {AUTHORITIES[0]}\n")
    (folder / "anchor").write_text(f". 3600 IN DNSKEY {keys['.'].key.to_text()}\n")
    return Tree(folder, names)


def _nsd(tree: Tree, level: int) -> list[str]:
    folder = tree.folder
    zones = "".join(
        f'zone:\n name: "{name}"\n zonefile: "{folder}/zone{number if number < 2 else name}"\n'
        for number, name in enumerate(tree.zones)
        if min(number, 2) == level
    )
    config = folder / f"nsd{level}.conf"
    config.write_text(
        f'server:\n ip-address: {AUTHORITIES[level]}\n zonesdir: "{folder}"\n xfrdir: "{folder}"\n server-count: 1\n'
        f' xfrdfile: "{folder}/xfrd{level}"\n zonelistfile: "{folder}/list{level}"\n'
        ' database: ""\n pidfile: ""\n username: ""\n'
        f" rrl-ratelimit: 0\nremote-control:\n control-enable: no\n{zones}"
    )
    return [find("nsd"), "-d", "-c", str(config)]


def _catenet(tree: Tree, validated: bool) -> list[str]:
    (tree.folder / "c.toml").write_text(
        f'root-hints = "hints"\nvalidate = {str(validated).lower()}\ntrust-anchor = "anchor"\n'
        "[resolver]\ndo-not-query = []\n"
    )
    listen = f"udp+tcp://127.0.0.1:{PORT}"
    return [sys.executable, "-m", "catenet", "serve", "dns", "--config", "c.toml", "--listen", listen]


def _unbound(tree: Tree, validated: bool) -> list[str]:
    modules = "validator iterator" if validated else "iterator"
    (tree.folder / "unbound.conf").write_text(
        f'server:\n interface: 127.0.0.1@{PORT}\n num-threads: 1\n chroot: ""\n username: ""\n pidfile: ""\n'
        f' directory: "{tree.folder}"\n use-syslog: no\n do-not-query-localhost: no\n module-config: "{modules}"\n'
        f' root-hints: "{tree.folder}/hints"\n trust-anchor-file: "{tree.folder}/anchor"\n do-daemonize: no\n'
    )
    return [find("unbound"), "-d", "-c", str(tree.folder / "unbound.conf")]


# A full cache.

_FILL = """
import sys, time
from catenet.dns.resolver.cache import Cache, CacheLimits, Trust
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import name_from_text
count = int(sys.argv[1])
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
cache = Cache(CacheLimits(size=1 << 40))
before, begun = resident(), time.process_time()
for number in range(count):
    name = name_from_text(f"www.z{number}.lab.")
    entry = cache.store(RRset(name, 1, 3600, (number.to_bytes(4, "big"),)), Trust.ANSWER, 0.0)
    cache.store_answer(name, 1, 0, ((entry,), (), ()), 0.0)
print((resident() - before) / count, (time.process_time() - begun) / count * 1e6)
"""


def _filled(count: int) -> Sample:
    done = subprocess.run([sys.executable, "-c", _FILL, str(count)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1])
    size, seconds = map(float, done.stdout.split())
    return {"bytes": size, "seconds": seconds}
