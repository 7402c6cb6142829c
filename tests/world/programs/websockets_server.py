"""An ordinary websockets server."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from websockets.asyncio.server import serve


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message[::-1])


async def main() -> None:
    async with serve(echo, None, int(sys.argv[1]), max_size=4_000_000) as server:
        await server.serve_forever()


asyncio.run(main())
