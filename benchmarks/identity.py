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

from benchmarks.harness import Column, Contender, Report, Sample, Table, Unavailable, interleave
from benchmarks.rpc import COST, RATE, UNARY, lab, peers
from benchmarks.rpc.lab import LOAD_ON, Service

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
COLUMNS = [RATE, Column("p50", "median, us"), Column("p99", "p99, us")]


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure both tables."""
    rounds, seconds = repetitions or (1 if quick else 5), 1.0 if quick else 1.5
    with tempfile.TemporaryDirectory() as name:
        audit = str(Path(name) / "audit.jsonl")
        loaded = [
            Contender(title, partial(_loaded, kind, audit, seconds))
            for title, kind in LOADED.items()
            if only is None or only in title
        ]
        one = [
            Contender(title, partial(_one_by_one, kind, audit, seconds))
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
    summary = "HiScore on a Unix socket: server on one processor, load on the other."
    return Report("identity", summary, tables, peers.versions(), rounds)


def _loaded(kind: str, audit: str, seconds: float) -> Sample:
    environment = {"GUARD": kind, "AUDIT": audit}
    with lab.serving(Service("catenet", SOCKET, environment)) as running:
        sample = lab.h2load(running, UNARY, seconds)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(audit)
    return sample


def _one_by_one(kind: str, audit: str, seconds: float) -> Sample:
    if os.geteuid() != 0:
        raise Unavailable("callers of other users need root")
    environment = {"GUARD": kind, "AUDIT": audit}
    sys.path.insert(0, str(peers.messages()))
    try:
        import hiscore_pb2  # noqa: F401 - while root may read it

        import catenet.rpc  # noqa: F401

        with lab.serving(Service("catenet", "unix:@catenet-bench-{port}", environment)) as running:
            times = _in_child(partial(_call, running.url, seconds))
    finally:
        sys.path.pop(0)
    times.sort()
    return {"rate": len(times) / seconds, "p50": statistics.median(times), "p99": times[int(len(times) * 0.99)]}


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
    found: list[float] = json.loads(told)
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
