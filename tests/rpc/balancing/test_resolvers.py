"""Resolvers of one's own: what they raise, wrong addresses, how often they are asked."""

import asyncio
import gc
import socket
import sys
from pathlib import Path

import pytest

from catenet.net.dial import Endpoint
from catenet.rpc import Channel, ChannelOptions, Code, Server
from catenet.rpc.client.names import Refresh, Resolved

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
from echoservice import SAY, Echo, failure, text


def options(names, policy, floor=0.0):
    return ChannelOptions(balancing=policy, resolver=names, resolve_floor=floor)


@pytest.mark.parametrize("policy", ["round_robin", "pick_first", "ring_hash"])
@pytest.mark.parametrize("kind", ["port", "negative", "address", "raises"])
def test_what_a_resolver_does_wrong_is_the_text_of_calls_and_ends_no_task(policy, kind):
    bad = {"port": ("127.0.0.1", 70000), "negative": ("127.0.0.1", -1), "address": ["127.0.0.1", "x"], "raises": None}

    async def names(target):
        if bad[kind] is None:
            raise KeyError("no zone")
        return Resolved((Endpoint(socket.AF_INET, bad[kind]),), 60.0)

    async def main():
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        async with Channel("tcp://x:1", options=options(names, policy)) as channel:
            for _ in range(2):
                error = await failure(channel.unary(SAY, text("x"), timeout=20))
                assert error.code is Code.UNAVAILABLE
                known = {"raises": "KeyError: 'no zone'", "address": "is no address"}.get(kind, "port")
                assert known in error.message
        gc.collect()
        assert problems == []

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["round_robin", "pick_first"])
def test_a_bad_address_does_not_keep_calls_from_a_good_one(policy):
    async def main():
        server = Server([Echo()])
        port = int((await server.listen("tcp://127.0.0.1:0")).url.rpartition(":")[2])

        async def names(target):
            return Resolved(tuple(Endpoint(socket.AF_INET, ("127.0.0.1", one)) for one in (70000, port)))

        async with Channel("tcp://x:1", options=options(names, policy)) as channel:
            assert (await channel.unary(SAY, text("x"), timeout=20)).value == "x"
        await server.close()

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["round_robin", "pick_first", "ring_hash"])
def test_the_floor_holds_for_a_resolver_of_ones_own(policy):
    async def main():
        asked = 0

        async def names(target):
            nonlocal asked
            asked += 1
            return Resolved(tuple(Endpoint(socket.AF_INET, ("127.0.0.1", one)) for one in (1, 2, 3)), 60.0)

        async with Channel("tcp://x:1", options=options(names, policy, floor=600.0)) as channel:
            for _ in range(5):
                assert (await failure(channel.unary(SAY, text("x"), timeout=20))).code is Code.UNAVAILABLE
            assert asked == 1

    asyncio.run(main())


@pytest.mark.parametrize("ttl", [float("nan"), float("inf"), -5.0])
def test_a_time_to_live_that_is_none_does_not_count(ttl):
    refresh = Refresh(5.0)
    refresh.succeeded(ttl, 100.0)
    assert refresh.next_deadline() is None
    refresh.request()
    assert refresh.next_deadline() == 105.0
