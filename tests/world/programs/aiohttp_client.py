"""An ordinary aiohttp client, with a web socket."""

import asyncio
import sys

import aiohttp

PAYLOAD = bytes(range(256)) * 1000


async def main(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/hello") as answer:
            assert (await answer.json())["path"] == "/hello"
        async with session.post(f"{url}/echo", data=PAYLOAD) as answer:
            assert await answer.read() == PAYLOAD[::-1]
        async with session.ws_connect(f"{url}/socket") as ws:
            await ws.send_bytes(b"abc")
            assert await ws.receive_bytes() == b"cba"
    print("done")


asyncio.run(main(sys.argv[1]))
