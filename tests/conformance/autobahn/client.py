"""Plays the client of Autobahn's fuzzing server: every case, then the report."""

from __future__ import annotations

import asyncio
import sys

from catenet.http.websocket import DeflateOptions, WebSocketClosed, WebSocketLimits, connect
from catenet.net import ConnectError

LIMITS = WebSocketLimits(max_message=64 << 20, max_frame=64 << 20, ping_interval=None)
OPTIONS = DeflateOptions(server_max_window_bits=15, client_max_window_bits=15, min_size=0)


async def case_count(url: str) -> int:
    """Ask how many there are, once the server is there."""
    for attempt in range(100):
        try:
            async with await connect(f"{url}/getCaseCount") as ws:
                return int(await ws.receive())
        except ConnectError:
            if attempt == 99:
                raise
            await asyncio.sleep(0.1)
    return 0


async def main(url: str) -> None:
    """Echo what comes in each case."""
    for number in range(1, await case_count(url) + 1):
        try:
            async with await connect(
                f"{url}/runCase?case={number}&agent=catenet", limits=LIMITS, deflate=OPTIONS
            ) as ws:
                async for message in ws:
                    await ws.send(message)
        except WebSocketClosed:
            pass  # as the case wants it
    async with await connect(f"{url}/updateReports?agent=catenet") as ws:
        async for _ in ws:
            pass


asyncio.run(main(sys.argv[1]))
