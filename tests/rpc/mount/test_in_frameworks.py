"""Mounted below a path of Starlette, FastAPI, Django and Flask, and beside them; the host is our HTTP server."""

import asyncio

import httpx
import pytest
from echoservice import SAY, Echo

from catenet.http.server.server import serve
from catenet.rpc import AsgiApp, WsgiApp

PATH = f"/rpc/{SAY.full_name}"


def starlette():
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    def page(request):
        return PlainTextResponse("a page")

    return Starlette(routes=[Mount("/rpc", app=AsgiApp([Echo()])), Route("/page", page)])


def starlette_with_middleware():
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.gzip import GZipMiddleware

    async def named(request, call_next):
        response = await call_next(request)
        response.headers["x-through"] = "middleware"
        return response

    return GZipMiddleware(BaseHTTPMiddleware(starlette(), named))


def fastapi():
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/rpc", AsgiApp([Echo()]))

    @app.get("/page")
    async def page():
        return "a page"

    return app


@pytest.fixture
def django_settings():
    """Settings of these tests alone: Django has one set in a process."""
    import django
    from django.conf import settings
    from django.urls import clear_url_caches
    from django.utils.functional import empty

    before, settings._wrapped = settings._wrapped, empty
    settings.configure(ROOT_URLCONF="django_urls", ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", LOGGING_CONFIG=None)
    django.setup()
    clear_url_caches()
    yield
    settings._wrapped = before
    clear_url_caches()


def django_asgi():
    from django.core.asgi import get_asgi_application

    return AsgiApp([Echo()], app=get_asgi_application(), prefix="/rpc")


def django_wsgi():
    from django.core.wsgi import get_wsgi_application

    return WsgiApp([Echo()], app=get_wsgi_application(), prefix="/rpc")


def flask():
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = Flask("test")

    @app.get("/page")
    def page():
        return "a page"

    return DispatcherMiddleware(app.wsgi_app, {"/rpc": WsgiApp([Echo()])})


def flask_beside():
    from flask import Flask

    app = Flask("test")

    @app.get("/page")
    def page():
        return "a page"

    return WsgiApp([Echo()], app=app, prefix="/rpc")


APPS = [starlette, starlette_with_middleware, fastapi, django_asgi, django_wsgi, flask, flask_beside]


@pytest.mark.parametrize("make", APPS, ids=[make.__name__ for make in APPS])
def test_below_a_path_and_beside(make, request):
    if make.__name__.startswith("django"):
        request.getfixturevalue("django_settings")

    async def main():
        app = make()
        async with await serve(app, "http://127.0.0.1:0") as host, httpx.AsyncClient(base_url=host.urls[0]) as client:
            said = await client.post(PATH, json="hello")
            assert (said.status_code, said.json()) == (200, "hello")
            assert (await client.post(PATH, json="fail:NOT_FOUND")).json()["code"] == "not_found"
            page = await client.get("/page")
            assert page.status_code == 200
            assert "a page" in page.text
            assert (await client.get("/rpc/test.Echo/None")).status_code == 404
            assert (await client.post(f"/{SAY.full_name}", json="a")).status_code == 404
            assert (await client.post(f"/rpcs/{SAY.full_name}", json="a")).status_code == 404

    asyncio.run(main())


def test_the_lifespan_is_that_of_the_application_beside():
    seen = []

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        for _ in range(2):
            seen.append((await receive())["type"])
            await send({"type": seen[-1] + ".complete"})

    async def main():
        async with await serve(AsgiApp([Echo()], app=app), "http://127.0.0.1:0"):
            assert seen == ["lifespan.startup"]
        assert seen == ["lifespan.startup", "lifespan.shutdown"]
        async with await serve(AsgiApp([Echo()]), "http://127.0.0.1:0"):
            pass

    asyncio.run(main())


def test_a_websocket_is_refused_where_nothing_is_beside():
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async def main():
        async with await serve(AsgiApp([Echo()]), "http://127.0.0.1:0") as host:
            with pytest.raises(InvalidStatus) as refused:
                async with connect(host.urls[0].replace("http", "ws")):
                    pass
            assert refused.value.response.status_code == 403

    asyncio.run(main())


def test_where_an_older_framework_has_taken_the_prefix_away():
    """Before asgiref 3.6 frameworks kept the rest of the path alone in `path`."""
    from test_in_our_server import asked, scope_of

    for path, root in [("/rpc/test.Echo/Say", "/rpc"), ("/test.Echo/Say", "/rpc"), ("/test.Echo/Say", "/test")]:
        sent = asyncio.run(asked(AsgiApp([Echo()]), scope_of(path=path, root_path=root)))
        assert sent[0]["status"] == 200, (path, root)


@pytest.mark.parametrize("prefix", ["rpc", "/rpc/", "/"])
def test_a_prefix_that_is_none(prefix):
    with pytest.raises(ValueError, match="it begins with a slash and ends with none"):
        AsgiApp(prefix=prefix)


@pytest.mark.parametrize("make", [AsgiApp, WsgiApp])
def test_what_is_below_no_prefix_gets_a_clear_answer(make):
    async def main():
        async with (
            await serve(make([Echo()], prefix="/rpc"), "http://127.0.0.1:0") as host,
            httpx.AsyncClient(base_url=host.urls[0]) as client,
        ):
            answer = await client.get("/")
            assert (answer.status_code, answer.text) == (404, "the services are below /rpc/\n")
            assert (await client.post(PATH, json="a")).json() == "a"

    asyncio.run(main())
