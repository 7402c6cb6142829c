"""Asyncio conversations on simloop: `simloop_world.py echo|bulk|idle CLIENTS COUNT`. Runs in the peer's own venv."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from simloop import SimLoop

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
import streams

LATENCY = 0.001

if not hasattr(asyncio.Handle, "get_context"):
    # Python 3.11 lacks the method (3.12 has it), which is all of 3.12 that simloop asks for.
    asyncio.Handle.get_context = lambda handle: handle._context  # type: ignore[attr-defined]


async def world(purpose: str, clients: int, count: int) -> None:
    loop: Any = asyncio.get_running_loop()
    loop.net.set_defaults(latency=(LATENCY, LATENCY))
    if purpose == "idle":
        await asyncio.gather(*[loop.net.host(f"host{n}").create_task(streams.tick(count)) for n in range(clients)])
        return
    server = loop.net.host("server").create_task(streams.serve(purpose, "server"))
    await asyncio.sleep(1)
    work = {"echo": streams.echo, "bulk": streams.bulk}[purpose]
    await asyncio.gather(*[loop.net.host(f"client{n}").create_task(work("server", count)) for n in range(clients)])
    server.cancel()


def main() -> None:
    purpose, clients, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    loop = SimLoop(seed=1)
    started, processor = time.perf_counter(), time.process_time()
    loop.run_until_complete(world(purpose, clients, count))
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - started,
                "processor": time.process_time() - processor,
                "virtual": loop.time(),
            }
        )
    )


main()
