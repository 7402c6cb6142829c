"""WebSockets, events over them, and streams of event loops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import steady

PORT = 80
TEXT = "turn me round"


def check(found: Any) -> str:
    assert found == TEXT[::-1], found
    return str(found)


async def serve_websockets() -> None:
    from websockets.asyncio.server import serve

    async def handle(connection: Any) -> None:
        async for message in connection:
            await connection.send(message[::-1])

    async with serve(handle, None, PORT) as server:
        await server.serve_forever()


async def ask_websockets(host: str) -> str:
    from websockets.asyncio.client import connect

    async with asyncio.timeout(10), connect(f"ws://{host}/") as connection:
        await connection.send(TEXT)
        return check(await connection.recv())


def serve_websockets_sync() -> None:
    from websockets.sync.server import serve

    def handle(connection: Any) -> None:
        for message in connection:
            connection.send(message[::-1])

    with serve(handle, "0.0.0.0", PORT) as server:
        server.serve_forever()


def ask_websockets_sync(host: str) -> str:
    import websocket

    connection = websocket.create_connection(f"ws://{host}/", timeout=10)
    try:
        connection.send(TEXT)
        return check(connection.recv())
    finally:
        connection.close()


def serve_aiohttp_ws() -> None:
    from aiohttp import web

    async def handle(request: Any) -> Any:
        connection = web.WebSocketResponse(heartbeat=5)
        await connection.prepare(request)
        async for message in connection:
            await connection.send_str(message.data[::-1])
        return connection

    app = web.Application()
    app.router.add_get("/", handle)
    web.run_app(app, port=PORT, print=None)


async def ask_aiohttp_ws(host: str) -> str:
    import aiohttp

    async with asyncio.timeout(10), aiohttp.ClientSession() as session, session.ws_connect(f"http://{host}/") as found:
        await found.send_str(TEXT)
        return check(await found.receive_str())


async def serve_tornado_ws() -> None:
    from tornado import web, websocket

    class Handler(websocket.WebSocketHandler):
        def on_message(self, message: Any) -> None:
            self.write_message(message[::-1])

    web.Application([("/", Handler)]).listen(PORT)
    await asyncio.Event().wait()


async def ask_tornado_ws(host: str) -> str:
    from tornado.websocket import websocket_connect

    async with asyncio.timeout(10):
        connection = await websocket_connect(f"ws://{host}/")
        await connection.write_message(TEXT)
        found = check(await connection.read_message())
        connection.close()
        return found


def serve_trio_websocket() -> None:
    import trio
    from trio_websocket import ConnectionClosed, serve_websocket

    async def handle(request: Any) -> None:
        connection = await request.accept()
        with contextlib.suppress(ConnectionClosed):  # which would end the server
            while True:
                await connection.send_message((await connection.get_message())[::-1])

    trio.run(serve_websocket, handle, "0.0.0.0", PORT, None)


def ask_trio_websocket(host: str) -> str:
    import trio
    from trio_websocket import open_websocket_url

    async def ask() -> str:
        with trio.fail_after(10):
            async with open_websocket_url(f"ws://{host}/") as connection:
                await connection.send_message(TEXT)
                return check(await connection.get_message())

    return trio.run(ask)


def serve_autobahn() -> None:
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from twisted.internet import reactor

    class Protocol(WebSocketServerProtocol):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload[::-1], isBinary)

    factory = WebSocketServerFactory()
    factory.protocol = Protocol
    reactor.listenTCP(PORT, factory)
    reactor.run()


async def ask_autobahn(host: str) -> str:
    from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

    got = asyncio.get_running_loop().create_future()

    class Protocol(WebSocketClientProtocol):
        def onOpen(self) -> None:
            self.sendMessage(TEXT.encode())

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            if not got.done():
                got.set_result(payload.decode())
            self.sendClose()

    factory = WebSocketClientFactory(f"ws://{host}:{PORT}/")
    factory.protocol = Protocol
    async with asyncio.timeout(10):
        await asyncio.get_running_loop().create_connection(factory, host, PORT)
        return check(await got)


def serve_socketio() -> None:
    import socketio
    from aiohttp import web

    server = socketio.AsyncServer(async_mode="aiohttp")
    server.on("turn", lambda sid, text: text[::-1])
    app = web.Application()
    server.attach(app)
    web.run_app(app, port=PORT, print=None)


def ask_socketio(host: str) -> str:
    import socketio

    with socketio.SimpleClient() as client:
        client.connect(f"http://{host}", wait_timeout=10)
        return check(client.call("turn", TEXT, timeout=10))


async def serve_socketio_async() -> None:
    import socketio
    import uvicorn

    server = socketio.AsyncServer(async_mode="asgi")
    server.on("turn", lambda sid, text: text[::-1])
    app = socketio.ASGIApp(server)
    await uvicorn.Server(uvicorn.Config(app, "0.0.0.0", PORT, log_level="warning")).serve()


async def open_socketio_async(host: str) -> Any:
    import socketio

    client = socketio.AsyncClient(reconnection_delay=1, reconnection_delay_max=3)

    async def once() -> str:
        if not client.connected:
            await client.connect(f"http://{host}", wait_timeout=10)
        return check(await client.call("turn", TEXT, timeout=10))

    return once


def serve_anyio() -> None:
    import anyio

    async def handle(stream: Any) -> None:
        async with stream:
            await stream.send((await stream.receive())[::-1])

    async def run() -> None:
        await (await anyio.create_tcp_listener(local_port=PORT)).serve(handle)

    anyio.run(run)


def ask_anyio(host: str) -> str:
    import anyio

    async def ask() -> str:
        with anyio.fail_after(10):
            async with await anyio.connect_tcp(host, PORT) as stream:
                await stream.send(TEXT.encode())
                return check((await stream.receive()).decode())

    return anyio.run(ask, backend="trio")


def serve_trio() -> None:
    import trio

    async def handle(stream: Any) -> None:
        await stream.send_all((await stream.receive_some())[::-1])

    trio.run(trio.serve_tcp, handle, PORT)


def ask_trio(host: str) -> str:
    import trio

    async def ask() -> str:
        with trio.fail_after(10):
            async with await trio.open_tcp_stream(host, PORT) as stream:
                await stream.send_all(TEXT.encode())
                return check((await stream.receive_some()).decode())

    return trio.run(ask)


def serve_socks() -> None:
    """An echo server, and a SOCKS server on port 1080 of the same host."""
    import socketserver
    import threading

    class Echo(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.readline().strip()[::-1])

    class Socks(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            import select
            import socket

            methods = self.rfile.read(2)[1]
            self.rfile.read(methods)
            self.wfile.write(b"\5\0")
            kind = self.rfile.read(4)[3]
            if kind == 1:
                host = socket.inet_ntoa(self.rfile.read(4))
            else:
                host = self.rfile.read(self.rfile.read(1)[0]).decode()
            port = int.from_bytes(self.rfile.read(2))
            with socket.create_connection((host, port), timeout=5) as onward:
                self.wfile.write(b"\5\0\0\1" + bytes(6))
                ends = {self.connection: onward, onward: self.connection}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        if not (data := ready.recv(4096)):
                            return
                        ends[ready].sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    threading.Thread(target=Server(("", PORT), Echo).serve_forever, daemon=True).start()
    Server(("", 1080), Socks).serve_forever()


def ask_socks(host: str) -> str:
    import socks

    with socks.create_connection((host, PORT), 10, proxy_type=socks.SOCKS5, proxy_addr=host, proxy_port=1080) as sock:
        sock.sendall(TEXT.encode() + b"\n")
        return check(sock.makefile().read())


if __name__ == "__main__":
    steady.main(globals())
