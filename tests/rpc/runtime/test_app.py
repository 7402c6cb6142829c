"""Calls and an application of HTTP on one port."""

import asyncio

import httpx
import pytest
from echoservice import SAY, Echo, text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from catenet.http.server.lifespan import LifespanError
from catenet.rpc import Channel, ChannelOptions, Code, RpcError, Server


class App:
    def __init__(self, fail=False):
        self.fail = fail
        self.seen = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            self.seen.append((await receive())["type"])
            await send({"type": "lifespan.startup.failed" if self.fail else "lifespan.startup.complete"})
            self.seen.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while "text" in (event := await receive()) or event["type"] == "websocket.connect":
                await send({"type": "websocket.send", "text": str(event.get("text"))})
        else:
            body = (await receive())["body"]
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": f"{scope['method']} {scope['path']} ".encode() + body})


WIRES = [
    ChannelOptions(),
    ChannelOptions(protocol="grpc-web", http1=True),
    ChannelOptions(protocol="connect", codec="json", http1=True),
]


def test_one_port():
    app = App()

    async def main():
        async with Server([Echo()], app=app) as server:
            url = (await server.listen("tcp://127.0.0.1:0")).url
            port = url.rpartition(":")[2]
            for options in WIRES:
                async with Channel(url, options=options) as channel:
                    assert (await channel.unary(SAY, text("hello"))).value.endswith("hello")
            for options in ({}, {"http1": False, "http2": True}):
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", **options) as client:
                    assert (await client.get("/a")).text == "GET /a "
                    # The shape of a call by Connect, to a path that is none.
                    assert (await client.post("/api", json={})).text == "POST /api {}"
            with pytest.raises(RpcError) as missing:
                async with Channel(url) as channel:
                    from catenet.rpc import Kind, Method

                    await channel.unary(
                        Method("test.None", "Say", Kind.UNARY, type(text("")), type(text(""))), text("")
                    )
            assert missing.value.code is Code.UNIMPLEMENTED
            async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
                assert await socket.recv() == "None"
                await socket.send("hello")
                assert await socket.recv() == "hello"
                draining = asyncio.ensure_future(server.drain(10))
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd.code == 1001
            await draining

    asyncio.run(main())
    assert app.seen == ["lifespan.startup", "lifespan.shutdown"]


def test_an_application_that_does_not_start():
    async def main():
        async with Server([Echo()], app=App(fail=True)) as server:
            with pytest.raises(LifespanError):
                await server.listen("tcp://127.0.0.1:0")
            assert server.urls == []

    asyncio.run(main())
