"""One measurement: a server on the first processor, the load on the second, and what both cost."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import Failed, Sample
from benchmarks.netns import processor_seconds
from benchmarks.peers import need
from benchmarks.rpc import peers

PROGRAMS = Path(__file__).parent / "programs"
TICKS = os.sysconf("SC_CLK_TCK")
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_ON, LOAD_ON = PROCESSORS[0], PROCESSORS[-1]


@dataclass(frozen=True)
class Service:
    """How to start one server: a kind of `serve.py`, or `cpp-callback`, `cpp-sync`."""

    kind: str
    url: str = "tcp://127.0.0.1:{port}"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Running:
    """A server that listens."""

    process: subprocess.Popen[str]
    port: int
    url: str

    def processor_seconds(self) -> float:
        """Processor time that it has used."""
        return processor_seconds([self.process.pid])

    def resident(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+)", status)
        assert match is not None
        return int(match[1]) * 1024


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    path = [str(peers.messages()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), **more}


def _interpreter(kind: str) -> Path:
    return Path(sys.executable) if kind.startswith(("catenet", "bare")) else peers.python()


def _raise_file_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def serving(service: Service) -> Iterator[Running]:
    """Start a server, wait until it listens, end it afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        url = service.url.format(port=port, folder=folder)
        command: list[str | Path]
        if service.kind.startswith("cpp-"):
            command = [peers.cpp_server(), str(port), service.kind.removeprefix("cpp-")]
        else:
            address = url if service.kind == "catenet" else str(port)
            command = [_interpreter(service.kind), PROGRAMS / "serve.py", service.kind, address]
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_ON), *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=_environment(service.environment),
            preexec_fn=_raise_file_limit,
        )
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], 20)
            if not ready or not process.stdout.readline():
                raise Failed(f"{service.kind} does not start")
            _await_listening(url, port)
            yield Running(process, port, url)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _await_listening(url: str, port: int) -> None:
    if url.startswith("unix:"):
        return
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            select.select([], [], [], 0.05)
    raise Failed("the server does not listen")


@dataclass(frozen=True)
class Load:
    """What h2load sends: connections, streams on each, the body of a request; ``messages`` is what a call returns."""

    path: str
    body: bytes
    content_type: str = "application/grpc"
    clients: int = 8
    streams: int = 10
    http1: bool = False
    messages: int = 1
    rate: int | None = None


def h2load(running: Running, load: Load, seconds: float) -> Sample:
    """Put load on a server for some seconds, after a warm-up; return calls/s, CPU per call, p99 in us."""
    program = need("h2load", "apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(load.body)
        scheme = "https" if running.url.startswith("tls:") else "http"
        target = f"{scheme}://127.0.0.1:{running.port}{load.path}"
        command = ["taskset", "-c", str(LOAD_ON), program, "-c", str(load.clients), "-m", str(load.streams)]
        command += ["-d", str(body), "-H", f"content-type: {load.content_type}", "-H", "te: trailers"]
        if running.url.startswith("unix:"):
            command += ["-B", running.url.replace("unix:", "unix:", 1)]
        if load.http1:
            command.append("--h1")
        # h2load spreads a rate over its clients itself.
        rate = ["--rps", str(max(load.rate // load.clients, 1)), "--log-file", str(log)] if load.rate else []
        _run([*command, "-D", "1", target])
        before = running.processor_seconds()
        told = _run([*command, *rate, "-D", f"{seconds:g}", target])
        spent = running.processor_seconds() - before
        match = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", told)
        statuses = re.search(r"status codes: (\d+) 2xx", told)
        if match is None or statuses is None or not int(statuses[1]):
            raise Failed("h2load got no answers")
        if int(match[4]) > int(match[2]) // 100:
            raise Failed(f"{match[4]} calls failed")
        calls = int(match[3])
        sample = {"rate": calls * load.messages / seconds, "processor": spent / calls / load.messages * 1e6}
        if load.rate:
            times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
            sample["p50"], sample["p99"] = times[len(times) // 2], times[int(len(times) * 0.99)]
        return sample


def call(running: Running, kind: str, in_flight: int, seconds: float, size: int = 0) -> Sample:
    """Call a server with a Python client for some seconds; return calls/s, CPU per call, p50 and p99 in us."""
    words: list[str | Path] = [
        _interpreter(kind),
        PROGRAMS / "call.py",
        kind,
        running.url,
        str(in_flight),
        str(seconds),
    ]
    if size:
        words.append(str(size))
    told = _run(["taskset", "-c", str(LOAD_ON), *map(str, words)], env=_environment({}))
    sample: Sample = json.loads(told.splitlines()[-1])
    return sample


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[3]).name} did not come to its end") from None
    if done.returncode:
        raise Failed((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout
