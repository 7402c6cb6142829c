"""The access log: chosen fields, text and JSON, and nothing in it that a client could forge."""

import asyncio
import io
import json

import pytest
from tests.http.server.wire import raw

from catenet.http import HttpLimits, serve
from catenet.http.message import ResponseHead
from catenet.http.server.access_log import FIELDS, AccessLog


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
