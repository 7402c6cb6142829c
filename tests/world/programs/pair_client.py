"""Clients that others have written, for `pair_server.py`: `pair_client.py KIND HOST`."""

from __future__ import annotations

import asyncio
import json
import sys
import xmlrpc.client

BODY = bytes(range(256)) * 40
COUNT = 3


def requests(host: str) -> list[bytes]:
    import requests

    with requests.Session() as session:
        return [session.post(f"http://{host}/", data=BODY, timeout=60).content for _ in range(COUNT)]


def httpx(host: str) -> list[bytes]:
    import httpx

    with httpx.Client(timeout=60) as client:
        return [client.post(f"http://{host}/", content=BODY).content for _ in range(COUNT)]


def httpx_async(host: str) -> list[bytes]:
    import httpx

    async def main() -> list[bytes]:
        async with httpx.AsyncClient(timeout=60) as client:
            posted = [client.post(f"http://{host}/", content=BODY) for _ in range(COUNT)]
            return [answer.content for answer in await asyncio.gather(*posted)]

    return asyncio.run(main())


def aiohttp(host: str) -> list[bytes]:
    import aiohttp

    async def main() -> list[bytes]:
        async with aiohttp.ClientSession() as session:

            async def post() -> bytes:
                async with session.post(f"http://{host}/", data=BODY) as answer:
                    return await answer.read()

            return list(await asyncio.gather(*(post() for _ in range(COUNT))))

    return asyncio.run(main())


def urllib3(host: str) -> list[bytes]:
    import urllib3

    pool = urllib3.PoolManager()
    return [pool.request("POST", f"http://{host}/", body=BODY).data for _ in range(COUNT)]


def niquests(host: str) -> list[bytes]:
    import niquests

    with niquests.Session() as session:
        return [session.post(f"http://{host}/", data=BODY, timeout=60).content or b"" for _ in range(COUNT)]


def websockets(host: str) -> list[bytes]:
    from websockets.asyncio.client import connect

    async def main() -> list[bytes]:
        async with connect(f"ws://{host}/") as connection:
            answers = []
            for _ in range(COUNT):
                await connection.send(BODY)
                answer = await connection.recv()
                answers.append(answer if isinstance(answer, bytes) else answer.encode())
            return answers

    return asyncio.run(main())


def xmlrpc_client(host: str) -> list[bytes]:
    with xmlrpc.client.ServerProxy(f"http://{host}/") as proxy:
        return [str(proxy.ask(xmlrpc.client.Binary(BODY))).encode() for _ in range(COUNT)]


KINDS = (requests, httpx, httpx_async, aiohttp, urllib3, niquests, websockets, xmlrpc_client)

if __name__ == "__main__":
    answers = {kind.__name__: kind for kind in KINDS}[sys.argv[1]](sys.argv[2])
    for answer in map(json.loads, answers):
        assert answer["reversed"] == BODY[::-1].hex()
        print(answer["words"][:3], answer["drawn"], answer["time"])
    assert len(answers) == COUNT
