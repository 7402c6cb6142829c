"""The gateway between real servers and clients: both versions on both sides, streams, upgrades, failures, smuggling."""

import asyncio
import gc
import socket
import subprocess

import pytest
import trustme
import websockets
from tests.http.server.wire import h2_request, raw
from tests.peers import tool
from tests.rpc.runtime.echoservice import CHAT, SAY, Echo, text

from catenet.http import Exchange, serve
from catenet.http.gateway.gateway import Gateway, GatewayOptions
from catenet.http.h2 import frames
from catenet.http.h2.hpack import Encoder, Memo
from catenet.http.message import ResponseHead
from catenet.net import server_context
from catenet.rpc import Channel, Code, RpcError, Server

URL = "http://127.0.0.1:0"
OK = ResponseHead(200, ((b"content-type", b"text/plain"),))


class Behind:
    """A server behind: answers with what it was asked, or as the path says."""

    def __init__(self, name="behind"):
        self.name = name
        self.heads = []
        self.gone = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        head = exchange.head
        self.heads.append(head)
        match head.path.partition(b"?")[0]:
            case b"/echo":
                await exchange.start(OK)
                while data := await exchange.read():
                    await exchange.write(data)
                await exchange.finish(((b"x-sum", b"7"),))
            case b"/length":
                await exchange.reply(OK, b"%d" % len(await read(exchange)))
            case b"/hints":
                exchange.inform(ResponseHead(103, ((b"link", b"</a>"),)))
                await exchange.reply(OK, b"late")
            case b"/cut":
                await exchange.start(ResponseHead(200, ((b"content-length", b"100"),)))
                await exchange.write(b"begun")
                await asyncio.sleep(0)
                exchange.break_off()
            case b"/never":
                try:
                    while not (exchange.gone or exchange.left):
                        await exchange.changed()
                finally:
                    self.gone.set()
            case b"/empty":
                await exchange.reply(ResponseHead(204))
            case _:
                lines = [f"{self.name} {head.method.decode()} {head.path.decode()} {head.authority.decode()}"]
                lines += [f"{name.decode()}: {value.decode()}" for name, value in head.fields]
                await exchange.reply(OK, "\n".join(lines).encode())


async def read(exchange):
    data = b""
    while piece := await exchange.read():
        data += piece
    return data


class Lab:
    """A server behind, and a gateway in front of it."""

    def __init__(self, scheme="http", options=None, route="/={}", **servers):
        self.behind = Behind()
        self.scheme = scheme
        self.options = options
        self.route = route

    async def __aenter__(self):
        self.server = await serve(self.behind, URL, interface="exchange")
        url = self.server.urls[0].replace("http://", f"{self.scheme}://")
        self.gateway = Gateway([self.route.format(url)], self.options)
        self.front = await serve(self.gateway, URL, interface="exchange")
        self.url = self.front.urls[0]
        return self

    async def __aexit__(self, *_):
        await self.front.close()
        await self.gateway.close()
        await self.server.close()


@pytest.mark.parametrize("scheme", ["http", "h2c"])
def test_requests_of_both_versions_to_both_versions(run, scheme):
    async def main():
        async with Lab(scheme) as lab:
            client = await raw(lab.url)
            status, fields, body = await client.get("/a?b=c")
            lines = body.decode().splitlines()
            assert (status, lines[0]) == (200, "behind GET /a?b=c x")
            assert "x-forwarded-for: 127.0.0.1" in lines and "forwarded: for=127.0.0.1;proto=http;host=x" in lines
            assert any(line.startswith("via: 1.1 catenet-") for line in lines)
            assert fields["via"].startswith("2 catenet-" if scheme == "h2c" else "1.1 catenet-")
            data = b"x" * 300_000
            assert (await client.get("/length", "POST", body=data))[2] == b"300000"
            assert (await client.get("/echo", "PUT", body=data))[2] == data
            assert (await client.get("/empty"))[0] == 204
            assert (await client.get("/a", "HEAD"))[0] == 200
            client.close()
            status, _, body, trailers = await h2_request(lab.url, "/echo", "POST", body=data)
            assert (status, body, trailers) == (200, data, {b"x-sum": b"7"})

    run(main())


@pytest.mark.parametrize("scheme", ["http", "h2c"])
def test_bodies_pass_as_they_come(run, scheme):
    async def main():
        async with Lab(scheme) as lab:
            client = await raw(lab.url)
            client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"3\r\none\r\n")
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await client.reader.readexactly(8) == b"3\r\none\r\n"
            client.send(b"3\r\ntwo\r\n0\r\n\r\n")
            assert await client.reader.readexactly(8) == b"3\r\ntwo\r\n"
            client.close()

    run(main())


def test_a_client_that_waits_to_be_invited_and_hints(run):
    async def main():
        async with Lab() as lab:
            client = await raw(lab.url)
            client.send(b"POST /length HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert (await client.response())[0] == 100
            client.send(b"abc")
            assert (await client.response())[2] == b"3"
            status, fields, _ = await client.get("/hints")
            assert (status, fields["link"]) == (103, "</a>")
            assert (await client.response())[2] == b"late"
            client.close()

    run(main())


def test_a_prefix_is_replaced_and_other_paths_are_not_ours(run):
    async def main():
        async with Lab(route="/api={}/v2") as lab:
            client = await raw(lab.url)
            assert (await client.get("/api/x"))[2].startswith(b"behind GET /v2/x x")
            assert (await client.get("/other"))[0] == 404
            for path in ("/api/../admin", "/api/%2e%2e/admin", "/api/..%2fadmin"):
                assert (await client.get(path))[0] == 400, path
            client.close()

    run(main())


def test_host_of_the_server_if_it_is_to_be(run):
    async def main():
        async with Lab(options=GatewayOptions(preserve_host=False)) as lab:
            client = await raw(lab.url)
            body = (await client.get("/a"))[2].decode()
            assert body.splitlines()[0] == f"behind GET /a {lab.server.urls[0].removeprefix('http://')}"
            assert "x-forwarded-host: x" in body
            client.close()

    run(main())


# What goes wrong.


def test_nobody_is_there_and_somebody_breaks_off(run, caplog):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            urls = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in (closed, silent)]
            gateway = Gateway([f"/closed={urls[0]}", f"/silent={urls[1]}"], GatewayOptions(read=0.2))
            async with await serve(gateway, URL, interface="exchange") as front:
                client = await raw(front.urls[0])
                status, _, body = await client.get("/closed")
                assert (status, body) == (502, b"Bad Gateway: the server behind this one cannot be reached\n")
                status, _, body = await client.get("/silent")
                assert (status, body) == (504, b"Gateway Timeout: the server behind this one takes too long\n")
                client.close()
            await gateway.close()
        async with Lab() as lab:
            client = await raw(lab.url)
            with pytest.raises(asyncio.IncompleteReadError):
                await client.get("/cut")
            client.close()
            assert (await h2_request(lab.url, "/cut"))[0] < 0

    run(main())
    assert "Connection refused" in caplog.text


def test_a_client_that_goes_ends_the_request_behind(run):
    async def main():
        async with Lab() as lab:
            client = await raw(lab.url)
            client.send(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
            while not lab.behind.heads:
                await asyncio.sleep(0.01)
            client.reset()
            await lab.behind.gone.wait()

    run(main())


def test_a_client_that_goes_while_it_sends_leaves_nothing_in_the_log(run, caplog):
    async def main():
        async with Lab() as lab:
            client = await raw(lab.url)
            client.send(b"POST /never HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            while not lab.behind.heads:
                await asyncio.sleep(0.01)
            client.reset()
            await lab.behind.gone.wait()
            await asyncio.sleep(0.01)
            gc.collect()

    run(main())
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_several_servers_and_one_that_is_down(run):
    async def main():
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            one, two = Behind("one"), Behind("two")
            async with await serve(one, URL, interface="exchange") as first:
                async with await serve(two, URL, interface="exchange") as second:
                    dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
                    gateway = Gateway([f"/={dead},{first.urls[0]},{second.urls[0]}"])
                    async with await serve(gateway, URL, interface="exchange") as front:
                        client = await raw(front.urls[0])
                        for _ in range(10):
                            # A body that is not repeated by its method is, if nothing of it has been sent.
                            assert (await client.get("/length", "POST", body=b"x"))[2] == b"1"
                        assert len(one.heads) + len(two.heads) == 10 and 3 <= len(one.heads) <= 7
                        client.close()
                    await gateway.close()

    run(main())


class Flaky:
    """Answers one request on each connection, and closes it when the next has come."""

    def __init__(self):
        self.requests = []
        self.open = 0

    async def __call__(self, reader, writer):
        self.open += 1
        for number in range(2):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            self.requests.append(head.split(b" ")[0])
            if number:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()
        self.open -= 1


@pytest.mark.parametrize(("method", "status", "asked"), [("GET", 200, 3), ("POST", 502, 2)])
def test_only_what_is_safe_is_repeated(run, method, status, asked):
    async def main():
        flaky = Flaky()
        async with await asyncio.start_server(flaky, "127.0.0.1", 0) as behind:
            gateway = Gateway([f"/=http://127.0.0.1:{behind.sockets[0].getsockname()[1]}"])
            async with await serve(gateway, URL, interface="exchange") as front:
                client = await raw(front.urls[0])
                assert (await client.get("/"))[0] == 200
                assert (await client.get("/", method))[0] == status
                assert len(flaky.requests) == asked
                client.close()
            await gateway.close()
            while flaky.open:
                await asyncio.sleep(0.01)

    run(main())


def test_a_loop_is_noticed(run):
    async def main():
        gateway = Gateway([])
        async with await serve(gateway, URL, interface="exchange") as front:
            gateway.routes += Gateway([f"/={front.urls[0]}"]).routes
            client = await raw(front.urls[0])
            status, _, body = await client.get("/")
            assert (status, body) == (508, b"Loop Detected: this request has been here before\n")
            client.close()
            await gateway.close()

    run(main())


# Upgrades.


async def upper(socket_):
    async for message in socket_:
        await socket_.send(message.upper())
    await socket_.close()


def test_websockets_of_others_on_both_sides(run):
    async def main():
        async with websockets.serve(upper, "127.0.0.1", 0, subprotocols=["chat"]) as behind:
            port = behind.sockets[0].getsockname()[1]
            gateway = Gateway([f"/ws=http://127.0.0.1:{port}"])
            async with await serve(gateway, URL, interface="exchange") as front:
                url = front.urls[0].replace("http", "ws") + "/ws"
                async with websockets.connect(url, subprotocols=["chat"]) as client:
                    assert client.subprotocol == "chat"
                    for text in ("hello", "x" * 500_000):
                        await client.send(text)
                        assert await client.recv() == text.upper()
                refused = await raw(front.urls[0])
                status, _, _ = await refused.get("/ws")  # no WebSocket: what the server says is handed on
                assert status == 426
                refused.close()
            await gateway.close()

    run(main())


def h2_head(path, *fields, method=b"POST", end=True):
    """What a client of HTTP/2 begins with: the preface and one request."""
    head = [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    block = Encoder(Memo()).encode((*head, *fields))
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frames.PREFACE + frames.settings({}) + frames.frame(frames.HEADERS, flags, 1, block)


async def h2_frame(client, *kinds):
    """The next frame of one of these kinds, and its payload."""
    while True:
        header = await client.reader.readexactly(9)
        payload = await client.reader.readexactly(int.from_bytes(header[:3], "big"))
        if header[3] in kinds:
            return header[3], payload


def test_websockets_over_http2_in_front(run):
    """RFC 8441 in front, RFC 6455 behind."""

    async def main():
        async with websockets.serve(upper, "127.0.0.1", 0, compression=None) as behind:
            gateway = Gateway([f"/=http://127.0.0.1:{behind.sockets[0].getsockname()[1]}"])
            async with await serve(gateway, URL, interface="exchange") as front:
                client = await raw(front.urls[0])
                fields = (b":protocol", b"websocket"), (b"sec-websocket-version", b"13")
                client.send(h2_head(b"/", *fields, method=b"CONNECT", end=False))
                assert (await h2_frame(client, frames.HEADERS))[1][0] == 0x88  # :status 200
                client.send(frames.frame(frames.DATA, 0, 1, b"\x81\x85\0\0\0\0hello"))
                assert (await h2_frame(client, frames.DATA))[1] == b"\x81\x05HELLO"
                client.close()
            await gateway.close()

    run(main())


# gRPC, TLS.


def test_grpc_streams_and_trailers(run):
    """Messages both ways before either side has ended; a status in trailers, and one without a message."""

    async def main():
        server = Server([Echo()])
        await server.listen("tcp://127.0.0.1:0")
        gateway = Gateway([f"/={server.urls[0].replace('tcp', 'h2c')}"])
        async with await serve(gateway, URL, interface="exchange") as front:
            async with Channel(front.urls[0].replace("http", "tcp")) as channel:
                assert (await channel.unary(SAY, text("x" * 100_000))).value == "x" * 100_000
                async with channel.bidi(CHAT) as chat:
                    for word in ("one", "two"):
                        await chat.send(text(word))
                        assert (await chat.receive()).value == word.upper()
                    await chat.done()
                    assert await chat.receive() is None
                with pytest.raises(RpcError) as caught:
                    await channel.unary(SAY, text("fail:INVALID_ARGUMENT"))
                assert caught.value.code == Code.INVALID_ARGUMENT
        await gateway.close()
        await server.close()

    run(main())


def test_tls_behind(run, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")

    async def main():
        behind = Behind()
        tls = server_context(str(tmp_path / "server.pem"))
        async with await serve(behind, "https://127.0.0.1:0", tls=tls, interface="exchange") as server:
            for options, status in ((GatewayOptions(ca=str(tmp_path / "ca.pem")), 200), (GatewayOptions(), 502)):
                gateway = Gateway([f"/={server.urls[0]}"], options)
                async with await serve(gateway, URL, interface="exchange") as front:
                    client = await raw(front.urls[0])
                    found, fields, _ = await client.get("/a")
                    assert found == status and (status != 200 or fields["via"].startswith("2 "))
                    client.close()
                await gateway.close()

    run(main())


# Smuggling: what cannot be read in one way only does not get behind, and what does is one request.


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rGET /admin HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_read_in_two_ways_is_refused(run, request_):
    async def main():
        async with Lab() as lab:
            client = await raw(lab.url)
            client.send(request_)
            assert 400 <= (await client.response())[0] < 502
            assert lab.behind.heads == []
            client.close()

    run(main())


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/", [(b"x", b"a\r\nHost: evil")]),
        ("/", [(b"x", b"a\n\nGET /admin HTTP/1.1")]),
        ("/", [(b"transfer-encoding", b"chunked")]),
        ("/", [(b"content-length", b"3")]),
        ("/", [(b"a\r\nb", b"c")]),
        ("/", [(b"host", b"other")]),
        ("/ HTTP/1.1\r\nX: y", []),
        ("/a b", []),
    ],
)
def test_downgrades_from_http2(run, path, fields):
    """What HTTP/2 can carry and HTTP/1.1 cannot say ends at the front."""

    async def main():
        async with Lab() as lab:
            client = await raw(lab.url)
            client.send(h2_head(path.encode(), *fields))
            await h2_frame(client, frames.RST_STREAM, frames.GOAWAY)  # a 400 may come before
            assert lab.behind.heads == []
            client.close()

    run(main())


def test_h2c_upgrades_and_connect_do_not_pass(run):
    async def main():
        async with Lab() as lab:
            client = await raw(lab.url)
            fields = (
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
            )
            status, _, body = await client.get("/", fields=fields)
            assert status == 200 and b"upgrade" not in body and b"settings" not in body
            client.send(b"CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n")
            assert (await client.response())[0] in (404, 405)
            client.close()

    run(main())


@pytest.mark.peer
def test_curl_through_it(run):
    async def main():
        async with Lab("h2c") as lab:
            words = [tool("curl"), "-sS", "--http2-prior-knowledge", "--data-binary", "@-", f"{lab.url}/echo"]
            process = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            data = b"x" * 2_000_000
            assert (await process.communicate(data))[0] == data

    run(main())
