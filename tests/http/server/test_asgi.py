"""ASGI 3: what applications see and may say, on both event loops and over both versions of HTTP."""

import asyncio
import logging

import pytest
from tests.http.server.wire import h2_request, raw

from catenet.http import serve
from catenet.http.server.lifespan import LifespanError

URL = "http://127.0.0.1:0"
INTERNAL_ERROR = 2
"""RFC 9113 section 7."""


def start(status=200, headers=((b"content-type", b"text/plain"),), **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


class App:
    """Runs the coroutine that a test gives, for requests; takes part in no lifespan."""

    def __init__(self, answer):
        self.answer = answer
        self.scopes = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        self.scopes.append(scope)
        await self.answer(scope, receive, send)


async def get(app, path="/", version=1, **options):
    """One request; return (status, fields with str names, body, trailers)."""
    async with await serve(app, URL, **options) as server:
        if version == 2:
            status, fields, data, ends = await h2_request(server.urls[0], path)
            return status, {k.decode(): v.decode() for k, v in fields.items()}, data, ends
        client = await raw(server.urls[0])
        try:
            status, fields, data = await client.get(path)
        finally:
            client.close()
        ends = {k.removeprefix("trailer-").encode(): v.encode() for k, v in fields.items() if k.startswith("trailer-")}
        return status, fields, data, ends


async def hello(scope, receive, send):
    await send(start())
    await send(body(b"hello"))


@pytest.mark.parametrize("version", [1, 2])
def test_the_scope(run, version):
    app = App(hello)
    status, _, data, _ = run(get(app, "/a%20b/%C3%A9?x=1&y=%20", version, root_path="/mounted"))
    assert (status, data) == (200, b"hello")
    (scope,) = app.scopes
    headers = dict(scope.pop("headers"))
    assert headers[b"host"] == b"x"
    client, server = scope.pop("client"), scope.pop("server")
    assert client[0] == server[0] == "127.0.0.1" and isinstance(client[1], int)
    extensions = scope.pop("extensions")
    assert {"http.response.trailers", "http.response.early_hint", "http.response.pathsend"} <= set(extensions)
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1" if version == 1 else "2",
        "method": "GET",
        "scheme": "http",
        "path": "/mounted/a b/é",
        "raw_path": b"/a%20b/%C3%A9",
        "query_string": b"x=1&y=%20",
        "root_path": "/mounted",
    }


def test_cookies_of_http2_are_one_field(run):
    app = App(hello)

    async def main():
        async with await serve(app, URL) as server:
            await h2_request(server.urls[0], fields=[(b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2")])

    run(main())
    assert [value for name, value in app.scopes[0]["headers"] if name == b"cookie"] == [b"a=1; b=2"]


def test_what_the_application_says_of_connections_is_not_sent(run):
    async def answer(scope, receive, send):
        await send(start(headers=[(b"Transfer-Encoding", b"chunked"), (b"X-Own", b" value "), (b"date", b"then")]))
        await send(body(b"hello"))

    status, fields, data, _ = run(get(App(answer)))
    assert (status, data, fields["x-own"], fields["date"]) == (200, b"hello", "value", "then")
    assert "transfer-encoding" not in fields


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-own", b"a\r\nset-cookie: b")],
        [(b"x own", b"a")],
        [(b"content-length", b"5"), (b"content-length", b"6")],
        [(b"content-length", b"+5")],
        [("x-own", "text")],
        [(b"x-own",)],
    ],
)
def test_a_head_that_cannot_be_sent_is_500(run, headers, caplog):
    async def answer(scope, receive, send):
        await send(start(headers=headers))
        await send(body(b"hello"))

    status, fields, data, _ = run(get(App(answer)))
    assert status == 500 and b"hello" not in data and "set-cookie" not in fields
    assert len(caplog.records) == 1


@pytest.mark.parametrize("status", [42, 101, 1000, "200"])
def test_a_status_that_is_none_is_500(run, status, caplog):
    async def answer(scope, receive, send):
        await send(start(status))
        await send(body(b"hello"))

    assert run(get(App(answer)))[0] == 500


@pytest.mark.parametrize(
    "messages",
    [
        [body(b"first")],
        [start(), start()],
        [{"type": "http.response.trailers"}],
        [{"type": "http.answer"}],
        [{"type": "websocket.accept"}],
    ],
)
def test_messages_out_of_order_raise_in_the_application(run, messages, caplog):
    async def answer(scope, receive, send):
        for message in messages:
            await send(message)

    assert run(get(App(answer)))[0] == 500
    assert caplog.records[0].exc_info[0] is RuntimeError


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_a_cancellation_that_is_not_ours_is_a_failure_like_others(run, waits, version, caplog):
    async def answer(scope, receive, send):
        if waits:
            other = asyncio.ensure_future(asyncio.sleep(3600))
            asyncio.get_running_loop().call_soon(other.cancel)
            await other
        raise asyncio.CancelledError

    assert run(get(App(answer), version=version))[0] == 500
    assert [record.exc_info[0] for record in caplog.records] == [asyncio.CancelledError]


@pytest.mark.parametrize("version", [1, 2])
def test_trailers(run, version):
    async def answer(scope, receive, send):
        await send(start(trailers=True))
        await send(body(b"hello"))
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"x-end", b"2")]})

    assert run(get(App(answer), version=version))[2:] == (b"hello", {b"x-sum": b"1", b"x-end": b"2"})


def test_early_hints(run):
    async def answer(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.debug", "info": {}})
        await hello(scope, receive, send)

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            assert (await client.get())[:2] == (103, {"link": "</a.css>; rel=preload"})
            assert (await client.response())[2] == b"hello"
            client.close()

    run(main())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [0, 10, 10_000, 3_000_000])
@pytest.mark.parametrize("declared", [True, False])
def test_pathsend(run, tmp_path, version, size, declared):
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(content[:size])

    async def answer(scope, receive, send):
        await send(start(headers=[(b"content-length", b"%d" % size)] if declared else []))
        await send({"type": "http.response.pathsend", "path": str(tmp_path / "file")})

    assert run(get(App(answer), version=version))[2] == content[:size]


def test_zero_copy_send_of_parts_of_a_file(run, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")

    async def answer(scope, receive, send):
        await send(start())
        with open(tmp_path / "file", "rb") as file:
            file.seek(7)
            part = {"type": "http.response.zerocopysend", "file": file, "more_body": True}
            await send({**part, "offset": 2, "count": 3})
            await send({**part, "more_body": False})

    assert run(get(App(answer)))[2] == b"234789"


def test_a_body_comes_in_pieces_and_waits_for_its_reader(run):
    sizes = []

    async def answer(scope, receive, send):
        while True:
            message = await receive()
            sizes.append(len(message["body"]))
            if not message["more_body"]:
                break
        await hello(scope, receive, send)

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            assert (await client.get("/", "POST", body=b"x" * 2_000_000))[2] == b"hello"
            client.close()

    run(main())
    assert sum(sizes) == 2_000_000 and len(sizes) > 1


def test_receive_after_the_body_waits_for_the_end(run):
    events = []

    async def answer(scope, receive, send):
        events.append(await receive())
        listening = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        assert not listening.done()
        await hello(scope, receive, send)
        events.append(await listening)

    run(get(App(answer)))
    assert [event["type"] for event in events] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("more", [False, True])
def test_a_client_that_goes_is_told_and_sending_fails(run, more, caplog):
    ends = []

    async def answer(scope, receive, send):
        await receive()
        await send(start())
        await send(body(b"x", True))
        ends.append((await receive())["type"])
        try:
            while True:
                await send(body(b"x" * 10_000, True))
                await asyncio.sleep(0.001)
        except OSError as error:
            ends.append(type(error).__name__)
            if more:
                raise RuntimeError("of the framework's own") from error

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.reader.readuntil(b"\r\n\r\n")
            client.reset()
            while len(ends) < 2:
                await asyncio.sleep(0.001)

    run(main())
    assert ends == ["http.disconnect", "Disconnected"]
    assert caplog.records == [], "that a client has gone is no failure of the application"


def test_a_client_that_ends_its_direction_is_told_of_and_still_answered(run):
    events = []

    async def answer(scope, receive, send):
        events.extend([await receive(), await receive()])
        await hello(scope, receive, send)

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            client.writer.write_eof()
            assert (await client.response())[2] == b"hello"
            assert await client.reader.read() == b"", "there will be no other request"
            client.close()

    run(main())
    assert [event["type"] for event in events] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize(("kept", "declared"), [(True, True), (True, False), (False, True)])
def test_http_1_0(run, kept, declared):
    versions = []

    async def answer(scope, receive, send):
        versions.append(scope["http_version"])
        await send(start(headers=[(b"content-length", b"6")] if declared else []))
        await send(body(b"hel", True))
        await send(body(b"lo!"))

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            for _ in range(2 if kept and declared else 1):
                client.send(b"GET / HTTP/1.0\r\n" + b"Connection: keep-alive\r\n" * kept + b"\r\n")
                status, fields, data = await client.response()
                assert (status, data) == (200, b"hello!") and "transfer-encoding" not in fields
                assert fields["connection"] == ("keep-alive" if kept and declared else "close")
            client.close()

    run(main())
    assert set(versions) == {"1.0"}


@pytest.mark.parametrize("declared", [True, False])
def test_head_has_the_length_of_the_body_that_is_not_sent(run, declared):
    async def answer(scope, receive, send):
        await send(start(headers=[(b"content-length", b"5")] if declared else []))
        await send(body(b"hello"))

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            for _ in range(2):
                status, fields, _ = await client.get("/", "HEAD")
                assert status == 200 and fields["content-length"] == "5"
            client.close()
            assert (await h2_request(server.urls[0], method="HEAD"))[::2] == (200, b"")

    run(main())


@pytest.mark.parametrize("reads", [True, False])
def test_a_client_is_invited_when_the_body_is_read(run, reads):
    async def answer(scope, receive, send):
        if reads:
            await receive()
        await hello(scope, receive, send)

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            status, fields, data = await client.response()
            if reads:
                assert status == 100
                client.send(b"abc")
                status, fields, data = await client.response()
            assert (status, data) == (200, b"hello")
            assert ("connection" in fields) is not reads
            client.close()

    run(main())


def test_content_length_is_kept_to(run, caplog):
    async def answer(scope, receive, send):
        await send(start(headers=[(b"content-length", b"5")]))
        await send(body(b"hel", True))
        await send(body(b"lo and more", True))

    async def main():
        async with await serve(App(answer), URL) as server:
            client = await raw(server.urls[0])
            with pytest.raises((asyncio.IncompleteReadError, ValueError)):
                await client.get()
            client.close()

    run(main())
    assert "longer than its Content-Length" in caplog.text


@pytest.mark.parametrize(("data", "fault"), [(b"", "shorter"), (b"abc", "shorter"), (b"abcdefghijkl", "longer")])
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_a_body_that_is_not_as_long_as_declared_is_broken_off(run, data, fault, more, version, caplog):
    """In one piece as in two."""

    async def answer(scope, receive, send):
        await send(start(headers=[(b"content-length", b"10")]))
        await send(body(data, more))
        if more:
            await send(body())

    async def main():
        async with await serve(App(answer), URL) as server:
            if version == 2:
                assert (await h2_request(server.urls[0]))[0] == -INTERNAL_ERROR
                return
            client = await raw(server.urls[0])
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head, _, got = (await client.reader.read()).partition(b"\r\n\r\n")
            assert b"content-length: 10" in head and len(got) < 10
            client.close()

    run(main())
    assert len(caplog.records) == 1
    assert f"the body is {fault} than its Content-Length" in caplog.text


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("data", [b"", b"abc", b"abcdefghij"])
@pytest.mark.parametrize("version", [1, 2])
def test_what_has_no_body_may_have_a_length(run, method, status, data, version, caplog):
    async def answer(scope, receive, send):
        await send(start(status, [(b"content-length", b"10")]))
        await send(body(data))

    async def main():
        async with await serve(App(answer), URL) as server:
            if version == 2:
                assert (await h2_request(server.urls[0], method=method))[::2] == (status, b"")
                return
            client = await raw(server.urls[0])
            for _ in range(2):  # the connection goes on
                got, fields, _ = await client.get(method=method)
                assert got == status and fields.get("content-length") == (None if status == 204 else "10")
            client.close()

    run(main())
    assert not caplog.records


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_connect_is_refused(run, interface):
    """An application that says 200 to everything must not open a tunnel by it."""
    app = App(hello)

    def wsgi(environ, start_response):
        raise AssertionError("not called")

    async def main():
        async with await serve(app if interface == "asgi" else wsgi, URL, interface=interface) as server:
            client = await raw(server.urls[0])
            client.send(b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")
            assert (await client.response())[0] == 501
            assert await client.reader.read() == b"", "what follows could be meant for the tunnel"
            client.close()

    run(main())
    assert app.scopes == []


class Life:
    """An application with a lifespan; `fail` is where it fails."""

    def __init__(self, fail=""):
        self.fail = fail
        self.seen = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.seen.append(("state", dict(scope["state"])))
            scope["state"]["own"] = 1
            await hello(scope, receive, send)
            return
        scope["state"]["pool"] = "pool"
        self.seen.append((await receive())["type"])
        if self.fail == "raises":
            raise LookupError("no\ndatabase")
        if self.fail == "says":
            await send({"type": "lifespan.startup.failed", "message": "Traceback\n  ...\nno database\n"})
            return
        await send({"type": "lifespan.startup.complete"})
        self.seen.append((await receive())["type"])
        if self.fail == "shutdown":
            raise LookupError("late")
        await send({"type": "lifespan.shutdown.complete"})


def test_lifespan_and_its_state(run):
    app = Life()
    run(get(app))
    assert app.seen == ["lifespan.startup", ("state", {"pool": "pool"}), "lifespan.shutdown"]


def test_an_application_that_says_it_cannot_start(run):
    async def main():
        with pytest.raises(LifespanError, match=r"^the application does not start: no database$"):
            await serve(Life("says"), URL)

    run(main())


def test_an_application_that_raises_takes_no_part_unless_it_must(run):
    async def main():
        from catenet.http.server.asgi import AsgiService

        async with await serve(AsgiService(Life("raises"), lifespan="auto"), URL):
            pass
        with pytest.raises(LifespanError, match=r"does not start: LookupError: database$"):
            await serve(AsgiService(Life("raises"), lifespan="on"), URL)

    run(main())


def test_a_failure_at_the_end_is_logged(run, caplog):
    with caplog.at_level(logging.ERROR, "catenet.http"):
        run(get(Life("shutdown")))
    assert caplog.messages == ["the application failed in its lifespan: LookupError: late"]
