"""One small application on servers that others have written: `pair_server.py KIND`, on port 80.

What it answers follows from what could change from run to run: chance, the time, the order of a set, of a directory.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

WORDS = {"".join(sorted({chr(97 + (n * k) % 26) for k in range(5)})) for n in range(40)}


def answer(body: bytes = b"") -> bytes:
    """The body of every answer."""
    with tempfile.NamedTemporaryFile() as file:
        name = os.path.basename(file.name)
    return json.dumps(
        {
            "words": list(WORDS),
            "hash": hash("text"),
            "drawn": [random.random(), uuid.uuid4().hex, os.urandom(4).hex(), uuid.uuid1().hex],
            "time": [time.time(), time.monotonic()],
            "files": [entry.name for entry in os.scandir()],
            "temporary": name,
            "processors": os.cpu_count(),
            "pid": os.getpid(),
            "reversed": body[::-1].hex(),
        }
    ).encode()


async def asgi(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """As an ASGI application."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    content = answer(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """As a WSGI application."""
    content = answer(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def aiohttp() -> None:
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=answer(await request.read()), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    web.run_app(app, port=80, print=None)


def uvicorn(app: Any = asgi, **options: Any) -> None:
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=80, log_level="warning", **options)


def hypercorn() -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = ["0.0.0.0:80"]
    asyncio.run(serve(asgi, config))  # type: ignore[arg-type]


def waitress() -> None:
    import waitress

    waitress.serve(wsgi, listen="*:80", threads=3)


def werkzeug() -> None:
    from werkzeug.serving import run_simple

    run_simple("0.0.0.0", 80, wsgi, threaded=True)


def flask() -> None:
    import waitress
    from flask import Flask, request

    app = Flask(__name__)

    @app.route("/", methods=["GET", "POST"])
    def handle() -> bytes:
        return answer(request.get_data())

    waitress.serve(app, listen="*:80", threads=2)


def starlette() -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def handle(request: Request) -> Response:
        return Response(answer(await request.body()), media_type="application/json")

    uvicorn(Starlette(routes=[Route("/", handle, methods=["GET", "POST"])]))


def fastapi() -> None:
    import fastapi

    app = fastapi.FastAPI()

    @app.api_route("/", methods=["GET", "POST"])
    async def handle(request: fastapi.Request) -> fastapi.Response:
        return fastapi.Response(answer(await request.body()), media_type="application/json")

    uvicorn(app, http="h11")


def django() -> None:
    from a2wsgi import WSGIMiddleware
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    def handle(request: HttpRequest) -> HttpResponse:
        return HttpResponse(answer(request.body), content_type="application/json")

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
    globals()["urlpatterns"] = [path("", handle)]
    uvicorn(WSGIMiddleware(get_wsgi_application(), workers=2))


def websockets() -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def handle(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(answer(message if isinstance(message, bytes) else message.encode()))

    async def main() -> None:
        async with serve(handle, None, 80) as server:
            await server.serve_forever()

    asyncio.run(main())


def xmlrpc() -> None:
    from xmlrpc.server import SimpleXMLRPCServer

    server = SimpleXMLRPCServer(("", 80), logRequests=False)
    server.register_function(lambda data: answer(data.data).decode(), "ask")
    server.serve_forever()


KINDS = (aiohttp, uvicorn, hypercorn, waitress, werkzeug, flask, starlette, fastapi, django, websockets, xmlrpc)

if __name__ == "__main__":
    {kind.__name__: kind for kind in KINDS}[sys.argv[1]]()
