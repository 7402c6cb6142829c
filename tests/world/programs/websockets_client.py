"""An ordinary websockets client, asynchronous and then synchronous, with a message of 1 MB."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_sync

MESSAGE = bytes(range(250)) * 4000


async def main(url: str) -> None:
    async with connect(url, max_size=4_000_000, open_timeout=60) as connection:
        await connection.send(MESSAGE)
        assert await connection.recv() == MESSAGE[::-1]


asyncio.run(main(sys.argv[1]))
with connect_sync(sys.argv[1], max_size=4_000_000, open_timeout=60) as connection:
    connection.send(MESSAGE[:1000])
    assert connection.recv() == MESSAGE[:1000][::-1]
print("done")
