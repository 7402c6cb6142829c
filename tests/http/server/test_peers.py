"""Other people's clients, load generators and proxies against a server in a process of its own."""

import asyncio
import hashlib
import re
import socket
import subprocess
import sys
import time

import aiohttp
import httpx
import pytest
import requests
import urllib3
from tests.dns.server.running import port_of, serving
from tests.peers import environment, tool
from websockets.asyncio.client import connect

SITE = """
import asyncio, hashlib

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
        return
    if scope["type"] != "http":
        raise NotImplementedError
    headers, body = [(b"content-type", b"text/plain")], b"hello"
    if scope["path"] == "/upload":
        digest, more = hashlib.sha256(), True
        while more:
            event = await receive()
            digest.update(event["body"])
            more = event["more_body"]
        body = digest.hexdigest().encode()
    elif scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
        await send({"type": "http.response.body"})
        return
    elif scope["path"] == "/version":
        body = scope["http_version"].encode()
    elif scope["path"] == "/memory":
        import resource
        body = str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
BODY = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "pages.py").write_text(SITE)
    with serving(folder, "pages", "--listen", "http://127.0.0.1:0", kind="asgi") as running:
        yield running.urls[0]


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.peer
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2-prior-knowledge", "--http2"])
def test_curl(server, tmp_path, version):
    curl = tool("curl")
    (tmp_path / "body").write_bytes(BODY)
    said = output(curl, "-sS", version, f"{server}/version")
    assert said == {"--http1.0": "1.0", "--http2-prior-knowledge": "2"}.get(version, "1.1")
    assert output(curl, "-sS", version, "--data-binary", f"@{tmp_path}/body", f"{server}/upload") == DIGEST
    assert output(curl, "-sS", version, "-T", f"{tmp_path}/body", f"{server}/upload") == DIGEST
    assert len(output(curl, "-sS", version, f"{server}/large")) == 10_000_000
    assert "content-length: 5" in output(curl, "-sSI", version, server).lower()


def test_clients_of_python(server):
    assert requests.post(f"{server}/upload", data=BODY, timeout=30).text == DIGEST
    assert requests.post(f"{server}/upload", data=iter([BODY[:1000], BODY[1000:]]), timeout=30).text == DIGEST
    with requests.Session() as session:
        assert {session.get(server, timeout=30).text for _ in range(5)} == {"hello"}
    pool = urllib3.PoolManager()
    assert len(pool.request("GET", f"{server}/large").data) == 10_000_000
    assert pool.request("POST", f"{server}/upload", body=BODY).data.decode() == DIGEST
    for options in ({}, {"http1": False, "http2": True}):
        with httpx.Client(base_url=server, timeout=30, **options) as client:
            assert client.post("/upload", content=BODY).text == DIGEST
            assert len(client.get("/large").content) == 10_000_000

    async def main():
        async with aiohttp.ClientSession(server) as session:
            async with session.post("/upload", data=BODY) as reply:
                assert await reply.text() == DIGEST
            async with session.ws_connect("/ws", compress=15) as socket_:
                await socket_.send_str("hello" * 100)
                assert await socket_.receive_str() == "hello" * 100

    asyncio.run(main())


@pytest.mark.peer
def test_load_generators(server):
    wrk = output(tool("wrk"), "-t1", "-c20", "-d1", server)
    assert "Non-2xx" not in wrk and "Socket errors" not in wrk and int(re.search(r"(\d+) requests in", wrk)[1]) > 50
    for words in ((), ("-k",)):
        said = output(tool("ab"), "-q", "-n200", "-c10", *words, f"{server}/")
        assert re.search(r"Complete requests: +200\n", said) and re.search(r"Failed requests: +0\n", said)
        assert ("Keep-Alive requests:    200" in said) is bool(words)
    for words in ((), ("--h1",)):
        said = output(tool("h2load"), "-n300", "-c3", "-m10", *words, server)
        assert "300 succeeded, 0 failed, 0 errored" in said
    assert len(output(tool("nghttp"), f"{server}/large")) == 10_000_000


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(request, server, tmp_path):
    program = tool(request.param)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    behind = port_of(server)
    if request.param == "nginx":
        (tmp_path / "nginx.conf").write_text(f"""
daemon off; user root; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
events {{ worker_connections 100; }}
http {{
  access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/temp; client_max_body_size 0;
  fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
  upstream site {{ server 127.0.0.1:{behind}; keepalive 4; }}
  map $http_upgrade $upgrades {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://site; proxy_http_version 1.1; proxy_request_buffering off;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrades; proxy_set_header Host $host;
    }}
    location /old/ {{ proxy_pass http://site/; proxy_http_version 1.0; }}
  }}
}}
""")
        command = [program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    else:
        (tmp_path / "haproxy.cfg").write_text(f"""
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:{port}
  use_backend h2 if {{ path_beg /old/ }}
  default_backend h1
backend h1
  server a 127.0.0.1:{behind}
backend h2
  http-request replace-path /old(/.*) \\1
  server a 127.0.0.1:{behind} proto h2
""")
        command = [program, "-f", str(tmp_path / "haproxy.cfg")]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                requests.get(url, timeout=60)
                break
            except requests.ConnectionError:
                assert process.poll() is None, process.stderr.read().decode()
                time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.peer
def test_behind_a_proxy(proxy):
    with requests.Session() as session:
        assert {session.get(proxy, timeout=30).text for _ in range(10)} == {"hello"}
        assert session.post(f"{proxy}/upload", data=BODY, timeout=30).text == DIGEST
        assert session.post(f"{proxy}/upload", data=iter([BODY[:7], BODY[7:]]), timeout=30).text == DIGEST
        assert len(session.get(f"{proxy}/large", timeout=30).content) == 10_000_000
        assert session.head(proxy, timeout=30).headers["content-length"] == "5"
        assert session.get(f"{proxy}/old/version", timeout=30).text in ("1.0", "2")
        assert session.post(f"{proxy}/old/upload", data=BODY, timeout=30).text == DIGEST
        assert len(session.get(f"{proxy}/old/large", timeout=30).content) == 10_000_000

    async def main():
        async with connect(proxy.replace("http", "ws") + "/ws") as socket_:
            await socket_.send("through")
            assert await socket_.recv() == "through"

    asyncio.run(main())


def test_huge_bodies_keep_memory_flat(server):
    """300 MiB up, read by an application that forgets it."""
    before = int(requests.get(f"{server}/memory", timeout=30).text)
    piece = bytes(1 << 20)
    requests.post(f"{server}/upload", data=(piece for _ in range(300)), timeout=60)
    after = int(requests.get(f"{server}/memory", timeout=30).text)
    assert after - before < 40_000, f"{before} KiB became {after} KiB"


HOLD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
port, count = int(sys.argv[1]), int(sys.argv[2])
held = []
for number in range(count):
    sock = socket.create_connection(("127.0.0.%d" % (1 + number % 4), port), source_address=None)
    held.append(sock)
    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    if number % 500 == 499:
        for one in held[-500:]:
            assert b"hello" in one.recv(4096) or b"hello" in one.recv(4096)
for sock in held:
    sock.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
assert all(b"hello" in sock.recv(4096) for sock in held)
print(len(held))
"""


def test_ten_thousand_connections(tmp_path):
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12_000:
        pytest.skip("needs 12,000 descriptors")
    (tmp_path / "pages.py").write_text(SITE)
    command = ["bash", "-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "bash"]
    with serving(tmp_path, "pages", "--listen", "http://0.0.0.0:0", kind="asgi", prefix=command) as running:
        assert output(sys.executable, "-c", HOLD, str(port_of(running.urls[0])), "10000") == "10000\n"
