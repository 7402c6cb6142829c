"""An ordinary httpx client, asynchronous."""

import asyncio
import sys

import httpx

PAYLOAD = bytes(range(256)) * 1000


async def main(url: str) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        answers = await asyncio.gather(*(client.get(f"{url}/hello", params={"n": n}) for n in range(5)))
        assert [answer.json()["query"] for answer in answers] == [{"n": str(n)} for n in range(5)]
        answer = await client.post(f"{url}/echo", content=PAYLOAD)
        assert answer.content == PAYLOAD[::-1]
    print("done")


asyncio.run(main(sys.argv[1]))
