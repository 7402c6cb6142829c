"""The client against our server and `websockets`, and `websockets` and `wsproto` against our server."""

import asyncio
import base64
import dataclasses
import ssl

import echo
import pytest
import trustme
import websockets
import wsproto
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from wsproto import events as ws_events
from wsproto.extensions import PerMessageDeflate

from catenet.http.websocket.client import connect
from catenet.http.websocket.deflate import DeflateOptions
from catenet.http.websocket.errors import HandshakeError, WebSocketClosed
from catenet.http.websocket.limits import WebSocketLimits
from catenet.net import ConnectError
from catenet.world import World

MESSAGES = ["", "hi", "é" * 100, b"", bytes(range(256)), "x" * 70_000, b"abc" * 100_000]


def url_of(server):
    return server.urls[0].replace("tcp:", "ws:").replace("tls:", "wss:")


def served(test, **options):
    async def main():
        async with await echo.start(**options) as server:
            return await test(url_of(server))

    return asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("deflate", [None, DeflateOptions(), DeflateOptions(True, True, 9, 9, min_size=0)], ids=str)
def test_messages(deflate):
    async def test(url):
        async with await connect(url, deflate=deflate, subprotocols=["other", "echo"]) as ws:
            assert (ws.compressed, ws.subprotocol) == (deflate is not None, "echo")
            for message in MESSAGES:
                await ws.send(message)
                assert await ws.receive() == message
            assert await ws.ping() >= 0
        assert ws.close_code == 1000
        with pytest.raises(WebSocketClosed, match="1000"):
            await ws.send("more")

    served(test)


def test_messages_in_fragments():
    async def slow():
        for number in range(3):
            await asyncio.sleep(0)
            yield f"{number} "

    async def test(url):
        async with await connect(url) as ws:
            await ws.send(["a", "b"])
            await asyncio.gather(ws.send(slow()), ws.send("whole"))
            await ws.send([])
            assert [await ws.receive() for _ in range(4)] == ["ab", "0 1 2 ", "whole", b""]
            with pytest.raises(TypeError, match="not int"):
                await ws.send(1)

    served(test)


def test_an_iterable_that_fails_ends_the_connection():
    def failing():
        yield "a"
        yield "b"
        raise KeyError("no more")

    async def test(url):
        ws = await connect(url)
        with pytest.raises(KeyError):
            await ws.send(failing())
        with pytest.raises(WebSocketClosed, match="1011"):
            await ws.receive()

    served(test)


def test_the_server_closes():
    async def test(url):
        ws = await connect(url + "/close")
        await ws.send("x")
        with pytest.raises(WebSocketClosed) as caught:
            async for _ in ws:
                raise AssertionError("no message")
        assert (caught.value.code, caught.value.reason) == (4321, "as you wish")
        assert (ws.close_code, ws.close_reason) == (4321, "as you wish")
        await ws.close()

    served(test)


def test_many_messages_both_ways_while_nobody_reads_for_a_while():
    async def test(url):
        async with await connect(url, deflate=None) as ws:

            async def send():
                for number in range(3000):
                    await ws.send(b"%d" % number * 200)

            task = asyncio.create_task(send())
            await asyncio.sleep(0.05)
            for number in range(3000):
                assert await ws.receive() == b"%d" % number * 200
            await task

    served(test)


def test_what_is_wrong_with_urls_and_servers(tmp_path):
    async def test(url):
        for wrong, what in [("http://x/", "ws:// or wss://"), ("ws://", "no host"), (url + "/#part", "no fragment")]:
            with pytest.raises(ValueError, match=what):
                await connect(wrong)
        with pytest.raises(ConnectError, match="cannot connect"):
            await connect("ws://127.0.0.1:1/")
        with pytest.raises(ValueError, match="belongs to the handshake"):
            await connect(url, headers=[("Upgrade", "h2c")])

    served(test)


def answering(data, close=True):
    """A server that says `data` to whatever it is asked."""

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return asyncio.start_server(handle, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "answers 404"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n", "no answer to the handshake"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no answer"),
        (b"HTTP/1.1 101\nupgrade: websocket\n\n", "bare LF"),
        (b"", "no answer to the handshake"),
        (b"HTTP/1.1 101 x\r\nx: " + b"y" * 70000, "no answer.*limit"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", "answers 403"),
    ],
    ids=["404", "no upgrade", "ssh", "bare LF", "nothing", "long", "early hints"],
)
def test_servers_that_are_none(data, what):
    async def main():
        async with await answering(data) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(HandshakeError, match=what):
                await connect(f"ws://127.0.0.1:{port}/")

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_server_that_says_nothing():
    async def main():
        async with await answering(b"", close=False) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(HandshakeError, match=r"http|ws://user:\*\*\*@127.*not open after 0.1 s"):
                await connect(f"ws://user:secret@127.0.0.1:{port}/", open_timeout=0.1)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_users_of_urls_and_headers_reach_the_server():
    async def main():
        asked = []

        async def handle(ws):
            asked.append(ws.request)
            await ws.close(1001)

        async with websockets.serve(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            ws = await connect(f"ws://u:p@127.0.0.1:{port}/a/?b=c", headers=[("X-Y", "z")], origin="http://o")
            assert [message async for message in ws] == []
            await ws.close()
        (request,) = asked
        assert request.path == "/a/?b=c"
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
        assert (request.headers["X-Y"], request.headers["Origin"]) == ("z", "http://o")

    asyncio.run(asyncio.wait_for(main(), 60))


def test_over_tls_and_unix_sockets(tmp_path):
    authority = trustme.CA()
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server_tls)
    authority.configure_trust(client_tls)

    async def main():
        from catenet.net import serve

        path = tmp_path / "socket"
        async with await serve(
            echo.ServerCore, ["tls://localhost:0", f"unix:{path}"], echo.echo, tls=server_tls
        ) as server:
            url = next(url for url in server.urls if url.startswith("tls:"))
            for ws in (
                await connect(url.replace("tls:", "wss:"), tls=client_tls),
                await connect("ws://anything/", unix=str(path)),
            ):
                async with ws:
                    await ws.send("hello")
                    assert await ws.receive() == "hello"
            with pytest.raises(ConnectError, match="certificate is not accepted"):
                await connect(url.replace("tls:", "wss:"))

    asyncio.run(asyncio.wait_for(main(), 60))


# Others.


@pytest.mark.parametrize("bits", [None, 9, 15])
@pytest.mark.parametrize("fresh", [False, True])
def test_our_client_at_websockets(bits, fresh):
    async def handle(ws):
        async for message in ws:
            await ws.send(message)

    async def main():
        async with websockets.serve(handle, "127.0.0.1", 0, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            options = None if bits is None else DeflateOptions(fresh, fresh, bits, bits, min_size=0)
            async with await connect(f"ws://127.0.0.1:{port}", deflate=options) as ws:
                assert ws.compressed == (bits is not None)
                for message in MESSAGES:
                    await ws.send(message)
                    assert await ws.receive() == message
                await ws.send(["frag", "ment", "s"])
                assert await ws.receive() == "fragments"
                await ws.ping(b"here")
            assert ws.close_code == 1000

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("bits", [None, 9, 15])
@pytest.mark.parametrize("fresh", [False, True])
def test_websockets_at_our_server(bits, fresh):
    async def test(url):
        extensions = None
        if bits is not None:
            extensions = [ClientPerMessageDeflateFactory(fresh, fresh, bits, bits)]
        async with websockets.connect(url, extensions=extensions, compression=None, subprotocols=["echo"]) as ws:
            assert ws.subprotocol == "echo"
            for message in MESSAGES:
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send(["frag", "ment", "s"])
            assert await ws.recv() == "fragments"
            await (await ws.ping())
        assert ws.close_code == 1000

    served(test)


@pytest.mark.parametrize("packed", [False, True])
def test_wsproto_at_our_server(packed):
    async def test(url):
        host, port = url.removeprefix("ws://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        peer = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        extensions = [PerMessageDeflate()] if packed else []
        writer.write(peer.send(ws_events.Request(host=host, target="/", extensions=extensions)))
        heard = await wsproto_events(peer, reader, ws_events.AcceptConnection)
        assert bool(heard[-1].extensions) == packed
        for message in MESSAGES:
            writer.write(peer.send(ws_events.Message(data=message)))
            pieces = []
            while not pieces or not pieces[-1].message_finished:
                pieces += await wsproto_events(peer, reader, ws_events.Message)
            assert type(message)().join(piece.data for piece in pieces) == message
        writer.write(peer.send(ws_events.Ping(b"p")))
        await wsproto_events(peer, reader, ws_events.Pong)
        writer.write(peer.send(ws_events.CloseConnection(code=1000, reason="done")))
        (closed,) = await wsproto_events(peer, reader, ws_events.CloseConnection)
        assert closed.code == 1000
        assert await reader.read() == b""
        writer.close()

    served(test)


async def wsproto_events(peer, reader, kind):
    found = []
    while not any(isinstance(event, kind) for event in found):
        peer.receive_data(await reader.read(65536))
        found += peer.events()
    return [event for event in found if isinstance(event, kind)]


@pytest.mark.parametrize("packed", [False, True])
def test_our_client_at_wsproto(packed):
    async def handle(reader, writer):
        peer = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        while data := await reader.read(65536):
            peer.receive_data(data)
            for event in peer.events():
                if isinstance(event, ws_events.Request):
                    answer = ws_events.AcceptConnection(extensions=[PerMessageDeflate()] if packed else [])
                    writer.write(peer.send(answer))
                elif isinstance(event, ws_events.Message):
                    writer.write(peer.send(ws_events.Message(event.data, message_finished=event.message_finished)))
                elif isinstance(event, ws_events.Ping | ws_events.CloseConnection):
                    writer.write(peer.send(event.response()))
            if peer.state is wsproto.connection.ConnectionState.CLOSED:
                break
        writer.close()

    async def main():
        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with await connect(f"ws://127.0.0.1:{port}") as ws:
                assert ws.compressed == packed
                for message in MESSAGES:
                    await ws.send(message)
                    assert await ws.receive() == message
                await ws.ping()
            assert ws.close_code == 1000

    asyncio.run(asyncio.wait_for(main(), 60))


# Worlds.


def in_a_world(seed, cut):
    """Two hosts, 30 ms and 2 % loss apart; what the client heard, and how it ended."""
    heard = []

    async def server():
        async with await echo.start("tcp://10.0.0.1:80") as serving:
            await serving.serve_forever()

    async def client():
        limits = WebSocketLimits(ping_interval=2, ping_timeout=3)
        ws = await connect("ws://10.0.0.1:80/", limits=limits)
        try:
            for number in range(100):
                await ws.send(f"{number} " * 50)
                heard.append((await ws.receive()).split()[0])
                await asyncio.sleep(0.05)
            await ws.close()
        except WebSocketClosed:
            pass
        heard.append(ws.close_code)

    with World(seed) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="15ms", loss="2%")
        world.hosts["server"].run(lambda: asyncio.run(server()), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(client()), start=0.1)
        if cut:
            world.at(3, lambda: world.partition(["server"], ["client"]))
        world.run(600)
        assert all(process.status == 0 for process in world.processes if not process.daemon)
        return heard, world.trace.hexdigest()


def test_over_lossy_links_the_same_every_time():
    heard, trace = in_a_world(1, cut=False)
    assert heard == [*map(str, range(100)), 1000]
    assert in_a_world(1, cut=False) == (heard, trace)


def test_a_server_that_is_cut_off_is_given_up():
    heard, _ = in_a_world(1, cut=True)
    assert heard[-1] == 1011
    assert 10 < len(heard) < 100


def test_a_limit_closes_with_its_code():
    async def test(url):
        ws = await connect(url, limits=dataclasses.replace(WebSocketLimits(), max_message=1000))
        await ws.send("x" * 1001)
        with pytest.raises(WebSocketClosed, match=r"1009.*more than 1000 bytes"):
            await ws.receive()
        await ws.close()

    served(test)
