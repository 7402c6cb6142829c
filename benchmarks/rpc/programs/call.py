"""`call.py KIND ADDRESS IN_FLIGHT [BYTES]`: call HiScore for as many seconds as each line of the standard input says.

What was measured is printed as JSON, a line for each. With BYTES it calls Echo with a message of that size, otherwise
Get. `dropin` and `dropin_aio` are the programs of `sync` and `aio` with `catenet.rpc.grpc` in the place of `grpc`.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import ssl
import sys
import time
from typing import Any

import hiscore_pb2 as pb

QUERY = pb.Query(game="tetris")
WARM_UP = 200
PATH = "/hiscore/HiScore"
NAME = "hiscore.HiScore"


class Meter:
    """Counts calls and times each one."""

    def __init__(self, seconds: float) -> None:
        self.times: list[float] = []
        self.processor = time.process_time()
        self.started = time.perf_counter()
        self.end = self.started + seconds

    def report(self) -> None:
        elapsed = time.perf_counter() - self.started
        processor = time.process_time() - self.processor
        times = sorted(self.times)
        calls = len(times)
        print(
            json.dumps(
                {
                    "calls": calls,
                    "rate": calls / elapsed,
                    "processor": processor / calls * 1e6,
                    "p50": times[calls // 2] * 1e6,
                    "p99": times[int(calls * 0.99)] * 1e6,
                }
            ),
            flush=True,
        )


async def drive(call: Any, in_flight: int) -> None:
    for _ in range(WARM_UP if in_flight == 1 else 10):
        await asyncio.gather(*(call() for _ in range(in_flight)))
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    # While it waits the loop goes on: servers ask whether their clients are alive.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await _measure(call, in_flight, float(line))


async def _measure(call: Any, in_flight: int, seconds: float) -> None:
    meter = Meter(seconds)

    async def worker() -> None:
        clock = time.perf_counter
        while (started := clock()) < meter.end:
            await call()
            meter.times.append(clock() - started)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    meter.report()


def drive_sync(call: Any) -> None:
    for _ in range(WARM_UP):
        call()
    print("ready", flush=True)
    for line in sys.stdin:
        call()  # what has come meanwhile, such as a question whether the client is alive, is not measured
        meter = Meter(float(line))
        clock = time.perf_counter
        while (started := clock()) < meter.end:
            call()
            meter.times.append(clock() - started)
        meter.report()


def catenet(address: str, in_flight: int, blob: Any, loop: str = "uvloop") -> None:
    import uvloop

    import hiscore_rpc
    from catenet.net.tuning import keep_large_blocks
    from catenet.rpc import Channel, ChannelOptions

    keep_large_blocks()

    async def main() -> None:
        tls = None
        if address.startswith("tls:"):
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        async with Channel(address, options=ChannelOptions(max_receive=16 << 20), tls=tls) as channel:
            client = hiscore_rpc.HiScoreClient(channel)
            await drive((lambda: client.echo(blob)) if blob else (lambda: client.get(QUERY)), in_flight)

    (uvloop.run if loop == "uvloop" else asyncio.run)(main())


def bare(address: str, in_flight: int, blob: Any) -> None:
    """The floor: a fixed request to whatever server."""
    import uvloop
    from bare import connect

    async def main() -> None:
        host, port = address.removeprefix("tcp://").split(":")
        client = await connect(host, int(port), f"/{NAME}/Get".encode(), QUERY.SerializeToString())
        await drive(client.call, in_flight)

    uvloop.run(main())


def catenet_asyncio(address: str, in_flight: int, blob: Any) -> None:
    catenet(address, in_flight, blob, "asyncio")


def catenet_sync(address: str, in_flight: int, blob: Any) -> None:
    import uvloop

    import hiscore_rpc
    from catenet.rpc import SyncChannel

    with SyncChannel(address, loop_factory=uvloop.new_event_loop) as channel:
        client = hiscore_rpc.HiScoreSyncClient(channel)
        drive_sync(lambda: client.get(QUERY))


OPTIONS = [("grpc.max_receive_message_length", 16 << 20)]


def _calls(channel: Any, blob: Any) -> Any:
    get = channel.unary_unary(
        f"/{NAME}/Get",
        request_serializer=pb.Query.SerializeToString,
        response_deserializer=pb.Score.FromString,
    )
    echo = channel.unary_unary(
        f"/{NAME}/Echo",
        request_serializer=pb.Blob.SerializeToString,
        response_deserializer=pb.Blob.FromString,
    )
    return (lambda: echo(blob)) if blob else (lambda: get(QUERY))


def _grpc(ours: bool) -> Any:
    return importlib.import_module("catenet.rpc.grpc" if ours else "grpc")


def aio(address: str, in_flight: int, blob: Any, ours: bool = False) -> None:
    grpc = _grpc(ours)

    async def main() -> None:
        async with grpc.aio.insecure_channel(address.removeprefix("tcp://"), options=OPTIONS) as channel:
            calls = _calls(channel, blob)

            async def call() -> Any:  # what `gather` takes: grpc.aio's calls are awaitable and no coroutines
                return await calls()

            await drive(call, in_flight)

    asyncio.run(main())


def sync(address: str, in_flight: int, blob: Any, ours: bool = False) -> None:
    with _grpc(ours).insecure_channel(address.removeprefix("tcp://"), options=OPTIONS) as channel:
        drive_sync(_calls(channel, blob))


def grpclib(address: str, in_flight: int, blob: Any) -> None:
    import uvloop
    from grpclib.client import Channel, UnaryUnaryMethod

    async def main() -> None:
        host, port = address.removeprefix("tcp://").split(":")
        async with Channel(host, int(port)) as channel:
            get = UnaryUnaryMethod(channel, f"/{NAME}/Get", pb.Query, pb.Score)
            await drive(lambda: get(QUERY), in_flight)

    uvloop.run(main())


def dbus(address: str, in_flight: int, blob: Any) -> None:
    import uvloop
    from dbus_fast import Message, MessageType
    from dbus_fast.aio import MessageBus

    async def main() -> None:
        bus = await MessageBus(address.replace("unix:", "unix:path=")).connect()

        async def get() -> Any:
            question = Message(NAME, PATH, NAME, "Get", signature="s", body=["tetris"])
            answer = await bus.call(question)
            assert answer is not None and answer.message_type is MessageType.METHOD_RETURN
            return answer.body

        await drive(get, in_flight)

    uvloop.run(main())


def pyro(address: str, in_flight: int, blob: Any) -> None:
    import Pyro5.api

    with Pyro5.api.Proxy(f"PYRO:scores@./u:{address.removeprefix('unix:')}") as scores:
        drive_sync(lambda: scores.get("tetris"))


KINDS: dict[str, Any] = {f.__name__: f for f in (catenet, catenet_asyncio, catenet_sync, bare, aio, sync, grpclib)}
KINDS |= {"dropin": functools.partial(sync, ours=True), "dropin_aio": functools.partial(aio, ours=True)}
KINDS |= {"dbus": dbus, "pyro": pyro}

if __name__ == "__main__":
    kind, address, in_flight = sys.argv[1:4]
    KINDS[kind](address, int(in_flight), pb.Blob(data=bytes(int(sys.argv[4]))) if len(sys.argv) > 4 else None)
