"""Exchanges: requests and responses of the native interface, over HTTP/1.1 and HTTP/2, on both event loops."""

import asyncio
import logging

import pytest
from tests.http.server.wire import h2_request, raw

from catenet.http import Exchange, serve
from catenet.http.message import ResponseHead

OK = ResponseHead(200, ((b"content-type", b"text/plain"),))
URL = "http://127.0.0.1:0"


async def answer(exchange: Exchange) -> None:
    path = exchange.head.path
    if path == b"/echo":
        pieces = []
        while piece := await exchange.read():
            pieces.append(piece)
        await exchange.reply(OK, b"".join(pieces))
    elif path == b"/pieces":
        await exchange.start(OK)
        for number in range(3):
            await exchange.write(b"%d" % number)
            await asyncio.sleep(0)
        await exchange.finish(((b"x-sum", b"3"),))
    elif path == b"/hints":
        exchange.inform(ResponseHead(103, ((b"link", b"</a.css>; rel=preload"),)))
        await exchange.reply(OK, b"late")
    elif path == b"/fails":
        raise LookupError("secret")
    elif path == b"/forgets":
        pass
    elif path == b"/breaks":
        await exchange.start(OK)
        await exchange.write(b"begun")
        raise LookupError("secret")
    elif path == b"/twice":
        await exchange.reply(OK, b"once")
        await exchange.reply(OK, b"twice")
    else:
        await exchange.reply(OK, b"hello")


def test_requests_over_both_versions(run):
    async def main():
        async with await serve(answer, URL) as server:
            client = await raw(server.urls[0])
            status, fields, body = await client.get()
            assert (status, body, fields["server"]) == (200, b"hello", "catenet") and "date" in fields
            assert (await client.get("/echo", "POST", body=b"x" * 100_000))[2] == b"x" * 100_000
            status, fields, body = await client.get("/pieces")
            assert body == b"012" and fields["trailer-x-sum"] == "3"
            client.close()
            status, fields, body, _ = await h2_request(server.urls[0])
            assert (status, body, fields[b"server"]) == (200, b"hello", b"catenet")
            assert (await h2_request(server.urls[0], "/echo", "POST", body=b"y" * 10_000))[2] == b"y" * 10_000
            assert (await h2_request(server.urls[0], "/pieces"))[2:] == (b"012", {b"x-sum": b"3"})

    run(main())


def test_interim_responses(run):
    async def main():
        async with await serve(answer, URL) as server:
            client = await raw(server.urls[0])
            status, fields, _ = await client.get("/hints")
            assert status == 103 and fields == {"link": "</a.css>; rel=preload"}
            assert (await client.response())[2] == b"late"
            client.close()

    run(main())


@pytest.mark.parametrize("path", ["/fails", "/forgets"])
def test_a_handler_that_fails_is_logged_and_answers_500(run, path, caplog):
    async def main():
        async with await serve(answer, URL) as server:
            client = await raw(server.urls[0])
            status, _, body = await client.get(path)
            assert status == 500 and body == b"Internal Server Error\n"
            assert (await client.get())[2] == b"hello", "the connection goes on"
            client.close()
            status, _, body, _ = await h2_request(server.urls[0], path)
            assert status == 500 and b"secret" not in body

    with caplog.at_level(logging.ERROR, "catenet.http"):
        run(main())
    assert len(caplog.records) == 2 and caplog.messages[0].startswith(f"GET {path} called by 127.0.0.1:")


class AtOnce:
    """Answers some requests without a coroutine."""

    def at_once(self, exchange):
        if exchange.head.path == b"/fails":
            raise LookupError("secret")
        if exchange.head.path == b"/now":
            exchange.reply_now(exchange.service.heads.stamped(OK), b"now")
            return True
        return False

    async def __call__(self, exchange):
        await answer(exchange)


def test_a_handler_may_answer_at_once(run, caplog):
    async def main():
        async with await serve(AtOnce(), URL) as server:
            client = await raw(server.urls[0])
            assert (await client.get("/now"))[2] == b"now"
            assert (await client.get("/now", "POST", body=b"x" * 100))[2] == b"hello"
            client.close()
            client = await raw(server.urls[0])
            assert (await client.get("/other"))[2] == b"hello"
            with caplog.at_level(logging.ERROR, "catenet.http"):
                status, _, body = await client.get("/fails")
            assert status == 500 and b"secret" not in body and "LookupError" in caplog.text
            assert (await client.get("/now"))[2] == b"now"
            client.close()
            assert (await h2_request(server.urls[0], "/now"))[2] == b"now"

    run(main())


def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(run, caplog):
    async def main():
        async with await serve(answer, URL) as server:
            client = await raw(server.urls[0])
            with pytest.raises((asyncio.IncompleteReadError, ValueError)):
                await client.get("/breaks")
            client.close()
            assert (await h2_request(server.urls[0], "/breaks"))[0] < 0, "RST_STREAM"

    run(main())
    assert len(caplog.records) == 2


def test_a_second_response_is_refused(run, caplog):
    async def main():
        async with await serve(answer, URL) as server:
            client = await raw(server.urls[0])
            assert (await client.get("/twice"))[2] == b"once"
            assert (await client.get())[2] == b"hello"
            client.close()

    run(main())
    assert "the response has begun" in caplog.text


def test_pipelined_requests_are_answered_in_order(run):
    async def main():
        async with await serve(answer, URL) as server:
            client = await raw(server.urls[0])
            client.send(b"GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert [(await client.response())[2] for _ in range(4)] == [b"012"] * 3 + [b"hello"]
            client.close()

    run(main())


def test_unix_sockets_have_no_client_address(run, tmp_path):
    seen = []

    async def look(exchange):
        seen.append((exchange.client, exchange.server, exchange.scheme, exchange.version))
        await exchange.reply(OK)

    async def main():
        path = str(tmp_path / "http.sock")
        async with await serve(look, f"unix:{path}") as server:
            assert server.urls == [f"unix:{path}"]
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
        assert seen == [(None, (path, None), "http", 1)]

    run(main())


def test_a_drain_lets_what_runs_end(run):
    async def slow(exchange):
        started.set()
        await release.wait()
        await exchange.reply(OK, b"done")

    async def main():
        nonlocal started, release
        started, release = asyncio.Event(), asyncio.Event()
        server = await serve(slow, URL)
        client = await raw(server.urls[0])
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await started.wait()
        draining = asyncio.ensure_future(server.drain(30))
        await asyncio.sleep(0)
        release.set()
        status, fields, body = await client.response()
        assert (status, fields.get("connection"), body) == (200, "close", b"done")
        await draining
        client.close()

    started = release = None
    run(main())


def test_handlers_that_are_left_are_cancelled_at_the_end(run, caplog):
    ends = []

    async def forever(exchange):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async def main():
        server = await serve(forever, URL)
        client = await raw(server.urls[0])
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not server.service.tasks:
            await asyncio.sleep(0.001)
        await server.drain(0.01)
        client.close()

    run(main())
    assert ends == ["cancelled"]
    assert not caplog.records


@pytest.mark.parametrize("arguments", [{"interface": "cgi"}, {}])
def test_what_is_no_application_is_refused_in_one_line(arguments):
    def nothing(a, b, c, d):
        pass

    with pytest.raises((TypeError, ValueError), match="asgi, wsgi, exchange"):
        asyncio.run(serve(nothing, URL, **arguments))
