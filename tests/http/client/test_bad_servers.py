"""Servers that break HTTP, break off, or never end: an error in one line each, and nothing is left open."""

import asyncio
import re

import pytest
import uvloop
from scripted import Scripted, read_head, reply, replying

from catenet.http.client.client import Client
from catenet.http.client.errors import ConnectFailed, ConnectionLost, PeerError, RequestError
from catenet.http.client.timeouts import Timeouts


def outcome(handle, *, factory=None, tls=None, **options):
    """Ask such a server; return the error."""

    async def main():
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        async with Scripted(handle) as server, Client(**options) as client:
            try:
                async with asyncio.timeout(20):
                    response = await client.get(server.url)
            except RequestError as error:
                outcome = error
            else:
                outcome = response
        assert not problems
        return outcome

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


def saying(data, close=True):
    async def handle(reader, writer):
        await read_head(reader)
        writer.write(data)
        await writer.drain()
        if not close:
            await reader.read()

    return handle


OK = b"HTTP/1.1 200 OK\r\n"
BAD = {
    "not HTTP": (b"220 mail.example ESMTP\r\n", PeerError, "not HTTP/1.1"),
    "TLS": (b"\x16\x03\x03\x00\x02\x02\x28", PeerError, "TLS, not HTTP"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", PeerError, "malformed"),
    "bare LF": (b"HTTP/1.1 200 OK\nA: b\n\n", PeerError, "bare LF"),
    "a folded field": (OK + b"A: b\r\n c\r\n\r\n", PeerError, "malformed"),
    "a blank before the colon": (OK + b"A : b\r\n\r\n", PeerError, "malformed"),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", PeerError, "Content-Length"),
    "a signed length": (OK + b"Content-Length: +1\r\n\r\na", PeerError, "Content-Length"),
    "length and chunks": (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", PeerError, "Transfer"),
    "a chunk without end": (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", PeerError, "chunk size"),
    "a chunk that is longer": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", PeerError, "chunk"),
    "an early end": (OK + b"Content-Length: 10\r\n\r\nabc", ConnectionLost, "broke off|closed inside"),
    "an early end of chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", ConnectionLost, "broke off|closed"),
    "an end at once": (b"", ConnectionLost, "broke off|closed"),
    "an end inside the head": (OK + b"A: b", ConnectionLost, "broke off|closed"),
    "an unasked switch": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", PeerError, "not asked for|malformed"),
}


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("name", BAD)
def test_what_breaks_http(name, factory):
    data, kind, words = BAD[name]
    error = outcome(saying(data), factory=factory)
    assert type(error) is kind and re.search(words, str(error)), error
    assert "\n" not in str(error) and error.request.method == "GET"


def endless(first, rest):
    async def handle(reader, writer):
        await read_head(reader)
        writer.write(first)
        while True:
            writer.write(rest)
            await writer.drain()

    return handle


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (OK, b"A: " + b"b" * 1000 + b"\r\n"),
        (OK, b"A: " + b"b" * 1000),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: " + b"b" * 1000 + b"\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"1" * 1000),
    ],
    ids=["head", "line", "1xx", "trailers", "chunk size", "chunk extension"],
)
def test_what_never_ends_is_bounded(first, rest):
    assert isinstance(outcome(endless(first, rest)), PeerError)


def test_a_body_that_never_ends_is_bounded():
    error = outcome(endless(OK + b"\r\n", b"x" * 65536), max_content=1 << 20)
    assert str(error) == "the body is over the limit of 1048576 bytes"


def test_bytes_after_a_response_are_not_the_next_one():
    """A response that nothing asked for ends the connection, before it can be taken for another's."""

    async def handle(reader, writer):
        await read_head(reader)
        writer.write(reply(b"mine") + reply(b"another's"))
        await writer.drain()
        await reader.read()

    async def main():
        async with Scripted(handle) as server, Client() as client:
            first = await client.get(server.url)
            second = await client.get(server.url)
            return first.content, second.content, server.connections

    assert asyncio.run(main()) == (b"mine", b"mine", 2)


def test_a_reset_inside_the_body():
    async def handle(reader, writer):
        await read_head(reader)
        writer.write(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 10)
        await writer.drain()
        writer.transport.abort()

    error = outcome(handle)
    assert isinstance(error, ConnectionLost) and not error.early


def test_what_came_before_the_break_can_be_read():
    async def main():
        async with Scripted(saying(OK + b"Content-Length: 10\r\n\r\nabc")) as server, Client() as client:
            got = b""
            with pytest.raises(ConnectionLost):
                async with client.stream("GET", server.url) as response:
                    async for piece in response:
                        got += piece
            return got

    assert asyncio.run(main()) == b"abc"


def test_an_idle_connection_that_the_server_closed_is_not_used():
    async def handle(reader, writer):
        await read_head(reader)
        writer.write(reply(b"once"))

    async def main():
        async with Scripted(handle) as server, Client() as client:
            for _ in range(3):
                assert (await client.get(server.url)).content == b"once"
                await asyncio.sleep(0)
            return server.connections

    assert asyncio.run(main()) == 3


@pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("PUT", True), ("POST", False)])
def test_a_request_that_an_idle_connection_swallows(method, repeated):
    """RFC 9112 section 9.3.1: the server closed while the request was on its way."""
    requests = []

    async def handle(reader, writer):
        first, _ = await read_head(reader)
        requests.append(first)
        writer.write(reply(b"first"))
        first, _ = await read_head(reader)
        requests.append(first)  # and not a word

    async def main():
        async with Scripted(handle) as server, Client() as client:
            await client.get(server.url)
            try:
                return (await client.request(method, server.url)).content
            except ConnectionLost as error:
                return error

    result = asyncio.run(main())
    assert len(requests) == (3 if repeated else 2)
    assert (result == b"first") if repeated else result.early


def test_nobody_listens():
    error = None

    async def main():
        async with Client() as client:
            await client.get("http://127.0.0.1:1/")

    with pytest.raises(ConnectFailed) as raised:
        asyncio.run(main())
    error = raised.value
    assert isinstance(error, ConnectionError) and error.record.attempts


def test_many_who_wait_for_one_server_each_get_an_error_of_their_own():
    async def main():
        async with Client() as client:
            return await asyncio.gather(*[client.get("http://127.0.0.1:1/") for _ in range(5)], return_exceptions=True)

    errors = asyncio.run(main())
    assert len({id(error) for error in errors}) == 5 and {type(error) for error in errors} == {ConnectFailed}


def test_cancelling_closes_the_connection_of_http_1():
    async def main():
        gone = asyncio.Event()

        async def handle(reader, writer):
            await read_head(reader)
            begun.set()
            assert await reader.read() == b""
            gone.set()

        begun = asyncio.Event()
        async with Scripted(handle) as server, Client() as client:
            call = asyncio.create_task(client.get(server.url))
            await begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await gone.wait()

    asyncio.run(main())


def test_cancelling_one_that_waits_leaves_the_others():
    from catenet.net.pool import PoolLimits

    async def main():
        async with Scripted(replying(reply(b"ok"))) as server:
            async with Client(pool=PoolLimits(max_connections=1)) as client:
                calls = [asyncio.create_task(client.get(server.url)) for _ in range(6)]
                await asyncio.sleep(0)
                for call in calls[1::2]:
                    call.cancel()
                done = await asyncio.gather(*calls, return_exceptions=True)
                return [getattr(one, "content", type(one)) for one in done], server.connections

    results, connections = asyncio.run(main())
    assert results == [b"ok", asyncio.CancelledError] * 3 and connections == 1


def test_wrong_timeouts():
    with pytest.raises(ValueError, match="timeout read: 0 is not more than 0"):
        Timeouts(read=0)


def test_a_request_that_cannot_connect_connects_once(monkeypatch):
    async def main():
        loop = asyncio.get_running_loop()
        attempts = []
        connect = loop.create_connection

        async def counted(*args, **options):
            attempts.append(args[1:3])
            return await connect(*args, **options)

        monkeypatch.setattr(loop, "create_connection", counted)
        async with Client() as client:
            for number in (1, 2):
                with pytest.raises(ConnectFailed):
                    await client.get("http://127.0.0.1:1/")
                for _ in range(5):
                    await asyncio.sleep(0)
                assert len(attempts) == number

    asyncio.run(main())
