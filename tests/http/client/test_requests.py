"""What a server sees of a request: methods, targets, fields, bodies from wherever they come."""

import asyncio
import io
import json

import pytest
import uvloop
from scripted import Scripted, read_body, read_head, reply, replying

from catenet.http.client.client import Client
from catenet.http.client.errors import RequestError
from catenet.http.client.request import Request
from catenet.http.headers import Headers


def seen_by(call, *, options=None, responses=(reply(b"ok"),), factory=None):
    """Make a call; return the requests that came, and what the call returned."""
    seen = []

    async def main():
        async with Scripted(replying(*responses, seen=seen)) as server, Client(**(options or {})) as client:
            return await call(client, server.url)

    with asyncio.Runner(loop_factory=factory) as runner:
        return seen, runner.run(main())


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_request_and_its_response(factory):
    seen, response = seen_by(lambda client, url: client.get(url + "/a?b=c"), factory=factory)
    first, fields, body = seen[0]
    assert first == "GET /a?b=c HTTP/1.1" and body == b""
    assert fields["user-agent"].startswith("catenet/") and fields["accept-encoding"].startswith("gzip")
    assert (response.status, response.reason, response.content, response.text) == (200, "OK", b"ok", "ok")
    assert response.http_version == "HTTP/1.1" and response.ok and str(response.url).endswith("/a?b=c")
    assert fields["host"] == response.url.authority


@pytest.mark.parametrize("method", ["head", "options", "post", "put", "patch", "delete", "query"])
def test_methods_by_name(method):
    seen, response = seen_by(lambda client, url: getattr(client, method)(url), responses=(reply(),))
    assert seen[0][0] == f"{method.upper()} / HTTP/1.1" and response.status == 200
    assert ("content-length" in seen[0][1]) is (method in ("post", "put", "patch"))


def test_any_method_that_is_a_token():
    seen, _ = seen_by(lambda client, url: client.request("purge", url))
    assert seen[0][0] == "PURGE / HTTP/1.1"
    with pytest.raises(ValueError, match="no method"):
        seen_by(lambda client, url: client.request("GET /\r\nx", url))
    with pytest.raises(ValueError, match="give the client a proxy"):
        seen_by(lambda client, url: client.request("CONNECT", url))


def test_params_go_behind_those_of_the_url():
    params = {"a": 1, "b": [True, "x y"], "c": None, "d": "ü&"}
    seen, _ = seen_by(lambda client, url: client.get(url + "/?z=0", params=params))
    assert seen[0][0] == "GET /?z=0&a=1&b=true&b=x%20y&d=%C3%BC%26 HTTP/1.1"
    seen, _ = seen_by(lambda client, url: client.get(url, params="raw=1"), options={"params": {"key": "k"}})
    assert seen[0][0] == "GET /?key=k&raw=1 HTTP/1.1"


def test_headers_of_the_client_and_of_the_request():
    def call(client, url):
        client.headers["X-All"] = "1"
        return client.get(url, headers={"X-One": "2", "accept": "text/html", "User-Agent": None})

    seen, _ = seen_by(call, options={"headers": {"X-Made": "0"}})
    fields = seen[0][1]
    assert (fields["x-made"], fields["x-all"], fields["x-one"], fields["accept"]) == ("0", "1", "2", "text/html")
    assert "user-agent" not in fields


def test_ranges_are_of_what_is_not_encoded():
    async def call(client, url):
        await client.get(url, headers={"Range": "bytes=0-9"})
        await client.get(url, headers=[("Range", "bytes=0-9"), ("Accept-Encoding", "gzip")])

    seen, _ = seen_by(call)
    assert [fields["accept-encoding"] for _, fields, _ in seen] == ["identity", "gzip"]


def test_a_generator_is_closed_when_nobody_wants_the_rest():
    closed = []

    async def endless():
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.append(True)

    async def handle(reader, writer):
        await read_head(reader)
        writer.write(reply(b"enough", "413 Content Too Large"))
        await writer.drain()
        await reader.read(10)

    async def main():
        async with Scripted(handle) as server, Client() as client:
            await client.post(server.url, content=endless())
            while not closed:
                await asyncio.sleep(0)

    asyncio.run(main())


def test_a_header_that_changes_counts_for_the_next_request():
    async def call(client, url):
        for value in "ab":
            client.headers["X-All"] = value
            await client.get(url)
        client.headers.discard("X-All")
        await client.get(url)

    seen, _ = seen_by(call)
    assert [fields.get("x-all") for _, fields, _ in seen] == ["a", "b", None]


def test_what_frames_a_body_is_not_for_the_program_to_say():
    headers = {"Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "close", "Host": "other.example"}
    seen, _ = seen_by(lambda client, url: client.post(url, content=b"abc", headers=headers))
    _, fields, body = seen[0]
    assert (fields["content-length"], fields["host"], body) == ("3", "other.example", b"abc")
    assert "transfer-encoding" not in fields


@pytest.mark.parametrize("headers", [{"X": "a\r\nb"}, {"X\r\nY": "a"}, {"X": "a\0"}])
def test_fields_that_would_be_two_are_refused(headers):
    with pytest.raises(ValueError, match=r"header|control"):
        seen_by(lambda client, url: client.get(url, headers=headers))


def test_bodies_that_are_at_hand():
    async def call(client, url):
        await client.post(url, content="grün")
        await client.post(url, json={"a": ["ü", None]})
        await client.post(url, data={"a": "b c", "d": [1, 2]})
        await client.post(url, data=[("a", "1"), ("a", "2")])
        await client.post(url, content=bytearray(b"raw"))

    seen, _ = seen_by(call)
    assert [body for _, _, body in seen] == [
        "grün".encode(),
        '{"a":["ü",null]}'.encode(),
        b"a=b+c&d=1&d=2",
        b"a=1&a=2",
        b"raw",
    ]
    kinds = [fields.get("content-type") for _, fields, _ in seen]
    form = "application/x-www-form-urlencoded"
    assert kinds == ["text/plain; charset=utf-8", "application/json", form, form, None]


def test_bodies_that_are_made_while_they_leave(tmp_path):
    async def pieces():
        for number in range(3):
            await asyncio.sleep(0)
            yield b"%d" % number * 1000

    path = tmp_path / "file"
    path.write_bytes(b"f" * 300_000)

    async def call(client, url):
        await client.post(url, content=(b"x" * 10 for _ in range(100)))
        await client.post(url, content=pieces())
        with path.open("rb") as file:
            file.seek(100)
            await client.put(url, content=file)
        await client.put(url, content=io.BytesIO(b"memory"))
        await client.put(url, content=b"l" * 1_000_000)

    seen, _ = seen_by(call)
    lengths = [(fields.get("content-length"), len(body)) for _, fields, body in seen]
    assert lengths == [(None, 1000), (None, 3000), ("299900", 299_900), ("6", 6), ("1000000", 1_000_000)]
    assert seen[0][1]["transfer-encoding"] == "chunked" and seen[1][2] == b"0" * 1000 + b"1" * 1000 + b"2" * 1000


def test_a_form_with_files(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG")

    async def call(client, url):
        with path.open("rb") as file:
            await client.post(url, data={"a": "1"}, files={"f": file, "g": ("n.txt", b"text", "text/x-own")})

    seen, _ = seen_by(call)
    _, fields, body = seen[0]
    assert fields["content-type"].startswith("multipart/form-data; boundary=")
    assert int(fields["content-length"]) == len(body)
    assert b'name="f"; filename="picture.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n' in body
    assert b'name="g"; filename="n.txt"\r\nContent-Type: text/x-own\r\n\r\ntext\r\n' in body
    assert b'name="a"\r\n\r\n1\r\n' in body


def test_only_one_body():
    with pytest.raises(ValueError, match="one body at a time: content, json"):
        seen_by(lambda client, url: client.post(url, content=b"a", json={}))
    with pytest.raises(TypeError, match="a int is no body"):
        seen_by(lambda client, url: client.post(url, content=7))


def test_a_body_that_fails_ends_the_request_with_its_error():
    def broken():
        yield b"a"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        seen_by(lambda client, url: client.post(url, content=broken()))


def test_a_file_that_shrinks_is_noticed():
    class Shrinking(io.BytesIO):
        def read(self, size=-1):
            return b""

    with pytest.raises(ValueError, match="not as long as it said: 10 bytes"):
        seen_by(lambda client, url: client.put(url, content=Shrinking(b"0123456789")))


def test_trailers_follow_the_body():
    lines = []

    async def handle(reader, writer):
        _, fields = await read_head(reader)
        lines.append(fields["trailer"])
        while line := await reader.readline():
            lines.append(line)
            if line == b"\r\n" and b"x-sum: 7\r\n" in lines:
                break
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Back: yes\r\n\r\n")

    async def main():
        async with Scripted(handle) as server, Client() as client:
            return await client.post(server.url, content=b"abc", trailers={"X-Sum": "7"})

    response = asyncio.run(main())
    assert lines[0] == "x-sum" and lines[1:] == [b"3\r\n", b"abc\r\n", b"0\r\n", b"x-sum: 7\r\n", b"\r\n"]
    assert response.trailers["x-back"] == "yes" and response.content == b"hi"


@pytest.mark.parametrize("invited", [True, False])
def test_expect_100_continue(invited):
    """The body waits for the server's word; one that refuses never gets it."""
    came = []

    async def handle(reader, writer):
        _, fields = await read_head(reader)
        came.append(fields["expect"])
        if not invited:
            writer.write(reply(b"no", "413 Content Too Large", connection="close"))
            await writer.drain()
            came.append(await reader.read())
            over.set()
            return
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        came.append(await read_body(reader, fields))
        writer.write(reply(b"ok"))

    async def main():
        async with Scripted(handle) as server, Client() as client:
            response = await client.post(server.url, content=b"b" * 10, expect_continue=True)
            if not invited:
                await over.wait()
            return response

    over = asyncio.Event()
    response = asyncio.run(main())
    if invited:
        assert came == ["100-continue", b"b" * 10] and response.status == 200
        assert [(status, dict(fields)) for status, fields in response.interim] == [(103, {"link": "</a>"}), (100, {})]
    else:
        assert came[0] == "100-continue" and response.status == 413 and b"b" not in came[1]


def test_a_response_before_the_body_ends_the_upload():
    taken = []

    async def endless():
        while True:
            taken.append(1)
            yield b"x" * 65536

    async def handle(reader, writer):
        await read_head(reader)
        writer.write(reply(b"too much", "413 Content Too Large"))
        await writer.drain()
        await asyncio.sleep(0.2)

    async def main():
        async with Scripted(handle) as server, Client() as client:
            return await client.post(server.url, content=endless())

    response = asyncio.run(main())
    assert response.status == 413 and response.content == b"too much"


def test_an_upload_is_made_no_faster_than_it_is_taken():
    made, gate = [], []

    async def pieces():
        for _ in range(200):
            made.append(1)
            yield b"x" * (1 << 16)

    async def main():
        async def handle(reader, writer):
            _, fields = await read_head(reader)
            await gate[0].wait()
            await read_body(reader, fields)
            writer.write(reply(b"done"))

        gate.append(asyncio.Event())
        async with Scripted(handle) as server, Client() as client:
            call = asyncio.create_task(client.post(server.url, content=pieces()))
            while True:
                before = len(made)
                await asyncio.sleep(0.05)
                if before == len(made) > 0:
                    break
            assert len(made) < 150, "the rest waits in the program, not in memory"
            gate[0].set()
            return (await call).content

    assert asyncio.run(main()) == b"done" and len(made) == 200


def test_a_request_can_be_made_first_and_sent_later():
    async def call(client, url):
        request = client.build("POST", url, json=[1])
        request.headers["X-Signed"] = json.dumps(len(request.content))
        await client.send(request)
        await client.send(Request("GET", url, headers=Headers({"X": "bare"})))

    seen, _ = seen_by(call)
    assert seen[0][1]["x-signed"] == "3" and seen[1][1] == {"host": seen[1][1]["host"], "x": "bare"}


def test_base_url():
    async def call(client, url):
        client.settings.base = None
        async with Client(base_url=url + "/api/v1/") as based:
            for reference in ("users", "/users?x=1", "?page=2", "", "a/../b"):
                await based.get(reference)
            await based.get(url + "/elsewhere")

    seen, _ = seen_by(call)
    assert [first.split()[1] for first, _, _ in seen] == [
        "/api/v1/users", "/api/v1/users?x=1", "/api/v1/?page=2", "/api/v1/", "/api/v1/b", "/elsewhere",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("example.org", "write http:// or https://"),
        ("ftp://example.org/", "no scheme 'ftp' here"),
        ("http://", "names no host"),
        ("http://exa mple.org/", "may not stand in a host name"),
        ("http+unix:///path", "names no socket"),
    ],
)
def test_wrong_urls_say_what_would_be_right(url, message):
    async def main():
        async with Client() as client:
            await client.get(url)

    with pytest.raises(ValueError, match=message):
        asyncio.run(main())


def test_unix_sockets(tmp_path):
    path, seen = str(tmp_path / "s.sock"), []

    async def main():
        async with Scripted(replying(reply(b"ok"), seen=seen), path=path), Client() as client:
            await client.get("http+unix://" + path.replace("/", "%2F") + "/a?b")
            async with Client(uds=path) as named:
                return await named.get("http://docker/info")

    assert asyncio.run(main()).content == b"ok"
    assert [(first, fields["host"]) for first, fields, _ in seen] == [
        ("GET /a?b HTTP/1.1", "localhost"), ("GET /info HTTP/1.1", "docker"),
    ]  # fmt: skip


def test_unknown_options_are_named():
    with pytest.raises(TypeError, match="no option 'follow'"):
        Client(follow=True)
    with pytest.raises(ValueError, match="versions '3'"):
        Client(versions="3")


def test_a_closed_client_says_so():
    async def main():
        async with Scripted(replying(reply())) as server:
            client = Client()
            await client.get(server.url)
            await client.close()
            await client.get(server.url)

    with pytest.raises((RequestError, RuntimeError), match="closed"):
        asyncio.run(main())
