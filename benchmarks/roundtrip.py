"""Small requests and answers: 64 bytes each way, one at a time, over the same devices as `tun`."""

from __future__ import annotations

from benchmarks.harness import Column, Report, Sample, Table, interleave
from benchmarks.netns import processor_seconds
from benchmarks.tun import Far, contenders, far_end, talk, versions

SECONDS = 2.0

COLUMNS = [
    Column("rate", "round trips/s"),
    Column("p50", "median, us"),
    Column("p99", "99th percentile, us"),
    Column("processor", "far end's CPU, us each"),
]

NOTE = "The client is an ordinary blocking Python program on the kernel's sockets; its own cost is in the rate."


def measure(far: Far, seconds: float) -> Sample:
    """Round trips with one far end."""
    with far_end(far) as (near, address, pids, runner):
        before = processor_seconds(pids)
        told = talk(near, runner, address, "roundtrip", seconds)
        spent = processor_seconds(pids) - before
    return {
        "rate": told["count"] / told["seconds"],
        "p50": told["p50"] * 1e6,
        "p99": told["p99"] * 1e6,
        "processor": spent / told["count"] * 1e6,
    }


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure all contenders."""
    repetitions = repetitions or (1 if quick else 3)
    seconds = 1.0 if quick else SECONDS
    rows = contenders(lambda far: measure(far, seconds), only)
    interleave(rows, repetitions)
    summary = "A client sends 64 bytes and waits for 64 bytes, over and over, on one TCP connection."
    return Report("roundtrip", summary, [Table("Round trips", COLUMNS, rows, NOTE, "stack")], versions(), repetitions)
