"""`python -m benchmarks [NAME...] [--list] [--quick]`: measure, print the tables, keep them in results/."""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.harness import Report, document, progress

RESULTS = Path(__file__).parent / "results"

BENCHMARKS = {
    "tun": "throughput over TUN, kernel <-> contender, MTU 1500",
    "roundtrip": "64-byte requests and answers over TUN",
    "many": "1 to 100 connections at a time over TUN: rates, fairness, round trips",
    "sim": "simulated worlds: packets and virtual seconds per second, beside ns-3 and simloop",
    "isolation": "worlds whose hosts have processes of their own beside shared ones; 1,000 hosts beside two",
    "connections": "memory and message cost at 10 to 1,000,000 established connections",
    "rpc": "RPC beside gRPC in C++, Go, Rust, Python and JavaScript, grpclib, connectrpc, D-Bus, Pyro5",
    "identity": "calls on a Unix socket, with identity, policy, limits, audit log; workers of other users",
    "marshalling": "graphs of objects and messages as XML beside pickle, jsonpickle, msgspec, lxml and xsdata",
    "http_client": "the HTTP client beside httpx, aiohttp, requests, niquests and curl, against nginx",
    "dns": "a name server beside BIND, Unbound, NSD and Knot",
    "dns.cold": "a recursive server on cold names and signed chains beside Unbound; a full cache",
    "http": "servers of HTTP beside uvicorn, granian, hypercorn, aiohttp and nginx",
    "tftp": "one file by TFTP beside tftpd-hpa, atftpd, atftp, tftp-hpa and curl",
    "ntp": "requests for the time beside chronyd and ntpd: plain, with MACs, with NTS",
    "relay": "one connection through a relay beside socat and ncat",
    "session": "sessions beside plain TCP and TLS, in worlds and over loopback; round trips to resume",
    "fairness": "CUBIC and Reno against their formulas, fairness, queue disciplines, BBR",
}


def parse_arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run; all of them by default")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--quick", action="store_true", help="one short run of each contender; results/ stays as it is")
    parser.add_argument("--repeat", type=int, metavar="N", help="repetitions of all contenders in turn")
    parser.add_argument("--only", metavar="TEXT", help="contenders whose name contains TEXT; results/ stays as it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    arguments = parser.parse_args(words)
    for name in arguments.names:
        if name not in BENCHMARKS:
            near = difflib.get_close_matches(name, BENCHMARKS, 1) or ["--list"]
            parser.error(f"no benchmark {name!r}; did you mean {near[0]!r}?")
    return arguments


def measure(name: str, arguments: argparse.Namespace) -> str:
    """Run one benchmark; return its report as Markdown."""
    module = importlib.import_module(f"benchmarks.{name}")
    progress(f"{name}: {BENCHMARKS[name]}")
    started, times = time.monotonic(), machine.processor_times()
    report: Report = module.run(quick=arguments.quick, repetitions=arguments.repeat, only=arguments.only)
    report.seconds = time.monotonic() - started
    used = os.times()
    own = sum(used[:4])
    load = machine.others_load(times, machine.processor_times(), own)
    text = document(report, machine.describe(load))
    if not (arguments.quick or arguments.only):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    return text


def use_checkout() -> None:
    """Measure this checkout, whether or not a package is installed, in processes that are started too.

    With bytecode, as an installed package has it, also where Python is told to write none beside sources.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / "catenet-benchmarks" / "bytecode")
    source = str(Path(__file__).parents[1] / "src")
    sys.path.insert(0, source)
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])


def main(words: list[str] | None = None) -> int:
    arguments = parse_arguments(words)
    if arguments.list:
        for name, summary in BENCHMARKS.items():
            print(f"{name:12} {summary}")
        return 0
    use_checkout()
    for name in arguments.names or BENCHMARKS:
        print(measure(name, arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
