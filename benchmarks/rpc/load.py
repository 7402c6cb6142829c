"""Load on a server by h2load, and what the server spends on it."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Failed, Sample
from benchmarks.peers import need
from benchmarks.rpc.lab import LOAD_ON, Running, processor_time

WARM_UP = 0.3


@dataclass(frozen=True)
class Load:
    """What h2load sends: connections, streams on each, the body of a request; `messages` is what a call returns."""

    path: str
    body: bytes
    content_type: str = "application/grpc"
    clients: int = 8
    streams: int = 10
    http1: bool = False
    messages: int = 1
    rate: int | None = None


def h2load(running: Running, load: Load, seconds: float, warm_up: float = WARM_UP) -> Sample:
    """Put load on a server for some seconds, after a warm-up; return calls/s, CPU per call, p99 in us.

    `capacity` are the calls for a second of the busiest process: what the server would do with a processor for each.
    """
    program = need("h2load", "apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(load.body)
        scheme = "https" if running.url.startswith("tls:") else "http"
        target = f"{scheme}://127.0.0.1:{running.port}{load.path}"
        command = ["taskset", "-c", str(LOAD_ON), program, "-c", str(load.clients), "-m", str(load.streams)]
        command += ["-d", str(body), "-H", f"content-type: {load.content_type}", "-H", "te: trailers"]
        if running.url.startswith("unix:"):
            command += ["-B", running.url]
        if load.http1:
            command.append("--h1")
        # h2load spreads a rate over its clients itself.
        rate = ["--rps", str(max(load.rate // load.clients, 1)), "--log-file", str(log)] if load.rate else []
        if warm_up:
            _run([*command, "-D", f"{int(warm_up * 1000)}ms", target], warm_up)
        members = running.members()
        before = [processor_time(member) for member in members]
        told = _run([*command, *rate, "-D", f"{int(seconds * 1000)}ms", target], seconds)
        spent = [processor_time(member) - then for member, then in zip(members, before, strict=True)]
        calls = _calls(told)
        sample = {
            "rate": calls * load.messages / seconds,
            "processor": sum(spent) / calls / load.messages * 1e6,
            "capacity": calls * load.messages / max(spent),
        }
        if load.rate:
            times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
            sample["p50"], sample["p99"] = times[len(times) // 2], times[int(len(times) * 0.99)]
        return sample


def _calls(told: str) -> int:
    """How many calls were answered, by what h2load says."""
    match = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", told)
    statuses = re.search(r"status codes: (\d+) 2xx", told)
    if match is None or statuses is None or not int(statuses[1]) or not int(match[3]):
        raise Failed("no call was answered in time")
    if int(match[4]) > int(match[2]) // 100:
        raise Failed(f"{match[4]} calls failed")
    return int(match[3])


def _run(command: Sequence[str], seconds: float) -> str:
    """Run a load generator that should take `seconds`; a machine that is busy gets it some patience."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20)
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[3]).name} did not come to its end") from None
    if done.returncode:
        raise Failed((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout
