"""Sessions and TCP in one world, in virtual time: `session_world.py rate|resume KIND RTT_MS MEGABYTES`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from session_ways import Way, send, swallow

from catenet.session.transport import SessionTransport
from catenet.world import World

PORT = 7000
RATE = "1Gbit"


async def resume(way: Way, rtt: float) -> dict[str, float]:
    """Round trips to a first answer, and from a broken connection to the answer to something new."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    reader, writer = await way.connect("server", PORT)
    writer.write(b"?")
    await reader.readexactly(1)
    first = loop.time() - begun
    await asyncio.sleep(1)
    transport = writer.transport
    begun = loop.time()
    if isinstance(transport, SessionTransport):
        assert transport.connection is not None
        transport.connection.abort()
    else:
        transport.abort()
        reader, writer = await way.connect("server", PORT)
    writer.write(b"?")
    await reader.readexactly(1)
    return {"first": first / rtt, "again": (loop.time() - begun) / rtt}


async def rate(way: Way, size: int) -> dict[str, float]:
    """MB/s."""
    return {"rate": await send(way, "server", PORT, size) / 1e6}


def run(what: str, kind: str, rtt: float, size: int) -> dict[str, float]:
    """Run the world."""
    figures: list[Any] = []
    way = Way(kind)
    with World(1) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency=rtt / 4, rate=RATE)
        world.hosts["server"].run(
            lambda: asyncio.run(way.serve(swallow, port=PORT, on_port=lambda _: None)), daemon=True
        )
        work = rate(way, size) if what == "rate" else resume(way, rtt)
        world.hosts["client"].run(lambda: figures.append(asyncio.run(work)), start=0.1)
        world.run(600.0)
    return dict(figures[0])


def main() -> None:
    what, kind, milliseconds, megabytes = sys.argv[1:5]
    print(json.dumps(run(what, kind, float(milliseconds) / 1000, int(megabytes) << 20)))


main()
