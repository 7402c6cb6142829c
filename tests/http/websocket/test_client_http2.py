"""The client over HTTP/2 (RFC 8441) against our server and hypercorn, with TLS and without."""

import asyncio
import contextlib
import ssl

import hypercorn.asyncio
import hypercorn.config
import pytest
import trustme

from catenet.http import HttpLimits, serve
from catenet.http.limits import Limits
from catenet.http.websocket import HandshakeError, WebSocketClosed, connect
from catenet.net import server_context
from catenet.world import World

MESSAGES = ["", "hi", "é" * 100, b"", bytes(range(256)), "x" * 70_000, b"abc" * 400_000]


async def app(scope, receive, send):
    """Echo; on the way it says what it was asked, closes, or denies."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/deny":
        await send({"type": "websocket.close"})
        return
    chosen = scope["subprotocols"][-1] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    if scope["path"] == "/end":
        await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
        return
    if scope["path"] == "/version":
        await send({"type": "websocket.send", "text": scope["http_version"]})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


async def with_ours(test, tls=None):
    context = None if tls is None else server_context(*tls)
    scheme = "http" if tls is None else "https"
    async with await serve(app, f"{scheme}://127.0.0.1:0", tls=context) as server:
        await test(server.urls[0].replace("http", "ws"))


async def with_hypercorn(test, tls=None):
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "critical"
    config.keep_alive_timeout = config.graceful_timeout = 0.1
    config.websocket_max_message_size = 4 << 20
    if tls is not None:
        config.certfile, config.keyfile = tls
    sockets = config.create_sockets()
    config.create_sockets = lambda: sockets
    port = (sockets.secure_sockets or sockets.insecure_sockets)[0].getsockname()[1]
    end = asyncio.Event()
    task = asyncio.ensure_future(hypercorn.asyncio.serve(app, config, shutdown_trigger=end.wait))
    try:
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
        await test(f"{'ws' if tls is None else 'wss'}://127.0.0.1:{port}")
    finally:
        end.set()
        await asyncio.wait([task], timeout=60)


SERVERS = pytest.mark.parametrize("server", [with_ours, with_hypercorn], ids=["ours", "hypercorn"])


def run(work):
    asyncio.run(asyncio.wait_for(work, 60))


async def talk(url, **options):
    async with await connect(f"{url}/version?a=b", http2=True, subprotocols=["other", "echo"], **options) as ws:
        assert (await ws.receive(), ws.subprotocol, ws.response.status) == ("2", "echo", 200)
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.receive() == message
        assert await ws.ping() >= 0
    assert ws.close_code == 1000
    with pytest.raises(WebSocketClosed, match="1000"):
        await ws.send("more")


@SERVERS
@pytest.mark.parametrize("secured", [False, True])
def test_messages(server, secured, tmp_path):
    async def test(url):
        await talk(url, **({"tls": trust} if secured else {}))

    files = trust = None
    if secured:
        authority = trustme.CA()
        made = authority.issue_cert("127.0.0.1")
        made.private_key_pem.write_to_path(tmp_path / "key.pem")
        made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        trust = ssl.create_default_context()
        authority.configure_trust(trust)
        files = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    run(server(test, files))


@SERVERS
def test_both_send_before_either_reads(server):
    """More than all windows and buffers hold, both ways at once."""

    async def test(url):
        async with await connect(url, http2=True) as ws:
            sending = asyncio.ensure_future(ws.send(b"x" * 3_000_000))
            assert await ws.receive() == b"x" * 3_000_000
            await sending

    run(server(test))


@SERVERS
def test_the_server_closes_or_denies(server):
    async def test(url):
        ws = await connect(f"{url}/end", http2=True)
        with pytest.raises(WebSocketClosed, match="4000"):
            await ws.receive()
        assert (ws.close_code, ws.close_reason) == (4000, "enough")
        await ws.close()
        with pytest.raises(HandshakeError, match="403") as caught:
            await connect(f"{url}/deny", http2=True)
        assert caught.value.status == 403

    run(server(test))


def test_servers_that_do_not_take_it():
    async def main():
        limits = HttpLimits(http=Limits(connect_protocol=False))
        async with await serve(app, "http://127.0.0.1:0", limits=limits) as server:
            with pytest.raises(HandshakeError, match="takes no WebSockets over HTTP/2"):
                await connect(server.urls[0].replace("http", "ws"), http2=True)

        async def speaks_http1(reader, writer):
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(speaks_http1, "127.0.0.1", 0) as server:
            with pytest.raises(HandshakeError, match="no answer to the handshake"):
                await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", http2=True)

    run(main())


def test_who_does_not_ask_for_messages_holds_the_server_back():
    """What waits here is bounded by the stream's window, and all of it comes when it is asked for."""
    count = 400

    async def pours(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(count):
            await send({"type": "websocket.send", "bytes": b"%d" % number + b"x" * 50_000})
            pours.sent = number
        await send({"type": "websocket.close"})

    async def main():
        async with await serve(pours, "http://127.0.0.1:0") as server:
            async with await connect(server.urls[0].replace("http", "ws"), http2=True, deflate=None) as ws:
                assert (await ws.receive()).startswith(b"0x")
                before = None
                while before != pours.sent:
                    before = pours.sent
                    await asyncio.sleep(0.05)
                assert pours.sent < count / 2
                got = [message async for message in ws]
                assert len(got) == count - 1 and got[-1].startswith(b"399x")

    run(main())


def test_in_a_world_with_loss():
    results = []

    async def server():
        async with await serve(app, "http://:80") as serving:
            await serving.serve_forever()

    with World(3) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="20ms", rate="10Mbit", loss="2%")
        world.hosts["server"].run(lambda: asyncio.run(server()), daemon=True)
        world.hosts["client"].run(lambda: results.append(asyncio.run(talk("ws://server:80"))), start=0.1)
        world.run(300)
        assert [process.status for process in world.processes if not process.daemon] == [0]
