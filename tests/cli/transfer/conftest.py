"""Servers that transfers are tried on: nginx, one of the standard library, one that breaks off, and curl beside."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from tests.cli.transfer.cutting import CONTENT, Cutting
from tests.http.policy.conftest import apache_digest  # noqa: F401 - a fixture
from tests.peers import environment, tool

BIG = 3 << 20

CONFIGURATION = """
pid {root}/pid;
error_log {root}/error.log;
worker_processes 1;
daemon off;
master_process off;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  client_max_body_size 0;
  types {{ text/html html; text/plain txt; }}
  default_type application/octet-stream;
  ssl_certificate {root}/server.pem;
  ssl_certificate_key {root}/server.key;
  server {{
    listen 127.0.0.1:{forward};
    location / {{ proxy_pass http://$http_host$request_uri; }}
  }}
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{tls} ssl http2;
    listen 127.0.0.1:{h2c} http2;
    listen unix:{root}/socket;
    root {root}/www;
    location / {{ autoindex off; }}
    location /gz/ {{ alias {root}/www/; gzip on; gzip_types *; gzip_min_length 1; }}
    location /slow/ {{ alias {root}/www/; limit_rate 200k; }}
    location /plain/ {{ alias {root}/www/; max_ranges 0; etag off; }}
    location /dav/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    location /secret/ {{ alias {root}/www/; auth_basic "r"; auth_basic_user_file {root}/users; }}
    location /moved {{ return 301 /hello.txt; }}
    location /found {{ return 302 /hello.txt; }}
    location /other {{ return 303 /hello.txt; }}
    location /temporary {{ return 307 /hello.txt; }}
    location /round {{ return 302 /round; }}
    location /away {{ return 302 unknown://127.0.0.1/x; }}
    location /nowhere {{ return 302 http://a:b/; }}
    location /teapot {{ return 418 "short and stout\\n"; }}
    location /broken {{ return 500 "sorry\\n"; }}
    location /empty {{ return 204; }}
    location = /evil {{ add_header Content-Disposition 'attachment; filename="../../evil.txt"'; return 200 "evil\\n"; }}
    location = /named {{ add_header Content-Disposition 'attachment; filename="named.txt"'; return 200 "named\\n"; }}
  }}
}}
"""


@dataclass
class Server:
    """Where a server is."""

    port: int
    root: Path
    tls: int = 0
    h2c: int = 0
    ca: str = ""
    forward: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secure(self) -> str:
        return f"https://127.0.0.1:{self.tls}"


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        assert process.poll() is None, "it has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("it does not listen")


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A static server with everything that a static server has."""
    command = tool("nginx")
    root = tmp_path_factory.mktemp("nginx")
    root.chmod(0o755)
    for folder in (root.parent, root.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o011)
    www = root / "www"
    (www / "dav").mkdir(parents=True)
    for folder in (www, www / "dav"):
        folder.chmod(0o777)
    (www / "hello.txt").write_text("hello\n")
    (www / "a b.txt").write_text("blank\n")
    (www / "nothing").write_text("")
    (www / "big.bin").write_bytes(hashlib.shake_256(b"big").digest(BIG))
    old = time.time() - 10000
    for path in www.iterdir():
        os.utime(path, (old, old))
    (root / "users").write_text("user:{PLAIN}pass\n")
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    (root / "server.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(root / "server.key")
    authority.cert_pem.write_to_path(root / "ca.pem")
    port, tls, h2c, forward = free_ports(4)
    text = CONFIGURATION.format(root=root, port=port, tls=tls, h2c=h2c, forward=forward)
    (root / "nginx.conf").write_text(text)
    words = [command, "-c", str(root / "nginx.conf"), "-p", str(root), "-e", str(root / "error.log")]
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield Server(port, root, tls, h2c, str(root / "ca.pem"), forward)
    finally:
        process.terminate()
        process.wait(20)


class Echo(http.server.BaseHTTPRequestHandler):
    """Says what it was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def answer(self) -> None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.startswith("/hop/"):
            left = int(self.path[5:])
            self.send_response(302 if left % 2 else 307)
            self.send_header("Location", f"/hop/{left - 1}" if left > 1 else "/echo")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path.startswith("/cookies/"):
            self.send_response(302)
            self.send_header("Set-Cookie", "kept=1; Max-Age=1000; Path=/")
            self.send_header("Set-Cookie", "hidden=2; HttpOnly; Path=/")
            self.send_header("Set-Cookie", "other=3; Domain=other.example")
            self.send_header("Location", "/echo")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/again":
            self.server.asked += 1  # type: ignore[attr-defined]
            if self.server.asked < 3:  # type: ignore[attr-defined]
                self.send_response(503)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        chosen = ("authorization", "content-type", "cookie", "range", "referer", "x-a", "accept", "user-agent")
        lines = [f"{self.command} {self.path}"]
        for name in chosen:
            for value in self.headers.get_all(name, []):
                if name == "user-agent" and ("curl" in value or "catenet" in value):
                    continue
                if name == "cookie":
                    value = "; ".join(sorted(value.split("; ")))  # curl has an order of its own
                if name == "content-type" and "boundary" in value:
                    body = body.replace(value.partition("boundary=")[2].encode(), b"B").replace(b"-" * 24, b"")
                    value = "a form"
                lines.append(f"{name}: {value}")
        text = "\n".join(lines).encode() + b"\n\n" + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_PURGE = answer


@pytest.fixture(scope="session")
def echo() -> Iterator[Server]:
    """A server that says what it was asked."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    server.asked = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Server(server.server_address[1], Path())
    server.shutdown()
    server.server_close()


HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "/short": HEAD + b"Content-Length: 100\r\n\r\n" + b"x" * 10,
    "/shortchunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "/silent": b"",
    "/untilclose": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "/badgzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nnogz!",
    "/badchunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "/escape": HEAD + b"Content-Length: 0\r\nX-Text: \xc2\x9b31m\r\n\r\n",
}


@pytest.fixture(scope="session")
def breaking() -> Iterator[Server]:
    """A server that breaks off."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    kept = []

    def handle(connection: socket.socket) -> None:
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece:
                    return
                data += piece
            path = data.split(b" ")[1].decode()
            if path == "/hang":
                kept.append(connection.dup())
            elif path == "/halfhang":
                connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + b"x" * 10)
                kept.append(connection.dup())
            elif path == "/reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.sendall(ANSWERS.get(path, b""))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield Server(listener.getsockname()[1], Path())
    listener.close()
    for one in kept:
        one.close()


@pytest.fixture(scope="session")
def closed_port() -> int:
    """Where nobody listens."""
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def notls() -> Iterator[Server]:
    """A server that ends TLS at its first message."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(1000)
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28")  # alert: handshake failure
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    yield Server(listener.getsockname()[1], Path())
    listener.close()


@pytest.fixture(scope="session")
def tunnels() -> Iterator[int]:
    """Port of a proxy that connects (ncat), for whoever says user:pass."""
    (port,) = free_ports(1)
    words = [tool("ncat"), "-l", "127.0.0.1", str(port), "-k", "--proxy-type", "http", "--proxy-auth", "user:pass"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def running() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cutting)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/file.bin"
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(running: str) -> str:
    """URL of a file whose server does not break off yet."""
    Cutting.tag, Cutting.cuts, Cutting.asked, Cutting.pause, Cutting.content = '"one"', [], [], 0.0, CONTENT
    return running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
