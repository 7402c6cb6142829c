"""One client under load: `load.py KIND URL IN_FLIGHT SECONDS VARIED` prints requests a second and processor time each.

With VARIED each request has a path of its own; the server answers it with fields that differ.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

KIND, URL, IN_FLIGHT, SECONDS, VARIED = (
    sys.argv[1],
    sys.argv[2],
    int(sys.argv[3]),
    float(sys.argv[4]),
    sys.argv[5] == "1",
)
WARM = 0.3

_numbers = itertools.count()


def next_url() -> str:
    """The URL of the next request."""
    return f"{URL}/varied/{next(_numbers)}?q=1" if VARIED else f"{URL}/same"


Get = Callable[[], Awaitable[None]]


async def flood(get: Get) -> tuple[float, float]:
    """Keep so many requests in flight; return requests a second and seconds of processor for each."""
    end, count = 0.0, 0

    async def worker() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await get()
            count += 1

    end = time.perf_counter() + WARM
    await asyncio.gather(*[worker() for _ in range(IN_FLIGHT)])
    count, began, processor = 0, time.perf_counter(), time.process_time()
    end = began + SECONDS
    await asyncio.gather(*[worker() for _ in range(IN_FLIGHT)])
    return count / (time.perf_counter() - began), (time.process_time() - processor) / count


def one_by_one(get: Callable[[], None]) -> tuple[float, float]:
    """The same for a client that blocks."""
    end = time.perf_counter() + WARM
    while time.perf_counter() < end:
        get()
    count, began, processor = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < began + SECONDS:
        get()
        count += 1
    return count / (time.perf_counter() - began), (time.process_time() - processor) / count


async def catenet() -> tuple[float, float]:
    from catenet.http import Client
    from catenet.net.pool import PoolLimits

    async with Client(pool=PoolLimits(100, 100, 30.0), trust_env=False) as client:

        async def get() -> None:
            response = await client.get(next_url())
            assert response.status == 200 and response.content

        return await flood(get)


async def catenet_httpx() -> tuple[float, float]:
    import httpx

    from catenet.http.client.httpx_transport import AsyncCatenetTransport

    async with httpx.AsyncClient(transport=AsyncCatenetTransport()) as client:
        return await flood(httpx_get(client))


def httpx_get(client: Any) -> Get:
    async def get() -> None:
        response = await client.get(next_url())
        assert response.status_code == 200 and response.content

    return get


async def httpx_async() -> tuple[float, float]:
    import httpx

    async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=100)) as client:
        return await flood(httpx_get(client))


async def aiohttp_() -> tuple[float, float]:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def get() -> None:
            async with session.get(next_url()) as response:
                assert response.status == 200 and await response.read()

        return await flood(get)


def catenet_sync() -> tuple[float, float]:
    from catenet.http.sync import Client

    with Client(trust_env=False) as client:

        def get() -> None:
            response = client.get(next_url())
            assert response.status == 200 and response.content

        return one_by_one(get)


def with_session(session: Any) -> tuple[float, float]:
    """Clients that look like requests."""

    def get() -> None:
        response = session.get(next_url())
        assert response.status_code == 200 and response.content

    return one_by_one(get)


def httpx_sync() -> tuple[float, float]:
    import httpx

    return with_session(httpx.Client(trust_env=False))


def requests_() -> tuple[float, float]:
    import requests

    session = requests.Session()
    session.trust_env = False
    return with_session(session)


def niquests_() -> tuple[float, float]:
    import niquests

    session = niquests.Session()
    session.trust_env = False
    return with_session(session)


def pycurl_() -> tuple[float, float]:
    import io

    import pycurl  # type: ignore[import-untyped]

    curl = pycurl.Curl()

    def get() -> None:
        body = io.BytesIO()
        curl.setopt(pycurl.URL, next_url())
        curl.setopt(pycurl.WRITEDATA, body)
        curl.perform()
        assert curl.getinfo(pycurl.RESPONSE_CODE) == 200 and body.getvalue()

    return one_by_one(get)


ASYNC = {"catenet": catenet, "catenet-httpx": catenet_httpx, "httpx": httpx_async, "aiohttp": aiohttp_}
BLOCKING = {
    "catenet-sync": catenet_sync,
    "httpx-sync": httpx_sync,
    "requests": requests_,
    "niquests": niquests_,
    "pycurl": pycurl_,
}


def main() -> None:
    kind, _, loop = KIND.partition("/")
    if kind in ASYNC:
        if loop == "uvloop":
            import uvloop

            rate, cost = uvloop.run(ASYNC[kind]())
        else:
            rate, cost = asyncio.run(ASYNC[kind]())
    else:
        rate, cost = BLOCKING[kind]()
    print(json.dumps({"rate": rate, "processor": cost * 1e6}))


if __name__ == "__main__":
    main()
