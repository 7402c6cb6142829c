"""The server on sockets: both IP versions, addresses of answers, what a crowd may cost, clocks of worlds."""

from __future__ import annotations

import asyncio
import random
import socket
import time

import pytest
from tests.net.loops import run  # noqa: F401
from tests.ntp.worlds.plain_ntp import HEAD

from catenet import timex
from catenet.net.arrival import ARRIVAL_CONTROL_SIZE, arrived, tell_arrivals
from catenet.ntp.client import query
from catenet.ntp.clocks import SystemClock
from catenet.ntp.packet import MAX_PACKET, parse
from catenet.ntp.reference import Kernel, Stated
from catenet.ntp.server import ServerOptions, serve
from catenet.world import World
from catenet.world.patches import clocks

GPS = Stated(1, b"GPS\0")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "0.0.0.0", "[::]"])
def test_both_ip_versions(run, host):  # noqa: F811
    async def work():
        async with await serve(f"ntp://{host}:0", GPS) as server:
            port = server.urls[0].rpartition(":")[2]
            asked = {"0.0.0.0": "127.0.0.2", "[::]": "[::1]"}.get(host, host)
            result = await query([f"{asked}:{port}"], patience=30)
            assert result.answers[0].verdict == "truechimer"
            assert result.answers[0].association.server.reference_id == b"GPS\0"
            assert abs(result.selection.offset) <= result.selection.error_bound
            assert server.counters.answered == 1

    run(work())


def test_the_kernel_stamps_what_comes():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert tell_arrivals(sock)
        before = time.time_ns()
        sock.sendto(b"x", sock.getsockname())
        _, control, _, _ = sock.recvmsg(1, ARRIVAL_CONTROL_SIZE)
    assert before - 1000 <= arrived(control) <= time.time_ns()
    assert arrived([]) is None


def test_junk_costs_nothing_and_does_not_keep_others_waiting(run):  # noqa: F811
    async def work():
        loop = asyncio.get_running_loop()
        async with await serve("127.0.0.1:0", GPS) as server:
            port = int(server.urls[0].rpartition(":")[2])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(("127.0.0.1", port))
                rng = random.Random(1)
                for size in (0, 1, 47, 49, 300, MAX_PACKET, MAX_PACKET + 1, 60_000):
                    sock.send(rng.randbytes(size))
                sock.send(b"\x23" + bytes(39) + b"question")
                answer = await loop.sock_recv(sock, 2048)
            assert parse(answer).origin == int.from_bytes(b"question", "big")
            assert server.counters.requests == 9
            await server.drain()
            assert server.urls == []

    run(work())


def test_wrong_urls():
    async def work():
        with pytest.raises(ValueError, match="no scheme 'http'"):
            await serve("http://a", GPS)
        async with await serve("127.0.0.1:0", GPS) as server:
            with pytest.raises(OSError, match="cannot bind to"):
                await serve([server.urls[0]], GPS)

    asyncio.run(work())


# In worlds, each host has a clock of its own.


def ask(name):
    """An SNTP client that knows nothing of us."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        begun = time.time()
        sock.sendto(HEAD.pack(0o43, 0, 6, -20, 0, 0, bytes(4), 0, 0, 0, 77), (name, 123))
        fields = HEAD.unpack(sock.recv(48))
    return begun, time.time(), fields


def test_the_clock_of_its_host_is_told(monkeypatch):
    """A host whose clock is 3 s ahead tells that time; who keeps the clock says how good it is."""
    monkeypatch.setattr(clocks, "_is_root", lambda: True)
    monkeypatch.setattr(timex, "ctypes", None)  # the machine's clock is out of reach
    found = []

    def tell():
        async def work():
            async with await serve("ntp://[::]:123", Kernel(), ServerOptions(), rng=random.Random(1)):
                await asyncio.sleep(100)

        asyncio.run(work())

    with World(1) as world:
        server, client = world.host("server", clock={"offset": "3s"}), world.host("client")
        world.link(server, latency=0.01)
        world.link(client, latency=0.01)
        server.run(tell)
        client.run(lambda: found.append(ask("server")), start=1.0)
        server.run(lambda: SystemClock().note_error(0.001, 0.01), start=10.0)
        client.run(lambda: found.append(ask("server")), start=20.0)
        world.run()
    (begun, ended, before), (_, _, after) = found
    assert before[0] >> 6 == 3 and before[1] == 0
    assert after[0] >> 6 == 0 and after[1] == 10
    assert 0.01 < after[5] / 65536 < 0.02
    middle = before[9] / 2**32 - 2_208_988_800
    assert middle == pytest.approx((begun + ended) / 2 + 3, abs=0.001)
