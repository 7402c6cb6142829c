"""The conversations of streams.py on the kernel's loopback: `loopback.py asyncio|uvloop echo|bulk CLIENTS COUNT`."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import streams

ADDRESS = "127.0.0.1"


async def converse(purpose: str, clients: int, count: int) -> None:
    server = asyncio.ensure_future(streams.serve(purpose, ADDRESS))
    await asyncio.sleep(0.1)
    work = {"echo": streams.echo, "bulk": streams.bulk}[purpose]
    started, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*[work(ADDRESS, count) for _ in range(clients)])
    figures = {"wall": time.perf_counter() - started, "processor": time.process_time() - processor}
    server.cancel()
    print(json.dumps(figures))


def main() -> None:
    loop, purpose, clients, count = sys.argv[1:5]
    if loop == "uvloop":
        import uvloop

        uvloop.run(converse(purpose, int(clients), int(count)))
    else:
        asyncio.run(converse(purpose, int(clients), int(count)))


main()
