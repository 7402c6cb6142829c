"""Real servers: nginx, uvicorn, hypercorn (HTTP/2 over TLS), aiohttp; what curl gets from them, we get."""

import asyncio
import contextlib
import hashlib
import os
import socket
import subprocess
import threading

import aiohttp.web
import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn
from tests.peers import environment, tool

from catenet.http.client.client import Client

LARGE = os.urandom(3_000_000)


def run(work):
    return asyncio.run(work)


def curl(*words):
    return subprocess.run([tool("curl"), "-sS", *words], capture_output=True, check=True).stdout


async def app(scope, receive, send):
    """An ASGI application that repeats the body, and says what it knows of the request in a field."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    fields = [(b"x-version", scope["http_version"].encode()), (b"x-method", scope["method"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": True})
    await send({"type": "http.response.body"})


@contextlib.contextmanager
def on_a_thread(serve):
    """Run `serve(started, stop)` on a loop of its own; yields what it says when it has started."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    said, stop = [], asyncio.Event()

    def start(value):
        said.append(value)
        started.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(start, stop)))
    thread.start()
    try:
        assert started.wait(20)
        yield said[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def uvicorn_url():
    async def serve(start, stop):
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", loop="none"))
        serving = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        start(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        await stop.wait()
        server.should_exit = True
        await serving

    with on_a_thread(serve) as url:
        yield url


@pytest.fixture(scope="module")
def hypercorn_url(authority):
    async def serve(start, stop):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = hypercorn.config.Config()
        config.bind, config.errorlog, config.graceful_timeout = [f"127.0.0.1:{port}"], None, 0.1
        config.certfile = config.keyfile = authority.cert
        serving = asyncio.ensure_future(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            await asyncio.sleep(0.01)
        start(f"https://127.0.0.1:{port}")
        await serving

    with on_a_thread(serve) as url:
        yield url


@pytest.fixture(scope="module")
def aiohttp_url():
    async def serve(start, stop):
        async def echo(request):
            response = aiohttp.web.StreamResponse(headers={"X-Version": f"1.{request.version.minor}"})
            response.enable_compression()
            await response.prepare(request)
            async for piece in request.content.iter_any():
                await response.write(piece)
            return response

        application = aiohttp.web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/", echo)
        runner = aiohttp.web.AppRunner(application)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        start(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}")
        await stop.wait()
        await runner.cleanup()

    with on_a_thread(serve) as url:
        yield url


@pytest.mark.parametrize("peer", ["uvicorn_url", "hypercorn_url", "aiohttp_url"])
def test_bodies_up_and_down(peer, request, authority):
    url = request.getfixturevalue(peer)

    async def pieces():
        for at in range(0, len(LARGE), 100_000):
            yield LARGE[at : at + 100_000]

    async def work():
        async with Client(ca=authority.ca) as client:
            small = await client.get(url + "/")
            whole = await client.post(url + "/", content=LARGE)
            made = await client.put(url + "/", content=pieces())
            async with client.stream("POST", url + "/", content=pieces()) as streamed:
                digest = hashlib.sha256()
                async for piece in streamed:
                    digest.update(piece)
            many = await asyncio.gather(*[client.post(url + "/", content=b"%d" % number) for number in range(50)])
            return small, whole, made, digest.digest(), [int(one.content) for one in many]

    small, whole, made, digest, many = run(work())
    assert small.status == 200 and whole.content == made.content == LARGE
    assert digest == hashlib.sha256(LARGE).digest() and many == list(range(50))
    assert small.headers["x-version"] == ("2" if peer == "hypercorn_url" else "1.1")
    assert whole.http_version == ("HTTP/2" if peer == "hypercorn_url" else "HTTP/1.1")


@pytest.fixture(scope="module")
def nginx(tmp_path_factory, authority):
    folder = tmp_path_factory.mktemp("nginx")
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        plain, tls = one.getsockname()[1], two.getsockname()[1]
    (folder / "large").write_bytes(LARGE)
    (folder / "text.txt").write_bytes(b"text " * 10_000)
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
        events {{ }}
        http {{
          access_log off; client_body_temp_path {folder}/body; {temporary} gzip on; gzip_types text/plain;
          types {{ text/plain txt; }} default_type application/octet-stream; root {folder};
          server {{
            listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2;
            ssl_certificate {authority.cert}; ssl_certificate_key {authority.cert};
            location /gone {{ return 410; }}
            location /away {{ return 307 /text.txt; }}
          }}
        }}"""
    )
    command = [tool("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", plain)):
            break
        assert process.poll() is None, process.stderr.read()
    yield f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}"
    process.terminate()
    process.communicate()


@pytest.mark.peer
@pytest.mark.parametrize("tls", [False, True])
def test_nginx(nginx, authority, tls):
    url = nginx[tls]

    async def work():
        async with Client(ca=authority.ca) as client:
            large = await client.get(url + "/large")
            text = await client.get(url + "/away")
            part = await client.get(url + "/large", headers={"Range": "bytes=10-19"})
            head = await client.head(url + "/large")
            gone = await client.get(url + "/gone")
            fresh = await client.get(url + "/large", headers={"If-None-Match": large.headers["etag"]})
            many = await asyncio.gather(*[client.get(url + "/text.txt") for _ in range(100)])
            return large, text, part, head, gone, fresh, many

    large, text, part, head, gone, fresh, many = run(work())
    assert large.content == LARGE == curl("--cacert", authority.ca, url + "/large")
    assert text.content == b"text " * 10_000 and text.headers["content-encoding"] == "gzip" and len(text.history) == 1
    assert text.content == curl("-L", "--compressed", "--cacert", authority.ca, url + "/away")
    assert (part.status, part.content) == (206, LARGE[10:20]) and (head.content, gone.status) == (b"", 410)
    assert head.headers["content-length"] == str(len(LARGE)) and (fresh.status, fresh.content) == (304, b"")
    assert {one.content for one in many} == {b"text " * 10_000}
    assert {one.http_version for one in (large, *many)} == {"HTTP/2" if tls else "HTTP/1.1"}
