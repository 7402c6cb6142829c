"""Servers to be measured, each on the first processor, and idle connections to them; the load is on the last one."""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import Failed
from benchmarks.peers import built
from benchmarks.rpc import peers

PROGRAMS = Path(__file__).parent / "programs"
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_ON, LOAD_ON = PROCESSORS[0], PROCESSORS[-1]
OURS = ("catenet", "bare", "dropin")
"""Kinds of programs that begin so run on this interpreter; others where their packages are."""
COMPILED = {"COMPILED": "1"}
"""Environment of a service that runs on Catenet compiled (`benchmarks.peers compiled`)."""
_CPUCLOCK_SCHED = 2
"""As clock_getcpuclockid(3) makes the clock of a process from its number."""


@dataclass(frozen=True)
class Service:
    """How to start one server: a kind of `serve.py`, or `cpp-callback`, `cpp-sync`, `grpc-js`, `grpc-go`, `tonic`.

    `spread`: each worker on a processor of its own, as far as there are as many.
    """

    kind: str
    url: str = "tcp://127.0.0.1:{port}"
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    spread: bool = False


@dataclass
class Running:
    """A server that listens."""

    process: subprocess.Popen[str]
    port: int
    url: str

    def members(self) -> list[int]:
        """Processes of the server: the one that was started and its workers."""
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            raise Failed("the server has ended") from None
        return [pid, *map(int, children)]

    def processor_seconds(self) -> float:
        """Processor time that it has used, with that of threads that have ended."""
        return sum(map(processor_time, self.members()))

    def resident(self) -> int:
        """Resident memory in bytes, of all workers."""
        total = 0
        for member in self.members():
            match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{member}/status").read_text())
            assert match is not None
            total += int(match[1]) * 1024
        return total


def processor_time(pid: int) -> float:
    """Seconds of processor time of a process, by its own clock, which is exact where /proc counts in hundredths."""
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:
        raise Failed("the server has ended") from None


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment_of(more: Mapping[str, str]) -> dict[str, str]:
    """Environment of a program: the messages are on its path, and Catenet, from the source or compiled."""
    source = str(built("compiled") / "src") if "COMPILED" in more else os.environ.get("PYTHONPATH")
    path = [str(peers.messages()), *filter(None, [source])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), **more}


def interpreter_of(kind: str) -> Path:
    """The interpreter that has the packages of a kind of program."""
    return Path(sys.executable) if kind.startswith(OURS) else peers.python()


def _command(service: Service, url: str, port: int) -> list[str | Path]:
    kind = service.kind
    if kind.startswith("cpp-"):
        return [peers.cpp_server(), str(port), kind.removeprefix("cpp-")]
    if kind == "grpc-js":
        return ["node", PROGRAMS / "serve.js", peers.PROTO, str(port)]
    if kind in ("grpc-go", "tonic"):
        return [peers.go_server() if kind == "grpc-go" else peers.tonic_server(), str(port)]
    address = url if kind == "catenet" or url.startswith("unix:") else str(port)
    return [interpreter_of(kind), PROGRAMS / "serve.py", kind, address]


def _raise_file_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def serving(service: Service) -> Iterator[Running]:
    """Start a server, wait until it listens, end it afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        url = service.url.format(port=port, folder=folder)
        environment = {**service.environment, "WORKERS": str(service.workers)}
        if service.kind == "grpc-js":
            environment["NODE_PATH"] = str(peers.node_modules())
        if service.kind == "connectrpc":
            environment["CONNECT_MESSAGES"] = str(peers.connect_messages())
        if service.spread:
            environment["PROCESSORS"] = " ".join(map(str, PROCESSORS[: service.workers]))
        with (Path(folder) / "stderr").open("w") as errors:
            process = subprocess.Popen(
                ["taskset", "-c", str(SERVER_ON), *map(str, _command(service, url, port))],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment_of(environment),
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
        return  # it listens when it says so
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            select.select([], [], [], 0.05)
    raise Failed("the server does not listen")


@contextmanager
def holding(running: Running, count: int, hello: bytes, rate: float = 1e6) -> Iterator[None]:
    """Hold idle connections that have made a call each, from as many processes as their descriptors take.

    `rate` of them come in a second.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(hard - 100, 20_000)
    holders: list[subprocess.Popen[str]] = []
    try:
        for number, first in enumerate(range(0, count, most)):
            words = [sys.executable, PROGRAMS / "hold.py", running.port, min(most, count - first)]
            words += [f"127.0.{number + 1}", hello.hex(), rate * most / max(count, most)]
            command = ["taskset", "-c", str(LOAD_ON), *map(str, words)]
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
