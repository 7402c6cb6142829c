"""Stock asyncio in a lossy world: streams, datagrams, sock_*, TLS, threads, signals, pipes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme

MEGABYTE = bytes(range(250)) * 4000


def test_streams(internet: Any, version: int) -> None:
    async def server() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.read(-1))[::-1])
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(echo, port=7) as listener:
            await listener.serve_forever()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(internet.address(version), 7)
        writer.write(MEGABYTE)
        writer.write_eof()
        async with asyncio.timeout(120):
            assert await reader.read(-1) == MEGABYTE[::-1]
        writer.close()
        await writer.wait_closed()

    internet.server.run(server, daemon=True)
    internet.client.run(client, start=0.1)
    internet.run()


def test_datagrams(internet: Any, version: int) -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data.upper(), addr)

    class Ask(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            if not self.answer.done():
                self.answer.set_result(data)

    async def server() -> None:
        local = ("0.0.0.0" if version == 4 else "::", 7)
        await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=local)
        await asyncio.Event().wait()

    async def client() -> None:
        loop = asyncio.get_running_loop()
        transport, ask = await loop.create_datagram_endpoint(Ask, remote_addr=(internet.address(version), 7))
        while not ask.answer.done():
            transport.sendto(b"hello")
            await asyncio.wait([ask.answer], timeout=0.3)
        assert ask.answer.result() == b"HELLO"
        transport.close()

    internet.server.run(server, daemon=True)
    internet.client.run(client, start=0.1)
    internet.run()


def test_sock_calls(internet: Any, version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    async def server() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("", 7), family=family)
        listener.setblocking(False)
        connection, _ = await loop.sock_accept(listener)
        connection.setblocking(False)
        while data := await loop.sock_recv(connection, 10_000):
            await loop.sock_sendall(connection, data)
        connection.close()

    async def client() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(family) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (internet.address(version), 7))
            await loop.sock_sendall(sock, MEGABYTE[:50_000])
            buffer = bytearray(50_000)
            view = memoryview(buffer)
            while view:
                view = view[await loop.sock_recv_into(sock, view) :]
            assert buffer == MEGABYTE[:50_000]

    internet.server.run(server)
    internet.client.run(client, start=0.1)
    internet.run()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("server", "10.0.0.1", "fd00::1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def test_tls_and_start_tls(internet: Any, contexts: Any) -> None:
    async def server() -> None:
        async def plain_then_secret(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"go ahead\n")
            await writer.drain()
            await writer.start_tls(contexts[0])
            writer.write((await reader.readexactly(100_000))[::-1])
            await writer.drain()
            writer.close()

        await asyncio.start_server(plain_then_secret, port=25)
        async with await asyncio.start_server(echo, port=443, ssl=contexts[0]) as listener:
            await listener.serve_forever()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("server", 443, ssl=contexts[1])
        writer.write(b"secret\n")
        assert await reader.readline() == b"secret\n"
        writer.close()
        await writer.wait_closed()
        reader, writer = await asyncio.open_connection("server", 25)
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go ahead\n"
        await writer.start_tls(contexts[1], server_hostname="server")
        writer.write(MEGABYTE[:100_000])
        assert await reader.readexactly(100_000) == MEGABYTE[:100_000][::-1]
        writer.close()

    internet.server.run(server, daemon=True)
    internet.client.run(client, start=0.1)
    internet.run()


def test_blocking_tls(internet: Any, contexts: Any, version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def server() -> None:
        with socket.create_server(("", 443), family=family) as listener:
            secure = contexts[0].wrap_socket(listener, server_side=True)
            connection, _ = secure.accept()
            with connection:
                assert isinstance(connection, ssl.SSLSocket) and isinstance(connection, socket.socket)
                file = connection.makefile("rwb")
                data = file.read(100_000)
                file.write(data[::-1])
                file.flush()
                connection.unwrap().close()

    def client() -> None:
        with socket.create_connection((internet.address(version), 443), timeout=30) as plain:
            with contexts[1].wrap_socket(plain, server_hostname=internet.address(version)) as sock:
                assert sock.version() == "TLSv1.3" and sock.getpeercert()["subjectAltName"]
                sock.sendall(MEGABYTE[:100_000])
                received = b""
                while data := sock.recv(16_384):
                    received += data
                assert received == MEGABYTE[:100_000][::-1]
                sock.unwrap().close()
        time.sleep(1)  # until the server listens anew
        with pytest.raises(ssl.SSLError), socket.create_connection((internet.address(version), 443)) as plain:
            contexts[1].wrap_socket(plain, server_hostname="somebody.else")

    def accepting_twice() -> None:
        server()
        with socket.create_server(("", 443), family=family) as listener:
            with pytest.raises(ssl.SSLError):
                contexts[0].wrap_socket(listener.accept()[0], server_side=True)

    internet.server.run(accepting_twice)
    internet.client.run(client, start=0.1)
    internet.run()


def test_threads_and_executors(internet: Any) -> None:
    def work(number: int) -> tuple[int, str]:
        time.sleep(number)
        return number, threading.current_thread().name

    async def client() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        done = await asyncio.gather(*(asyncio.to_thread(work, number) for number in (3, 1, 2)))
        assert [number for number, _ in done] == [3, 1, 2]
        assert loop.time() - began == pytest.approx(3, abs=0.01)
        ready = asyncio.Event()
        threading.Timer(2, loop.call_soon_threadsafe, (ready.set,)).start()
        await ready.wait()
        assert loop.time() - began == pytest.approx(5, abs=0.01)

    internet.client.run(client)
    internet.run()


def test_asynchronous_generators_are_closed_by_the_loop_that_began_them(internet: Any) -> None:
    closed: list[tuple[str, bool]] = []

    def program(name: str) -> None:
        async def numbers(home: asyncio.AbstractEventLoop) -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0.1)
                closed.append((name, asyncio.get_running_loop() is home))

        async def main() -> None:
            loop = asyncio.get_running_loop()
            generator = numbers(loop)
            assert await anext(generator) == 1
            await asyncio.sleep(1)  # the other's turn, with its own loop
            hooks = sys.get_asyncgen_hooks()
            assert [hook.__self__ for hook in hooks] == [loop, loop]  # type: ignore[union-attr]
            del generator
            await asyncio.sleep(1)

        assert sys.get_asyncgen_hooks() == (None, None)
        asyncio.run(main())
        assert sys.get_asyncgen_hooks() == (None, None)

    def outside() -> None:
        assert sys.get_asyncgen_hooks() == (None, None)

    internet.client.run(program, "client")
    internet.server.run(program, "server")
    internet.world.at(0.5, outside)
    internet.world.at(3.0, outside)
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(outside_hook := lambda generator: None, outside_hook)
    try:
        internet.run()
        assert sys.get_asyncgen_hooks() == (outside_hook, outside_hook)
    finally:
        sys.set_asyncgen_hooks(*before)
    assert closed == [("client", True), ("server", True)]


def test_pipes_and_readers(internet: Any) -> None:
    async def client() -> None:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", 0))
        loop.call_later(1, os.write, writing, b"through the pipe\n")
        assert await reader.readline() == b"through the pipe\n"
        os.close(writing)
        assert await reader.read() == b""
        seen: list[bytes] = []
        one, other = socket.socketpair()
        loop.add_reader(one, lambda: seen.append(one.recv(10)))
        other.send(b"x")
        await asyncio.sleep(0.01)
        loop.remove_reader(one)
        assert seen == [b"x"]

    internet.client.run(client)
    internet.run()


def test_signals(internet: Any) -> None:
    seen: list[str] = []

    async def program() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.call_later(1, os.kill, os.getpid(), signal.SIGTERM)
        await stop.wait()
        seen.append(f"stopped at {loop.time():.0f}")

    internet.client.run(program)
    internet.run()
    assert seen == ["stopped at 1001"]


def test_interrupt_cancels_the_main_task(internet: Any) -> None:
    seen: list[str] = []

    async def program() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    internet.client.run(program)
    internet.world.at(5.0, internet.world.interrupt)
    internet.world.run(100, check=False)
    assert seen == ["cancelled"]
    assert [process.status for process in internet.world.processes] == [130]
    assert internet.world.now < 6


def test_two_loops_do_not_see_each_other(internet: Any) -> None:
    seen: dict[str, set[int]] = {"server": set(), "client": set()}

    async def program(name: str) -> None:
        async def generator() -> Any:
            for number in range(20):
                yield number
                await asyncio.sleep(0.1)

        async for _ in generator():
            seen[name].add(id(asyncio.get_running_loop()))
            assert socket.gethostname() == name

    internet.server.run(program, "server")
    internet.client.run(program, "client")
    internet.run()
    assert len(seen["server"] | seen["client"]) == 2


def test_local_servers(internet: Any, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")

    async def program() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        async with await asyncio.start_unix_server(echo, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"local\n")
            assert await reader.read() == b"local\n"
            writer.close()
        with pytest.raises(OSError):
            await asyncio.open_unix_connection(path)

    internet.client.run(program)
    internet.server.run(program)
    internet.run()


def test_sendfile(internet: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(MEGABYTE)

    async def server() -> None:
        done = asyncio.Event()

        async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with open(tmp_path / "file", "rb") as file:
                await asyncio.get_running_loop().sendfile(writer.transport, file)
            writer.close()
            done.set()

        async with await asyncio.start_server(send, port=7):
            await done.wait()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        assert await reader.read() == MEGABYTE
        writer.close()

    internet.server.run(server)
    internet.client.run(client, start=0.1)
    internet.run()


def test_tls_without_blocking(internet: Any, contexts: Any) -> None:
    """`do_handshake` and `recv` of a non-blocking SSLSocket ask to be called again, as OpenSSL's do."""
    import select

    def patiently(sock: ssl.SSLSocket, call: Any, *args: Any) -> Any:
        while True:
            try:
                return call(*args)
            except ssl.SSLWantReadError:
                assert select.select([sock], [], [], 60)[0]
            except ssl.SSLWantWriteError:
                assert select.select([], [sock], [], 60)[1]

    def server() -> None:
        with socket.create_server(("", 443)) as listener:
            with contexts[0].wrap_socket(listener.accept()[0], server_side=True) as connection:
                while data := connection.recv(65_536):
                    connection.sendall(data)

    def client() -> None:
        plain = socket.create_connection(("server", 443))
        plain.setblocking(False)
        sock = contexts[1].wrap_socket(plain, server_hostname="server", do_handshake_on_connect=False)
        patiently(sock, sock.do_handshake)
        with pytest.raises(ssl.SSLWantReadError):
            sock.recv(1)
        view, received = memoryview(MEGABYTE), b""
        while view or len(received) < len(MEGABYTE):
            if view:
                view = view[patiently(sock, sock.send, view[:16_384]) :]
            try:
                received += sock.recv(65_536)
            except ssl.SSLWantReadError:
                if not view:
                    select.select([sock], [], [], 60)
        assert received == MEGABYTE
        sock.close()

    internet.server.run(server)
    internet.client.run(client, start=0.1)
    internet.run()
