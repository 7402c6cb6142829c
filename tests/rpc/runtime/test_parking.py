"""Idle connections of a server are parked, and nobody notices."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from echoservice import CHAT, NAME, SAY, Echo, text, until
from google.protobuf.wrappers_pb2 import StringValue

from catenet.http.h2 import frames
from catenet.net import stream_server
from catenet.net.parking import take_off
from catenet.rpc import CallInfo, Channel, Kind, Method, Server, ServerOptions, ServiceDescriptor
from catenet.rpc.server.connection import ServerConnection

WHO = Method(NAME, "Who", Kind.UNARY, StringValue, StringValue)


class Naming:
    __service__ = ServiceDescriptor(NAME, (WHO,))

    async def who(self, request: Any, context: Any) -> Any:
        return text(f"{context.peer.identity.name}")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after connections more often than once a second."""
    monkeypatch.setattr(stream_server, "CHECK_INTERVAL", 0.01)


Loops = Callable[[], asyncio.AbstractEventLoop]


def run(work: Callable[[], Awaitable[None]], loop: Loops = uvloop.new_event_loop) -> None:
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(30):
            await work()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    assert problems == []


@contextlib.asynccontextmanager
async def served(url: str = "tcp://127.0.0.1:0", service: Any = None, **options: Any) -> Any:
    server = Server([service or Echo()], options=ServerOptions(**{"park_after": 0.0, **options}))
    listener = await server.listen(url)
    try:
        yield server, listener.url
    finally:
        await server.close()


def parked(server: Server) -> int:
    return 0 if server._lot is None else len(server._lot)


def test_a_connection_is_parked_between_calls_and_goes_on() -> None:
    async def work() -> None:
        async with served() as (server, url), Channel(url) as channel:
            for number in range(4):
                info = CallInfo()
                metadata = [("a-number", str(number % 2)), ("a-same", "yes")]
                answer = await channel.unary(SAY, text("meta"), metadata=metadata, info=info)
                assert sorted(ast.literal_eval(answer.value)) == metadata
                assert ("x-first", "1") in info.initial_metadata
                await until(lambda: parked(server) == 1)
                assert server.connections == 1
            counters = server.counters
            assert (counters.connections_opened, counters.connections_closed, counters.succeeded) == (1, 0, 4)
        await until(lambda: server.counters.connections_closed == 1)

    run(work)


def test_the_objects_of_a_parked_connection_are_gone() -> None:
    def count() -> int:  # compiled bases admit no weak references
        return sum(isinstance(one, ServerConnection) for one in gc.get_objects())

    async def work() -> None:
        gc.collect()
        before = count()
        async with served() as (server, url), Channel(url) as channel:
            gc.disable()
            try:
                await channel.unary(SAY, text("x"))
                await until(lambda: parked(server) == 1 and count() == before)
            finally:
                gc.enable()

    run(work)


def test_a_stream_that_is_open_keeps_its_connection() -> None:
    async def work() -> None:
        async with served() as (server, url), Channel(url) as channel, Channel(url) as other:
            async with channel.bidi(CHAT) as call:
                await call.send(text("a"))
                assert (await call.receive()) is not None
                await other.unary(SAY, text("x"))
                await until(lambda: parked(server) == 1)
                await call.send(text("b"))
                assert (await call.receive()) is not None
                await call.done()
            await until(lambda: parked(server) == 2)

    run(work)


def test_a_client_that_leaves_is_noticed() -> None:
    async def work() -> None:
        async with served() as (server, url):
            async with Channel(url) as channel:
                await channel.unary(SAY, text("x"))
                await until(lambda: parked(server) == 1)
            await until(lambda: server.connections == 0)
            assert server.counters.connections_closed == 1

    run(work)


def test_draining_tells_those_that_are_parked() -> None:
    async def work() -> None:
        async with served() as (server, url):
            with greeted(url) as sock:
                await until(lambda: parked(server) == 1)
                draining = asyncio.ensure_future(server.drain(grace=10))
                await drained(sock)
                await draining
            assert (server.connections, server.counters.connections_closed) == (0, 1)

    run(work)


def test_closing_closes_those_that_are_parked() -> None:
    async def once() -> None:
        async with served() as (server, url), Channel(url) as channel:
            await channel.unary(SAY, text("x"))
            await until(lambda: parked(server) == 1)
            await server.close()
            assert (server.connections, server.counters.connections_closed) == (0, 1)

    async def work() -> None:
        await once()  # what is opened for good is open
        before = len(os.listdir("/proc/self/fd"))
        await once()
        await until(lambda: len(os.listdir("/proc/self/fd")) == before)

    run(work)


def greeted(url: str) -> socket.socket:
    """A client that says what a connection begins with, and nothing more."""
    sock = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10)
    sock.sendall(frames.PREFACE + frames.settings({}) + frames.frame(frames.SETTINGS, frames.ACK, 0))
    return sock


async def heard(sock: socket.socket, what: bytes) -> bytes:
    """Read until `what` comes, or the end."""
    sock.setblocking(False)
    loop, seen = asyncio.get_running_loop(), b""
    while what not in seen:
        data = await loop.sock_recv(sock, 65536)
        seen += data
        if not data:
            break
    return seen


async def drained(sock: socket.socket) -> None:
    """Hear that the server takes only what is on its way, answer, hear that it takes nothing more, and the end."""
    seen = await heard(sock, b"catenet\0")
    assert frames.go_away(frames.MAX_STREAM_ID, 0) in seen
    sock.setblocking(True)
    sock.sendall(frames.frame(frames.PING, frames.ACK, 0, b"catenet\0"))
    assert frames.go_away(0, 0) in await heard(sock, b"no such thing")


def test_a_parked_connection_is_pinged_and_given_up_if_nobody_answers() -> None:
    async def work() -> None:
        async with served(keepalive_time=0.2, keepalive_timeout=0.2) as (server, url):
            with greeted(url) as sock:
                await until(lambda: parked(server) == 1)
                assert frames.frame(frames.PING, 0, 0, b"keepaliv") in await heard(sock, b"keepaliv")
                sock.setblocking(True)
                sock.sendall(frames.frame(frames.PING, frames.ACK, 0, b"keepaliv"))
                await until(lambda: parked(server) == 1)
                assert b"keepaliv" in await heard(sock, b"keepaliv")
                await heard(sock, b"no such thing")
            await until(lambda: server.connections == 0)

    run(work)


def test_a_parked_connection_ends_when_it_has_been_idle_for_long_enough() -> None:
    async def work() -> None:
        async with served(max_idle=0.3) as (server, url):
            with greeted(url) as sock:
                await until(lambda: parked(server) == 1)
                await drained(sock)
            await until(lambda: server.connections == 0)

    run(work)


def test_parked_connections_make_room_for_others() -> None:
    async def work() -> None:
        async with served(max_connections=2, handshake_timeout=0.1) as (server, url):
            with greeted(url) as first, greeted(url) as second:
                await until(lambda: parked(server) == 2)
                async with Channel(url) as channel:
                    assert (await channel.unary(SAY, text("x"))).value == "x"
                ends = [asyncio.ensure_future(heard(sock, b"no such thing")) for sock in (first, second)]
                (ended,), (stays,) = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                assert frames.go_away(0, 0) in ended.result()
                stays.cancel()

    run(work)


def test_the_kernel_still_knows_who_is_at_the_other_end(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(f"unix:{tmp_path}/s", Naming()) as (server, url), Channel(url) as channel:
            for _ in range(2):
                assert (await channel.unary(WHO, text(""))).value == f"uid:{os.geteuid()}"
                await until(lambda: parked(server) == 1)

    run(work)


def test_garbage_wakes_a_connection_and_ends_it() -> None:
    async def work() -> None:
        async with served() as (server, url):
            with greeted(url) as sock:
                await until(lambda: parked(server) == 1)
                sock.sendall(b"\0\0\1\0\0\0\0\0\0x")
                seen = await heard(sock, b"no such thing")
                assert b"DATA on idle stream 0" in seen
            await until(lambda: server.connections == 0)
            assert server.counters.protocol_errors == 1

    run(work)


def test_what_cannot_be_taken_off_its_transport_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[asyncio.Transport] = []

    async def work() -> None:
        async with served() as (server, url), Channel(url) as channel:
            with monkeypatch.context() as patch:
                patch.setattr(stream_server, "take_off", tries.append)
                await channel.unary(SAY, text("x"))
                await until(lambda: len(tries) > 2)
                assert parked(server) == 0
                assert (await channel.unary(SAY, text("y"))).value == "y"
            await until(lambda: parked(server) == 1)

    run(work)


def test_without_another_descriptor_a_transport_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> int:
        raise OSError(24, "Too many open files")

    async def work() -> None:
        near, far = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
        with monkeypatch.context() as patch:
            patch.setattr(os, "dup", refuse)
            assert take_off(transport) is None
        transport.write(b"x")
        far.settimeout(10)
        assert far.recv(1) == b"x"
        descriptor = take_off(transport)
        assert descriptor is not None
        with socket.socket(fileno=descriptor) as same:
            await until(lambda: near.fileno() == -1)
            same.send(b"y")
            assert far.recv(1) == b"y"
        assert far.recv(1) == b""
        far.close()

    run(work)


@pytest.mark.parametrize(("loop", "after"), [(asyncio.new_event_loop, 0.0), (uvloop.new_event_loop, None)])
def test_where_nothing_is_parked_all_is_as_ever(loop: Loops, after: float | None) -> None:
    async def work() -> None:
        async with served(park_after=after) as (server, url), Channel(url) as channel:
            assert server._lot is None
            assert (await channel.unary(SAY, text("x"))).value == "x"

    run(work, loop)
