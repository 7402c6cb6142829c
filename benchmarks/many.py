"""Many TCP connections at a time between the kernel and our stack over TUN: rates, shares, round trips."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks import peers
from benchmarks.harness import Column, Contender, Report, Sample, Table, Unavailable, interleave
from benchmarks.netns import Namespace, join, processor_seconds, wait_until
from benchmarks.tun import FAR, PROGRAMS, answers, catenet_command, open_port, talk, versions

SECONDS = 5.0
SERVICE = str(PROGRAMS / "many_service.py")
CLIENT = str(PROGRAMS / "many_client.py")


def pinned(processor: int) -> list[str]:
    """What runs a command on one processor, so that all contenders have the same two."""
    if shutil.which("taskset") is None:
        raise Unavailable("apt-get install util-linux")
    return ["taskset", "-c", str(processor)]


def kernel(stack: ExitStack) -> tuple[Namespace, str, int]:
    """The kernel at both ends of a veth pair."""
    near, far = stack.enter_context(Namespace()), stack.enter_context(Namespace())
    join(near, far)
    service = far.start(*pinned(0), sys.executable, SERVICE)
    wait_until(lambda: open_port(far), "the service")
    return near, "10.78.0.2", service.pid


def catenet(stack: ExitStack, **options: object) -> tuple[Namespace, str, int]:
    """The same service on our stack."""
    near = stack.enter_context(Namespace())
    service = near.start(*pinned(0), *catenet_command(f"{FAR}/24", SERVICE), **options)
    wait_until(answers(near, FAR), "catenet run", service)
    return near, FAR, service.pid


def catenet_compiled(stack: ExitStack) -> tuple[Namespace, str, int]:
    """The same with the hot modules compiled."""
    return catenet(stack, env={**os.environ, "PYTHONPATH": str(peers.built("compiled") / "src")})


FARS: dict[str, Callable[[ExitStack], tuple[Namespace, str, int]]] = {
    "Catenet": catenet,
    "Catenet (mypyc)": catenet_compiled,
    "kernel (veth)": kernel,
}


def measure(name: str, seconds: float) -> Sample:
    """All figures of one far end, with a service of its own for each."""
    sample: Sample = {}
    for purpose, count in (("in", 100), ("out", 100), ("roundtrip", 1), ("roundtrip", 50)):
        with ExitStack() as stack:
            near, address, pid = FARS[name](stack)
            before = processor_seconds([pid])
            told = talk(near, [*pinned(1), sys.executable], address, purpose, seconds, CLIENT, str(count))
            spent = processor_seconds([pid]) - before
        if purpose == "roundtrip":
            sample[f"trips_{count}"] = told["count"] / told["seconds"]
            sample[f"processor_{count}"] = spent / told["count"] * 1e6
        else:
            sample[purpose] = told["bytes"] * 8 / told["seconds"] / 1e6
            sample[f"{purpose}_jain"] = told["jain"]
            sample[f"{purpose}_pause"] = told["pause"] * 1e3
    return sample


BULK = [
    Column("in", "in, Mbit/s"),
    Column("in_jain", "in, Jain's index", 3),
    Column("in_pause", "in, longest pause of one, ms"),
    Column("out", "out, Mbit/s"),
    Column("out_jain", "out, Jain's index", 3),
    Column("out_pause", "out, longest pause of one, ms"),
]

TRIPS = [
    Column("trips_1", "1 connection, round trips/s"),
    Column("processor_1", "far end's CPU, us each"),
    Column("trips_50", "50 connections, round trips/s"),
    Column("processor_50", "far end's CPU, us each"),
]

NOTE = """`in` is kernel client to contender, `out` contender to kernel client, 100 connections at a time, all served by
one epoll loop; the client is another. Service and client are pinned to a processor each, as are all contenders."""


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure all contenders."""
    repetitions = repetitions or (1 if quick else 5)
    seconds = 2.0 if quick else SECONDS
    chosen = [name for name in FARS if not only or only.lower() in name.lower()]
    rows = [Contender(name, lambda name=name: measure(name, seconds)) for name in chosen]  # type: ignore[misc]
    interleave(rows, repetitions)
    tables = [Table("Throughput", BULK, rows, NOTE, "stack"), Table("Round trips", TRIPS, rows, "", "stack")]
    return Report("many", f"Many TCP connections at MTU 1500, {seconds:.0f} s each.", tables, versions(), repetitions)
