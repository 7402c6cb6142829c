"""What passes besides heads and bodies: invitations, hints as they come, trailers of both messages; either version."""

import asyncio

import h2.config
import h2.connection
import h2.events
import pytest
from tests.http.gateway.test_gateway import OK, URL
from tests.http.server.wire import raw

from catenet.http import serve
from catenet.http.gateway.fields import trailer_fields
from catenet.http.gateway.gateway import Gateway
from catenet.http.message import RequestHead, ResponseHead

HINT = ResponseHead(103, ((b"link", b"</a>"),))
UPLOAD = "POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


class Behind:
    """A server behind that is told when to go on."""

    def __init__(self):
        self.heads = []
        self.go_on = asyncio.Event()

    async def __call__(self, exchange):
        self.heads.append(exchange.head)
        if exchange.head.path == b"/refuse":
            await exchange.reply(ResponseHead(413), b"too large")
            return
        if exchange.head.path == b"/hints":
            exchange.inform(HINT)
            await self.go_on.wait()
        data = b""
        if exchange.head.path == b"/later":
            await self.go_on.wait()
        while piece := await exchange.read():
            data += piece
        said = b"; ".join(b"%b=%b" % field for field in exchange.trailers)
        await exchange.reply(OK, data + b"|" + said, ((b"x-sum", b"7"), (b"set-cookie", b"a=b")))


def through(scheme, client):
    """Run a client against a gateway before a server of `scheme`."""

    async def main():
        async with asyncio.timeout(30):
            behind = Behind()
            async with await serve(behind, URL, interface="exchange") as server:
                gateway = Gateway([f"/={server.urls[0].replace('http', scheme)}"])
                async with await serve(gateway, URL, interface="exchange") as front:
                    await client(front.urls[0], behind)
                await gateway.close()

    asyncio.run(main())


SCHEMES = pytest.mark.parametrize("scheme", ["http", "h2c"])


@SCHEMES
def test_a_hint_comes_before_there_is_a_response(scheme):
    async def client(url, behind):
        one = await raw(url)
        status, fields, _ = await one.get("/hints")
        assert (status, fields["link"]) == (103, "</a>")
        assert fields["via"].startswith("2 " if scheme == "h2c" else "1.1 ")
        behind.go_on.set()
        assert (await one.response())[0] == 200
        one.close()

    through(scheme, client)


@SCHEMES
def test_the_server_behind_invites_the_body(scheme):
    async def client(url, behind):
        one = await raw(url)
        one.send(UPLOAD.format("/later").encode())
        await until(lambda: behind.heads)
        assert behind.heads[0].get(b"expect") == b"100-continue" and behind.heads[0].get(b"content-length") == b"3"
        behind.go_on.set()
        assert (await one.response())[0] == 100
        one.send(b"abc")
        assert (await one.response())[2] == b"abc|"
        one.close()

    through(scheme, client)


@SCHEMES
def test_the_server_behind_refuses_the_body(scheme):
    async def client(url, behind):
        one = await raw(url)
        one.send(UPLOAD.format("/refuse").encode())
        status, fields, body = await one.response()
        assert (status, body, fields["connection"]) == (413, b"too large", "close")  # the body might follow, or not
        one.close()

    through(scheme, client)


@SCHEMES
@pytest.mark.parametrize("late", [False, True])
def test_trailers_of_http1(scheme, late):
    async def client(url, behind):
        one = await raw(url)
        begun = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n3\r\nabc\r\n"
        rest = b"0\r\nX-End: 1\r\nAuthorization: x\r\nX_Forwarded_For: 192.0.2.1\r\nTE: trailers\r\n\r\n"
        one.send(begun if late else begun + rest)
        if late:
            await until(lambda: behind.heads)
            one.send(rest)
        _, fields, body = await one.response()
        assert body == b"abc|x-end=1"
        assert fields["trailer-x-sum"] == "7" and "trailer-set-cookie" not in fields
        assert behind.heads[0].get(b"trailer") == b"X-End"
        one.close()

    through(scheme, client)


@SCHEMES
def test_trailers_of_http2(scheme):
    async def client(url, behind):
        one = await raw(url)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        connection.initiate_connection()
        head = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"x")]
        connection.send_headers(1, head)
        connection.send_data(1, b"abc")
        connection.send_headers(1, [(b"x-end", b"1")], end_stream=True)
        one.send(connection.data_to_send())
        body, ends = b"", None
        while ends is None:
            for event in connection.receive_data(await one.reader.read(65536)):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.TrailersReceived):
                    ends = event.headers
        assert (body, dict(ends)) == (b"abc|x-end=1", {b"x-sum": b"7"})
        one.close()

    through(scheme, client)


def test_which_trailers_pass():
    head = ResponseHead(200, ((b"connection", b"x-mine"),))
    said = tuple(
        (name, b"1") for name in (b"grpc-status", b"x-mine", b"cookie", b"forwarded", b"content-length", b"host")
    )
    assert trailer_fields(head, said) == ((b"grpc-status", b"1"),)
    assert trailer_fields(RequestHead(b"GET", b"/", (), b"x"), ()) == ()
