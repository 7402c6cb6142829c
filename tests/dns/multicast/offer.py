"""A program that offers a service until it is told to end: offer.py NAME HOST SECONDS [PORT]."""

import asyncio
import sys

from catenet.dns.multicast import publish


async def main(name: str, host: str, seconds: float, port: int = 8080) -> None:
    properties = {"path": "/", "flag": None}
    async with publish(name, "_http._tcp", port, properties=properties, subtypes=["_printer"], host=host) as published:
        print("offers", published.name, "on", published.host, flush=True)
        await asyncio.sleep(seconds)


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *map(int, sys.argv[4:])))
