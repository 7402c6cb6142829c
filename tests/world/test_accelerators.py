"""Libraries that take something in C when it is installed go on without it, as on a machine that has it not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest


def by_run(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(main)


def by_install(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.install()
    asyncio.run(main)


def by_policy(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main)


def by_new_event_loop(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


def by_runner(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
        runner.run(asyncio.sleep(0.1))


@pytest.mark.parametrize("way", [by_run, by_install, by_policy, by_new_event_loop, by_runner])
def test_asyncios_loop_takes_uvloops_place(internet: Any, way: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    got: list[bytes] = []

    async def serve() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline())[::-1])
            writer.close()

        async with await asyncio.start_server(handle, port=80):
            await asyncio.sleep(5)

    async def ask() -> None:
        await asyncio.sleep(1)
        reader, writer = await asyncio.open_connection("server", 80)
        writer.write(b"abc\n")
        got.append(await reader.read())
        writer.close()

    internet.server.run(lambda: way(serve()))
    internet.client.run(lambda: way(ask()))
    internet.run()
    assert got == [b"\ncba"]


SERVER = """
import http.server

http.server.HTTPServer(("", 80), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
AIODNS = """
class DNSResolver:
    def __init__(self, **options):
        raise AssertionError("asked c-ares")

    def getaddrinfo(self):
        pass
"""
CLIENT = """
import asyncio
import aiohttp
import aiohttp.resolver

assert aiohttp.resolver.aiodns_default


async def main():
    async with aiohttp.ClientSession() as session, session.get("http://server/client.py") as answer:
        print(len(await answer.text()) > 100)
    try:
        aiohttp.AsyncResolver()
    except AssertionError as error:
        print(error)


asyncio.run(main())
"""
NOTICE = """
import uvloop

uvloop.install()
uvloop.install()
"""
WORLD = """
[hosts.server]
run = "serve.py"
service = true

[hosts.client]
run = ["client.py", "notice.py"]
start = "1s"
"""


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_aiohttp_asks_getaddrinfo_with_aiodns_installed(tmp_path: Path, isolation: str) -> None:
    """Who asks for c-ares by name gets it: what it does then is another matter. uvloop's absence is said once."""
    files = {"serve.py": SERVER, "aiodns.py": AIODNS, "client.py": CLIENT, "notice.py": NOTICE, "world.toml": WORLD}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    words = [sys.executable, "-m", "catenet", "run", "world.toml", "--isolation", isolation]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("client") and " | " in line]
    said = [line.partition("| ")[2] for line in lines]
    assert sorted(said) == [
        "True",
        "asked c-ares",
        "uvloop: asyncio's own event loop takes its place on a simulated host",
    ], done.stdout + done.stderr
