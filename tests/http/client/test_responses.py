"""What a program reads of a response: text, JSON, codings, pieces, times."""

import asyncio
import gzip
import zlib

import brotli
import pytest
import zstandard
from scripted import Scripted, read_head, reply, replying

from catenet.http.client.client import Client
from catenet.http.client.errors import BodyTooLarge, ContentError, RequestError, StatusError


def answer_to(response, call=None, **options):
    """Send this response to a GET; return what the client makes of it."""

    async def main():
        async with Scripted(replying(response)) as server, Client(**options) as client:
            return await (call(client, server.url) if call else client.get(server.url))

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", "grün".encode(), "grün"),
        ("text/plain; charset=iso-8859-1", "grün".encode("latin-1"), "grün"),
        ('text/plain; charset="UTF-16LE"', "grün".encode("utf-16-le"), "grün"),
        ("text/plain; charset=none-such", "grün".encode(), "grün"),
        ("text/plain; charset=base64", b"YQ==", "YQ=="),
        ("text/plain; charset=undefined", "grün".encode(), "grün"),
        ("text/plain; charset=idna", "grün".encode(), "grün"),
        ("text/plain; charset=punycode", b"hi", "hi"),
        ("text/plain; charset=unicode_escape", b"\\x41", "\\x41"),
        ("text/plain; charset=latin-1", b"\xef\xbb\xbfgr\xc3\xbcn", "grün"),
        ("text/html", b'<html><meta charset="windows-1252">gr\xfcn', '<html><meta charset="windows-1252">grün'),
        ("application/octet-stream", b"\xff", "\ufffd"),
    ],
)
def test_text(kind, body, text):
    assert answer_to(reply(body, content_type=kind)).text == text


def test_json():
    assert answer_to(reply(b'{"a": [1, null]}')).json() == {"a": [1, None]}
    assert answer_to(reply("[1]".encode("utf-16"))).json() == [1]
    with pytest.raises(ValueError, match="Expecting value"):
        answer_to(reply(b"<html>")).json()
    with pytest.raises(ValueError, match="too deeply"):
        answer_to(reply(b"[" * 200_000)).json()


CODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("streamed", [False, True])
def test_codings(coding, streamed):
    body = b"text " * 1000

    async def call(client, url):
        async with client.stream("GET", url) as response:
            return response if await response.read() else None

    response = answer_to(reply(CODINGS[coding](body), content_encoding=coding), call if streamed else None)
    assert response.content == body


def test_codings_of_codings_and_unknown_ones():
    assert answer_to(reply(brotli.compress(gzip.compress(b"x")), content_encoding="gzip, br")).content == b"x"
    assert answer_to(reply(b"raw", content_encoding="own")).content == b"raw"
    body = gzip.compress(b"x")
    assert answer_to(reply(body, content_encoding="gzip"), decompress=False).content == body


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"no gzip", "not gzip"), (gzip.compress(b"x" * 1000, mtime=0)[:-9], "ends too early")],
)
def test_a_body_that_is_not_what_it_says(body, message):
    with pytest.raises(ContentError, match=message) as raised:
        answer_to(reply(body, content_encoding="gzip"))
    assert raised.value.request.method == "GET"


def test_a_bomb_ends_at_the_limit():
    bomb = gzip.compress(gzip.compress(b"\0" * (64 << 20), 9), 9)
    with pytest.raises(ContentError, match=r"over its limit|more than|MiB"):
        answer_to(reply(bomb, content_encoding="gzip, gzip"), max_content=1 << 20)
    with pytest.raises(BodyTooLarge, match="limit of 10 bytes"):
        answer_to(reply(b"x" * 11), max_content=10)


def test_a_bomb_that_is_streamed_comes_in_small_pieces():
    bomb = gzip.compress(b"\0" * (8 << 20), 9)

    async def call(client, url):
        async with client.stream("GET", url) as response:
            return [len(piece) async for piece in response]

    sizes = answer_to(reply(bomb, content_encoding="gzip"), call)
    assert sum(sizes) == 8 << 20 and max(sizes) <= 64 << 10


def test_lines():
    async def call(client, url):
        async with client.stream("GET", url) as response:
            return [line async for line in response.lines()]

    body = "grün\r\n\nlast".encode()
    pieces = b"".join(b"1\r\n%b\r\n" % bytes([byte]) for byte in body)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"
    assert answer_to(chunked, call) == ["grün", "", "last"]


def test_status():
    response = answer_to(reply(b"gone", "410 Whatever"))
    assert (response.status, response.reason, response.ok) == (410, "Gone", False)
    with pytest.raises(StatusError, match=r"^410 Gone for GET http://localhost:\d+$") as raised:
        response.raise_for_status()
    assert raised.value.response.text == "gone"
    fine = answer_to(reply(b"", "299 Own"))
    assert fine.raise_for_status() is fine and fine.reason == ""


def test_a_password_in_the_url_is_not_in_messages():
    async def call(client, url):
        return await client.get(url.replace("//", "//user:secret@"))

    response = answer_to(reply(b"", "404 Not Found"), call)
    with pytest.raises(StatusError) as raised:
        response.raise_for_status()
    assert "secret" not in str(raised.value) + repr(response.request) + repr(response)


def test_a_body_that_ends_with_its_connection():
    async def handle(reader, writer):
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    async def main():
        async with Scripted(handle) as server, Client() as client:
            return await client.get(server.url)

    assert asyncio.run(main()).content == b"until the end"


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_bodies_that_there_are_not(head):
    async def main():
        async with Scripted(replying(head)) as server, Client() as client:
            method = "HEAD" if b"200" in head else "GET"
            return [(await client.request(method, server.url)).content for _ in range(2)], server.connections

    assert asyncio.run(main()) == ([b"", b""], 1)


def test_a_reader_that_is_slow_slows_the_server():
    async def main():
        written = []

        async def handle(reader, writer):
            await read_head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
            for _ in range(1024):
                writer.write(b"x" * (64 << 10))
                await writer.drain()
                written.append(1)

        async with Scripted(handle) as server, Client() as client:
            async with client.stream("GET", server.url) as response:
                pieces = aiter(response)
                await anext(pieces)
                while True:
                    before = len(written)
                    await asyncio.sleep(0.05)
                    if len(written) == before:
                        break
                assert before < 512, "the server waits until more is read"
                total = 0
                async for piece in pieces:
                    total += len(piece)
        return total

    assert asyncio.run(main()) > 60 << 20


def test_a_response_that_is_left_gives_its_connection_up():
    async def main():
        async with Scripted(replying(reply(b"x" * 1_000_000))) as server, Client() as client:
            async with client.stream("GET", server.url) as response:
                async for _ in response:
                    break
            assert (await client.get(server.url)).status == 200
            async with client.stream("GET", server.url) as response:
                await response.read()
            await client.get(server.url)
            return server.connections

    assert asyncio.run(main()) == 2


def test_content_that_was_not_read_says_so():
    async def call(client, url):
        async with client.stream("GET", url) as response:
            with pytest.raises(RuntimeError, match=r"await response\.read"):
                str(response.content)
            return await response.read()

    assert answer_to(reply(b"ok"), call) == b"ok"


def test_times_of_the_phases():
    async def main():
        async with Scripted(replying(reply(b"ok"))) as server, Client() as client:
            return [(await client.get(server.url)).timings for _ in range(2)]

    first, second = asyncio.run(main())
    names = [phase.name for phase in first.phases()]
    assert names[:2] == ["resolve", "connect"] and names[-3:] == ["request", "first byte", "body"]
    assert [phase.name for phase in second.phases()] == ["request", "first byte", "body"]
    assert not first.reused and second.reused and first.total >= first.waited > 0
    starts = [phase.start for phase in first.phases()]
    assert starts == sorted(starts) and all(phase.end >= phase.start for phase in first.phases())


def test_times_of_what_failed():
    async def main():
        async with Client() as client:
            await client.get("http://127.0.0.1:1/")

    with pytest.raises(RequestError, match=r"cannot connect to 127\.0\.0\.1:1: Connection refused") as raised:
        asyncio.run(main())
    assert [attempt.error for attempt in raised.value.record.attempts] == ["Connection refused"]
