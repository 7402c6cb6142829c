"""The access log: chosen fields, text and JSON, and nothing in it that a client could forge."""

import asyncio
import io
import json

import pytest
from tests.http.server.wire import raw

from catenet.http import HttpLimits, serve
from catenet.http.errors import ErrorCode
from catenet.http.h2 import frames
from catenet.http.h2.hpack import Encoder, Memo
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead
from catenet.http.server.access_log import FIELDS, AccessLog
from catenet.http.server.server import make_service
from catenet.net import stream_server
from catenet.rpc import Server, ServerOptions


async def answer(exchange):
    if exchange.head.path == b"/waits":
        await asyncio.sleep(3600)
    await exchange.reply(ResponseHead(200, ((b"content-type", b"text/plain"),)), b"hello")


def lines(run, fields, requests, **options):
    file = io.StringIO()

    async def main():
        async with await serve(answer, "http://127.0.0.1:0", access_log=AccessLog(file, fields, **options)) as server:
            for path, extra in requests:
                client = await raw(server.urls[0])
                await client.get(path, fields=extra)
                client.close()

    run(main())
    return file.getvalue().splitlines()


def test_text(run):
    requests = [("/a", "User-Agent: my agent\r\n"), ("/b?c=d", "")]
    fields = ["client", "method", "target", "protocol", "status", "bytes", "agent", "request:X-Own"]
    assert lines(run, fields, requests) == [
        '127.0.0.1 GET /a HTTP/1.1 200 5 "my agent" -',
        "127.0.0.1 GET /b?c=d HTTP/1.1 200 5 - -",
    ]


def test_json(run):
    (line,) = lines(run, list(FIELDS), [("/a", "Referer: there\r\n")], as_json=True)
    told = json.loads(line)
    assert list(told) == list(FIELDS)
    assert told["host"] == "x" and told["referer"] == "there" and told["bytes"] == 5 and told["gone"] is None


@pytest.mark.parametrize("as_json", [False, True])
def test_what_clients_send_is_escaped(run, as_json):
    hostile = 'a" 200 5\\" \x9b31m \xc2\x85 b'
    (line,) = lines(run, ["agent", "status"], [("/", f"User-Agent: {hostile}\r\n")], as_json=as_json)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in line)
    if as_json:
        assert json.loads(line)["agent"] == hostile.encode().decode("latin-1")
    else:
        assert line.startswith('"a\\" 200 5\\\\\\" ') and line.endswith(' b" 200')


def test_long_values_are_cut(run):
    (line,) = lines(run, ["target"], [("/" + "x" * 10_000, "")])
    assert len(line) == 2048


def test_a_client_that_has_gone_is_noted(run):
    file = io.StringIO()

    async def main():
        log = AccessLog(file, ["target", "status", "gone"])
        async with await serve(answer, "http://127.0.0.1:0", access_log=log) as server:
            client = await raw(server.urls[0])
            client.send(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
            while not server.service.tasks:
                await asyncio.sleep(0.001)
            client.reset()
            while not log.pending:
                await asyncio.sleep(0.001)

    run(main())
    assert file.getvalue() == "/waits - gone\n"


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"nonsense\r\n\r\n", "- - 400"),
        (b"GET / HTTP/1.1\r\n\r\n", "- - 400"),
        (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n", "- - 431"),
        (b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "POST /body 400"),
        (b"GET /slow", "- - 408"),
    ],
)
def test_what_is_no_request_is_noted(run, sent, line):
    file = io.StringIO()

    async def reads(exchange):
        while await exchange.read():
            pass

    async def main():
        log = AccessLog(file, ["method", "target", "status"])
        limits = HttpLimits(handshake_timeout=0.2)
        async with await serve(reads, "http://127.0.0.1:0", access_log=log, limits=limits) as server:
            client = await raw(server.urls[0])
            client.send(sent)
            assert (await client.reader.read()).startswith(b"HTTP/1.1 " + line[-3:].encode())
            client.close()

    run(main())
    assert file.getvalue() == f"{line}\n"


HEAD = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"x"))
POST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/body"), (b":authority", b"x"))


def headers(stream, fields, end=True):
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frames.frame(frames.HEADERS, flags, stream, Encoder(Memo()).encode(fields))


@pytest.mark.parametrize(
    ("sent", "noted"),
    [
        (headers(1, HEAD[:3]), ["- - HTTP/2 400 neither :authority nor Host"]),
        (headers(1, ((b"x", b"y"),)), ["- - HTTP/2 400 trailers before the head, or without END_STREAM"]),
        (headers(1, (*HEAD, (b"x", b"y" * 3000))), ["- - HTTP/2 431 fields are over the limit"]),
        (headers(1, (*HEAD, (b"content-length", b"5"))), ["GET /a HTTP/2 400 Content-Length without a body"]),
        (
            headers(1, (*POST, (b"content-length", b"5")), False) + frames.frame(0, frames.END_STREAM, 1, b"abc"),
            ["POST /body HTTP/2 400 the body is not as long as Content-Length says"],
        ),
        (
            headers(1, POST, False) + headers(3, POST, False) + headers(5, HEAD),
            ["GET /a HTTP/2 503 streams over the limit"] + ["POST /body HTTP/2 408 a request took too long"] * 2,
        ),
        (frames.frame(frames.PUSH_PROMISE, 4, 1), ["- - HTTP/2 400 PUSH_PROMISE, which is disabled"]),
        (frames.frame(frames.PING, 0, 0, bytes(8)) * 20, ["- - HTTP/2 429 too_many_pings"]),
        (headers(1, HEAD)[:-4], ["- - HTTP/2 408 a request head took too long"]),
        (None, ["- - HTTP/2 408 the preface of HTTP/2 took too long"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("beside_calls", [False, True])
def test_what_is_no_request_over_http_2_is_noted(run, sent, noted, beside_calls, monkeypatch):
    monkeypatch.setattr(stream_server, "CHECK_INTERVAL", 0.05)
    file = io.StringIO()
    limits = Limits(max_header_list=2000, max_streams=2, glitch_burst=10)

    async def reads(exchange):
        while await exchange.read():
            pass

    async def main():
        log = AccessLog(file, ["method", "target", "protocol", "status", "refused"])
        terms = {"handshake_timeout": 0.2 if " 408 " in noted[-1] else 60.0, "min_rate": 1e6}
        if beside_calls:
            server = Server(app=make_service(reads, access_log=log), options=ServerOptions(limits=limits, **terms))
            await server.listen("http://127.0.0.1:0")
        else:
            server = await serve(reads, "http://127.0.0.1:0", access_log=log, limits=HttpLimits(http=limits, **terms))
        async with server:
            client = await raw(server.urls[0])
            client.send(frames.PREFACE + (b"" if sent is None else frames.settings({}) + sent))
            while file.getvalue().count("\n") + log.pending < len(noted):
                await asyncio.sleep(0.001)
            client.close()

    run(main())
    assert [line.replace('"', "") for line in file.getvalue().splitlines()] == noted


def test_requests_beyond_those_that_run_are_noted(run):
    """Streams that were reset leave work behind."""
    file = io.StringIO()

    async def main():
        log = AccessLog(file, ["target", "status", "refused"])
        limits = HttpLimits(http=Limits(max_streams=1))
        async with await serve(answer, "http://127.0.0.1:0", access_log=log, limits=limits) as server:
            client = await raw(server.urls[0])
            waits = (*HEAD[:2], (b":path", b"/waits"), HEAD[3])
            cancel = frames.rst_stream(1, ErrorCode.CANCEL)
            client.send(frames.PREFACE + frames.settings({}) + headers(1, waits) + cancel + headers(3, HEAD))
            while file.getvalue().count("\n") + log.pending < 2:
                await asyncio.sleep(0.001)
            client.close()

    run(main())
    assert file.getvalue() == '/waits - -\n/a 503 "requests that run are over the limit"\n'


def test_who_connects_and_says_nothing_is_not_noted(run):
    file = io.StringIO()

    async def main():
        async with await serve(answer, "http://127.0.0.1:0", access_log=AccessLog(file)) as server:
            for sent in (b"", b"GET / HT"):
                client = await raw(server.urls[0])
                client.send(sent)
                client.writer.write_eof()
                assert await client.reader.read() == b""
                client.close()

    run(main())
    assert file.getvalue() == ""


def test_a_name_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="no field 'stauts' of the access log; known: time, client"):
        AccessLog(io.StringIO(), ["stauts"])


def test_a_file_that_takes_nothing_costs_no_response(run):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    async def main():
        async with await serve(answer, "http://127.0.0.1:0", access_log=AccessLog(Full(), ["status"])) as server:
            client = await raw(server.urls[0])
            assert [(await client.get())[0] for _ in range(300)] == [200] * 300
            client.close()

    run(main())
