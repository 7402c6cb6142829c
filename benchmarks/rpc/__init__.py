"""`python -m benchmarks rpc`: RPC servers and clients beside their peers, one processor for each side."""

from __future__ import annotations

import math
import re
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Column, Contender, Report, Sample, Table, interleave, progress
from benchmarks.rpc import lab, peers
from benchmarks.rpc.lab import Load, Service, workers_for

QUERY = b"\x0a\x06tetris"
GET = "/hiscore.HiScore/Get"
WATCH_COUNT = 1000
BLOB = 4 << 20
PATIENCE = 690.0
"""Seconds for all tables; another round begins only if it will end before."""

CATENET = Service("catenet")
SERVERS = {
    "catenet": CATENET,
    "C++ gRPC, callback": Service("cpp-callback"),
    "C++ gRPC, sync": Service("cpp-sync"),
    "grpc-js": Service("grpc-js"),
    "grpclib on uvloop": Service("grpclib"),
    "grpcio, 8 threads": Service("sync"),
    "grpc.aio": Service("aio"),
}

RATE = Column("rate", "calls/s")
MESSAGES = Column("rate", "messages/s")
COST = Column("processor", "server's CPU, us each", 1)
OWN_COST = Column("processor", "client's CPU, us each", 1)
P50 = Column("p50", "median, us")
P99 = Column("p99", "p99, us")


def envelope(payload: bytes) -> bytes:
    """Return the gRPC message with its five-byte prefix."""
    return struct.pack(">BI", 0, len(payload)) + payload


UNARY = Load(GET, envelope(QUERY))
STREAM = Load("/hiscore.HiScore/Watch", envelope(b"\x08\xe8\x07"), clients=4, streams=4, messages=WATCH_COUNT)
CONNECT_PROTO = Load(GET, QUERY, "application/proto", streams=1, http1=True)
CONNECT_JSON = Load(GET, b'{"game":"tetris"}', "application/json", streams=1, http1=True)


def certificate(folder: Path) -> Path:
    """Write a certificate for this run and return its path."""
    import trustme

    path = folder / "server.pem"
    path.write_bytes(trustme.CA().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.bytes())
    return path


def served(service: Service, load: Load, seconds: float) -> Callable[[], Sample]:
    """Return a measurement of a server by h2load."""

    def measure() -> Sample:
        with lab.serving(service) as running:
            return lab.h2load(running, load, seconds)

    return measure


def called(service: Service, kind: str, in_flight: int, seconds: float, size: int = 0) -> Callable[[], Sample]:
    """Return a measurement of a client; with `size` the rate is in MB/s, both directions counted once."""

    def measure() -> Sample:
        with lab.serving(service) as running:
            sample = lab.call(running, kind, in_flight, seconds, size)
        if size:
            sample["rate"] *= size / 1e6
        return sample

    return measure


def half_load(service: Service, seconds: float) -> Callable[[], Sample]:
    """Return a measurement of the latency at half of what the server can take."""

    def measure() -> Sample:
        with lab.serving(service) as running:
            most = lab.h2load(running, UNARY, seconds)["rate"]
            load = Load(GET, UNARY.body, rate=int(most / 2))
            return lab.h2load(running, load, seconds)

    return measure


def idle(service: Service, count: int, seconds: float) -> Callable[[], Sample]:
    """Return a measurement of memory per idle connection, and of the rate while they are held."""

    def measure() -> Sample:
        from catenet.http.h2.connection import Connection
        from catenet.http.message import RequestHead

        client = Connection(True)
        fields = ((b"te", b"trailers"), (b"content-type", b"application/grpc"))
        stream = client.open(RequestHead(b"POST", GET.encode(), fields, b"localhost"), False)
        client.send_data(stream, envelope(QUERY), True)
        hello = client.transmit() + bytes.fromhex("000000040100000000")
        with lab.serving(service) as running, lab.holding(running, 100 * service.workers, hello):
            before = running.resident()
            with lab.holding(running, count, hello):
                memory = (running.resident() - before) / count if count else 0.0
                sample = lab.h2load(running, UNARY, seconds)
        return sample | ({"memory": memory} if count else {})

    return measure


def tables(seconds: float, secure: Service, quick: bool) -> list[Table]:
    """Return all tables with their contenders."""

    def rows(pairs: dict[str, Callable[[], Sample]]) -> list[Contender]:
        return [Contender(name, run) for name, run in pairs.items()]

    own = {
        "catenet": CATENET,
        "catenet, an interceptor": Service("catenet", environment={"INTERCEPTED": "1"}),
        "catenet, Unix socket": Service("catenet", "unix:{folder}/s.sock"),
        "catenet, TLS": secure,
    }
    others = {name: service for name, service in SERVERS.items() if name != "catenet"}
    cpp = SERVERS["C++ gRPC, callback"]
    unix = {"catenet": CATENET, "catenet, Unix socket": own["catenet, Unix socket"], "catenet, TLS": secure}
    clients = {"catenet": "catenet", "catenet, no uvloop": "catenet_asyncio", "catenet, sync": "catenet_sync",
               "grpc.aio": "aio", "grpcio": "sync", "grpc-js": "grpc-js", "grpclib on uvloop": "grpclib"}  # fmt: skip
    concurrent = {name: kind for name, kind in clients.items() if kind not in ("catenet_sync", "sync")}
    pairs = {name: (service, "catenet") for name, service in unix.items()}
    pairs["catenet, no uvloop"] = (Service("catenet", environment={"LOOP": "asyncio"}), "catenet_asyncio")
    for name, server, client in (
        ("grpc.aio", "grpc.aio", "aio"),
        ("grpcio", "grpcio, 8 threads", "sync"),
        ("grpc-js", "grpc-js", "grpc-js"),
        ("grpclib", "grpclib on uvloop", "grpclib"),
    ):
        pairs[name] = (SERVERS[server], client)
    connect = {"catenet": "catenet", "connectrpc on uvicorn": "connectrpc", "bare uvloop + httptools": "bare"}
    held = {"catenet": (0, 1000) if quick else (0, 1000, 10_000, 50_000)}
    first = "server"
    return [
        Table("Unary calls, 8 connections x 10 streams", [RATE, COST],
              rows({n: served(s, UNARY, seconds) for n, s in (own | others).items()}), first=first),
        Table("Server streaming, messages of 12 bytes", [MESSAGES, COST],
              rows({n: served(s, STREAM, seconds) for n, s in SERVERS.items()}), first=first),
        Table("Latency of unary calls at half load", [RATE, P50, P99],
              rows({n: half_load(s, seconds) for n, s in (unix | others).items()}), first=first),
        Table("Connect over HTTP/1.1, protobuf, 8 connections", [RATE, COST],
              rows({n: served(Service(k), CONNECT_PROTO, seconds) for n, k in connect.items()}),
              "The last row parses the request and sends a fixed answer: the floor.", first),
        Table("Connect over HTTP/1.1, JSON, 8 connections", [RATE, COST],
              rows({n: served(Service(k), CONNECT_JSON, seconds) for n, k in connect.items()}), first=first),
        Table("Clients against the C++ server, one call after another", [RATE, P50, P99, OWN_COST],
              rows({n: called(cpp, k, 1, seconds) for n, k in clients.items()}), first="client"),
        Table("Clients against the C++ server, 64 calls in flight", [RATE, P50, P99, OWN_COST],
              rows({n: called(cpp, k, 64, seconds) for n, k in concurrent.items()}), first="client"),
        Table("Client and server of one kind, one call after another", [RATE, P50, P99, OWN_COST],
              rows({n: called(s, c, 1, seconds) for n, (s, c) in pairs.items()}), first="pair"),
        Table("Client and server of one kind, 64 calls in flight", [RATE, P50, P99, OWN_COST],
              rows({n: called(s, c, 64, seconds) for n, (s, c) in pairs.items() if n != "grpcio"}), first="pair"),
        Table("4 MB there and back, 4 in flight", [Column("rate", "MB/s"), OWN_COST],
              rows({n: called(s, c, 4, seconds, BLOB - 64) for n, (s, c) in pairs.items()
                    if n in (*unix, "grpc.aio")}), first="pair"),
        Table("Idle connections, held while 8 others call", [Column("memory", "bytes per idle connection"), RATE, COST],
              rows({idle_row(n, c): idle(replace(s, workers=workers_for(c)), c, seconds) for n, s in
                    (("catenet", CATENET), ("C++ gRPC, callback", cpp), ("grpc.aio", SERVERS["grpc.aio"]))
                    for c in held.get(n, (1000,))}), first=first),
    ]  # fmt: skip


def idle_row(name: str, count: int) -> str:
    """Name a row, and say so if one process may not have as many descriptors."""
    workers = workers_for(count)
    return f"{name}, {count:,} idle" + (f", {workers} processes for the limit of descriptors" if workers > 1 else "")


def ratios(found: list[Table]) -> str:
    """Say what the tables come to, as ratios of medians of the same run."""

    def rate(title: str, name: str) -> float | None:
        for table in found:
            for row in table.contenders:
                if table.title.startswith(title) and row.name == name and row.samples:
                    return statistics.median(sample["rate"] for sample in row.samples)
        return None

    lines = []
    for text, title, peer in (
        ("unary server", "Unary", "grpc.aio"),
        ("unary server", "Unary", "C++ gRPC, callback"),
        ("unary server", "Unary", "C++ gRPC, sync"),
        ("streaming server", "Server streaming", "C++ gRPC, callback"),
        ("streaming server", "Server streaming", "grpc.aio"),
        ("client, one after another", "Clients against the C++ server, one", "grpc.aio"),
        ("client, 64 in flight", "Clients against the C++ server, 64", "grpc.aio"),
        ("pair, one after another", "Client and server of one kind, one", "grpc.aio"),
        ("pair, 64 in flight", "Client and server of one kind, 64", "grpc.aio"),
        ("Connect, protobuf", "Connect over HTTP/1.1, protobuf", "connectrpc on uvicorn"),
        ("Connect, JSON", "Connect over HTTP/1.1, JSON", "connectrpc on uvicorn"),
        ("4 MB messages", "4 MB", "grpc.aio"),
    ):
        ours, theirs = rate(title, "catenet"), rate(title, peer)
        if ours and theirs:
            lines.append(f"{text} {ours / theirs:.1f} x {re.sub(', callback', '', peer)}")
    return "; ".join(lines)


def measure(found: list[Table], repetitions: int, patience: float) -> int:
    """Run all contenders in turn, as often as asked and as `patience` (seconds) permits; return how often."""
    began = time.monotonic()
    for done in range(repetitions):
        spent = time.monotonic() - began
        if done and spent * (done + 1) / done > patience:
            progress(f"no time for another round: {spent:.0f} s of {patience:.0f} are over")
            return done
        for number, table in enumerate(found, 1):
            progress(f"round {done + 1} of {repetitions}, {spent:.0f} s; table {number} of {len(found)}: {table.title}")
            # What takes long to set up and changes little is measured once.
            rows = [row for row in table.contenders if not done or "0,000 idle" not in row.name]
            interleave(rows, 1)
            spent = time.monotonic() - began
    return repetitions


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Measure all contenders."""
    wanted = repetitions or (1 if quick else 3)
    seconds = 1.0 if quick else 1.5
    with tempfile.TemporaryDirectory() as folder:
        environment = {"CERTIFICATE": str(certificate(Path(folder)))}
        found = tables(seconds, Service("catenet", "tls://127.0.0.1:{port}", environment), quick)
        if only:
            for table in found:
                table.contenders = [row for row in table.contenders if only in row.name]
        done = measure(found, wanted, PATIENCE if repetitions is None else math.inf)
    summary = (
        "HiScore, a service with small messages, server on one processor and load on the other. Every server does "
        "the whole work of a call: messages decoded, a handler run, messages encoded. catenet runs on uvloop, as "
        f"grpclib and uvicorn do here, unless a row says otherwise. {ratios(found)}."
    )
    return Report("rpc", summary, found, peers.versions(), done)
