"""WebSockets of ASGI applications against the websockets package, and over HTTP/2 against h2."""

import asyncio

import h2.config
import h2.connection
import h2.events
import pytest
import websockets
from tests.http.server.wire import raw
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from catenet.http import serve
from catenet.http.server.asgi import AsgiService
from catenet.http.websocket import WebSocket, WebSocketLimits
from catenet.http.websocket.handshake import ClientHandshake

URL = "http://127.0.0.1:0"


class App:
    """What happens after the handshake is what a test gives; keeps scopes and events."""

    def __init__(self, answer, **accept):
        self.answer = answer
        self.accept = accept
        self.scopes = []
        self.events = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        self.scopes.append(scope)

        async def noted():
            event = await receive()
            self.events.append(event)
            return event

        assert await noted() == {"type": "websocket.connect"}
        if self.accept is not None:
            await send({"type": "websocket.accept", **self.accept})
        await self.answer(noted, send)


async def echo(receive, send):
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


def url_of(server):
    return server.urls[0].replace("http", "ws")


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages(run, compression):
    app = App(echo)

    async def main():
        async with await serve(app, URL) as server, connect(url_of(server) + "/a?b", compression=compression) as socket:
            for message in ("hello", "ü" * 200, b"", b"\0" * 500_000, b"end"):
                await socket.send(message)
                assert await socket.recv() == message
            assert (socket.response.headers.get("Sec-WebSocket-Extensions") is None) is (compression is None)
            await (await socket.ping())

    run(main())
    (scope,) = app.scopes
    assert scope["scheme"] == "ws" and scope["path"] == "/a" and scope["query_string"] == b"b" and "method" not in scope
    assert app.events[-1] == {"type": "websocket.disconnect", "code": 1000, "reason": ""}


def test_pings_are_answered_while_the_application_does_not_receive(run):
    async def sleeps(receive, send):
        await asyncio.sleep(3600)

    async def main():
        async with await serve(App(sleeps), URL) as server, connect(url_of(server)) as socket:
            for _ in range(3):
                await (await socket.ping())

    run(main())


def test_a_subprotocol_and_fields(run):
    app = App(echo, subprotocol="b", headers=[(b"x-own", b"1")])

    async def main():
        async with await serve(app, URL) as server, connect(url_of(server), subprotocols=["a", "b"]) as socket:
            assert socket.subprotocol == "b" and socket.response.headers["x-own"] == "1"

    run(main())
    assert app.scopes[0]["subprotocols"] == ["a", "b"]


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ({"type": "websocket.close"}, 1000),
        ({"type": "websocket.close", "code": 4001, "reason": "enough"}, 4001),
        (None, 1000),
        (LookupError("secret"), 1011),
    ],
)
def test_how_it_ends(run, ending, code, caplog):
    async def answer(receive, send):
        if isinstance(ending, Exception):
            raise ending
        if ending is not None:
            await send(ending)

    async def main():
        async with await serve(App(answer), URL) as server, connect(url_of(server)) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == code
            assert closed.value.rcvd.reason == (ending.get("reason", "") if isinstance(ending, dict) else "")

    run(main())
    assert len(caplog.records) == isinstance(ending, Exception)


@pytest.mark.parametrize("body", [None, b"not you"])
def test_denials(run, body):
    async def answer(receive, send):
        if body is None:
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-own", b"1")]})
        await send({"type": "websocket.http.response.body", "body": body[:3], "more_body": True})
        await send({"type": "websocket.http.response.body", "body": body[3:]})

    app = App(answer)
    app.accept = None

    async def main():
        async with await serve(app, URL) as server:
            with pytest.raises(InvalidStatus) as refused:
                await connect(url_of(server))
            response = refused.value.response
            assert response.status_code == (403 if body is None else 401)
            assert response.body == (body or b"")

    run(main())
    assert "websocket.http.response" in app.scopes[0]["extensions"]


@pytest.mark.parametrize("more", [False, True])
def test_a_denial_that_is_not_as_long_as_declared_is_broken_off(run, more, caplog):
    async def answer(receive, send):
        headers = [(b"content-length", b"10")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"abc", "more_body": more})
        if more:
            await send({"type": "websocket.http.response.body"})

    app = App(answer)
    app.accept = None

    async def main():
        async with await serve(app, URL) as server:
            client = await raw(server.urls[0])
            fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            key = b"Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n"
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + key + b"\r\n")
            head, _, body = (await client.reader.read()).partition(b"\r\n\r\n")
            assert b"content-length: 10" in head and body in (b"", b"abc")
            client.close()

    run(main())
    assert len(caplog.records) == 1 and "shorter than its Content-Length" in caplog.text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("Sec-WebSocket-Key: c2hvcnQ=\r\nSec-WebSocket-Version: 13\r\n", 400),
        ("Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\nSec-WebSocket-Version: 8\r\n", 426),
        ("Sec-WebSocket-Version: 13\r\n", 400),
    ],
)
def test_handshakes_that_are_none_do_not_reach_the_application(run, fields, status):
    app = App(echo)

    async def main():
        async with await serve(app, URL) as server:
            client = await raw(server.urls[0])
            found, got, _ = await client.get(fields="Connection: Upgrade\r\nUpgrade: websocket\r\n" + fields)
            assert found == status and (status != 426 or got["sec-websocket-version"] == "13")
            client.close()

    run(main())
    assert app.scopes == []


def test_a_client_that_vanishes(run):
    ends = []

    async def answer(receive, send):
        ends.append(await receive())
        with pytest.raises(OSError):
            while True:
                await send({"type": "websocket.send", "text": "x"})
                await asyncio.sleep(0.001)
        ends.append(await receive())

    async def main():
        async with await serve(App(answer), URL) as server:
            socket = await connect(url_of(server))
            socket.transport.abort()
            while len(ends) < 2:
                await asyncio.sleep(0.001)

    run(main())
    assert [event["code"] for event in ends] == [1006, 1006]


def test_a_client_that_breaks_the_protocol(run):
    app = App(echo)

    async def main():
        async with await serve(app, URL) as server:
            client = await raw(server.urls[0])
            fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            assert (await client.get(fields=fields + "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n"))[0] == 101
            client.send(b"\x81\x05hello")
            assert (await client.reader.read(4))[2:] == b"\x03\xea", "1002: a client has to mask"
            client.close()

    run(main())
    assert app.events[-1]["code"] == 1002


def test_messages_wait_for_an_application_that_is_slow(run):
    """The client's messages fill the queue, then our window, then its own transport."""
    go, received = None, []

    async def answer(receive, send):
        await go.wait()
        while (event := await receive())["type"] == "websocket.receive":
            received.append(len(event["bytes"]))

    async def main():
        nonlocal go
        go = asyncio.Event()
        async with await serve(App(answer), URL) as server:
            socket = await connect(url_of(server), compression=None, ping_interval=None)
            sent = 0

            async def fill():
                nonlocal sent
                for _ in range(400):
                    await socket.send(b"x" * 100_000)
                    sent += 1

            filling = asyncio.ensure_future(fill())
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
            assert sent < 400, "the client is held back"
            go.set()
            await filling
            await socket.close()
        assert received == [100_000] * 400

    run(main())


def test_a_message_over_the_limit(run):
    service = AsgiService(App(echo), socket_limits=WebSocketLimits(max_message=1000))

    async def main():
        async with await serve(service, URL) as server, connect(url_of(server)) as socket:
            await socket.send(b"x" * 1001)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 1009

    run(main())


def test_silent_clients_are_pinged_and_given_up(run):
    service = AsgiService(App(echo), socket_limits=WebSocketLimits(ping_interval=0.05, ping_timeout=0.05))

    async def main():
        async with await serve(service, URL) as server:
            client = await raw(server.urls[0])
            fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            await client.get(fields=fields + "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n")
            told = await client.reader.read()
            assert told[:1] == b"\x89" and b"\x88" in told and b"\x03\xf3" in told, "a Ping, then Close with 1011"
            client.close()

    run(main())
    assert service.app.events[-1]["code"] == 1011


def test_a_drain_closes_them(run):
    async def main():
        server = await serve(App(echo), URL)
        async with connect(url_of(server)) as socket:
            draining = asyncio.ensure_future(server.drain(20))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 1001
        await draining

    run(main())


def test_over_http2(run):
    app = App(echo, subprotocol="b")

    async def main():
        async with await serve(app, URL) as server:
            client = await raw(server.urls[0])
            connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
            connection.initiate_connection()
            client.send(connection.data_to_send())
            while not connection.remote_settings.enable_connect_protocol:
                connection.receive_data(await client.reader.read(65536))
            handshake = ClientHandshake(b"x" * 16, ("a", "b"))
            head = handshake.request(b"x", b"/a", version=2)
            fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":path", b"/a")]
            connection.send_headers(1, [*fields, (b":authority", b"x"), *head.fields])
            client.send(connection.data_to_send())
            socket, messages = None, []
            while connection.state_machine.state and len(messages) < 2:
                for event in connection.receive_data(await client.reader.read(65536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        answer = dict(event.headers)
                        assert answer[b":status"] == b"200" and answer[b"sec-websocket-protocol"] == b"b"
                        socket = WebSocket(True)
                        socket.send("hello over HTTP/2")
                    elif isinstance(event, h2.events.DataReceived):
                        socket.receive(event.data, 0.0)
                        while (message := socket.next_event()) is not None:
                            messages.append(message)
                            socket.close(1000)
                while socket is not None and (data := socket.transmit(0.0)):
                    connection.send_data(1, data)
                client.send(connection.data_to_send())
            assert messages[0] == "hello over HTTP/2" and messages[1].code == 1000
            client.close()

    run(main())
    assert app.scopes[0]["http_version"] == "2" and app.scopes[0]["subprotocols"] == ["a", "b"]


def test_starlette(run):
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocketDisconnect

    codes = []

    async def chat(socket):
        await socket.accept(subprotocol="chat")
        try:
            while True:
                await socket.send_json({"got": await socket.receive_json()})
        except WebSocketDisconnect as end:
            codes.append(end.code)

    async def main():
        async with await serve(Starlette(routes=[WebSocketRoute("/chat", chat)]), URL) as server:
            async with connect(url_of(server) + "/chat", subprotocols=["chat"]) as socket:
                await socket.send('{"a": 1}')
                assert await socket.recv() == '{"got":{"a":1}}'
            with pytest.raises(InvalidStatus):
                await connect(url_of(server) + "/none")

    run(main())
    assert codes == [1000] and websockets.__version__
