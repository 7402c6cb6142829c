"""The same small site in Starlette, FastAPI, Django (ASGI and WSGI) and Flask, each as its users write it."""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["APPS", "FILE"]

FILE = __file__


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def hello(request: Any) -> Any:
        return JSONResponse({"hello": request.query_params.get("name", "world"), "pool": request.state.pool})

    async def upload(request: Any) -> Any:
        digest = hashlib.sha256()
        async for piece in request.stream():
            digest.update(piece)
        return PlainTextResponse(digest.hexdigest())

    async def form(request: Any) -> Any:
        async with request.form() as form:
            return PlainTextResponse(f"{form['name']} {len(await form['file'].read())}")

    async def stream(request: Any) -> Any:
        async def pieces() -> Any:
            for number in range(5):
                await asyncio.sleep(0)
                yield b"%d\n" % number

        return StreamingResponse(pieces())

    async def file(request: Any) -> Any:
        return FileResponse(FILE)

    async def fails(request: Any) -> Any:
        raise LookupError("secret")

    async def mark(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-marked"] = "yes"
        return response

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        yield {"pool": "open"}

    routes = [
        Route("/", hello),
        Route("/upload", upload, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/stream", stream),
        Route("/file", file),
        Route("/fails", fails),
    ]
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=mark), Middleware(GZipMiddleware)]
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan)


def fastapi() -> Any:
    import fastapi
    from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse

    app = fastapi.FastAPI()

    @app.get("/")
    async def hello(name: str = "world") -> dict[str, str]:
        return {"hello": name, "pool": "open"}

    @app.post("/upload")
    async def upload(request: fastapi.Request) -> Any:
        return PlainTextResponse(hashlib.sha256(await request.body()).hexdigest())

    @app.post("/form")
    def form(name: str = fastapi.Form(), file: fastapi.UploadFile = fastapi.File()) -> Any:
        return PlainTextResponse(f"{name} {len(file.file.read())}")  # a function that is not async: on a thread

    @app.get("/stream")
    def stream() -> Any:
        return StreamingResponse(b"%d\n" % number for number in range(5))

    @app.get("/file")
    def file() -> Any:
        return FileResponse(FILE)

    @app.get("/fails")
    def fails() -> Any:
        raise LookupError("secret")

    return app


def _django() -> None:
    from django.conf import settings

    if settings.configured:
        return
    import django

    settings.configure(
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=sys.modules[__name__],
        SECRET_KEY="test",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        LOGGING_CONFIG=None,
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    )
    django.setup()


def _urls() -> list[Any]:
    from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    def hello(request: Any) -> Any:
        return JsonResponse({"hello": request.GET.get("name", "world"), "pool": "open"})

    @csrf_exempt  # type: ignore[untyped-decorator]
    def upload(request: Any) -> Any:
        digest = hashlib.sha256()
        while piece := request.read(65536):
            digest.update(piece)
        return HttpResponse(digest.hexdigest(), content_type="text/plain")

    @csrf_exempt  # type: ignore[untyped-decorator]
    def form(request: Any) -> Any:
        return HttpResponse(f"{request.POST['name']} {request.FILES['file'].size}", content_type="text/plain")

    def stream(request: Any) -> Any:
        async def pieces() -> Any:
            for number in range(5):
                yield b"%d\n" % number

        async_kind = hasattr(request, "scope")
        return StreamingHttpResponse(pieces() if async_kind else (b"%d\n" % number for number in range(5)))

    def file(request: Any) -> Any:
        return FileResponse(open(FILE, "rb"))

    def fails(request: Any) -> Any:
        raise LookupError("secret")

    views = {"": hello, "upload": upload, "form": form, "stream": stream, "file": file, "fails": fails}
    return [path(name, view) for name, view in views.items()]


def __getattr__(name: str) -> Any:
    if name == "urlpatterns":  # what Django looks for
        return _urls()
    raise AttributeError(name)


def django_asgi() -> Any:
    _django()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def django_wsgi() -> Any:
    _django()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def flask() -> Any:
    from flask import Flask, Response, jsonify, request, send_file

    app = Flask(__name__)

    @app.get("/")
    def hello() -> Any:
        return jsonify(hello=request.args.get("name", "world"), pool="open")

    @app.post("/upload")
    def upload() -> Any:
        digest = hashlib.sha256()
        while piece := request.stream.read(65536):
            digest.update(piece)
        return digest.hexdigest()

    @app.post("/form")
    def form() -> Any:
        return f"{request.form['name']} {len(request.files['file'].read())}"

    @app.get("/stream")
    def stream() -> Any:
        return Response(b"%d\n" % number for number in range(5))

    @app.get("/file")
    def file() -> Any:
        return send_file(FILE)

    @app.get("/fails")
    def fails() -> Any:
        raise LookupError("secret")

    return app


APPS: dict[str, Callable[[], Any]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "django-asgi": django_asgi,
    "django-wsgi": django_wsgi,
    "flask": flask,
}
