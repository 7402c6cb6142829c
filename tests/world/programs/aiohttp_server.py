"""An ordinary aiohttp server."""

import sys

from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    return web.json_response({"path": request.path, "peer": request.remote, "query": dict(request.query)})


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=(await request.read())[::-1])


async def socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(max_msg_size=4_000_000)
    await ws.prepare(request)
    async for message in ws:
        await ws.send_bytes(message.data[::-1])
    return ws


app = web.Application(client_max_size=10_000_000)
app.add_routes([web.get("/hello", hello), web.post("/echo", echo), web.get("/socket", socket)])
web.run_app(app, port=int(sys.argv[1]), print=None)
