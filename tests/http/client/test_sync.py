"""The client without `await`: the same answers, and a loop for each thread."""

import asyncio
import os
import threading
import time

import pytest
import uvloop
from scripted import in_background, read_head, reply, replying

import catenet
from catenet.http import sync
from catenet.http.client.errors import ConnectFailed, RequestTimeout


def echo(first, fields, body):
    return reply(f"{first.split()[0]} {body.decode()}".encode(), set_cookie="a=b")


@pytest.fixture(scope="module")
def server():
    with in_background(replying(echo)) as server:
        yield server


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_methods(server, factory):
    with sync.Client(loop_factory=factory) as client:
        for method in ("get", "options", "post", "put", "patch", "delete", "query"):
            assert getattr(client, method)(server.url).text.split()[0] == method.upper()
        assert client.head(server.url).status == 200
        assert client.post(server.url, content="body").text == "POST body"
        assert client.send(client.build("PUT", server.url, content="x")).text == "PUT x"
        assert [cookie.name for cookie in client.cookies] == ["a"]
        client.headers["X"] = "y"


def test_single_requests(server):
    for method in ("get", "options", "post", "put", "patch", "delete", "query"):
        assert getattr(sync, method)(server.url).text.split()[0] == method.upper()
    assert sync.get(server.url).status == sync.head(server.url).status == 200
    assert sync.options(server.url).text and sync.post(server.url, content="a").text == "POST a"
    assert sync.put(server.url).text and sync.patch(server.url).text and sync.delete(server.url).text
    assert sync.query(server.url, json=1).text == "QUERY 1" and sync.request("GET", server.url).text == "GET "
    with sync.stream("GET", server.url) as response:
        assert response.read() == b"GET "
    with pytest.raises(ConnectFailed):
        sync.get("http://127.0.0.1:1/")
    with pytest.raises(ConnectFailed), sync.stream("GET", "http://127.0.0.1:1/"):
        pass


def test_a_body_in_pieces():
    with in_background(replying(reply(b"one\ntwo\n" * 50_000))) as server, sync.Client() as client:
        with client.stream("GET", server.url) as response:
            assert response.status == 200 and sum(map(len, response)) == 400_000
        with client.stream("GET", server.url) as response:
            assert next(iter(response.lines())) == "one"
        with client.stream("GET", server.url) as response:
            assert len(b"".join(response.raw())) == 400_000
        with client.stream("GET", server.url) as response:
            assert len(response.read()) == 400_000 and len(response.content) == 400_000


def test_an_upload_from_a_generator(server):
    assert sync.post(server.url, content=(b"%d" % number for number in range(5))).text == "POST 01234"


def test_one_connection_serves_one_thread():
    with in_background(replying(reply(b"ok"))) as server, sync.Client() as client:
        for _ in range(5):
            client.get(server.url)
        assert server.connections == 1

        def work():
            client.get(server.url)
            client.close()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 4


def test_a_connection_that_went_stale_between_two_calls():
    """The loop stands still between calls, and hears of the server's end only when it is asked."""

    async def handle(reader, writer):
        await read_head(reader)
        writer.write(reply(b"once"))

    with in_background(handle) as server, sync.Client() as client:
        for _ in range(3):
            assert client.post(server.url, content=b"x").content == b"once"
            while server.tasks:
                time.sleep(0.001)
            time.sleep(0.02)
        assert server.connections == 3


def test_it_says_no_where_a_loop_runs(server):
    async def main():
        with sync.Client() as client:
            client.get(server.url)

    with pytest.raises(RuntimeError, match=r"use catenet\.http\.Client"):
        asyncio.run(main())


def test_timeouts():
    async def silent(reader, writer):
        await reader.read()

    with in_background(silent) as server, pytest.raises(RequestTimeout):
        sync.get(server.url, timeout=0.05)


def test_after_fork_each_process_has_its_own(server):
    with sync.Client() as client:
        client.get(server.url)
        child = os.fork()
        if not child:
            os._exit(0 if client.get(server.url).status == 200 else 1)
        assert os.waitpid(child, 0)[1] == 0 and client.get(server.url).status == 200


def test_wrong_options_show_at_once():
    with pytest.raises(TypeError, match="no option 'tiemout'"):
        sync.Client(tiemout=1)


def test_the_module_is_where_the_documents_say():
    assert catenet.http.sync.Client is sync.Client
