"""Hedging (gRFC A6) of calls with one request and of streams of requests: who wins, what commits, what is kept."""

import asyncio

import pytest
from echoservice import SAY, SUM, Echo, calling, failure, number, text, until
from google.protobuf.wrappers_pb2 import Int64Value

from catenet.rpc import ChannelOptions, Code, RpcError
from catenet.rpc.client.service_config import parse_service_config


def hedged(delay="0.02s", codes=("UNAVAILABLE",), attempts=3, **options):
    policy = {"maxAttempts": attempts, "hedgingDelay": delay, "nonFatalStatusCodes": list(codes)}
    config = {"methodConfig": [{"name": [{}], "hedgingPolicy": policy}]}
    return ChannelOptions(service_config=parse_service_config(config), **options)


class Adder(Echo):
    """Sums up; `plan[n]` says what the call of that number does before it reads, and after."""

    def __init__(self, *plan):
        super().__init__()
        self.plan = plan
        self.calls = []
        self.seen = []

    async def sum(self, requests, context):
        which = len(self.calls)
        self.calls.append(context)
        self.seen.append([])
        before, after = self.plan[which] if which < len(self.plan) else (None, None)
        if before is not None:
            await before(context)
        async for request in requests:
            self.seen[which].append(request.value)
        if after is not None:
            await after(context)
        return number(sum(self.seen[which]))


async def hang(context):
    await asyncio.sleep(60)


def fails(code, pushback=None):
    async def work(context):
        if pushback is not None:
            context.set_trailing_metadata([("grpc-retry-pushback-ms", pushback)])
        context.abort(code, "as planned")

    return work


async def slowly(*values):
    for value in values:
        await asyncio.sleep(0.001)
        yield number(value)


def run(work, adder, options):
    async def main():
        async with calling(options, implementation=adder) as (channel, _):
            await work(channel)
            room = channel.connections().replay_room.left
            assert room == channel.options.retry_buffer_total, "nothing is kept for a call that is over"

    asyncio.run(main())


@pytest.mark.parametrize("requests", [lambda: [number(1), number(2), number(4)], lambda: slowly(1, 2, 4)])
@pytest.mark.parametrize("plan", [(hang, None), (None, hang)])
def test_an_attempt_that_hangs_is_overtaken(requests, plan):
    adder = Adder(plan)

    async def work(channel):
        assert (await channel.client_stream(SUM, requests(), timeout=30)).value == 7
        assert adder.seen[1] == [1, 2, 4]
        await until(lambda: adder.calls[0].cancelled)

    run(work, adder, hedged())


def test_failures_that_are_not_fatal_begin_the_next_at_once():
    adder = Adder((fails(Code.UNAVAILABLE), None), (None, fails(Code.UNAVAILABLE)))

    async def work(channel):
        assert (await channel.client_stream(SUM, slowly(1, 2), timeout=30)).value == 3
        assert len(adder.calls) == 3

    run(work, adder, hedged(delay="20s"))


def test_others_end_the_call():
    adder = Adder((fails(Code.NOT_FOUND), None))

    async def work(channel):
        error = await failure(channel.client_stream(SUM, slowly(1, 2), timeout=30))
        assert (error.code, len(adder.calls)) == (Code.NOT_FOUND, 1)

    run(work, adder, hedged(delay="20s"))


def test_the_last_failure_is_the_calls():
    adder = Adder(*[(fails(Code.UNAVAILABLE), None)] * 3)

    async def work(channel):
        error = await failure(channel.client_stream(SUM, slowly(1, 2), timeout=30))
        assert (error.code, len(adder.calls)) == (Code.UNAVAILABLE, 3)

    run(work, adder, hedged(delay="20s"))


def test_without_room_one_attempt_goes_on():
    """Its requests are not kept any more, and the others end."""
    adder = Adder((None, None))
    values = list(range(2000))

    async def work(channel):
        found = await channel.client_stream(SUM, (number(value) for value in values), timeout=30)
        assert found.value == sum(values)
        assert len(adder.calls) == 1 and adder.seen == [values]

    run(work, adder, hedged(delay="5s", retry_buffer=100))


def test_with_two_attempts_that_which_is_furthest_goes_on():
    adder = Adder()
    begun = asyncio.Event()

    async def requests():
        yield number(1)
        await until(lambda: len(adder.seen) == 2 and adder.seen[1] == [1])
        begun.set()
        for value in range(300):
            yield number(value)

    async def work(channel):
        assert (await channel.client_stream(SUM, requests(), timeout=30)).value == 1 + sum(range(300))
        assert sorted(len(seen) for seen in adder.seen)[-1] == 301 and len(adder.seen) == 2

    run(work, adder, hedged(attempts=2, retry_buffer=50))


def test_requests_that_fail_end_all_attempts():
    adder = Adder((hang, None), (hang, None))

    async def requests():
        yield number(1)
        await until(lambda: len(adder.calls) == 2)
        raise KeyError("in the program")

    async def work(channel):
        with pytest.raises(KeyError, match="in the program"):
            await channel.client_stream(SUM, requests(), timeout=30)
        await until(lambda: all(call.cancelled for call in adder.calls))

    run(work, adder, hedged(attempts=2))


def test_a_call_that_is_cancelled_ends_all_attempts():
    adder = Adder((hang, None), (hang, None))

    async def work(channel):
        call = asyncio.ensure_future(channel.client_stream(SUM, slowly(1, 2)))
        await until(lambda: len(adder.calls) == 2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: all(call.cancelled for call in adder.calls))

    run(work, adder, hedged(attempts=2))


def test_a_deadline_ends_all_attempts():
    adder = Adder((hang, None), (hang, None))

    async def work(channel):
        error = await failure(channel.client_stream(SUM, slowly(1, 2), timeout=0.2))
        assert error.code is Code.DEADLINE_EXCEEDED
        await until(lambda: all(call.cancelled for call in adder.calls))

    run(work, adder, hedged(attempts=2))


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_may_say_when_the_next_is_welcome(stream):
    """While none runs, too: that it has failed is not the call's end."""

    class Pushing(Adder):
        async def say(self, request, context):
            self.calls.append(context)
            if len(self.calls) == 1:
                await fails(Code.UNAVAILABLE, "30")(context)
            return request

    adder = Pushing((fails(Code.UNAVAILABLE, "30"), None))

    async def work(channel):
        if stream:
            assert (await channel.client_stream(SUM, slowly(1, 2), timeout=30)).value == 3
        else:
            assert (await channel.unary(SAY, text("a"), timeout=30)).value == "a"
        assert len(adder.calls) == 2

    run(work, adder, hedged(delay="20s"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_larger_than_the_service_config_admits(stream):
    config = {"methodConfig": [{"name": [{}], "maxRequestMessageBytes": 10}]}
    adder = Adder()

    async def work(channel):
        assert (await channel.unary(SAY, text("12345678"))).value == "12345678"
        with pytest.raises(RpcError) as caught:
            if stream:
                await channel.client_stream(SUM, [Int64Value(value=1), Int64Value(value=-1), number(3)])
            else:
                await channel.unary(SAY, text("123456789"))
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        assert caught.value.message == "the request has 11 bytes, the service config admits 10"

    run(work, adder, ChannelOptions(service_config=parse_service_config(config)))
