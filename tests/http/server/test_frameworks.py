"""Starlette, FastAPI, Django and Flask, unmodified: on both event loops, over both versions of HTTP, and in a world."""

import asyncio
import hashlib
import json
import logging
from pathlib import Path

import httpx
import pytest
from apps import APPS, FILE
from tests.http.server.wire import raw

from catenet.http import serve
from catenet.world import World

LARGE = bytes(range(256)) * 8000


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore:StreamingHttpResponse")
@pytest.mark.parametrize(("run", "http2"), [("asyncio", False), ("uvloop", True)], indirect=["run"])
@pytest.mark.parametrize("name", APPS)
def test_a_site(run, name, http2, caplog):
    app = APPS[name]()

    async def main():
        async with await serve(app, "http://127.0.0.1:0") as server:
            options = {"http1": False, "http2": True} if http2 else {}
            async with httpx.AsyncClient(base_url=server.urls[0], timeout=30, **options) as client:
                await visit(client)

    async def visit(client):
        reply = await client.get("/", params={"name": "Zoë"})
        assert (reply.status_code, reply.json()) == (200, {"hello": "Zoë", "pool": "open"})
        reply = await client.post("/upload", content=LARGE)
        assert reply.text == hashlib.sha256(LARGE).hexdigest()
        reply = await client.post("/form", data={"name": "it"}, files={"file": ("f.bin", b"x" * 100_000)})
        assert reply.text == "it 100000"
        assert (await client.get("/stream")).text == "0\n1\n2\n3\n4\n"
        assert (await client.get("/file")).content == Path(FILE).read_bytes()
        head = await client.head("/file")
        assert head.status_code in (200, 405) and head.content == b""
        assert (await client.get("/missing")).status_code == 404
        failed = await client.get("/fails")
        assert failed.status_code == 500 and "secret" not in failed.text
        replies = await asyncio.gather(*[client.get("/", params={"name": str(number)}) for number in range(20)])
        assert [reply.json()["hello"] for reply in replies] == [str(number) for number in range(20)]

    with caplog.at_level(logging.CRITICAL):
        run(main())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore:StreamingHttpResponse")
@pytest.mark.parametrize("name", APPS)
def test_a_site_in_a_world(name):
    """Two hosts, 20 ms and a loss of 2 % between them; the site is the same."""
    app, found = APPS[name](), []

    async def server():
        async with await serve(app, "http://:80") as running:
            await running.serve_forever()

    async def client():
        connection = await raw("http://server:80")
        status, _, body = await connection.get("/?name=world")
        found.append((status, json.loads(body)["hello"]))
        found.append((await connection.get("/upload", "POST", body=LARGE[:300_000]))[2])
        found.append((await connection.get("/file"))[2] == Path(FILE).read_bytes())
        connection.close()

    with World(3) as world:
        for host in ("server", "client"):
            world.host(host)
            world.link(host, latency="10ms", loss="2%")
        world.hosts["server"].run(lambda: asyncio.run(server()), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(client()), start=0.1)
        world.run(120)
        assert [process.status for process in world.processes if not process.daemon] == [0]
    assert found == [(200, "world"), hashlib.sha256(LARGE[:300_000]).hexdigest().encode(), True]
