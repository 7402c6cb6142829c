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
