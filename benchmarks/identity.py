"""`python -m benchmarks identity`: what it costs to know who calls, and to decide what they may do."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.goals import Goal, summary
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave
from benchmarks.rpc import peers
from benchmarks.rpc.bench import Bench
from benchmarks.rpc.lab import LOAD_ON, Service
from benchmarks.rpc.runs import COST, RATE, UNARY

CALLER = 4242
SOCKET = "unix:{folder}/s.sock"
LOADED = {
    "nothing asked": "",
    "the handler reads the identity": "identity",
    "a policy of two rules, decided at the head": "policy",
    "an owner's rule, decided by the message": "owner",
    "a policy, limits": "policy+limits",
    "a policy, limits, the audit log": "policy+limits+audit",
}
SEQUENTIAL = {
    "in the server's process": "",
    "in the server's process, policy and limits": "policy+limits",
    "in a worker of the caller's user": "worker",
}
SECONDS = 0.5
LOAD, ONE = "Unary gRPC", "One call after another"
RATIOS = [
    *(
        Goal(f"processor time, {title}, by that with nothing asked", LOAD, title, "nothing asked", "processor")
        for title in LOADED
        if title != "nothing asked"
    ),
    *(
        Goal(f"time of a call, {title}, by that in the server's process", ONE, title, "in the server's process", "p50")
        for title in SEQUENTIAL
        if title != "in the server's process"
    ),
]
COLUMNS = [RATE, Column("p50", "median, us"), Column("p99", "p99, us")]


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure both tables."""
    rounds = repetitions or (1 if quick else 5)
    with tempfile.TemporaryDirectory() as name, Bench() as bench:
        # Workers read the messages too, whatever their user may read.
        sys.path.insert(0, str(peers.messages()))
        audit = str(Path(name) / "audit.jsonl")
        loaded = [
            Contender(title, partial(_loaded, bench, kind, audit))
            for title, kind in LOADED.items()
            if only is None or only in title
        ]
        one = [
            Contender(title, partial(_one_by_one, bench, kind, audit))
            for title, kind in SEQUENTIAL.items()
            if only is None or only in title
        ]
        tables = [
            Table("Unary gRPC on a Unix socket, 8 connections with 10 calls each", [RATE, COST], loaded),
            Table(
                "One call after another on a Unix socket, from a process of another user",
                COLUMNS,
                one,
                "The client is catenet's own, without asyncio. The worker is a third process, without capabilities.",
            ),
        ]
        for table in tables:
            interleave(table.contenders, rounds)
    text = "HiScore on a Unix socket: server on one processor, load on the other."
    return Report("identity", text, [summary(tables, RATIOS), *tables], peers.versions(), rounds)


def _loaded(bench: Bench, kind: str, audit: str) -> Sample:
    sample = bench.load(Service("catenet", SOCKET, {"GUARD": kind, "AUDIT": audit}), UNARY, SECONDS)
    with contextlib.suppress(FileNotFoundError):
        os.truncate(audit, 0)
    return sample


def _one_by_one(bench: Bench, kind: str, audit: str) -> Sample:
    if os.geteuid() != 0:
        raise Unavailable("callers of other users need root")
    import hiscore_pb2  # noqa: F401 - while root may read it

    import catenet.rpc  # noqa: F401

    running = bench.server(Service("catenet", "unix:@catenet-bench-{port}", {"GUARD": kind, "AUDIT": audit}))
    times = _in_child(partial(_call, running.url, SECONDS))
    if not times:
        raise Failed("the caller came to no end")
    times.sort()
    return {"rate": len(times) / SECONDS, "p50": statistics.median(times), "p99": times[int(len(times) * 0.99)]}


def _in_child(work: Callable[[], Sequence[float]]) -> list[float]:
    """Run as another user in a child; return what it returns."""
    from catenet.net.privileges import Account, become

    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.sched_setaffinity(0, {LOAD_ON})
            become(Account(CALLER, CALLER, (CALLER,)))
            with open(write, "w") as stream:
                json.dump(list(work()), stream)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as stream:
        told = stream.read()
    os.waitpid(child, 0)
    found: list[float] = json.loads(told or "[]")
    return found


def _call(url: str, seconds: float) -> list[float]:
    import hiscore_pb2 as pb

    from catenet.rpc import SyncChannel, service_from_protobuf

    methods = service_from_protobuf(pb.DESCRIPTOR.services_by_name["HiScore"]).methods
    get = next(method for method in methods if method.name == "Get")
    request, times = get.request(game="tetris"), []
    with SyncChannel(url) as channel:
        for _ in range(200):
            channel.unary(get, request)
        end = time.perf_counter() + seconds
        while (started := time.perf_counter()) < end:
            channel.unary(get, request)
            times.append((time.perf_counter() - started) * 1e6)
    return times
