"""A name with several addresses: the one that answers is asked, by the client and by the daemon; or all of them."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from catenet.ntp.asking import Route
from catenet.ntp.association import Association, PollRange
from catenet.ntp.client import query
from catenet.ntp.clocks import ReportingClock
from catenet.ntp.daemon import Server, discipline
from catenet.ntp.reference import Stated
from catenet.ntp.server import serve
from catenet.world import World


def half_dead(how):
    """A server that tells the time over IPv4 only; over IPv6 nobody is there, or somebody who is silent."""

    async def work():
        async with await serve("ntp://0.0.0.0:123", Stated(1, b"GPS\0"), rng=random.Random(1)):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
                if how == "silent":
                    silent.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    silent.bind(("::", 123))
                await asyncio.get_running_loop().create_future()

    asyncio.run(work())


def run(how, program):
    """What a program on another host returns."""
    found = []
    with World(1) as world:
        world.link(world.host("server"), latency=0.01)
        world.hosts["server"].run(half_dead, how, daemon=True)
        world.host("client").run(lambda: found.append(asyncio.run(program())), start=0.1)
        world.run(400)
        return found[0], world.now


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_the_address_that_answers_is_asked(how):
    result, _ = run(how, lambda: query(["server"], samples=2))
    answer = result.answers[0]
    assert (answer.verdict, answer.problem) == ("truechimer", "")
    assert "." in answer.resolved
    assert len(answer.association.filter.samples) == 2


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_all_addresses_are_asked(how):
    result, _ = run(how, lambda: query(["server"], every_address=True))
    assert {one.server for one in result.answers} == {"server"}
    assert sorted(one.verdict for one in result.answers) == ["truechimer", "unreachable"]
    dead = next(one for one in result.answers if one.verdict == "unreachable")
    assert dead.problem == ("Connection refused" if how == "refused" else "")


def test_nobody_answers():
    async def ask():
        return await query(["server"], family=socket.AF_INET6), await query(["nobody"])

    (found, unknown), now = run("silent", ask)
    assert found.answers[0].verdict == unknown.answers[0].verdict == "unreachable"
    assert found.selection.offset is None
    assert unknown.answers[0].problem
    assert now < 400


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_the_daemon_goes_on_to_the_next_address(how):
    async def keep():
        association = Association(random.Random(1), polls=PollRange(4, 6), burst=True)
        work = discipline({Server("server"): association}, ReportingClock(lambda line: None))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work, 200)
        return association

    association, _ = run(how, keep)
    assert association.reach == 0xFF
    assert association.server.reference_id == b"GPS\0"


def test_a_route_finds_addresses_anew_after_all_have_failed():
    async def work():
        route = Route("127.0.0.1", 123)
        assert route.address == ""
        for _ in range(3):
            (await route.connect()).close()
            assert route.address == "127.0.0.1"
            route.fail()

    asyncio.run(work())
