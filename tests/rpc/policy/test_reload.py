"""A guard that is replaced under a server that serves."""

import asyncio
import os

import pytest
from echoservice import CHAT, SAY, Echo, failure, serving, text

from catenet.rpc import Channel, Code, Guard
from catenet.rpc.policy.limits import Limit
from catenet.rpc.policy.table import parse_policy

ME = f"uid:{os.geteuid()}"
MINE = f'[[policy]]\nmethod = "*"\nallow = "{ME}"\n'
NOBODYS = '[[policy]]\nmethod = "*"\nallow = "uid:4242"\n'
NO_METHOD = '[[policy]]\nmethod = "test.Echo/None"\nallow = "anyone"\n'


def guard(text):
    file = parse_policy(text)
    return Guard(file.policy, limits=file.limits)


def test_calls_that_run_go_on_and_the_next_ones_are_decided_anew(tmp_path):
    async def main():
        async with serving(f"unix:{tmp_path}/s", guard=guard(MINE)) as (server, _, url), Channel(url) as channel:
            async with channel.bidi(CHAT) as call:
                await call.send(text("a"))
                assert (await call.receive()).value == "A"
                await channel.unary(SAY, text("a"))  # its route is kept with its head
                server.replace_guard(guard(NOBODYS))
                assert (await failure(channel.unary(SAY, text("a")))).code is Code.PERMISSION_DENIED
                await call.send(text("b"))
                assert (await call.receive()).value == "B"
                server.replace_guard(None)
                await channel.unary(SAY, text("a"))
                server.replace_guard(guard(MINE))
                await channel.unary(SAY, text("a"))
                await call.done()

    asyncio.run(main())


def test_a_guard_that_cannot_be_leaves_the_one_before(tmp_path):
    async def main():
        first = guard(NOBODYS)
        async with serving(f"unix:{tmp_path}/s", guard=first) as (server, _, url), Channel(url) as channel:
            with pytest.raises(ValueError, match=r"test\.Echo/None"):
                server.replace_guard(guard(NO_METHOD))
            assert server.guard is first
            assert (await failure(channel.unary(SAY, text("a")))).code is Code.PERMISSION_DENIED

    asyncio.run(main())


def test_callers_keep_what_they_have_used_of_limits_that_stay(tmp_path):
    """Otherwise whoever is limited would have all of it again; running calls count, too."""
    calls, streams = Limit(rate=0.001, burst=2), Limit(method="test.Echo/Chat", concurrent=1)

    async def main():
        async with serving(f"unix:{tmp_path}/s", guard=Guard(limits=[calls, streams])) as (server, _, url):
            async with Channel(url) as channel, channel.bidi(CHAT) as call:
                await call.send(text("a"))
                assert (await call.receive()).value == "A"
                same = Guard(limits=[Limit(method="test.Echo/Chat", concurrent=1), Limit(rate=0.001, burst=2)])
                server.replace_guard(same)
                async with channel.bidi(CHAT) as second:
                    await second.send(text("a"))
                    assert "1 calls at once" in (await failure(second.receive())).message
                await call.done()
                assert await call.receive() is None
                await channel.unary(SAY, text("a"))
                assert (await failure(channel.unary(SAY, text("a")))).code is Code.RESOURCE_EXHAUSTED
                server.replace_guard(Guard(limits=[Limit(rate=0.001, burst=3)]))
                await channel.unary(SAY, text("a"))

    asyncio.run(main())


def test_the_gate_of_a_mounted_service_changes_too():
    from catenet.http.server.server import serve
    from catenet.rpc import AsgiApp

    async def main():
        app = AsgiApp([Echo()])
        async with await serve(app, "http://127.0.0.1:0") as host:
            async with Channel(host.urls[0].replace("http", "tcp")) as channel:
                await channel.unary(SAY, text("a"))
                app.replace_guard(guard(NOBODYS))
                assert (await failure(channel.unary(SAY, text("a")))).code is Code.UNAUTHENTICATED

    asyncio.run(main())
