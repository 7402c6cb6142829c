"""What the rows of the tables run: a load, a client, idle connections."""

from __future__ import annotations

import statistics
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Column, Sample
from benchmarks.rpc import lab, peers
from benchmarks.rpc.bench import Bench
from benchmarks.rpc.callers import Client
from benchmarks.rpc.lab import Service
from benchmarks.rpc.load import Load, h2load

QUERY = b"\x0a\x06tetris"
GET = "/hiscore.HiScore/Get"
WATCH_COUNT = 200

RATE = Column("rate", "calls/s")
MESSAGES = Column("rate", "messages/s")
COST = Column("processor", "server's CPU, us each", 1)
CAPACITY = Column("capacity", "calls per CPU second of the busiest process")
OWN_COST = Column("processor", "client's CPU, us each", 1)
SERVER_COST = Column("server", "server's", 1)
BOTH = Column("both", "both, us", 1)
P50 = Column("p50", "median, us", 1)
P99 = Column("p99", "p99, us")

ARRIVALS = 1000.0
LONGEST_ARRIVAL = 20.0
"""Idle connections come so many in a second; more of them if they were to take longer than so many seconds."""
REST = 4.0
"""Seconds in which nothing happens on them before the memory is looked at."""

Run = Callable[[], Sample]


def envelope(payload: bytes) -> bytes:
    """Return the gRPC message with its five-byte prefix."""
    return struct.pack(">BI", 0, len(payload)) + payload


UNARY = Load(GET, envelope(QUERY))
CROWD = Load(GET, envelope(QUERY), clients=400, streams=2)
STREAM = Load("/hiscore.HiScore/Watch", envelope(b"\x08\xc8\x01"), clients=4, streams=4, messages=WATCH_COUNT)
CONNECT_PROTO = Load(GET, QUERY, "application/proto", streams=1, http1=True)
CONNECT_JSON = Load(GET, b'{"game":"tetris"}', "application/json", streams=1, http1=True)


class Runs:
    """Makes runs that take `seconds` each, on one bench."""

    def __init__(self, bench: Bench, seconds: float) -> None:
        self._bench = bench
        self._seconds = seconds
        self._most: dict[str, float] = {}

    def served(self, service: Service, load: Load = UNARY) -> Run:
        """A server under load."""

        def measure() -> Sample:
            sample = self._bench.load(service, load, self._seconds)
            if load is UNARY:
                self._most[repr(service)] = sample["rate"]
            return sample

        return measure

    def half_load(self, service: Service) -> Run:
        """A server at half of what it has taken."""
        whole = self.served(service)

        def measure() -> Sample:
            most = self._most.get(repr(service)) or whole()["rate"]
            return self._bench.load(service, Load(GET, UNARY.body, rate=int(most / 2)), self._seconds)

        return measure

    def called(self, service: Service, client: Client) -> Run:
        """A client and a server; if the messages have a size, the rate is in MB/s, both directions counted once."""

        def measure() -> Sample:
            sample = self._bench.call(service, client, self._seconds)
            if client.size:
                sample["rate"] *= client.size / 1e6
            return sample

        return measure

    def idle(self, service: Service, count: int) -> Run:
        """Memory for each idle connection, and the rate while they are held."""

        def measure() -> Sample:
            hello = _hello()
            with lab.serving(service) as running, lab.holding(running, 100 * service.workers, hello):
                h2load(running, UNARY, 0.2)  # what the load itself takes is there before
                before = running.resident()
                with lab.holding(running, count, hello, max(count / LONGEST_ARRIVAL, ARRIVALS)):
                    time.sleep(REST)
                    memory = running.resident() - before
                    sample = h2load(running, UNARY, self._seconds)
            return sample | ({"memory": memory / count} if count else {})

        return measure


def _hello() -> bytes:
    """What a client begins a connection with that makes one call."""
    from catenet.http.h2.connection import Connection
    from catenet.http.message import RequestHead

    client = Connection(True)
    fields = ((b"te", b"trailers"), (b"content-type", b"application/grpc"))
    stream = client.open(RequestHead(b"POST", GET.encode(), fields, b"localhost"), False)
    client.send_data(stream, envelope(QUERY), True)
    return client.transmit() + bytes.fromhex("000000040100000000")


def procedure() -> Sample:
    """A call within a process: a function that takes a message and returns one, of the same kinds as the others."""
    folder = str(peers.messages())
    if folder not in sys.path:
        sys.path.append(folder)
    import hiscore_pb2 as pb

    def get(request: object) -> object:
        return pb.Score(player="ann", points=12345678)

    query, count, times = pb.Query(game="tetris"), 1000, []
    clock, began = time.perf_counter, time.process_time()
    for _ in range(100):
        started = clock()
        for _ in range(count):
            get(query)
        times.append((clock() - started) / count * 1e6)
    cost = (time.process_time() - began) / len(times) / count * 1e6
    middle = statistics.median(times)
    return {"rate": 1e6 / middle, "p50": middle, "p99": max(times), "processor": cost, "both": cost}


def certificate(folder: Path) -> Path:
    """Write a certificate for this run and return its path."""
    import trustme

    path = folder / "server.pem"
    path.write_bytes(trustme.CA().issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.bytes())
    return path
