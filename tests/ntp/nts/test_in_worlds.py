"""NTS in worlds: keys over a lossy link, a clock that is kept by protected servers, a server that loses its keys."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.ntp.nts.conversation import Files

from catenet import timex
from catenet.cli import main
from catenet.ntp.association import PollRange
from catenet.ntp.client import query
from catenet.ntp.clocks import ReportingClock
from catenet.ntp.daemon import Keeper
from catenet.ntp.nts.server import serve_securely
from catenet.ntp.reference import Stated
from catenet.ntp.server import ServerOptions
from catenet.ntp.upstream import follow
from catenet.world import World


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("nts"), "server", "a", "b", "c")


@pytest.fixture(autouse=True)
def no_real_clock(monkeypatch):
    monkeypatch.setattr(timex, "ctypes", None)


def serve(files, lasts=1e9):
    """Tell the time for so long."""

    async def work():
        server = serve_securely(
            ["ntp://[::]:123", "ntp://0.0.0.0:123"], ["nts://[::]:4460", "nts://0.0.0.0:4460"], Stated(1, b"GPS\0"),
            ServerOptions(), cert=files.cert, rng=random.Random(lasts),
        )  # fmt: skip
        async with await server:
            await asyncio.sleep(lasts)

    asyncio.run(work())


def test_keys_and_time_over_a_lossy_link(files):
    found = []
    with World(2) as world:
        server, client = world.host("server"), world.host("client", clock={"offset": "-9s"})
        world.link(server, latency="20ms", loss="5%")
        server.run(serve, files, daemon=True)
        client.run(lambda: found.append(asyncio.run(query(["nts://server"], samples=4, ca=files.ca))), start=0.1)
        world.run(100)
    answer = found[0].answers[0]
    assert (answer.verdict, answer.secure) == ("truechimer", True)
    assert found[0].selection.offset == pytest.approx(9, abs=0.001)


def test_a_clock_is_kept_by_protected_servers_and_keys_are_got_again(files):
    """One of three starts again after some minutes, with other keys: it is followed all the same."""
    associations = {}

    def keep():
        servers = follow(["a", "b", "c"], polls=PollRange(4, 4), secure=True, ca=files.ca)
        associations.update({server.host: one for server, one in servers.items()})
        asyncio.run(Keeper(servers, clock).run(random.Random(1)))

    clock = ReportingClock(lambda line: None)
    with World(3) as world:
        for name in ("a", "b", "c"):
            world.link(world.host(name), latency="10ms", loss="2%")
            world.hosts[name].run(serve, files, 150.0 if name == "a" else 1e9, daemon=True)
        world.hosts["a"].run(serve, files, start=151.0, daemon=True)
        host = world.host("host", clock={"offset": "3s", "drift": "20ppm"})
        host.run(keep, daemon=True)
        world.run(400)
        assert host.wall.time() - world.epoch - world.now == pytest.approx(3, abs=0.03), "only shown"
    assert all(one.reach & 0x7F for one in associations.values())
    assert sum(one.rejected.total() for one in associations.values()) <= 3, "NTSN, and nothing else"
    assert associations["a"].rejected


def test_the_command_line_follows_by_nts(files):
    said = []
    with World(4, output=lambda host, stream, line: said.append(line)) as world:
        for name in ("a", "b", "c"):
            world.link(world.host(name), latency="10ms")
            words = ["serve", "ntp", "-q", "--stratum", "1", "--nts", "--cert", files.cert, "--listen", "ntp://:123"]
            world.hosts[name].run(main, words, daemon=True)
        words = ["ntp", "--watch", "--nts", "--ca", files.ca, "a", "b", "c"]
        world.host("host", clock={"offset": "1s"}).run(main, words, start=0.1, daemon=True)
        world.run(60)
    assert "offset -1.0" in said[0] and "would step" in said[0], said
