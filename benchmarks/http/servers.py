"""Servers of HTTP to be measured, ours and their peers: each in one process, on one processor, with one worker."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import util
from pathlib import Path

from benchmarks.harness import Failed, Unavailable
from benchmarks.serving import Running, compiled_command, find, running

__all__ = ["KINDS", "Site", "start"]

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Site:
    """What all servers are told. `app` is a name in `programs/site_.py`."""

    folder: Path
    app: str = "app"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"


def _free_ports() -> int:
    """A port that is free, as are the two after it: for TLS, and for HTTP/2 where that needs a port of its own."""
    for _ in range(100):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError):
                for more in (1, 2):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + more))
                return port
    raise Failed("no three ports in a row are free")


@contextlib.contextmanager
def start(kind: str, site: Site) -> Iterator[Running]:
    """Run a server until it answers; `kind` is one of `KINDS`."""
    port = _free_ports()
    words = KINDS[kind](site, port)
    ports = {"http": port, "https": port + 1, "h2c": port + 2 if kind == "nginx" else port}
    log, more = site.folder / f"{kind}-{site.app}.log", {"BENCH_FILE": str(site.folder / "www" / "file" / "0")}
    with running(words, ports, partial(_answers, port), log=log, cwd=PROGRAMS, more=more) as server:
        yield server


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1) as sock:
        sock.sendall(b"GET /json/0 HTTP/1.1\r\nHost: x\r\n\r\n")
        return sock.recv(4096).startswith(b"HTTP/1.1 200")


def _need(package: str) -> None:
    if util.find_spec(package) is None:
        raise Unavailable(f"pip install {package}")


def _ours(site: Site, port: int, command: list[str], *more: str) -> list[str]:
    what = [f"site_:{site.app}"] if site.app == "app" else [f"site_:{site.app}", "--factory"]
    urls = ["--listen", f"http://127.0.0.1:{port}", "--listen", f"https://127.0.0.1:{port + 1}"]
    return [*command, "serve", "asgi", *what, *urls, "--cert", str(site.certificate), *more]


def _catenet(site: Site, port: int) -> list[str]:
    return _ours(site, port, [sys.executable, "-m", "catenet"])


def _files(site: Site, port: int) -> list[str]:
    return _serving_files(site, port, [sys.executable, "-m", "catenet"])


def _compiled_files(site: Site, port: int) -> list[str]:
    return _serving_files(site, port, compiled_command())


def _serving_files(site: Site, port: int, command: list[str]) -> list[str]:
    return [*command, "serve", "http", str(site.folder / "www"), "--listen", f"http://127.0.0.1:{port}"]


def _on_asyncio(site: Site, port: int) -> list[str]:
    return _ours(site, port, [sys.executable, "-m", "catenet"], "--loop", "asyncio")


def _compiled(site: Site, port: int) -> list[str]:
    return _ours(site, port, compiled_command())


def _uvicorn(site: Site, port: int) -> list[str]:
    return _by_uvicorn(site, port, "uvloop", "httptools")


def _uvicorn_h11(site: Site, port: int) -> list[str]:
    return _by_uvicorn(site, port, "asyncio", "h11")


def _by_uvicorn(site: Site, port: int, loop: str, http: str) -> list[str]:
    """Uvicorn has one listener: two processes, of which one waits while the other is measured."""
    _need("uvicorn")
    base = [sys.executable, "-m", "uvicorn", f"site_:{site.app}", "--loop", loop, "--http", http]
    base += ["--no-access-log", "--log-level", "error", *(["--factory"] if site.app != "app" else [])]
    pem = str(site.certificate)
    return _both(
        [*base, "--port", str(port)], [*base, "--port", str(port + 1), "--ssl-certfile", pem, "--ssl-keyfile", pem]
    )


def _granian(site: Site, port: int) -> list[str]:
    _need("granian")
    base = [sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--no-log", f"site_:{site.app}"]
    base += ["--factory"] if site.app != "app" else []
    pem = str(site.certificate)
    return _both(
        [*base, "--port", str(port)],
        [*base, "--port", str(port + 1), "--ssl-certificate", pem, "--ssl-keyfile", str(site.folder / "key.pem")],
    )


def _hypercorn(site: Site, port: int) -> list[str]:
    _need("hypercorn")
    what = f"site_:{site.app}" + ("()" if site.app != "app" else "")
    base = [sys.executable, "-m", "hypercorn", what, "-k", "uvloop", "--log-level", "error"]
    pem = str(site.certificate)
    secure = ["--bind", f"127.0.0.1:{port + 1}", "--insecure-bind", f"127.0.0.1:{port}"]
    return [*base, *secure, "--certfile", pem, "--keyfile", pem]


def _aiohttp(site: Site, port: int) -> list[str]:
    _need("aiohttp")
    if site.app != "app":
        raise Unavailable("it serves no ASGI")
    return [sys.executable, str(PROGRAMS / "site_.py"), str(port), str(site.certificate)]


def _nginx(site: Site, port: int) -> list[str]:
    """As it is told by nobody to keep files open: it opens, looks at and sends them for each request."""
    return _by_nginx(site, port, "off")


def _nginx_keeping(site: Site, port: int) -> list[str]:
    """With files kept open, and looked at again after a minute, its default."""
    return _by_nginx(site, port, "max=2000")


def _by_nginx(site: Site, port: int, open_files: str) -> list[str]:
    if site.app != "app":
        raise Unavailable("it serves no ASGI")
    folder, pem = site.folder, site.certificate
    place = f"{folder}/nginx-{port}"
    small = '{"message":"Hello, world!","numbers":[1,2,3]}'
    Path(f"{place}.conf").write_text(f"""
daemon off; user root; worker_processes 1; pid {place}.pid; error_log {place}.log;
events {{ worker_connections 1000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; open_file_cache {open_files};
  client_body_temp_path {place}-b; proxy_temp_path {place}-p; fastcgi_temp_path {place}-f;
  uwsgi_temp_path {place}-u; scgi_temp_path {place}-s;
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{port + 1} ssl; listen 127.0.0.1:{port + 2} http2;
    ssl_certificate {pem}; ssl_certificate_key {pem}; root {folder}/www; default_type application/octet-stream;
    location /json {{ default_type application/json; return 200 '{small}'; }}
    location /body {{ try_files /body/0 =404; }}
    location /file {{ try_files /file/0 =404; }}
  }}
}}
""")
    return [find("nginx"), "-p", str(folder), "-c", f"{place}.conf", "-e", f"{place}.log"]


def _both(first: list[str], second: list[str]) -> list[str]:
    """Run two commands as one group."""
    quoted = [" ".join(f"'{word}'" for word in words) for words in (first, second)]
    return ["sh", "-c", f"{quoted[0]} & {quoted[1]} & wait"]


KINDS: dict[str, Callable[[Site, int], list[str]]] = {
    "catenet": _catenet,
    "asyncio": _on_asyncio,
    "compiled": _compiled,
    "uvicorn": _uvicorn,
    "uvicorn, h11": _uvicorn_h11,
    "granian": _granian,
    "hypercorn": _hypercorn,
    "aiohttp": _aiohttp,
    "nginx": _nginx,
    "nginx, files kept open": _nginx_keeping,
    "files": _files,
    "files, compiled": _compiled_files,
}
