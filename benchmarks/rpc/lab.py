"""One measurement: a server on the first processor, the load on the second, and what both cost."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
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
WARM_UP = "500ms"
SERVER_ON, LOAD_ON = PROCESSORS[0], PROCESSORS[-1]


@dataclass(frozen=True)
class Service:
    """How to start one server: a kind of `serve.py`, or `cpp-callback`, `cpp-sync`, `grpc-js`."""

    kind: str
    url: str = "tcp://127.0.0.1:{port}"
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1


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
        """Resident memory in bytes, of all workers."""
        pid = self.process.pid
        total = 0
        for member in [str(pid), *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]:
            match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{member}/status").read_text())
            assert match is not None
            total += int(match[1]) * 1024
        return total


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
        environment = {**service.environment, "WORKERS": str(service.workers)}
        if service.kind.startswith("cpp-"):
            command = [peers.cpp_server(), str(port), service.kind.removeprefix("cpp-")]
        elif service.kind == "grpc-js":
            environment["NODE_PATH"] = str(peers.node_modules())
            command = ["node", PROGRAMS / "serve.js", peers.PROTO, str(port)]
        else:
            address = url if service.kind == "catenet" else str(port)
            command = [_interpreter(service.kind), PROGRAMS / "serve.py", service.kind, address]
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_ON), *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=(Path(folder) / "stderr").open("w"),
            text=True,
            env=_environment(environment),
            preexec_fn=_raise_file_limit,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            seen = 0
            while seen < service.workers:
                ready, _, _ = select.select([process.stdout], [], [], 20)
                told = os.read(process.stdout.fileno(), 4096) if ready else b""
                if not told:
                    why = (Path(folder) / "stderr").read_text().strip().splitlines()[-1:]
                    raise Failed(": ".join([f"{service.kind} does not start", *why]))
                seen += told.count(b"\n")
            _await_listening(url, port)
            yield Running(process, port, url)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
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
    """What h2load sends: connections, streams on each, the body of a request; `messages` is what a call returns."""

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
        _run([*command, "-D", WARM_UP, target], seconds)
        before = running.processor_seconds()
        told = _run([*command, *rate, "-D", f"{int(seconds * 1000)}ms", target], seconds)
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
    environment = {}
    words: list[str | Path]
    if kind == "grpc-js":
        environment["NODE_PATH"] = str(peers.node_modules())
        words = ["node", PROGRAMS / "call.js", peers.PROTO]
    else:
        words = [_interpreter(kind), PROGRAMS / "call.py", kind]
    words += [running.url, str(in_flight), str(seconds)]
    if size:
        words.append(str(size))
    told = _run(["taskset", "-c", str(LOAD_ON), *map(str, words)], seconds, _environment(environment))
    sample: Sample = json.loads(told.splitlines()[-1])
    return sample


@contextmanager
def holding(running: Running, count: int, hello: bytes) -> Iterator[None]:
    """Hold idle connections that have made a call each, from as many processes as their descriptors take."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(hard - 100, 20_000)
    holders: list[subprocess.Popen[str]] = []
    try:
        for number, first in enumerate(range(0, count, most)):
            words = [sys.executable, PROGRAMS / "hold.py", str(running.port), str(min(most, count - first))]
            command = ["taskset", "-c", str(LOAD_ON), *map(str, words), f"127.0.{number + 1}", hello.hex()]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            holders.append(subprocess.Popen(command, text=True, **pipes))  # type: ignore[call-overload]
        for holder in holders:
            assert holder.stdout is not None
            ready, _, _ = select.select([holder.stdout], [], [], 120)
            if not ready or holder.stdout.readline() != "held\n":
                raise Failed(f"{count:,} connections could not be held")
        yield
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def workers_for(connections: int) -> int:
    """Processes that the server needs for so many descriptors, by the hard limit of one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # The kernel spreads connections by a hash, so the shares are not equal to the last one.
    return max(-(-connections // (hard * 9 // 10)), 1)


def _run(command: Sequence[str], seconds: float, env: Mapping[str, str] | None = None) -> str:
    """Run a load generator that should take `seconds`; a machine that is busy gets it some patience."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, env=env)
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[3]).name} did not come to its end") from None
    if done.returncode:
        raise Failed((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stdout
