"""Deadlines, cancellation, retries, hedging."""

import asyncio
import contextvars
import gc

import pytest
from echoservice import (
    COUNT,
    FLAKY,
    SAY,
    SERVICE,
    SLEEP,
    Echo,
    calling,
    failure,
    number,
    serving,
    text,
    until,
)

from catenet.rpc import (
    CallInfo,
    Channel,
    ChannelOptions,
    Code,
    SyncChannel,
)
from catenet.rpc.client.service_config import parse_service_config

H1 = ChannelOptions(protocol="connect", http1=True)


@pytest.mark.parametrize("options", [ChannelOptions(), ChannelOptions(protocol="connect"), H1])
def test_a_deadline_ends_the_call_on_both_sides(options):
    async def main():
        async with calling(options) as (channel, echo):
            error = await failure(channel.unary(SLEEP, text("30"), timeout=0.05))
            assert error.code is Code.DEADLINE_EXCEEDED
            await until(lambda: "cancelled" in echo.heard)
            assert "on_cancel" in echo.heard
            assert (await channel.unary(SAY, text("next"))).value == "next"

    asyncio.run(main())


class Outer:
    """Asks the next server how much time it has been given, from a coroutine, its task or a thread."""

    __service__ = SERVICE

    def __init__(self, url):
        self.url = url
        self.channel = Channel(url)

    async def say(self, request, context):
        given = {"timeout": float(request.value.partition(":")[2])} if ":" in request.value else {}
        work = self.channel.unary(SAY, text("deadline"), **given)
        if request.value == "apart":
            return await asyncio.create_task(work, context=contextvars.Context())
        return await (asyncio.create_task(work) if request.value == "task" else work)

    def flaky(self, request, context):
        with SyncChannel(self.url) as channel:
            return channel.unary(SAY, text("deadline"))


def test_calls_of_a_handler_have_no_more_time_than_the_call_it_serves():
    async def main():
        async with serving() as (_, _, inner_url):
            outer = Outer(inner_url)
            async with serving(implementation=outer) as (_, _, url), Channel(url) as channel:
                for method, asked in ((SAY, "here"), (SAY, "task"), (SAY, "with:60"), (FLAKY, "thread")):
                    left = (await channel.unary(method, text(asked), timeout=30.0)).value
                    assert 20 < float(left) <= 30, asked
                assert float((await channel.unary(SAY, text("with:5"), timeout=30.0)).value) <= 5
                assert (await channel.unary(SAY, text("apart"), timeout=30.0)).value == "none"
                assert (await channel.unary(SAY, text("here"))).value == "none"
                await outer.channel.close()

    asyncio.run(main())


def test_the_server_enforces_the_deadline_of_a_client_that_does_not():
    async def main():
        async with calling() as (channel, echo):
            connections = channel.connections()
            connection = await connections.wait(False, None)
            call = channel.bidi(SLEEP, timeout=0.05)
            await call._open()
            call._attempt.start(None)  # the head says 50 ms, the client's own timer is not set
            await call._attempt.send(text("30").SerializeToString())
            call._attempt.end_requests()
            error = await failure(call.receive())
            assert error.code is Code.DEADLINE_EXCEEDED and "handler" in error.message
            assert connection.alive and "cancelled" in echo.heard

    asyncio.run(main())


@pytest.mark.parametrize("options", [ChannelOptions(), ChannelOptions(protocol="connect"), H1])
def test_cancelling_the_callers_task_cancels_the_handler(options):
    async def main():
        async with calling(options) as (channel, echo):
            task = asyncio.create_task(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: "cancelled" in echo.heard)
            assert (await channel.unary(SAY, text("next"))).value == "next"

    asyncio.run(main())


def test_leaving_a_stream_in_the_middle_stops_the_server():
    async def main():
        async with calling() as (channel, _):
            async for value in channel.server_stream(COUNT, number(-1_000_000)):
                if value.value == 3:
                    break
            gc.collect()
            (connection,) = channel.server._connections
            await until(lambda: not connection.running)

    asyncio.run(main())


def test_a_lost_connection_cancels_handlers_and_fails_calls():
    async def main():
        async with calling() as (channel, echo):
            task = asyncio.create_task(channel.unary(SLEEP, text("30")))
            await echo.started.wait()
            for connection in list(channel.server._connections):
                connection.transport.abort()
            assert (await failure(task)).code is Code.UNAVAILABLE
            await until(lambda: "cancelled" in echo.heard)
            assert (await channel.unary(SAY, text("again"))).value == "again"  # connected anew

    asyncio.run(main())


def test_idempotent_calls_are_repeated_and_say_so():
    async def main():
        async with calling() as (channel, echo):
            info = CallInfo()
            assert (await channel.unary(FLAKY, text("3"), info=info)).value == "'2'"
            assert info.attempts == 3
            echo.failures = -100
            assert (await failure(channel.unary(FLAKY, text("3")))).message.startswith("failure")

    asyncio.run(main())


def test_other_calls_are_made_once():
    async def main():
        async with calling() as (channel, echo):
            assert (await failure(channel.unary(SAY, text("fail:UNAVAILABLE")))).code is Code.UNAVAILABLE
            assert echo.heard == ["say"]

    asyncio.run(main())


RETRY = {
    "methodConfig": [
        {
            "name": [{"service": "test.Echo"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def test_retries_as_the_service_config_says():
    async def main():
        async with calling(ChannelOptions(service_config=parse_service_config(RETRY))) as (channel, echo):
            await failure(channel.unary(SAY, text("fail:UNAVAILABLE")))
            assert len(echo.heard) == 3
            await failure(channel.unary(SAY, text("fail:NOT_FOUND")))
            assert len(echo.heard) == 4
            info = CallInfo()
            assert (await failure(channel.unary(SAY, text("fail:UNAVAILABLE"), timeout=0.001, info=info))).code in (
                Code.UNAVAILABLE,
                Code.DEADLINE_EXCEEDED,
            )

    asyncio.run(main())


def test_hedging_sends_more_attempts_and_takes_the_first_answer():
    config = {
        "methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.02s"}}],
    }
    calls = []

    class SlowAtFirst(Echo):
        async def say(self, request, context):
            calls.append(context)
            await asyncio.sleep(30 if len(calls) == 1 else 0)
            return text(str(len(calls)))

    async def main():
        options = ChannelOptions(service_config=parse_service_config(config))
        async with calling(options, implementation=SlowAtFirst()) as (channel, _):
            assert (await channel.unary(SAY, text("x"), timeout=5.0)).value == "2"
            await until(lambda: calls[0].cancelled)

    asyncio.run(main())


def test_refused_streams_are_repeated_transparently():
    """RFC 9113 section 8.7: REFUSED_STREAM promises that nothing was done, so even SAY may go again, once."""

    async def main():
        async with calling() as (channel, echo):
            await channel.unary(SAY, text("warm up"))
            (connection,) = channel.server._connections
            original, refused = connection.on_head, []

            class Once:
                def __init__(self, inner):
                    self.inner = inner

                def __call__(self, stream, head, end):
                    if not refused:
                        refused.append(stream)
                        from catenet.http.driver import IGNORE

                        stream.owner = IGNORE
                        connection.core.reset(stream, 7)
                    else:
                        self.inner(stream, head, end)

            type(connection).on_head, kept = Once(original), type(connection).on_head
            try:
                info = CallInfo()
                assert (await channel.unary(SAY, text("x"), info=info)).value == "x"
                assert (info.attempts, len(echo.heard), len(refused)) == (2, 2, 1)
            finally:
                type(connection).on_head = kept

    asyncio.run(main())
