"""Peers that are servers: in this process, in one of their own, or as reverse proxies in front of an echo."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.http.strictness import ours
from tests.http.strictness.outcome import NEXT, seen, summary
from tests.peers import environment, program

from catenet.http.driver import HttpProtocol
from catenet.http.h1.connection import H1Connection
from catenet.http.h2 import frames
from catenet.http.h2.hpack import Decoder, Memo
from catenet.http.message import ResponseHead

__all__ = ["PROXIES", "SERVERS", "Address", "answers_through", "downgrade_through", "play"]

Address = tuple[str, int]
_PATIENCE = 0.7
_AT_ONCE = 16


# Applications of the peers: all answer what they have understood.


async def asgi_echo(scope: Any, receive: Any, send: Any) -> None:
    """ASGI 3."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = seen(scope["method"], scope["path"], size)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def wsgi_echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """WSGI."""
    size = len(environ["wsgi.input"].read())
    body = seen(environ["REQUEST_METHOD"], environ["PATH_INFO"], size)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class _Echo(HttpProtocol[Any], asyncio.Protocol):
    """Behind the proxies: what they forward."""

    def on_head(self, stream: Any, head: Any, end: bool) -> None:
        stream.owner = self
        self.stream, self.head, self.size = stream, head, 0
        self.core.invite(stream)
        if end:
            self.answer()

    def on_data(self, data: bytes, end: bool) -> None:
        self.size += len(data)
        self.core.consume(self.stream, len(data))
        if end:
            self.answer()

    def on_trailers(self, fields: Any) -> None:
        self.answer()

    def on_reset(self, reset: Any) -> None:
        pass

    def on_drained(self) -> None:
        pass

    def answer(self) -> None:
        head = self.head
        body = seen(head.method.decode("latin-1"), head.path.decode("latin-1"), self.size)
        self.core.send_reply(self.stream, ResponseHead(200), body, None)
        self.touch()


# Playing.


async def play(address: Address, requests: Sequence[bytes], patience: float = _PATIENCE) -> list[str]:
    """Send each request, and the next one, on a connection of its own; return the outcomes."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(data: bytes) -> str:
        async with gate:
            return summary(*await _exchange(address, data + NEXT, patience))

    return await asyncio.gather(*map(one, requests))


async def _exchange(address: Address, data: bytes, patience: float = _PATIENCE) -> tuple[bytes, bool]:
    """Return all that came, and whether the peer left the connection open."""
    received, waits = b"", False
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return b"", False
    try:
        writer.write(data)
        while piece := await asyncio.wait_for(reader.read(1 << 16), patience):
            received += piece
    except TimeoutError:
        waits = True
    except OSError:
        pass
    writer.transport.abort()
    return received, waits


async def answers_through(front: Address, back: Back, answers: Sequence[bytes]) -> list[str]:
    """Let a proxy fetch each answer from a server that sends its bytes and closes; return the outcomes."""
    back.answers = list(answers)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> str:
        async with gate:
            request = b"GET /%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % number
            received, waits = await _exchange(front, request, 3)
            head, _, body = received.partition(b"\r\n\r\n")
            while head[9:10] == b"1":
                head, _, body = body.partition(b"\r\n\r\n")
            if waits or not head or head[9:10] == b"5" or head[9:10] == b"4":
                return "R"
            if b"\r\ntransfer-encoding: chunked" in head.lower():
                if not body.endswith(b"0\r\n\r\n"):
                    return "R"
                body = _unchunk(body)
            elif (at := head.lower().find(b"\r\ncontent-length: ")) >= 0:
                length = int(head[at + 18 :].partition(b"\r")[0])
                if length != len(body) and head[9:12] not in (b"204", b"304"):
                    return "R"
            return f"A {head[9:12].decode('latin-1')} {len(body)}"

    return await asyncio.gather(*map(one, range(len(answers))))


def _unchunk(data: bytes) -> bytes:
    body = b""
    while (size := int(data.partition(b"\r\n")[0].partition(b";")[0], 16)) > 0:
        start = data.index(b"\r\n") + 2
        body += data[start : start + size]
        data = data[start + size + 2 :]
    return body


async def downgrade_through(address: Address, cases: Sequence[bytes]) -> list[str]:
    """Send each case over HTTP/2 with prior knowledge; return the outcomes."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(data: bytes) -> str:
        async with gate:
            received, _ = await _exchange(address, ours.blocks(data)[1] + frames.settings({})[:5] + b"\0" * 4, 0.5)
            return _h2_outcome(received)

    return await asyncio.gather(*map(one, cases))


def _h2_outcome(received: bytes) -> str:
    decoder = Decoder(lambda fields: fields, Memo(), 1 << 16)
    status, body, ended = b"", b"", False
    while len(received) >= 9:
        size = int.from_bytes(received[:3], "big")
        kind, flags, payload = received[3], received[4], received[9 : 9 + size]
        stream = int.from_bytes(received[5:9], "big")
        received = received[9 + size :]
        if kind == frames.HEADERS and stream == 1:
            fields = dict(decoder.decode(payload) or ())
            status = fields.get(b":status", status)
        elif kind == frames.DATA and stream == 1:
            body += payload
        ended |= stream == 1 and kind in (0, 1) and bool(flags & frames.END_STREAM)
    if not ended or status[:1] != b"2":
        return "R"
    verdict = summary(b"HTTP/1.1 200 " + body, False)
    return verdict if verdict[0] != "R" else "A"


# Starting.


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def aiohttp_server() -> AsyncIterator[Address]:
    """aiohttp.web."""
    from aiohttp import web

    async def handler(request: web.BaseRequest) -> web.Response:
        size = len(await request.read())
        return web.Response(body=seen(request.method, request.path, size))

    runner = web.ServerRunner(web.Server(handler), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0]
    await runner.cleanup()


@contextlib.asynccontextmanager
async def uvicorn_server() -> AsyncIterator[Address]:
    """uvicorn on httptools."""
    import uvicorn

    config = uvicorn.Config(
        asgi_echo, http="httptools", ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    yield listener.getsockname()
    server.force_exit = True
    await server.shutdown(sockets=[listener])


@contextlib.asynccontextmanager
async def hypercorn_server() -> AsyncIterator[Address]:
    """hypercorn, both versions."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config, stop, port = Config(), asyncio.Event(), _free_port()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = config.accesslog = None
    config.graceful_timeout = 0.1
    task = asyncio.ensure_future(serve(asgi_echo, config, shutdown_trigger=stop.wait))
    await _listening(("127.0.0.1", port))
    yield ("127.0.0.1", port)
    stop.set()
    with contextlib.suppress(Exception):
        await asyncio.wait_for(task, 5)


@contextlib.asynccontextmanager
async def waitress_server() -> AsyncIterator[Address]:
    """waitress, in a thread."""
    from waitress.server import create_server

    server = create_server(wsgi_echo, host="127.0.0.1", port=0, threads=4, clear_untrusted_proxy_headers=False)
    thread = threading.Thread(target=_run_quietly, args=(server.run,), daemon=True)
    thread.start()
    yield ("127.0.0.1", int(server.effective_port))
    server.close()


def _run_quietly(run: Callable[[], None]) -> None:
    with contextlib.suppress(Exception):
        run()


async def _listening(address: Address) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*address)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"nothing listens at {address}")


@contextlib.asynccontextmanager
async def _process(command: list[str], port: int, **options: Any) -> AsyncIterator[Address]:
    none = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=none, stdout=none, stderr=none, **options)
    try:
        await _listening(("127.0.0.1", port))
        yield ("127.0.0.1", port)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.asynccontextmanager
async def gunicorn_server() -> AsyncIterator[Address]:
    """gunicorn with threads, which keep connections."""
    port = _free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "24", "-b", f"127.0.0.1:{port}",
               "--graceful-timeout", "1", "tests.http.strictness.servers:wsgi_echo"]  # fmt: skip
    async with _process(command, port) as address:
        yield address


class Back:
    """Behind a proxy: an echo of requests, or a server whose answers are given."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.echo: Address = ("", 0)
        self.raw: Address = ("", 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the bytes that the number in the target names."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, IndexError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answers[int(head.split(b" ")[1].rpartition(b"/")[2])])
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def _back() -> AsyncIterator[Back]:
    loop, back = asyncio.get_running_loop(), Back()
    echo = await loop.create_server(lambda: _Echo(loop, H1Connection(False)), "127.0.0.1", 0)
    raw = await asyncio.start_server(back.serve, "127.0.0.1", 0)
    back.echo, back.raw = echo.sockets[0].getsockname(), raw.sockets[0].getsockname()
    yield back
    echo.close()
    raw.close()


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/log crit; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; keepalive_timeout 60; lingering_close off;
  proxy_http_version 1.1;
  server {{ listen 127.0.0.1:{ports[0]}; location / {{ proxy_pass http://127.0.0.1:{back.echo[1]}; }} }}
  server {{ listen 127.0.0.1:{ports[1]} http2; location / {{ proxy_pass http://127.0.0.1:{back.echo[1]}; }} }}
  server {{ listen 127.0.0.1:{ports[2]}; location / {{ proxy_pass http://127.0.0.1:{back.raw[1]}; }} }}
}}
"""
HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 5s
  retries 0
  option http-buffer-request
listen echo
  bind 127.0.0.1:{ports[0]}
  server s 127.0.0.1:{back.echo[1]}
listen two
  bind 127.0.0.1:{ports[1]} proto h2
  server s 127.0.0.1:{back.echo[1]}
listen raw
  bind 127.0.0.1:{ports[2]}
  server s 127.0.0.1:{back.raw[1]}
"""
APACHE = """
ServerRoot {folder}
ServerName h
PidFile {folder}/pid
ErrorLog {folder}/log
LogLevel crit
{modules}
Listen 127.0.0.1:{ports[0]}
Listen 127.0.0.1:{ports[1]}
Listen 127.0.0.1:{ports[2]}
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
H2Direct on
<VirtualHost 127.0.0.1:{ports[0]}>
  Protocols http/1.1
  ProxyPass / http://127.0.0.1:{back.echo[1]}/
</VirtualHost>
<VirtualHost 127.0.0.1:{ports[1]}>
  Protocols h2c http/1.1
  ProxyPass / http://127.0.0.1:{back.echo[1]}/
</VirtualHost>
<VirtualHost 127.0.0.1:{ports[2]}>
  Protocols http/1.1
  ProxyPass / http://127.0.0.1:{back.raw[1]}/ disablereuse=on
</VirtualHost>
"""
_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "http2", "unixd")


def _apache_modules(binary: Path) -> str:
    folder = binary.parent.parent / "lib" / "apache2" / "modules"
    return "\n".join(
        f"LoadModule {name}_module {folder}/mod_{name}.so" for name in _MODULES if (folder / f"mod_{name}.so").exists()
    )


@contextlib.asynccontextmanager
async def proxy(name: str) -> AsyncIterator[tuple[Sequence[Address], Back] | None]:
    """Start a reverse proxy; None if it is not there.

    Yields its addresses: for HTTP/1.1, for HTTP/2, and before a server whose answers are given.
    """
    binary = program(name)
    if binary is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        async with _back() as back:
            ports = [_free_port() for _ in range(3)]
            template = {"nginx": NGINX, "haproxy": HAPROXY, "apache2": APACHE}[name]
            config = Path(folder) / "config"
            config.write_text(
                template.format(
                    folder=folder, ports=ports, back=back, modules=_apache_modules(binary) if name == "apache2" else ""
                )
            )
            command = {
                "nginx": [str(binary), "-c", str(config), "-p", folder, "-e", f"{folder}/log"],
                "haproxy": [str(binary), "-f", str(config), "-q"],
                "apache2": [str(binary), "-f", str(config), "-DFOREGROUND"],
            }[name]
            async with _process(command, ports[0], env=environment(), cwd=folder):
                yield [("127.0.0.1", port) for port in ports], back


Server = Callable[[], contextlib.AbstractAsyncContextManager[Address]]
SERVERS: dict[str, Server] = {
    "aiohttp": aiohttp_server,
    "uvicorn": uvicorn_server,
    "hypercorn": hypercorn_server,
    "gunicorn": gunicorn_server,
    "waitress": waitress_server,
}
PROXIES = {"nginx": "nginx", "haproxy": "haproxy", "Apache": "apache2"}
Player = Callable[[Address, Sequence[bytes]], Awaitable[list[str]]]
