"""nginx and haproxy behind the gateway, over HTTP/1.1 and HTTP/2; curl, h2load and websockets in front."""

import asyncio
import contextlib
import os
import socket
import subprocess

import pytest
import trustme
import websockets
from tests.http.gateway.test_passing_on import Behind
from tests.http.server.wire import raw
from tests.peers import environment, tool

from catenet.http import serve
from catenet.http.gateway.gateway import Gateway, GatewayOptions
from catenet.http.message import ResponseHead

pytestmark = pytest.mark.peer

LARGE = os.urandom(1 << 20) * 8


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    """URLs of both kinds, and the authority's file."""
    program = tool("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
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
          access_log off; client_body_temp_path {folder}/body; {temporary}
          gzip on; gzip_types text/plain; gzip_proxied any;
          types {{ text/plain txt; }} default_type application/octet-stream; root {folder};
          server {{
            listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2;
            ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/cert.pem;
            location /away {{ return 307 /text.txt; }}
            location /seen {{ return 200 "$http_x_forwarded_for $http_x_forwarded_proto $host $server_protocol"; }}
          }}
        }}"""
    )
    words = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")]
    process = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE)
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", plain)):
            break
        assert process.poll() is None, process.stderr.read()
    yield f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", folder / "ca.pem"
    process.terminate()
    process.communicate()


@contextlib.asynccontextmanager
async def haproxy(folder, behind, version):
    """haproxy before a server of ours, to which it speaks HTTP/1.1 or HTTP/2; yields its URL."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    (folder / "haproxy.cfg").write_text(
        f"""
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:{port} proto {version}
  default_backend b
backend b
  server a {behind.removeprefix("http://")} proto {version}
"""
    )
    words = [tool("haproxy"), "-f", str(folder / "haproxy.cfg")]
    process = await asyncio.create_subprocess_exec(*words, env=environment(), stderr=subprocess.PIPE)
    try:
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            assert process.returncode is None, await process.stderr.read()
            await asyncio.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.communicate()


async def output(*words):
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, words
    return out


CASES = [
    ["/text.txt"],
    ["/text.txt", "-H", "Accept-Encoding: gzip"],
    ["/large"],
    ["/large", "-r", "1000000-1999999"],
    ["/text.txt", "-I"],
    ["/text.txt", "-H", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"],
    ["/missing"],
    ["/away"],
    ["/text.txt", "-d", "posted"],
]


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("tls", [0, 1])
def test_what_nginx_answers_is_what_the_client_gets(nginx, tls, version):
    curl = [tool("curl"), "-sS", "--cacert", nginx[2], "-w", "\n%{http_code} %{content_type} %header{etag}"]

    async def main():
        gateway = Gateway([f"/={nginx[tls]}"], GatewayOptions(ca=str(nginx[2]), preserve_host=False))
        async with await serve(gateway, "http://127.0.0.1:0", interface="exchange") as front:
            (url,) = front.urls
            for path, *words in CASES:
                quiet = ["-o", os.devnull if "-I" in words else "-"]
                direct = await output(*curl, "--http1.1", *words, *quiet, nginx[tls] + path)
                through = await output(*curl, version, *words, *quiet, url + path)
                assert through == direct.replace(nginx[tls].encode(), url.encode()) or path == "/away", path
            host = nginx[tls].rpartition("/")[2].partition(":")[0]
            seen = await output(tool("curl"), "-sS", version, f"{url}/seen")
            assert seen.decode() == f"127.0.0.1 http {host} HTTP/{'2.0' if tls else '1.1'}"
            for protocol in ((), ("--h1",)):
                said = await output(tool("h2load"), "-n200", "-c4", "-m8", *protocol, f"{url}/text.txt")
                assert b"200 succeeded, 0 failed, 0 errored" in said
        await gateway.close()

    asyncio.run(main())


@pytest.mark.parametrize(("version", "scheme"), [("h1", "http"), ("h2", "h2c")])
def test_what_passes_haproxy_and_the_gateway(tmp_path, version, scheme):
    """Bodies, an invitation, hints, trailers both ways, a WebSocket."""
    last = Behind()

    async def app(exchange):
        if exchange.head.path == b"/large":
            await exchange.reply(ResponseHead(200), LARGE)
        else:
            await last(exchange)

    async def main():
        async with (
            await serve(app, "http://127.0.0.1:0", interface="exchange") as server,
            haproxy(tmp_path, server.urls[0], version) as middle,
        ):
            gateway = Gateway([f"/={scheme}://{middle}"])
            async with await serve(gateway, "http://127.0.0.1:0", interface="exchange") as front:
                (url,) = front.urls
                for way in ("--http1.1", "--http2-prior-knowledge"):
                    assert await output(tool("curl"), "-sS", way, f"{url}/large") == LARGE
                    said = await output(tool("curl"), "-sS", way, "-d", "posted", f"{url}/")
                    assert said == b"posted|"
                one = await raw(url)
                one.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
                assert (await one.response())[0] == 100
                one.send(b"abc")
                assert (await one.response())[2] == b"abc|"
                assert (await one.get("/hints"))[0] == 103
                last.go_on.set()
                assert (await one.response())[0] == 200
                one.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                one.send(b"3\r\nabc\r\n0\r\nX-End: 1\r\n\r\n")
                _, fields, body = await one.response()
                assert body == b"abc|x-end=1" and fields["trailer-x-sum"] == "7"
                one.close()
            await gateway.close()

    asyncio.run(main())


def test_a_websocket_through_haproxy_and_the_gateway(tmp_path):
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async def main():
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            behind = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with haproxy(tmp_path, behind, "h1") as middle:
                gateway = Gateway([f"/=http://{middle}"])
                async with await serve(gateway, "http://127.0.0.1:0", interface="exchange") as front:
                    async with websockets.connect(front.urls[0].replace("http", "ws")) as client:
                        await client.send("x" * 100_000)
                        assert await client.recv() == "x" * 100_000
                await gateway.close()

    asyncio.run(main())
