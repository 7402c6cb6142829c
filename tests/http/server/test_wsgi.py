"""WSGI: PEP 3333 as wsgiref.validate reads it, and what validate does not see."""

import asyncio
import concurrent.futures
import io
import logging
import queue
import threading
import time
from wsgiref.validate import validator

import pytest
from tests.http.server.wire import h2_request, raw

from catenet.http import serve
from catenet.http.server.server import make_service

URL = "http://127.0.0.1:0"


async def ask(app, path="/", method="GET", fields="", body=b"", version=1):
    async with await serve(app, URL, interface="wsgi", root_path="/mounted") as server:
        if version == 2:
            return (await h2_request(server.urls[0], path, method, body=body))[:3]
        client = await raw(server.urls[0])
        try:
            return await client.get(path, method, fields, body)
        finally:
            client.close()


def application(answer):
    """A valid application of what a function of the environment returns, which is checked in every step."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return answer(environ)

    return validator(app)


@pytest.mark.parametrize("version", [1, 2])
def test_the_environment(run, version):
    seen = {}

    def answer(environ):
        seen.update(environ)
        return [b"hello"]

    status, _, body = run(ask(application(answer), "/a%20b/%C3%A9?x=1", version=version))
    assert (status, body) == (200, b"hello")
    assert seen["SCRIPT_NAME"] == "/mounted" and seen["PATH_INFO"] == "/a b/\xc3\xa9" and seen["QUERY_STRING"] == "x=1"
    assert seen["REQUEST_METHOD"] == "GET" and seen["HTTP_HOST"] == "x" and seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["SERVER_PROTOCOL"] == ("HTTP/1.1" if version == 1 else "HTTP/2")
    assert seen["wsgi.multithread"] and not seen["wsgi.run_once"] and seen["wsgi.url_scheme"] == "http"


def test_fields_that_would_be_taken_for_others_are_left_out(run):
    seen = {}

    def answer(environ):
        seen.update(environ)
        return [b""]

    run(ask(application(answer), fields="X_Forwarded_For: evil\r\nX-A: 1\r\nX-A: 2\r\nCookie: a\r\nCookie: b\r\n"))
    assert "HTTP_X_FORWARDED_FOR" not in seen and seen["HTTP_X_A"] == "1,2" and seen["HTTP_COOKIE"] == "a; b"


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_000_000])
@pytest.mark.parametrize("version", [1, 2])
def test_bodies(run, size, version):
    def answer(environ):
        body = b""
        while piece := environ["wsgi.input"].read(8192):
            body += piece
        return iter([body[:3], body[3:]])

    body = bytes(range(256)) * (size // 256 + 1)
    assert run(ask(application(answer), "/", "POST", body=body[:size], version=version))[2] == body[:size]


def test_a_chunked_body_has_its_length_once_it_is_there(run):
    def answer(environ):
        return [environ["CONTENT_LENGTH"].encode(), b" ", environ["wsgi.input"].read(100)]

    async def main():
        async with await serve(application(answer), URL, interface="wsgi") as server:
            client = await raw(server.urls[0])
            head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            client.send(head + b"3\r\nabc\r\n")
            await asyncio.sleep(0)
            client.send(b"2\r\nde\r\n0\r\n\r\n")
            assert (await client.response())[2] == b"5 abcde"
            client.close()

    run(main())


def test_write_and_iterables_that_are_closed(run):
    closed: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Pieces:
        def __iter__(self):
            yield b""
            yield b"b"
            yield b"c"

        def close(self):
            closed.put(threading.current_thread().name)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])(b"a")
        return Pieces()

    assert run(ask(app))[2] == b"abc"
    assert closed.get(timeout=60).startswith("wsgi")  # after the answer has left


def test_an_error_before_the_head_replaces_it_and_one_after_it_breaks_off(run, caplog):
    import sys

    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/late":
            write(b"begun")
        try:
            raise LookupError("secret")
        except LookupError:
            start_response("503 Sorry", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    async def main():
        async with await serve(app, URL) as server:
            client = await raw(server.urls[0])
            assert (await client.get())[::2] == (503, b"sorry")
            with pytest.raises((asyncio.IncompleteReadError, ValueError)):
                await client.get("/late")
            client.close()

    run(main())
    assert "LookupError" in caplog.text


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"abcdefghijkl"]])
@pytest.mark.parametrize("kind", [list, iter])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_body_that_is_not_as_long_as_declared_is_broken_off(run, pieces, kind, method, version, caplog):
    """But HEAD has none."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
        return kind(pieces) if method == "GET" else pieces

    async def main():
        async with await serve(app, URL, interface="wsgi") as server:
            if version == 2:
                assert (await h2_request(server.urls[0], method=method))[0] == (200 if method == "HEAD" else -2)
            else:
                client = await raw(server.urls[0])
                if method == "HEAD":
                    assert (await client.get(method=method))[1]["content-length"] == "10"
                else:
                    with pytest.raises(asyncio.IncompleteReadError):
                        await client.get()
                client.close()
            while method == "GET" and not caplog.records:  # the thread ends after the answer
                await asyncio.sleep(0.01)

    run(main())
    assert len(caplog.records) == (method == "GET")
    assert ("than its Content-Length" in caplog.text) == (method == "GET")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda start: [b"no start_response"],
        lambda start: (start("200 OK", []), start("200 OK", []))[2:],
        lambda start: start("OK", []) and [],
        lambda start: start("200 OK", [("Connection", "close")]) and [],
        lambda start: start("200 OK", [("X", "a\r\nb: c")]) and [],
        lambda start: start("200 OK", []) and ["text"],
    ],
)
def test_what_is_no_application_fails_as_500(run, wrong, caplog):
    def app(environ, start_response):
        return wrong(start_response)

    with caplog.at_level(logging.ERROR, "catenet.http"):
        assert run(ask(app))[0] == 500
    assert len(caplog.records) == 1


@pytest.mark.parametrize("size", [10, 300_000])
def test_file_wrapper(run, tmp_path, size):
    (tmp_path / "file").write_bytes(b"y" * size)
    opened = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        file = open(tmp_path / "file", "rb") if environ["PATH_INFO"] == "/file" else io.BytesIO(b"y" * size)
        file.seek(3)
        opened.append(file)
        return environ["wsgi.file_wrapper"](file)

    for path in ("/file", "/memory"):
        assert run(ask(app, path))[2] == b"y" * (size - 3)
        file = opened.pop()
        while not file.closed:  # on its thread, after the response
            time.sleep(0.001)


def test_requests_run_at_once_on_threads(run):
    barrier = threading.Barrier(4)

    def app(environ, start_response):
        barrier.wait(20)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"met"]

    async def main():
        async with await serve(app, URL) as server:
            assert {answer[2] for answer in await asyncio.gather(*[h2_request(server.urls[0]) for _ in range(4)])} == {
                b"met"
            }

    run(main())


def test_a_client_that_goes_ends_the_iteration(run, caplog):
    ended = threading.Event()

    class Forever:
        def __iter__(self):
            return self

        def __next__(self):
            return b"x" * 100_000

        def close(self):
            ended.set()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Forever()

    async def main():
        async with await serve(app, URL) as server:
            client = await raw(server.urls[0])
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.reader.readuntil(b"\r\n\r\n")
            client.reset()
            while not ended.is_set():
                await asyncio.sleep(0.001)

    run(main())
    assert caplog.records == []


def test_a_body_whose_end_comes_before_its_thread_begins(run):
    """What had been gathered of it was taken for all of it."""
    size, begun = 400_000, 300_000
    given, gone_on = threading.Event(), threading.Event()

    class Late(concurrent.futures.ThreadPoolExecutor):
        """Its threads begin when they are told to."""

        def submit(self, function, *arguments):
            given.set()

            def later():
                gone_on.wait(60)
                return function(*arguments)

            return super().submit(later)

    async def main():
        service = make_service(
            application(lambda environ: [str(len(environ["wsgi.input"].read(size))).encode()]), "wsgi"
        )
        service.pool = Late(1)
        async with await serve(service, URL) as server:
            client = await raw(server.urls[0])
            client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + bytes(begun))
            while not given.is_set():
                await asyncio.sleep(0.001)
            client.send(bytes(size - begun))
            (connection,) = server._connections
            while connection.received < size:
                await asyncio.sleep(0.001)
            gone_on.set()
            status, _, body = await client.response()
            assert (status, body) == (200, str(size).encode())
            client.close()

    run(main())
