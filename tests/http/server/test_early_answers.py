"""A request that is answered before its body has come: the answer arrives, the connection ends soon (RFC 9112 9.6)."""

import asyncio
import ssl

import pytest
import trustme
from tests.http.server.test_limits import simulate
from tests.http.server.wire import raw

from catenet.http import serve
from catenet.http.message import ResponseHead
from catenet.net import closing

REFUSED = ResponseHead(413, ((b"content-type", b"text/plain"),))
ENORMOUS = b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
EXPECTS = ENORMOUS.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
CHUNKED = b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def refuses(exchange):
    await exchange.reply(REFUSED, b"too large\n")


async def refuses_in_pieces(exchange):
    await exchange.start(ResponseHead(413, ((b"connection", b"close"),)))
    await exchange.write(b"too large\n")
    await exchange.finish()


def is_refused(told):
    head, _, body = told.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 413 ") and b"\r\nconnection: close" in head and b"too large\n" in body


@pytest.mark.parametrize("handler", [refuses, refuses_in_pieces])
@pytest.mark.parametrize("sent", [ENORMOUS, EXPECTS, CHUNKED])
def test_who_waits_for_the_answer_hears_the_end_with_it(sent, handler):
    async def client():
        one = await raw("http://server:80")
        start = asyncio.get_running_loop().time()
        one.send(sent)
        told = await one.reader.read()
        took = asyncio.get_running_loop().time() - start
        one.close()
        await asyncio.sleep(0.1)
        return told, took

    (told, took), server = simulate(handler, client)
    assert is_refused(told) and took < 0.1
    assert server.connections == 0


def test_who_neither_sends_nor_closes_is_left():
    async def client():
        one = await raw("http://server:80")
        one.send(EXPECTS)
        told = await one.reader.read()
        await asyncio.sleep(3)
        return told, one

    (told, _), server = simulate(refuses, client)
    assert is_refused(told) and server.connections == 0


def test_who_goes_on_sending_is_heard_for_a_while():
    """The end of the server's direction is there at once; its other one ends 10 seconds later."""

    async def client():
        one = await raw("http://server:80")
        one.send(ENORMOUS)
        told = await one.reader.read()
        start = asyncio.get_running_loop().time()
        while not one.writer.transport.is_closing():
            one.send(b"x" * 1000)
            await asyncio.sleep(0.5)
        return told, asyncio.get_running_loop().time() - start

    (told, seconds), server = simulate(refuses, client)
    assert is_refused(told) and 9 < seconds < 13
    assert server.connections == 0


SIZE = 20_000_000


@pytest.fixture(scope="module")
def authority():
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made = trustme.CA()
    made.issue_cert("localhost").configure_cert(server)
    made.configure_trust(client)
    return server, client


@pytest.mark.parametrize("secure", [False, True])
def test_who_sends_everything_first_reads_the_answer_then(run, secure, authority):
    """As blocking clients do: more than sockets hold, and nothing is read meanwhile."""

    async def main():
        url = "https://127.0.0.1:0" if secure else "http://127.0.0.1:0"
        server_side, client_side = authority if secure else (None, None)
        async with await serve(refuses, url, tls=server_side, interface="exchange") as server:
            port = int(server.urls[0].rpartition(":")[2])
            terms = {"ssl": client_side, "server_hostname": "localhost"} if secure else {}
            reader, writer = await asyncio.open_connection("127.0.0.1", port, **terms)
            writer.write(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % SIZE)
            for _ in range(SIZE // 100_000):
                writer.write(bytes(100_000))
                await writer.drain()
            told = await reader.readuntil(b"too large\n")
            writer.close()
            return told

    assert is_refused(run(main()))


def test_what_is_dropped_is_bounded(run, monkeypatch):
    monkeypatch.setattr(closing, "LINGER_BYTES", 1 << 20)

    async def main():
        async with await serve(refuses, "http://127.0.0.1:0", interface="exchange") as server:
            one = await raw(server.urls[0])
            one.send(ENORMOUS)
            told = await one.reader.read()
            with pytest.raises(ConnectionError):
                while True:
                    one.send(bytes(100_000))
                    await one.writer.drain()
            return told

    assert is_refused(run(main()))


def test_what_is_behind_a_refused_body_is_no_request(run):
    """A client that was refused, and sends on: nothing of it is a request."""
    asked = []

    async def notes(exchange):
        asked.append(exchange.head.path)
        await exchange.reply(REFUSED, b"too large\n")

    async def main():
        async with await serve(notes, "http://127.0.0.1:0", interface="exchange") as server:
            one = await raw(server.urls[0])
            one.send(EXPECTS)
            told = await one.reader.read()
            one.send(b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
            one.writer.write_eof()
            return told + await one.reader.read()

    assert is_refused(run(main()))
    assert asked == [b"/a"]
