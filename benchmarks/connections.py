"""Idle connections: what established ones cost in memory, and what a message costs among them."""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import time
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, interleave

if TYPE_CHECKING:
    from benchmarks.lab import Lab

COUNTS = (10, 1_000, 10_000, 100_000, 1_000_000)
BATCHES = 15
BATCH = 400
"""Messages measured at once."""
LIMIT = 1200.0
PORTS_PER_SERVER = 25_000
"""Connections to one server port: client ports are numbers of 16 bits."""


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measure_here(count: int) -> list[Sample]:
    """Open `count` connections between two hosts, then send messages on some of them; runs in a process of its own."""
    from benchmarks.lab import PORT, Lab, plain
    from catenet.stack.endpoint import Name
    from catenet.stack.tcp.control.connection import Connection
    from catenet.stack.tcp.parking.pool import Parked

    lab = Lab(plain(0.001), plain(0.001))
    servers = -(-count // PORTS_PER_SERVER)
    listeners = [lab.listen(lab.right, PORT + number) for number in range(servers)]
    accepted, opened = [], []
    gc.collect()
    gc.disable()
    before, started = resident(), time.process_time()
    for number in range(count):
        endpoint = lab.left.stack.tcp_endpoint(4)
        endpoint.connect(Name(lab.right.address, PORT + number % servers))
        opened.append(endpoint)
        if number % 1000 == 999 or number == count - 1:
            lab.run(lab.hub.now + 0.01)
            for listener in listeners:
                while (connection := listener.accept()) is not None:
                    accepted.append(connection)
    lab.run(lab.hub.now + 300)
    gc.collect()
    setup = time.process_time() - started
    if len(accepted) != count:
        raise Failed(f"{len(accepted)} of {count} connections were established")
    held = resident() - before
    ends = []
    for number in random.Random(1).sample(range(count), min(count, BATCHES * BATCH)):
        tcp = lab.right.stack.tcp
        key = tcp.key(lab.left.address, lab.right.address, opened[number].port, PORT + number % servers)
        other = tcp.connections[key]
        assert isinstance(other, Connection | Parked)
        ends.append((opened[number], other.endpoint))
    samples: list[Sample] = []
    anywhere = cycle(ends)
    for batch in range(-1, BATCHES):
        few = messages(lab, list(islice(cycle(ends[:10]), BATCH)))
        spread = messages(lab, list(islice(anywhere, BATCH)))
        if batch >= 0:  # the first of each is to warm up
            samples.append({"few": few, "message": spread})
    samples[0] |= {"bytes": held / count, "setup": setup / count * 1e6}
    return samples


def messages(lab: Lab, ends: list[tuple[Any, Any]]) -> float:
    """Send a message from each client to its server; microseconds of processor for one."""
    text = b"x" * 64
    started = time.process_time()
    for client, server in ends:
        client.send(text)
        lab.run(lab.hub.now + 0.1)
        if server.receive(100) != text:
            raise Failed("a message did not arrive")
    return (time.process_time() - started) / len(ends) * 1e6


def measure(row: Contender, count: int, compiled: bool) -> Sample:
    """The same in a fresh process, whose memory is nothing but this; every batch is a sample of the row."""
    words = [sys.executable, "-m", "benchmarks.connections", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(peers.built("compiled") / "src")} if compiled else None
    folder = Path(__file__).parents[1]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, cwd=folder, env=environment)
    except subprocess.TimeoutExpired:
        raise Failed(f"no end within {LIMIT:.0f} s") from None
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or ["no word"])[-1])
    samples = json.loads(done.stdout)
    row.samples += samples[:-1]
    return dict(samples[-1])


def contender(name: str, count: int, compiled: bool) -> Contender:
    """A row of the table."""
    row = Contender(name, dict)
    row.run = partial(measure, row, count, compiled)
    return row


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure every count."""
    counts = COUNTS[:3] if quick else COUNTS
    columns = [
        Column("bytes", "bytes each, both ends"),
        Column("message", "CPU us a message, on any of them", 1),
        Column("few", "on ten of them, in turn with these", 1),
        Column("setup", "CPU us to open"),
    ]
    rows = [
        contender(f"{name}, {count:,}", count, compiled)
        for name, compiled in (("Catenet", False), ("Catenet (mypyc)", True))
        for count in counts
        if compiled or count < 1_000_000
    ]
    rows = [row for row in rows if not only or only in row.name]
    repetitions = repetitions or 1
    interleave(rows, repetitions)
    note = f"""Connections between two stacks in one process, idle for 300 virtual seconds. Bytes are the growth of the
process's resident memory, endpoints of both programs included. A message is 64 bytes, sent, acknowledged and read, each
on another connection, chosen at random; batches of {BATCH} and batches on ten connections take turns in one process,
{BATCHES} of each (median and range). The first row's bytes contain what does not grow with the number."""
    summary = (
        "What established connections cost when nothing happens on them, and whether their number slows the others."
    )
    versions = {"Catenet (mypyc)": peers.compiled_commit()}
    return Report(
        "connections", summary, [Table("Connections", columns, rows, note, "connections")], versions, repetitions
    )


if __name__ == "__main__":
    print(json.dumps(measure_here(int(sys.argv[1]))))
