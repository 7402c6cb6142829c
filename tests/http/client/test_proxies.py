"""Through real proxies (ncat, Apache) and one of ours, which curl has proved to be one; TLS inside TLS, timeouts."""

import asyncio
import contextlib
import os
import socket
import subprocess

import pytest
import websockets.asyncio.server
from scripted import Scripted, read_head, reply, replying
from tests.peers import tool

from catenet.http.client.client import Client
from catenet.http.client.errors import ProxyError, RequestError, RequestTimeout
from catenet.http.client.timeouts import Timeouts


@contextlib.contextmanager
def ncat(*options):
    """A proxy of ncat's for HTTP or SOCKS5; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [tool("ncat"), "-l", "-k", "127.0.0.1", str(port), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, process.stderr.read()
        yield port
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def http_proxy():
    with ncat("--proxy-type", "http") as port:
        yield f"http://127.0.0.1:{port}"


def proxied(proxy, *, tls=None, path="/a", responses=(reply(b"through"),), **options):
    """Ask through a proxy; return what came, and the responses to two requests."""
    seen = []

    async def main():
        async with (
            Scripted(replying(*responses, seen=seen), tls=tls) as server,
            Client(proxy=proxy, **options) as client,
        ):
            return [await client.get(server.url + path) for _ in range(2)], server.connections

    responses, connections = asyncio.run(main())
    return seen, responses, connections


@pytest.mark.peer
def test_a_tunnel_of_ncat(http_proxy, authority):
    seen, responses, connections = proxied(http_proxy, tls=authority.server, ca=authority.ca)
    assert [response.content for response in responses] == [b"through"] * 2 and connections == 1
    assert seen[0][0] == "GET /a HTTP/1.1", "the server sees no proxy"
    names = [phase.name for phase in responses[0].timings.phases()]
    assert names == ["resolve", "connect", "proxy", "TLS", "request", "first byte", "body"]


@pytest.mark.peer
def test_forwarding_by_ncat(http_proxy):
    _, responses, _ = proxied(http_proxy)
    assert [response.content for response in responses] == [b"through"] * 2


@pytest.mark.peer
def test_a_proxy_that_wants_a_password(authority):
    with ncat("--proxy-type", "http", "--proxy-auth", "user:p@ss") as port:
        good = f"http://user:p%40ss@127.0.0.1:{port}"
        assert proxied(good, tls=authority.server, ca=authority.ca)[1][0].content == b"through"
        with pytest.raises(ProxyError, match="the proxy refuses: 407") as raised:
            proxied(f"http://127.0.0.1:{port}", tls=authority.server, ca=authority.ca)
        assert raised.value.status == 407


def test_what_a_proxy_is_asked_to_forward():
    """The whole URL in the first line, and connections to the proxy shared by servers (RFC 9112 section 3.2.2)."""
    seen = []

    async def main():
        async with Scripted(replying(reply(b"ok"), seen=seen)) as proxy:
            url = proxy.url.replace("//", "//u:p@")
            async with Client(proxy=url) as client:
                await client.get("http://one.example/a?b")
                await client.post("http://two.example:81/c", content=b"x")
                return proxy.connections

    assert asyncio.run(main()) == 1
    assert [(first, fields["host"]) for first, fields, _ in seen] == [
        ("GET http://one.example/a?b HTTP/1.1", "one.example"),
        ("POST http://two.example:81/c HTTP/1.1", "two.example:81"),
    ]
    assert all(fields["proxy-authorization"] == "Basic dTpw" for _, fields, _ in seen)


async def relay(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def join(reader, writer, host, port):
    there, back = await asyncio.open_connection(host, port)
    await asyncio.gather(relay(reader, back), relay(there, writer))


def socks5(log, password=None):
    """A SOCKS5 server; logs what it was asked for."""

    async def handle(reader, writer):
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if password is not None:
            if 2 not in methods:
                writer.write(b"\x05\xff")
                return
            writer.write(b"\x05\x02")
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            given = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(b"\x01" + (b"\0" if (user, given) == password else b"\1"))
        else:
            writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, await reader.readexactly(size))
        port = int.from_bytes(await reader.readexactly(2), "big")
        log.append((kind, host))
        writer.write(b"\x05\x00\x00\x01\0\0\0\0\0\0")
        await join(reader, writer, "127.0.0.1" if kind == 3 else host, port)

    return handle


def through_socks(scheme, authority, credentials="", password=None):
    log = []

    async def main():
        async with Scripted(socks5(log, password)) as proxy:
            url = f"{scheme}://{credentials}127.0.0.1:{proxy.port}"
            async with Scripted(replying(reply(b"through")), tls=authority.server) as server:
                async with Client(proxy=url, ca=authority.ca) as client:
                    return (await client.get(server.url)).content

    return asyncio.run(main()), log


def test_socks5_with_names_here_and_there(authority):
    assert through_socks("socks5h", authority) == (b"through", [(3, "localhost")])
    content, log = through_socks("socks5", authority)
    assert content == b"through" and log[0][0] in (1, 4), "resolved here"


def test_socks5_with_a_password(authority):
    assert through_socks("socks5h", authority, "u:p@", (b"u", b"p"))[0] == b"through"
    with pytest.raises(ProxyError, match="does not accept user name and password"):
        through_socks("socks5h", authority, "u:wrong@", (b"u", b"p"))
    with pytest.raises(ProxyError, match="wants a user name"):
        through_socks("socks5h", authority, "", (b"u", b"p"))


@pytest.mark.peer
def test_our_socks_server_is_one_for_curl():
    """The oracle of the tests above: curl's SOCKS client, with names there, here, and a password."""
    log = []

    async def curl(*words):
        process = await asyncio.create_subprocess_exec(
            tool("curl"), "-sS", "--noproxy", "", *words, stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
        return out or err

    async def main():
        async with Scripted(socks5(log, (b"u", b"p"))) as proxy, Scripted(replying(reply(b"through"))) as server:
            url = server.url
            return [await curl("-x", f"{scheme}://u:p@127.0.0.1:{proxy.port}", url) for scheme in ("socks5h", "socks5")]

    assert asyncio.run(main()) == [b"through", b"through"] and log[0] == (3, "localhost") and log[1][0] in (1, 4)


@pytest.mark.peer
def test_socks4_of_socat_and_ours(authority):
    """socat speaks SOCKS4 as a client only: the server here is checked by it."""
    log = []

    async def handle(reader, writer):
        _, _ = await reader.readexactly(2)
        port = int.from_bytes(await reader.readexactly(2), "big")
        address = await reader.readexactly(4)
        user = (await reader.readuntil(b"\0"))[:-1]
        name = (await reader.readuntil(b"\0"))[:-1].decode() if address[:3] == b"\0\0\0" else socket.inet_ntoa(address)
        log.append((user, name))
        writer.write(b"\0\x5a\0\0\0\0\0\0")
        await join(reader, writer, "127.0.0.1", port)

    async def main():
        async with Scripted(handle) as proxy, Scripted(replying(reply(b"through")), tls=authority.server) as server:
            for scheme in ("socks4", "socks4a"):
                async with Client(proxy=f"{scheme}://me@127.0.0.1:{proxy.port}", ca=authority.ca) as client:
                    assert (await client.get(server.url)).content == b"through"
        async with Scripted(handle) as proxy, Scripted(replying(reply(b"socat's"))) as server:
            words = f"SOCKS4A:127.0.0.1:localhost:{server.port},socksport={proxy.port},socksuser=me"
            process = await asyncio.create_subprocess_exec(tool("socat"), "-t", "5", "-", words, stdin=-1, stdout=-1)
            process.stdin.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            out = await process.stdout.readuntil(b"socat's")
            process.stdin.close()
            process.kill()
            await process.wait()
            return out

    assert asyncio.run(main()).endswith(b"socat's")
    assert log == [(b"me", "127.0.0.1"), (b"me", "localhost"), (b"me", "localhost")]


def connect_proxy(log):
    """A proxy for CONNECT, to stand behind TLS."""

    async def handle(reader, writer):
        first, fields = await read_head(reader)
        log.append((first, fields))
        host, _, port = first.split()[1].rpartition(":")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await join(reader, writer, host, int(port))

    return handle


def test_tls_inside_tls(authority):
    log = []

    async def main():
        async with Scripted(connect_proxy(log), tls=authority.server) as proxy:
            async with Scripted(replying(reply(b"deep" * 100_000)), tls=authority.server) as server:
                async with Client(proxy=proxy.url, ca=authority.ca) as client:
                    return [await client.get(server.url) for _ in range(3)]

    responses = asyncio.run(main())
    assert [len(response.content) for response in responses] == [400_000] * 3 and len(log) == 1
    assert log[0][0].startswith("CONNECT localhost:")


def test_a_proxy_that_is_not_there():
    with pytest.raises(ProxyError, match=r"to the proxy http://u:\*\*\*@127\.0\.0\.1:1: Connection refused"):
        proxied("http://u:secret@127.0.0.1:1")


@pytest.mark.parametrize("scheme", ["http", "socks5h", "socks4a"])
def test_timeouts_hold_through_proxies(scheme, authority):
    """A proxy that takes the connection and says nothing, or connects to a server that says nothing."""

    async def silent(reader, writer):
        await reader.read()
        await asyncio.sleep(3600)

    async def main():
        async with Scripted(silent) as proxy:
            url = f"{scheme}://127.0.0.1:{proxy.port}"
            async with Client(proxy=url, timeout=Timeouts(connect=0.05)) as client:
                with pytest.raises(RequestTimeout) as raised:
                    await client.get("https://example.org/")
        return raised.value.phase

    assert asyncio.run(main()) == "connect"


def test_a_silent_server_behind_a_proxy(authority):
    async def silent(reader, writer):
        await read_head(reader)
        await asyncio.sleep(3600)

    async def main():
        async with Scripted(connect_proxy([])) as proxy, Scripted(silent, tls=authority.server) as server:
            async with Client(proxy=proxy.url, ca=authority.ca, timeout=Timeouts(read=0.05)) as client:
                with pytest.raises(RequestTimeout) as raised:
                    await client.get(server.url)
        return raised.value.phase

    assert asyncio.run(main()) == "read"


def test_the_environment(monkeypatch):
    seen = []

    async def main():
        async with (
            Scripted(replying(reply(b"proxy"), seen=seen)) as proxy,
            Scripted(replying(reply(b"direct"))) as server,
        ):
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "localhost")
            bodies = []
            async with Client() as client:
                bodies += [(await client.get(server.url)).content, (await client.get("http://example.test/")).content]
            async with Client(trust_env=False) as client:
                with pytest.raises(RequestError):
                    await client.get("http://nowhere.invalid/")
            return bodies

    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    assert asyncio.run(main()) == [b"direct", b"proxy"] and seen[0][0] == "GET http://example.test/ HTTP/1.1"


@pytest.mark.peer
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_websockets_go_through_tunnels(scheme, secure, authority, http_proxy):
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async def main():
        tls = authority.server if secure else None
        async with (
            websockets.asyncio.server.serve(echo, "127.0.0.1", 0, ssl=tls) as server,
            Scripted(socks5([])) as socks,
        ):
            to = server.sockets[0].getsockname()[1]
            proxy = http_proxy if scheme == "http" else socks.url.replace("http", scheme)
            async with Client(proxy=proxy, ca=authority.ca) as client:
                async with await client.websocket(f"{'wss' if secure else 'ws'}://localhost:{to}/") as ws:
                    await ws.send("through")
                    return await ws.receive()

    assert asyncio.run(main()) == "through"


def test_websockets_through_a_proxy_that_is_not_there():
    async def main():
        async with Client(proxy="http://u:secret@127.0.0.1:1") as client:
            await client.websocket("ws://localhost/")

    with pytest.raises(ProxyError, match=r"to the proxy http://u:\*\*\*@127\.0\.0\.1:1: Connection refused"):
        asyncio.run(main())
