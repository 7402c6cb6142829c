"""An idle connection of HTTP/2 is parked between two requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from catenet.http.h2.connection import Connection
from catenet.http.message import RequestHead, ResponseHead
from catenet.http.server.server import HttpLimits, serve
from catenet.net import stream_server


async def hello(exchange: Any) -> None:
    await exchange.reply(ResponseHead(200), exchange.head.path)


def test_a_request_wakes_a_connection_that_was_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_server, "CHECK_INTERVAL", 0.01)

    async def main() -> None:
        limits = HttpLimits(park_after=0.0)
        async with await serve(hello, "http://127.0.0.1:0", interface="exchange", limits=limits) as server:
            port = int(server.urls[0].rsplit(":", 1)[1].rstrip("/"))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            client = Connection(True)
            for number in range(3):
                path = b"/%d" % number
                stream = client.open(RequestHead(b"GET", path, (), b"h"), True)
                body = b""
                while stream.remote_open:
                    writer.write(client.transmit())
                    events = client.receive(await reader.read(65536), 0.0)
                    body += b"".join(value for _, at, value, _ in events if at is stream and isinstance(value, bytes))
                assert body == path
                while server._lot is None or not len(server._lot):
                    await asyncio.sleep(0.005)
            writer.close()
            while server.connections:
                await asyncio.sleep(0.005)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
