"""Files past the transport where the kernel can, as pieces elsewhere; shorter than they were, to nobody."""

import asyncio
import os
import socket
import ssl
import types

import pytest
import trustme
from tests.http.server.wire import raw

from catenet.http import serve
from catenet.http.message import ResponseHead
from catenet.http.server import send_file
from catenet.http.server.exchange import Disconnected
from catenet.world import World

SIZE = 3_000_000
CONTENT = bytes(range(251)) * (SIZE // 251 + 1)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT[:SIZE])
    return tmp_path / "file"


def sender(path, declared=True, after=None, size=SIZE):
    """A handler that sends the file, and calls `after` when its head has been sent; notes what that raised."""
    ends = []

    async def answer(exchange):
        length = ((b"content-length", b"%d" % size),) if declared else ()
        with open(path, "rb") as file:
            await exchange.start(ResponseHead(200, length))
            if after is not None:
                after()
            try:
                await exchange.send_file(file, 0, size)
            except BaseException as error:
                ends.append(type(error))
                raise
            ends.append(None)
        await exchange.finish()

    return answer, ends


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_and_the_request_after_it(run, path, declared, monkeypatch):
    spliced = []
    splice = send_file.splice

    async def noted(*arguments):
        spliced.append(arguments[3])
        return await splice(*arguments)

    monkeypatch.setattr("catenet.http.server.response.splice", noted)
    answer, _ = sender(path, declared)

    async def main():
        async with await serve(answer, "http://127.0.0.1:0") as server:
            client = await raw(server.urls[0])
            for _ in range(2):
                assert (await client.get())[2] == CONTENT[:SIZE]
            client.close()

    run(main())
    assert spliced == [SIZE] * 2 * declared


@pytest.mark.parametrize("takes", [0, 10, None])
def test_a_head_that_the_socket_takes_in_part(run, path, takes, monkeypatch):
    """It goes before the file all the same; a socket that takes all of it gets the file at once, without a task."""
    tried = []

    class Socket(socket.socket):
        def send(self, data, flags=0):
            tried.append(flags)
            if takes == 0:
                raise BlockingIOError
            return super().send(data[:takes], flags)

    known = {name: getattr(socket, name) for name in ("AF_INET", "AF_INET6", "AF_UNIX", "MSG_MORE")}
    monkeypatch.setattr(send_file, "socket", types.SimpleNamespace(socket=Socket, **known))
    answer, _ = sender(path, size=100_000)

    async def main():
        async with await serve(answer, "http://127.0.0.1:0") as server:
            client = await raw(server.urls[0])
            for _ in range(2):
                assert (await client.get())[2] == CONTENT[:100_000]
            client.close()

    run(main())
    assert tried == [socket.MSG_MORE] * 2


def test_over_tls(run, path):
    authority = trustme.CA()
    context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(trust)

    async def main():
        async with await serve(sender(path)[0], "https://127.0.0.1:0", tls=context) as server:
            port = int(server.urls[0].rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(SIZE) == CONTENT[:SIZE]
            writer.transport.abort()

    run(main())


def test_a_file_that_has_become_shorter_breaks_the_response_off(run, path, caplog):
    answer, ends = sender(path, after=lambda: path.write_bytes(b"x" * 100_000))

    async def main():
        async with await serve(answer, "http://127.0.0.1:0") as server:
            client = await raw(server.urls[0])
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await client.get()
            client.close()

    run(main())
    assert ends == [EOFError] and "the file is shorter than it was" in caplog.text


def test_a_client_that_goes_in_between(run, path, caplog):
    os.truncate(path, 64 << 20)  # more than sockets hold
    answer, ends = sender(path, size=64 << 20)

    async def main():
        async with await serve(answer, "http://127.0.0.1:0") as server:
            client = await raw(server.urls[0])
            client.writer.transport.pause_reading()
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while not server.service.tasks:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            client.reset()
            while not ends:
                await asyncio.sleep(0.001)

    run(main())
    assert ends == [Disconnected] and caplog.records == []


@pytest.mark.parametrize("reads", [True, False])
def test_in_a_world(path, reads):
    """Over a slow line with losses the file arrives; a client that reads nothing of it is given up."""
    answer, ends = sender(path)
    results = []

    async def server():
        await (await serve(answer, "http://:80")).serve_forever()

    async def client():
        one = await raw("http://server:80")
        if reads:
            results.append((await one.get())[2] == CONTENT[:SIZE])
        else:
            one.writer.transport.pause_reading()
            one.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(200)

    with World(2) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="5ms", rate="20Mbit", loss="1%")
        world.hosts["server"].run(lambda: asyncio.run(server()), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(client()), start=0.1)
        world.run(300)
        assert [process.status for process in world.processes if not process.daemon] == [0]
    assert (results, ends) == (([True], [None]) if reads else ([], [Disconnected]))
