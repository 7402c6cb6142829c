"""Servers, frameworks and clients of HTTP."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

import steady

PORT = 80
TEXT = "hello from a stranger"


def answer() -> dict[str, Any]:
    """What every server answers: a value to compare, chance, and the time of the host."""
    return {"text": TEXT, "drawn": random.random(), "time": time.time()}


def check(found: Any) -> str:
    assert found["text"] == TEXT, found
    return f"{found['drawn']} {found['time']}"


def with_requests(host: str, path: str = "/") -> str:
    import requests

    return check(requests.get(f"http://{host}{path}", timeout=10).json())


def with_httpx(host: str) -> str:
    import httpx

    return check(httpx.get(f"http://{host}/", timeout=10).json())


async def with_httpx_async(host: str) -> str:
    import httpx

    async with httpx.AsyncClient(timeout=10) as client:
        return check((await client.get(f"http://{host}/")).json())


def with_urllib(host: str) -> str:
    import json
    import urllib.request

    with urllib.request.urlopen(f"http://{host}/", timeout=10) as found:
        return check(json.load(found))


def with_urllib3(host: str) -> str:
    import urllib3

    return check(urllib3.request("GET", f"http://{host}/", timeout=10, retries=2).json())


def with_niquests(host: str) -> str:
    import niquests

    return check(niquests.get(f"http://{host}/", timeout=10).json())


async def with_aiohttp(host: str) -> str:
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session:
        async with session.get(f"http://{host}/") as found:
            return check(await found.json(content_type=None))


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    import json

    if scope["type"] != "http":
        raise RuntimeError("only HTTP")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer()).encode()})


def wsgi(environ: dict[str, Any], start: Any) -> list[bytes]:
    import json

    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer()).encode()]


def uvicorn(app: Any, **options: Any) -> None:
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=PORT, log_level="warning", **options)


def as_module(*words: str) -> None:
    """Run a module as `python -m` does."""
    import runpy

    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def serve_aiohttp() -> None:
    from aiohttp import web

    async def handle(request: Any) -> Any:
        return web.json_response(answer())

    app = web.Application()
    app.router.add_get("/", handle)
    web.run_app(app, port=PORT, print=None)


async def open_aiohttp(host: str) -> Any:
    import aiohttp

    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10))

    async def once() -> str:
        async with session.get(f"http://{host}/") as found:
            return check(await found.json())

    return once


def serve_starlette() -> None:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    uvicorn(Starlette(routes=[Route("/", lambda request: JSONResponse(answer()))]))


ask_starlette = with_httpx_async


def serve_fastapi() -> None:
    import fastapi

    app = fastapi.FastAPI()
    app.get("/")(answer)
    uvicorn(app)


ask_fastapi = with_httpx


def serve_hypercorn() -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"0.0.0.0:{PORT}"]
    asyncio.run(serve(asgi, config))


ask_hypercorn = with_niquests


def serve_hypercorn_module() -> None:
    as_module("hypercorn", "web:asgi", "--bind", f"0.0.0.0:{PORT}")


ask_hypercorn_module = with_requests


def serve_hypercorn_trio() -> None:
    import trio
    from hypercorn.config import Config
    from hypercorn.trio import serve

    config = Config()
    config.bind = [f"0.0.0.0:{PORT}"]
    trio.run(serve, asgi, config)


def ask_hypercorn_trio(host: str) -> str:
    import trio

    return trio.run(with_httpx_async, host)


def serve_tornado() -> Any:
    from tornado import web

    class Handler(web.RequestHandler):
        def get(self) -> None:
            self.write(answer())

    async def run() -> None:
        web.Application([("/", Handler)]).listen(PORT)
        await asyncio.Event().wait()

    return run()


async def ask_tornado(host: str) -> str:
    import json

    from tornado.httpclient import AsyncHTTPClient

    return check(json.loads((await AsyncHTTPClient().fetch(f"http://{host}/", request_timeout=10)).body))


def serve_sanic() -> None:
    from sanic import Sanic, response

    app = Sanic("stranger")

    @app.get("/")
    async def handle(request: Any) -> Any:
        return response.json(answer())

    app.run("0.0.0.0", PORT, single_process=True, access_log=False, motd=False)


ask_sanic = with_httpx


def serve_bottle() -> None:
    import bottle

    bottle.route("/")(answer)
    bottle.run(host="0.0.0.0", port=PORT, quiet=True)


ask_bottle = with_urllib


def serve_cherrypy() -> None:
    import cherrypy

    class Root:
        @cherrypy.expose
        @cherrypy.tools.json_out()
        def index(self) -> Any:
            return answer()

    cherrypy.config.update({"server.socket_host": "0.0.0.0", "server.socket_port": PORT, "log.screen": False})
    cherrypy.quickstart(Root())


ask_cherrypy = with_requests


def serve_cheroot() -> None:
    from cheroot.wsgi import Server

    Server(("0.0.0.0", PORT), wsgi).start()


ask_cheroot = with_urllib3


def serve_pyramid() -> None:
    import waitress
    from pyramid.config import Configurator

    with Configurator() as config:
        config.add_route("root", "/")
        config.add_view(lambda request: answer(), route_name="root", renderer="json")
        app = config.make_wsgi_app()
    waitress.serve(app, listen=f"*:{PORT}", threads=2)


ask_pyramid = with_requests


def serve_falcon() -> None:
    from wsgiref.simple_server import make_server

    import falcon

    class Root:
        def on_get(self, request: Any, response: Any) -> None:
            response.media = answer()

    app = falcon.App()
    app.add_route("/", Root())
    make_server("", PORT, app).serve_forever()


ask_falcon = with_urllib3


def serve_litestar() -> None:
    import litestar

    uvicorn(litestar.Litestar([litestar.get("/", sync_to_thread=True)(answer)]))


ask_litestar = with_httpx_async


def serve_blacksheep() -> None:
    import blacksheep

    app = blacksheep.Application()
    app.router.add_get("/", lambda: blacksheep.json(answer()))
    uvicorn(app)


ask_blacksheep = with_aiohttp


def serve_quart() -> None:
    import quart

    app = quart.Quart("stranger")

    @app.get("/")
    async def handle() -> Any:
        return answer()

    app.run("0.0.0.0", PORT)


ask_quart = with_aiohttp


def serve_flask() -> None:
    import flask

    app = flask.Flask("stranger")
    app.get("/")(answer)
    app.run("0.0.0.0", PORT)


def open_flask(host: str) -> Any:
    import requests

    session = requests.Session()
    return lambda: check(session.get(f"http://{host}/", timeout=10).json())


def serve_django() -> None:
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.http import JsonResponse
    from django.urls import path

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")
    globals()["urlpatterns"] = [path("", lambda request: JsonResponse(answer()))]
    execute_from_command_line(["manage.py", "runserver", "--noreload", f"0.0.0.0:{PORT}"])


ask_django = with_requests


def serve_daphne() -> None:
    as_module("daphne", "-b", "0.0.0.0", "-p", str(PORT), "web:asgi")


ask_daphne = with_httpx


def serve_gunicorn() -> None:
    as_module("gunicorn", "-b", f"0.0.0.0:{PORT}", "-w", "2", "web:wsgi")


ask_gunicorn = with_requests


def serve_twisted() -> None:
    import json

    from twisted.internet import reactor
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    class Root(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return json.dumps(answer()).encode()

    reactor.listenTCP(PORT, Site(Root()))
    reactor.run()


def twisted_once(start: Any) -> Any:
    """The result of a Deferred, by a reactor that runs in a thread."""
    import threading

    from twisted.internet import reactor
    from twisted.internet.threads import blockingCallFromThread

    if not reactor.running:
        threading.Thread(target=reactor.run, args=(False,), daemon=True).start()
    return blockingCallFromThread(reactor, start)


def ask_twisted(host: str) -> str:
    import treq

    async def fetch() -> Any:
        return await (await treq.get(f"http://{host}/", timeout=10)).json()

    from twisted.internet.defer import ensureDeferred

    return check(twisted_once(lambda: ensureDeferred(fetch())))


def serve_klein() -> None:
    import json

    import klein

    app = klein.Klein()
    app.route("/")(lambda request: json.dumps(answer()))
    app.run("0.0.0.0", PORT)


ask_klein = with_aiohttp


def serve_wsgidav() -> None:
    import tempfile

    from cheroot.wsgi import Server
    from wsgidav.wsgidav_app import WsgiDAVApp

    options = {
        "provider_mapping": {"/": tempfile.mkdtemp()},
        "simple_dc": {"user_mapping": {"*": True}},
        "verbose": 1,
    }
    Server(("0.0.0.0", PORT), WsgiDAVApp(options)).start()


def ask_wsgidav(host: str) -> Any:
    import io

    from webdav3.client import Client

    client = Client({"webdav_hostname": f"http://{host}", "webdav_timeout": 10})
    client.upload_to(io.BytesIO(TEXT.encode()), "note.txt")
    found = io.BytesIO()
    client.download_from(found, "note.txt")
    assert found.getvalue() == TEXT.encode()
    return client.list(), client.info("note.txt")


def serve_jsonrpc() -> None:
    from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCServer

    server = SimpleJSONRPCServer(("0.0.0.0", PORT), logRequests=False)
    server.register_function(answer)
    server.serve_forever()


def ask_jsonrpc(host: str) -> str:
    import jsonrpclib

    return check(jsonrpclib.ServerProxy(f"http://{host}/").answer())


def serve_xmlrpc() -> None:
    from xmlrpc.server import SimpleXMLRPCServer

    server = SimpleXMLRPCServer(("", PORT), logRequests=False)
    server.register_function(answer)
    server.serve_forever()


def ask_xmlrpc(host: str) -> str:
    from xmlrpc.client import ServerProxy

    with ServerProxy(f"http://{host}/") as proxy:
        return check(proxy.answer())


def serve_ariadne() -> None:
    import ariadne
    from ariadne.asgi import GraphQL

    query = ariadne.QueryType()
    query.set_field("text", lambda *_: TEXT)
    uvicorn(GraphQL(ariadne.make_executable_schema("type Query { text: String! }", query)))


async def ask_ariadne(host: str) -> Any:
    import gql
    from gql.transport.aiohttp import AIOHTTPTransport

    async with gql.Client(transport=AIOHTTPTransport(f"http://{host}/", timeout=10)) as session:
        found = await session.execute(gql.gql("{ text }"))
    assert found == {"text": TEXT}
    return found


if __name__ == "__main__":
    steady.main(globals())
