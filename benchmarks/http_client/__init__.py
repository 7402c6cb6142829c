"""`python -m benchmarks http_client`: our client of HTTP beside httpx, aiohttp, requests, niquests, curl; nginx serves.

The server has one processor, the client another. Every row is measured with one URL whose answers are equal within a
second, and with paths and fields that differ in each request.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.peers import environment, program

from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave

LOAD = Path(__file__).parent / "programs" / "load.py"
SECONDS = 1.5
QUICK = 0.3
ROUNDS = 7

BOTH = {
    "catenet, uvloop": "catenet/uvloop",
    "catenet": "catenet",
    "aiohttp, uvloop": "aiohttp/uvloop",
    "aiohttp": "aiohttp",
    "httpx": "httpx",
    "httpx on catenet": "catenet-httpx",
}
ALONE = {
    "catenet.http.sync": "catenet-sync",
    "httpx, blocking": "httpx-sync",
    "requests": "requests",
    "niquests": "niquests",
    "pycurl": "pycurl",
}
COLUMNS = [
    Column("rate", "requests/s"),
    Column("processor", "client's CPU, us each", 1),
    Column("rate varied", "requests/s, varied"),
    Column("processor varied", "client's CPU, us each, varied", 1),
]


@contextlib.contextmanager
def nginx() -> Iterator[str]:
    """Nginx with one process on the first processor; yields its URL."""
    found = program("nginx")
    if found is None:
        raise Unavailable("nginx (apt-get install nginx-core, or CATENET_PEERS)")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
        configuration = Path(folder, "nginx.conf")
        answer = """default_type application/json; return 200 '{"id":1,"name":"tetris","score":100}';"""
        configuration.write_text(
            f"""daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
            events {{ worker_connections 1024; }}
            http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body; {temporary}
              server {{ listen 127.0.0.1:{port};
                location /same {{ {answer} }}
                location /varied/ {{ add_header X-Request-Id $request_id; add_header ETag '"$request_id"'; {answer} }}
              }} }}"""
        )
        probe.close()
        command = ["taskset", "-c", "0", str(found), "-c", str(configuration), "-p", folder]
        process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            else:
                raise Failed("nginx does not begin")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate()


def loaded(kind: str, in_flight: int, seconds: float) -> Callable[[], Sample]:
    """Return a measurement of one client, with equal and with varied requests."""

    def measure() -> Sample:
        sample: Sample = {}
        with nginx() as url:
            for varied in (0, 1):
                words = [sys.executable, str(LOAD), kind, url, str(in_flight), str(seconds), str(varied)]
                processor = str(min(1, (os.cpu_count() or 1) - 1))
                done = subprocess.run(["taskset", "-c", processor, *words], capture_output=True, text=True, check=False)
                if done.returncode:
                    last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
                    raise (Unavailable if "ModuleNotFoundError" in last else Failed)(last)
                suffix = " varied" if varied else ""
                sample |= {f"{name}{suffix}": value for name, value in json.loads(done.stdout).items()}
        return sample

    return measure


def tables(seconds: float) -> list[Table]:
    """Return all tables with their contenders."""

    def rows(kinds: dict[str, str], in_flight: int) -> list[Contender]:
        return [Contender(name, loaded(kind, in_flight, seconds)) for name, kind in kinds.items()]

    return [
        Table("One request in flight", COLUMNS, rows(BOTH | ALONE, 1), first="client"),
        Table("64 requests in flight", COLUMNS, rows(BOTH, 64), first="client"),
    ]


def ratios(found: list[Table]) -> str:
    """Say what the tables come to, as ratios of medians of the same run."""

    def cost(table: Table, name: str, key: str) -> float | None:
        for row in table.contenders:
            if row.name == name and row.samples:
                return statistics.median(sample[key] for sample in row.samples)
        return None

    lines = []
    pairs = (("catenet, uvloop", "aiohttp, uvloop"), ("catenet", "aiohttp"), ("catenet", "httpx"),
             ("catenet.http.sync", "httpx, blocking"), ("catenet.http.sync", "requests"))  # fmt: skip
    for table in found:
        for own, other in pairs:
            said = []
            for key in ("processor", "processor varied"):
                ours, theirs = cost(table, own, key), cost(table, other, key)
                if ours and theirs:
                    said.append(f"{theirs / ours:.1f}{' varied' if 'varied' in key else ''}")
            if said:
                lines.append(f"* {table.title}: {other} needs {', '.join(said)} times the processor of {own}.")
    return "\n".join(lines)


def run(*, quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure all clients in turn."""
    found = tables(QUICK if quick else SECONDS)
    rounds = repetitions or (1 if quick else ROUNDS)
    for table in found:
        if only:
            table.contenders = [row for row in table.contenders if only.lower() in row.name.lower()]
        interleave(table.contenders, rounds)
    summary = "Clients of HTTP/1.1 against nginx: a JSON text of 41 bytes."
    report = Report("http_client", f"{summary}\n\n{ratios(found)}", found, repetitions=rounds)
    for name in ("aiohttp", "httpx", "requests", "niquests", "pycurl", "uvloop"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            report.versions[name] = importlib.metadata.version(name)
    return report
