"""`call.py KIND ADDRESS IN_FLIGHT SECONDS [BYTES]`: call HiScore and print what was measured, as JSON.

With BYTES it calls Echo with a message of that size, otherwise Get.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any

import hiscore_pb2 as pb

QUERY = pb.Query(game="tetris")


class Meter:
    """Counts calls and times each one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.times: list[float] = []

    def begin(self) -> None:
        self.processor = time.process_time()
        self.started = time.perf_counter()
        self.end = self.started + self.seconds

    def report(self) -> None:
        elapsed = time.perf_counter() - self.started
        times = sorted(self.times)
        count = len(times)
        print(
            json.dumps(
                {
                    "rate": count / elapsed,
                    "processor": (time.process_time() - self.processor) / count * 1e6,
                    "p50": times[count // 2] * 1e6,
                    "p99": times[int(count * 0.99)] * 1e6,
                }
            )
        )


async def drive(call: Any, in_flight: Any, meter: Any) -> None:
    for _ in range(50):
        await call()
    meter.begin()

    async def worker() -> None:
        clock = time.perf_counter
        while (started := clock()) < meter.end:
            await call()
            meter.times.append(clock() - started)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    meter.report()


def drive_sync(call: Any, meter: Any) -> None:
    for _ in range(50):
        call()
    meter.begin()
    clock = time.perf_counter
    while (started := clock()) < meter.end:
        call()
        meter.times.append(clock() - started)
    meter.report()


def catenet(address: Any, in_flight: Any, meter: Any, blob: Any, loop: str = "uvloop") -> None:
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
            await drive((lambda: client.echo(blob)) if blob else (lambda: client.get(QUERY)), in_flight, meter)

    (uvloop.run if loop == "uvloop" else asyncio.run)(main())


def catenet_asyncio(address: Any, in_flight: Any, meter: Any, blob: Any) -> None:
    catenet(address, in_flight, meter, blob, "asyncio")


def catenet_sync(address: Any, in_flight: Any, meter: Any, blob: Any) -> None:
    import uvloop

    import hiscore_rpc
    from catenet.rpc import SyncChannel

    with SyncChannel(address, loop_factory=uvloop.new_event_loop) as channel:
        client = hiscore_rpc.HiScoreSyncClient(channel)
        drive_sync(lambda: client.get(QUERY), meter)


OPTIONS = [("grpc.max_receive_message_length", 16 << 20)]


def _calls(channel: Any, blob: Any) -> Any:
    get = channel.unary_unary(
        "/hiscore.HiScore/Get",
        request_serializer=pb.Query.SerializeToString,
        response_deserializer=pb.Score.FromString,
    )
    echo = channel.unary_unary(
        "/hiscore.HiScore/Echo",
        request_serializer=pb.Blob.SerializeToString,
        response_deserializer=pb.Blob.FromString,
    )
    return (lambda: echo(blob)) if blob else (lambda: get(QUERY))


def aio(address: Any, in_flight: Any, meter: Any, blob: Any) -> None:
    import grpc

    async def main() -> None:
        async with grpc.aio.insecure_channel(address.removeprefix("tcp://"), options=OPTIONS) as channel:
            await drive(_calls(channel, blob), in_flight, meter)

    asyncio.run(main())


def sync(address: Any, in_flight: Any, meter: Any, blob: Any) -> None:
    import grpc

    with grpc.insecure_channel(address.removeprefix("tcp://"), options=OPTIONS) as channel:
        drive_sync(_calls(channel, blob), meter)


def grpclib(address: Any, in_flight: Any, meter: Any, blob: Any) -> None:
    import uvloop
    from grpclib.client import Channel, UnaryUnaryMethod

    async def main() -> None:
        host, port = address.removeprefix("tcp://").split(":")
        async with Channel(host, int(port)) as channel:
            get = UnaryUnaryMethod(channel, "/hiscore.HiScore/Get", pb.Query, pb.Score)
            await drive(lambda: get(QUERY), in_flight, meter)

    uvloop.run(main())


if __name__ == "__main__":
    kind, address, in_flight, seconds = sys.argv[1:5]
    blob = pb.Blob(data=bytes(int(sys.argv[5]))) if len(sys.argv) > 5 else None
    kinds = {f.__name__: f for f in (catenet, catenet_asyncio, catenet_sync, aio, sync, grpclib)}
    kinds[kind](address, int(in_flight), Meter(float(seconds)), blob)
