"""Unmodified third-party programs over 2 % loss, 30 ms latency and 1 % reordering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("client", ["httpx_client", "aiohttp_client", "requests_client", "urllib_client"])
def test_aiohttp_server(internet: Any, version: int, client: str) -> None:
    internet.server.run("aiohttp_server.py 80", daemon=True)
    internet.client.run(f"{client}.py", internet.url(version), start=1.0)
    internet.run()
    assert internet.printed("client") == ["done"]
    assert internet.printed("server", "stderr") == []


def test_names_resolve(internet: Any) -> None:
    internet.server.run("aiohttp_server.py 8080", daemon=True)
    internet.client.run("requests_client.py http://server:8080", start=1.0)
    internet.run()
    assert internet.printed("client") == ["done"]


def test_http_server_of_the_standard_library(internet: Any, tmp_path: Path, version: int) -> None:
    content = bytes(range(256)) * 2000
    (tmp_path / "file.bin").write_bytes(content)
    bind = "0.0.0.0" if version == 4 else "::"
    internet.server.run(f"-m http.server 80 --bind {bind} --directory {tmp_path}", daemon=True)

    def client() -> None:
        import requests

        answer = requests.get(f"{internet.url(version)}/file.bin", timeout=30)
        assert answer.content == content
        assert requests.get(f"{internet.url(version)}/none", timeout=30).status_code == 404

    internet.client.run(client, start=1.0)
    internet.run()
    logged = internet.printed("server", "stderr")
    assert any('"GET /file.bin HTTP/1.1" 200' in line for line in logged)


def test_websockets(internet: Any, version: int) -> None:
    internet.server.run("websockets_server.py 80", daemon=True)
    internet.client.run("websockets_client.py", internet.url(version, scheme="ws"), start=1.0)
    internet.run()
    assert internet.printed("client") == ["done"]


@pytest.mark.parametrize("client", ["requests", "httpx", "urllib"])
def test_https(internet: Any, tmp_path: Path, client: str) -> None:
    """An aiohttp server behind TLS, and synchronous clients that check its certificate."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("server")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    bundle = str(tmp_path / "ca.pem")

    async def server() -> None:
        import asyncio
        import ssl

        from aiohttp import web

        async def hello(request: web.Request) -> web.Response:
            return web.Response(body=bytes(200_000) + request.path.encode())

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        app = web.Application()
        app.add_routes([web.get("/secret", hello)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, port=443, ssl_context=context).start()
        await asyncio.Event().wait()

    def by_requests(url: str) -> bytes:
        import requests

        return requests.get(url, verify=bundle, timeout=30).content

    def by_httpx(url: str) -> bytes:
        import ssl

        import httpx

        return httpx.get(url, verify=ssl.create_default_context(cafile=bundle), timeout=30).content

    def by_urllib(url: str) -> bytes:
        import ssl
        import urllib.request

        with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=bundle), timeout=30) as answer:
            return bytes(answer.read())

    ask = {"requests": by_requests, "httpx": by_httpx, "urllib": by_urllib}[client]
    answers: list[bytes] = []
    internet.server.run(server, daemon=True)
    internet.client.run(lambda: answers.append(ask("https://server/secret")), start=0.5)
    internet.run()
    assert answers == [bytes(200_000) + b"/secret"]
