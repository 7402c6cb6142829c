"""The gate: not more connections than there may be, nobody turned away, and the loop at rest meanwhile."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import ssl
import subprocess
import sys
import textwrap

import pytest
import trustme
from line_echo import LineCore
from loops import LOOPS

from catenet.net.accept import Acceptor
from catenet.net.limits import ServerLimits
from catenet.net.listen import listen_tcp, listen_unix
from catenet.net.server import AcceptedConnection, serve


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def __init__(self, slot):
        self.slot = slot

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, error):
        self.slot.release()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.002)


async def answered(sock, wait=True):
    """Whether the server answers on a connection now, or (`wait`) at some time."""
    loop = asyncio.get_running_loop()
    if wait:
        assert await loop.sock_recv(sock, 10) == b"x"
        return True
    await asyncio.sleep(0.1)
    try:
        return sock.recv(10) == b"x"
    except BlockingIOError:
        return False


def connect(address, family):
    sock = socket.socket(family)
    sock.connect(address)
    sock.sendall(b"x")
    sock.setblocking(False)
    return sock


@pytest.fixture(params=LOOPS)
def run(request):
    def run(work):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(work)

    return run


async def listeners(kind, tmp_path):
    if kind == "unix":
        return [listen_unix(str(tmp_path / "s"), backlog=100)]
    return await listen_tcp("127.0.0.1" if kind == "4" else "::1", 0, backlog=100)


@pytest.mark.parametrize("kind", ["4", "6", "unix"])
def test_at_the_limit_others_wait_and_get_in_when_one_leaves(run, kind, tmp_path, caplog):
    async def main():
        acceptor = Acceptor(asyncio.get_running_loop(), ServerLimits(max_connections=3), Echo)
        (listener,) = await listeners(kind, tmp_path)
        address, family = listener.getsockname(), listener.family
        acceptor.add(listener)
        socks = [connect(address, family) for _ in range(6)]
        for sock in socks[:3]:
            assert await answered(sock)
        assert acceptor.open == 3 and acceptor.full
        assert not await answered(socks[3], wait=False)
        for leaving, coming in zip(socks[:3], socks[3:], strict=True):
            leaving.close()
            assert await answered(coming)
        for sock in socks:
            sock.close()
        await until(lambda: acceptor.open == 0)
        acceptor.close()

    with caplog.at_level(logging.WARNING, "catenet.net"):
        run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "3 connections are open, which is the limit: others wait"
    ]


def test_at_the_limit_nobody_waits_until_somebody_comes(run):
    """Idle connections are not closed for those who have not come."""

    async def main():
        acceptor = Acceptor(asyncio.get_running_loop(), ServerLimits(max_connections=2), Echo)
        (listener,) = await listeners("4", None)
        acceptor.add(listener)
        socks = [connect(listener.getsockname(), socket.AF_INET) for _ in range(2)]
        for sock in socks:
            assert await answered(sock)
        assert acceptor.open == 2 and not acceptor.full
        socks.append(connect(listener.getsockname(), socket.AF_INET))
        await until(lambda: acceptor.full)
        socks[0].close()
        assert await answered(socks[2])
        assert acceptor.open == 2 and not acceptor.full
        for sock in socks:
            sock.close()
        await until(lambda: acceptor.open == 0)
        acceptor.close()

    run(main())


def test_handshakes_count_and_end(run):
    """A TLS handshake that is never finished holds its place for as long as handshakes may last."""
    trustme = pytest.importorskip("trustme")

    async def main():
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(context)
        limits = ServerLimits(max_connections=2, handshake_timeout=0.2)
        acceptor = Acceptor(asyncio.get_running_loop(), limits, Echo)
        (listener,) = await listeners("4", None)
        acceptor.add(listener, context)
        # Nothing, the beginning of a hello, and what is no hello at all.
        socks = [connect(listener.getsockname(), socket.AF_INET) for _ in range(5)]
        for sock in socks[1:3]:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        await until(lambda: acceptor.open == 2)
        await until(lambda: acceptor.open == 0)
        for sock in socks:
            sock.close()
        acceptor.close()

    run(main())


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_when_accept_fails_the_loop_rests_and_tries_again(run, code, caplog):
    class Exhausted(socket.socket):
        tried = 0
        free = False

        def accept(self):
            Exhausted.tried += 1
            if not Exhausted.free:
                raise OSError(code, os.strerror(code))
            return super().accept()

    async def main():
        acceptor = Acceptor(asyncio.get_running_loop(), ServerLimits(), Echo)
        (plain,) = await listeners("4", None)
        listener = Exhausted(fileno=plain.detach())
        acceptor.add(listener)
        sock = connect(listener.getsockname(), socket.AF_INET)
        await until(lambda: acceptor.full)
        assert not await answered(sock, wait=False)
        assert Exhausted.tried == 1
        Exhausted.free = True
        assert await answered(sock)
        sock.close()
        acceptor.close()

    with caplog.at_level(logging.WARNING, "catenet.net"):
        run(main())
    assert len(caplog.records) == 1 and os.strerror(code) in caplog.text


def test_an_error_of_one_connection_is_not_the_listeners(run):
    class Aborted(socket.socket):
        tried = 0

        def accept(self):
            Aborted.tried += 1
            if Aborted.tried <= 3:
                raise OSError((errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN)[Aborted.tried - 1], "gone")
            return super().accept()

    async def main():
        acceptor = Acceptor(asyncio.get_running_loop(), ServerLimits(), Echo)
        (plain,) = await listeners("4", None)
        listener = Aborted(fileno=plain.detach())
        acceptor.add(listener)
        with connect(listener.getsockname(), socket.AF_INET) as sock:
            assert await answered(sock)
        acceptor.close()

    run(main())


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("end", [lambda server: server.close(), lambda server: server.drain(5)], ids=["close", "drain"])
def test_a_connection_that_was_made_just_now_ends_with_its_server(run, monkeypatch, secure, end):
    """Before the loop has said to whoever accepted it that it is there."""
    authority = trustme.CA()
    server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(server_side)
    authority.configure_trust(client_side)
    made = AcceptedConnection.connection_made

    async def main():
        begun, ending = [], []

        def connection_made(self, transport):
            made(self, transport)
            begun.append(self)
            ending.append(asyncio.ensure_future(end(server)))

        monkeypatch.setattr(AcceptedConnection, "connection_made", connection_made)
        url = "tls://127.0.0.1:0" if secure else "tcp://127.0.0.1:0"
        server = await serve(LineCore, url, tls=server_side if secure else None)
        port = int(server.urls[0].rpartition(":")[2])
        terms = {"ssl": client_side, "server_hostname": "localhost"} if secure else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **terms)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        await until(lambda: ending)
        await ending[0]
        assert begun[0].transport is None and server.connections == 0

    run(main())


CROWD = """
    import asyncio, logging, os, sys
    from catenet.net.accept import Acceptor
    from catenet.net.limits import ServerLimits
    from catenet.net.listen import listen_tcp

    sys.path.insert(0, sys.argv[1])
    from test_accept import LOOPS, Echo, answered, until

    logging.basicConfig(format="%(message)s")

    async def main():
        acceptor = Acceptor(asyncio.get_running_loop(), ServerLimits(), Echo)
        (listener,) = await listen_tcp("127.0.0.1", 0, backlog=200)
        acceptor.add(listener)
        print(listener.getsockname()[1], flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while (line := await reader.readline()):
            numbers = os.listdir("/proc/self/fd")  # the program itself can still open files
            print(acceptor.open, acceptor.full, len(numbers) - 1, flush=True)
        acceptor.close()

    with asyncio.Runner(loop_factory=LOOPS[sys.argv[2]]) as runner:
        runner.run(main())
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_at_the_limit_of_descriptors_the_rest_waits(loop):
    """A process of 64 descriptors, 100 clients: it keeps a reserve, says so in one line, and serves those that wait."""
    command = [sys.executable, "-c", textwrap.dedent(CROWD), os.path.dirname(__file__), loop]
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    try:
        address = ("127.0.0.1", int(server.stdout.readline()))
        socks = [connect(address, socket.AF_INET) for _ in range(100)]

        def state():
            server.stdin.write("?\n")
            server.stdin.flush()
            connections, full, descriptors = server.stdout.readline().split()
            assert int(descriptors) <= 64 - 8 + 2
            return full == "True" and int(connections) >= 30

        async def clients():
            served, left = set(), set()
            for sock in socks:
                asyncio.get_running_loop().create_task(one(sock, served))
            while not await asyncio.to_thread(state):
                await asyncio.sleep(0.01)
            while len(served) < 100:  # each that leaves makes room for one that waits
                for sock in list(served - left)[:5]:
                    left.add(sock)
                    sock.close()
                await asyncio.to_thread(state)

        async def one(sock, served):
            await answered(sock)
            served.add(sock)

        asyncio.run(clients())
        _, errors = server.communicate("", timeout=30)
        assert server.returncode == 0
        assert len(errors.splitlines()) == 1 and "descriptors are running out" in errors, errors
    finally:
        server.kill()
        server.communicate()
