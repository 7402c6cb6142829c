"""The applications that all servers of the benchmark serve; run, it is aiohttp's server, with argv PORT PEM."""

from __future__ import annotations

import os
import sys
from typing import Any

FILE = os.environ.get("BENCH_FILE", "")
SMALL = b'{"message":"Hello, world!","numbers":[1,2,3]}'
BODY = bytes(range(48, 112)) * 160
JSON = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(SMALL))]
OCTETS = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(BODY))]
MEGABYTE = [(b"content-type", b"application/octet-stream"), (b"content-length", b"1048576")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """`/json…` small, `/body…` 10 KiB, `/file…` 1 MiB of a file, a WebSocket that echoes."""
    if scope["type"] == "websocket":
        await echo(receive, send)
        return
    if scope["type"] != "http":
        raise NotImplementedError
    path = scope["path"]
    if path.startswith("/json"):
        await send({"type": "http.response.start", "status": 200, "headers": JSON})
        await send({"type": "http.response.body", "body": SMALL})
    elif path.startswith("/body"):
        await send({"type": "http.response.start", "status": 200, "headers": OCTETS})
        await send({"type": "http.response.body", "body": BODY})
    else:
        await send_file(scope, send)


async def send_file(scope: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": MEGABYTE})
    if "http.response.pathsend" in (scope.get("extensions") or {}):
        await send({"type": "http.response.pathsend", "path": FILE})
        return
    with open(FILE, "rb") as file:  # as Starlette's FileResponse does, without its threads
        while piece := file.read(64 << 10):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event.get("bytes"), "text": event.get("text")})


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def hello(request: Any) -> Any:
        return JSONResponse({"message": "Hello, world!", "numbers": [1, 2, 3]})

    return Starlette(routes=[Route("/json/{rest:path}", hello)])


def aiohttp(port: int, pem: str) -> None:
    import asyncio
    import ssl

    import uvloop
    from aiohttp import WSMsgType, web

    async def small(request: Any) -> Any:
        return web.Response(body=SMALL, content_type="application/json")

    async def body(request: Any) -> Any:
        return web.Response(body=BODY)

    async def file(request: Any) -> Any:
        return web.FileResponse(FILE)

    async def socket(request: Any) -> Any:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            if message.type == WSMsgType.BINARY:
                await answer.send_bytes(message.data)
        return answer

    async def main() -> None:
        site = web.Application()
        site.router.add_get("/json/{rest:.*}", small)
        site.router.add_get("/body/{rest:.*}", body)
        site.router.add_get("/file/{rest:.*}", file)
        site.router.add_get("/ws", socket)
        runner = web.AppRunner(site, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        await web.TCPSite(runner, "127.0.0.1", port + 1, ssl_context=context).start()
        await asyncio.Event().wait()

    uvloop.run(main())


if __name__ == "__main__":
    aiohttp(int(sys.argv[1]), sys.argv[2])
