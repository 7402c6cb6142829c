"""httpx on our connections: its own answers, its own exceptions."""

import asyncio

import httpx
import pytest
from scripted import Scripted, in_background, read_head, reply, replying
from tests.http.client.test_http2 import echo as h2_echo
from tests.http.client.test_http2 import http2

from catenet.http.client.httpx_transport import AsyncCatenetTransport, CatenetTransport


def echo(first, fields, body):
    return reply(f"{first} {len(body)}".encode(), x_length=fields.get("content-length", "none"))


def test_httpx_with_await():
    async def pieces():
        for _ in range(10):
            yield b"x" * 1000

    async def main():
        async with Scripted(replying(echo)) as server:
            async with httpx.AsyncClient(transport=AsyncCatenetTransport()) as client:
                assert (await client.get(server.url + "/a", params={"b": "c"})).text == "GET /a?b=c HTTP/1.1 0"
                sent = await client.post(server.url, json={"a": 1})
                assert sent.headers["x-length"] == "7" and sent.http_version == "HTTP/1.1"
                assert (await client.post(server.url, content=pieces())).text.endswith(" 10000")
                assert (await client.post(server.url, files={"f": b"data"})).status_code == 200
                async with client.stream("GET", server.url) as response:
                    assert [piece async for piece in response.aiter_bytes()] == [b"GET / HTTP/1.1 0"]
            return server.connections

    assert asyncio.run(main()) == 1


def test_httpx_without_await():
    with in_background(replying(echo)) as server:
        with httpx.Client(transport=CatenetTransport()) as client:
            assert client.get(server.url).text == "GET / HTTP/1.1 0"
            assert client.put(server.url, content=(b"y" * 10 for _ in range(10))).text.endswith(" 100")
            with client.stream("GET", server.url) as response:
                assert b"".join(response.iter_bytes()) == b"GET / HTTP/1.1 0"
        assert server.connections == 1


def test_over_http2_and_unix_sockets(tmp_path):
    async def main():
        async with Scripted(http2(h2_echo)) as server:
            async with httpx.AsyncClient(transport=AsyncCatenetTransport(versions="2")) as client:
                response = await client.post(server.url, content=b"two")
                assert response.content == b"two" and response.http_version == "HTTP/2"
        path = str(tmp_path / "s")
        async with Scripted(replying(echo), path=path):
            async with httpx.AsyncClient(transport=AsyncCatenetTransport(uds=path)) as client:
                return (await client.get("http://any/")).text

    assert asyncio.run(main()) == "GET / HTTP/1.1 0"


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"", httpx.RemoteProtocolError),
        (b"nonsense", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", httpx.ReadError),
        (None, httpx.ReadTimeout),
    ],
)
def test_its_own_exceptions(response, error):
    async def handle(reader, writer):
        await read_head(reader)
        if response is None:
            await asyncio.sleep(3600)
        writer.write(response)

    async def main():
        async with Scripted(handle) as server:
            async with httpx.AsyncClient(
                transport=AsyncCatenetTransport(), timeout=httpx.Timeout(20, read=0.1 if response is None else 20)
            ) as client:
                await client.get(server.url)

    with pytest.raises(error) as raised:
        asyncio.run(main())
    assert raised.value.request.method == "GET"


def test_nobody_there():
    async def main(**options):
        async with httpx.AsyncClient(transport=AsyncCatenetTransport(**options)) as client:
            await client.get("http://127.0.0.1:1/")

    with pytest.raises(httpx.ConnectError, match="Connection refused"):
        asyncio.run(main())
    with pytest.raises(httpx.ProxyError, match="cannot connect to the proxy"):
        asyncio.run(main(proxy="http://127.0.0.1:1"))
