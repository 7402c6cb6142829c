"""Clients to be measured: programs that wait to be told to call."""

from __future__ import annotations

import json
import select
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import Failed, Sample
from benchmarks.rpc import peers
from benchmarks.rpc.lab import LOAD_ON, PROGRAMS, Running, environment_of, interpreter_of


@dataclass(frozen=True)
class Client:
    """How to start one client: a kind of `call.py`, or `grpc-js`; `size`: of the messages that it has echoed."""

    kind: str
    in_flight: int = 1
    size: int = 0
    on: int = LOAD_ON
    environment: Mapping[str, str] = field(default_factory=dict)


class Caller:
    """A client that runs and waits to be told to call."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self._expect("ready", 30)

    def call(self, seconds: float) -> Sample:
        """Let it call for some seconds; return calls/s, its CPU per call, p50 and p99 in us."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(self._complaint()) from None
        sample: Sample = json.loads(self._expect("{", seconds + 30))
        return sample

    def _expect(self, beginning: str, patience: float) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], patience)
        line = self._process.stdout.readline() if ready else ""
        if not line.startswith(beginning):
            raise Failed(self._complaint())
        return line

    def _complaint(self) -> str:
        return "".join(self._log.read_text().strip().splitlines()[-1:]) or "the client came to no end"


@contextmanager
def calling(running: Running, client: Client) -> Iterator[Caller]:
    """Start a client, wait until it is warm, end it afterwards."""
    words: list[str | Path] = [interpreter_of(client.kind), PROGRAMS / "call.py", client.kind]
    environment = dict(client.environment)
    if client.kind == "grpc-js":
        environment["NODE_PATH"] = str(peers.node_modules())
        words = ["node", PROGRAMS / "call.js", peers.PROTO]
    words += [running.url, str(client.in_flight), *([str(client.size)] if client.size else [])]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "stderr"
        with log.open("w") as errors:
            process = subprocess.Popen(
                ["taskset", "-c", str(client.on), *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment_of(environment),
            )
        try:
            yield Caller(process, log)
        finally:
            process.kill()
            process.communicate()
