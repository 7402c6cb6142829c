"""Sessions and TCP over loopback, both ends with a processor each: `session_loopback.py LOOP KIND MEGABYTES`."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection

from session_ways import Way, send, swallow


def runner(loop: str) -> asyncio.Runner:
    """An event loop of the kind."""
    if loop == "uvloop":
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()


def receive(way: Way, loop: str, pipe: Connection) -> None:
    """The receiver's process."""
    os.sched_setaffinity(0, [0])

    async def serve() -> None:
        serving = asyncio.create_task(way.serve(swallow, "127.0.0.1", on_port=pipe.send))
        await asyncio.to_thread(pipe.recv)
        serving.cancel()

    with runner(loop) as running:
        running.run(serve())
    pipe.send(time.process_time())


def main() -> None:
    loop, kind, megabytes = sys.argv[1:4]
    size = int(megabytes) << 20
    way = Way(kind)
    context = multiprocessing.get_context("fork")
    near, far = context.Pipe()
    process = context.Process(target=receive, args=(way, loop, far))
    process.start()
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    port = near.recv()
    with runner(loop) as running:
        rate = running.run(send(way, "127.0.0.1", port, size))
    near.send(None)
    used = time.process_time() + near.recv()
    process.join()
    print(json.dumps({"rate": rate / 1e6, "cpu": used / size * 1e9}))


main()
