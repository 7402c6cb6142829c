"""The tables: which contenders are in which, and what each is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.harness import Column, Contender, Table
from benchmarks.rpc.callers import Client
from benchmarks.rpc.goals import FLOOR
from benchmarks.rpc.lab import COMPILED, SERVER_ON, Service, workers_for
from benchmarks.rpc.runs import (
    BOTH,
    CAPACITY,
    CONNECT_JSON,
    CONNECT_PROTO,
    COST,
    CROWD,
    MESSAGES,
    OWN_COST,
    P50,
    P99,
    RATE,
    SERVER_COST,
    STREAM,
    Run,
    Runs,
    procedure,
)  # fmt: skip

BLOB = 4 << 20
CATENET = Service("catenet")
UNIX = "unix:{folder}/s"
OURS = {
    "catenet": CATENET,
    "catenet, compiled": Service("catenet", environment=COMPILED),
    "catenet, an interceptor": Service("catenet", environment={"INTERCEPTED": "1"}),
    "catenet, Unix socket": Service("catenet", UNIX),
}
PEERS = {
    "C++ gRPC, callback": Service("cpp-callback"),
    "C++ gRPC, sync": Service("cpp-sync"),
    "grpc-go": Service("grpc-go"),
    "tonic": Service("tonic"),
    "grpc-js": Service("grpc-js"),
    "grpclib on uvloop": Service("grpclib"),
    "grpcio, 8 threads": Service("sync"),
    "grpc.aio": Service("aio"),
}
DROP_INS = {
    "catenet.rpc.grpc.aio": Service("dropin_aio"),
    "catenet.rpc.grpc, 8 threads": Service("dropin"),
}
CPP = PEERS["C++ gRPC, callback"]
CLIENTS = {
    "catenet": Client("catenet"),
    "catenet, compiled": Client("catenet", environment=COMPILED),
    "catenet, no uvloop": Client("catenet_asyncio"),
    "catenet, sync": Client("catenet_sync"),
    "catenet.rpc.grpc.aio": Client("dropin_aio"),
    "catenet.rpc.grpc": Client("dropin"),
    "grpc.aio": Client("aio"),
    "grpcio": Client("sync"),
    "grpc-js": Client("grpc-js"),
    "grpclib on uvloop": Client("grpclib"),
    FLOOR: Client("bare"),
}
FLOOR_NOTE = (
    "The last row sends the same bytes of gRPC again and again and looks at nothing but the types of frames: "
    "what the kernel, the event loop and its wake-ups take, and whatever server is on the other side."
)
BLOCKING = ("catenet, sync", "catenet.rpc.grpc", "grpcio")
Pairs = Mapping[str, tuple[Service, Client]]
COSTS = (OWN_COST, SERVER_COST, BOTH)
CONTENTS = {
    "servers": "unary calls, streams of answers, latency at half load, workers",
    "connect": "Connect over HTTP/1.1",
    "clients": "clients against the C++ server",
    "pairs": "client and server of one kind; local calls beside D-Bus and Pyro5",
    "idle": "idle connections",
}


def rows(runs: Mapping[str, Run]) -> list[Contender]:
    """Contenders by their names."""
    return [Contender(name, run) for name, run in runs.items()]


def servers(run: Runs, secure: Service) -> list[Table]:
    """Servers under load."""
    every = OURS | {"catenet, TLS": secure} | PEERS | DROP_INS
    plain = {name: one for name, one in every.items() if "interceptor" not in name}
    streams = {name: one for name, one in every.items() if name in ("catenet", "catenet, compiled", *PEERS, *DROP_INS)}
    crowd = {
        "catenet, one process": CATENET,
        "catenet, two workers": Service("catenet", workers=2, spread=True),
    }
    return [
        Table("Unary calls, 8 connections x 10 streams", [RATE, COST],
              rows({name: run.served(one) for name, one in every.items()})),
        Table("Latency of unary calls at half load", [RATE, P50, P99],
              rows({name: run.half_load(one) for name, one in plain.items()})),
        Table("Server streaming, messages of 12 bytes", [MESSAGES, COST],
              rows({name: run.served(one, STREAM) for name, one in streams.items()})),
        Table("Workers: unary calls, 400 connections x 2 streams", [RATE, COST, CAPACITY],
              rows({name: run.served(one, CROWD) for name, one in crowd.items()}),
              "The kernel spreads connections by a hash. With two processors the load runs on that of the second "
              "worker, so the rate says less than what each process could do on a processor of its own: the last one."),
    ]  # fmt: skip


def connect(run: Runs) -> list[Table]:
    """Connect over HTTP/1.1."""
    contenders = {
        "catenet": CATENET,
        "catenet, compiled": OURS["catenet, compiled"],
        "connectrpc on uvicorn": Service("connectrpc"),
        "bare uvloop + httptools": Service("bare"),
    }
    return [
        Table(f"Connect over HTTP/1.1, {name}, 8 connections", [RATE, COST],
              rows({one: run.served(service, load) for one, service in contenders.items()}), note)
        for name, load, note in (
            ("protobuf", CONNECT_PROTO, "The last row parses the request and sends a fixed answer: the floor."),
            ("JSON", CONNECT_JSON, ""),
        )
    ]  # fmt: skip


def clients(run: Runs) -> list[Table]:
    """Clients against one server."""
    concurrent = {n: replace(one, in_flight=64) for n, one in CLIENTS.items() if n not in BLOCKING}
    columns = [RATE, P50, P99, OWN_COST]
    return [
        Table("Clients against the C++ server, one call after another", columns,
              rows({name: run.called(CPP, one) for name, one in CLIENTS.items()}), FLOOR_NOTE, first="client"),
        Table("Clients against the C++ server, 64 calls in flight", columns,
              rows({name: run.called(CPP, one) for name, one in concurrent.items()}), first="client"),
    ]  # fmt: skip


def pairs(run: Runs, secure: Service) -> list[Table]:
    """Client and server of one kind."""
    ours: dict[str, tuple[Service, Client]] = {
        "catenet": (CATENET, CLIENTS["catenet"]),
        "catenet, compiled": (OURS["catenet, compiled"], CLIENTS["catenet, compiled"]),
        "catenet, Unix socket": (OURS["catenet, Unix socket"], CLIENTS["catenet"]),
        "catenet, TLS": (secure, CLIENTS["catenet"]),
        "catenet, no uvloop": (Service("catenet", environment={"LOOP": "asyncio"}), CLIENTS["catenet, no uvloop"]),
        "catenet.rpc.grpc.aio": (DROP_INS["catenet.rpc.grpc.aio"], CLIENTS["catenet.rpc.grpc.aio"]),
    }
    aio = (PEERS["grpc.aio"], CLIENTS["grpc.aio"])
    others = {
        "catenet.rpc.grpc": (DROP_INS["catenet.rpc.grpc, 8 threads"], CLIENTS["catenet.rpc.grpc"]),
        "grpc.aio": aio,
        "grpcio": (PEERS["grpcio, 8 threads"], CLIENTS["grpcio"]),
        "grpc-js": (PEERS["grpc-js"], CLIENTS["grpc-js"]),
        "grpclib": (PEERS["grpclib on uvloop"], CLIENTS["grpclib on uvloop"]),
        FLOOR: (Service("bare_grpc"), CLIENTS[FLOOR]),
    }
    narrow = {name: pair for name, pair in (ours | others).items() if "TLS" not in name and name != "grpc-js"}
    many = {name: pair for name, pair in (ours | others).items() if name not in BLOCKING}
    large = {name: ours[name] for name in ("catenet", "catenet, Unix socket", "catenet, TLS")} | {"grpc.aio": aio}
    return [
        Table("Client and server of one kind, one call after another", [RATE, P50, P99, *COSTS],
              rows(_called(run, ours | others)), FLOOR_NOTE, first="pair"),
        Table("Client and server of one kind on one processor, one call after another", [RATE, P50, P99, *COSTS],
              rows(_called(run, narrow, on=SERVER_ON)), first="pair"),
        Table("Client and server of one kind, 64 calls in flight", [RATE, P50, P99, *COSTS],
              rows(_called(run, many, in_flight=64)), first="pair"),
        Table("4 MB there and back, 4 in flight", [Column("rate", "MB/s"), *COSTS],
              rows(_called(run, large, in_flight=4, size=BLOB - 64)), first="pair"),
        local(run, ours),
    ]  # fmt: skip


def _called(
    run: Runs, pairs: Pairs, *, on: int | None = None, in_flight: int | None = None, size: int = 0
) -> dict[str, Run]:
    found = {}
    for name, (service, client) in pairs.items():
        changed = replace(
            client, in_flight=in_flight or client.in_flight, size=size, on=client.on if on is None else on
        )
        found[name] = run.called(service, changed)
    return found


def local(run: Runs, ours: Pairs) -> Table:
    """Calls to another process of this machine, beside a call of a function and one over TCP."""
    unix = OURS["catenet, Unix socket"]
    contenders: dict[str, tuple[Service, Client]] = {
        "catenet, Unix socket": ours["catenet, Unix socket"],
        "catenet, sync, Unix socket": (unix, CLIENTS["catenet, sync"]),
        "grpc.aio, Unix socket": (Service("aio", UNIX), CLIENTS["grpc.aio"]),
        "grpcio, Unix socket": (Service("sync", UNIX), CLIENTS["grpcio"]),
        "dbus-fast on uvloop, its own dbus-daemon": (Service("dbus", UNIX), Client("dbus")),
        "Pyro5, Unix socket": (Service("pyro", UNIX), Client("pyro")),
        "catenet, TCP": ours["catenet"],
        "catenet, TLS": ours["catenet, TLS"],
    }
    found = [Contender("a function of the same process", procedure), *rows(_called(run, contenders))]
    note = "D-Bus brings a call through its daemon, whose processor time is the server's here."
    return Table("A local call, one after another", [RATE, P50, P99, *COSTS], found, note, first="call")


def idle(run: Runs, counts: Sequence[int]) -> Table:
    """What connections cost on which nothing happens."""
    held = {
        "catenet": (CATENET, counts),
        "C++ gRPC, callback": (CPP, (1000,)),
        "grpc.aio": (PEERS["grpc.aio"], (1000,)),
    }
    return Table(
        "Idle connections, held while 8 others call",
        [Column("memory", "bytes per idle connection"), RATE, COST],
        rows(
            {
                _idle_row(name, count): run.idle(replace(service, workers=workers_for(count)), count)
                for name, (service, all_counts) in held.items()
                for count in all_counts
            }
        ),
        "Resident memory of the server: what each more takes once a hundred stand. They come 1,000 in a second, make "
        "a call each, and then nothing happens for 4 s. What a server has freed is in the figure as long as it has it.",
    )


def _idle_row(name: str, count: int) -> str:
    """Name a row, and say so if one process may not have as many descriptors."""
    workers = workers_for(count)
    return f"{name}, {count:,} idle" + (f", {workers} processes for the limit of descriptors" if workers > 1 else "")
