"""Request streams that are sent again in another attempt (gRFC A6): what, how often, up to which size."""

import asyncio
import json
import random

import grpc
import pytest
from echoservice import failure, serving, text, until
from google.protobuf.wrappers_pb2 import StringValue

from catenet.http.driver import IGNORE
from catenet.rpc import (
    CallInfo,
    Channel,
    ChannelOptions,
    Code,
    Idempotency,
    Interceptor,
    Kind,
    Method,
    RpcError,
    ServiceDescriptor,
)
from catenet.rpc.client.replay import Replay, ReplayRoom
from catenet.rpc.client.service_config import parse_service_config

LOAD = Method("test.Flaky", "Load", Kind.CLIENT_STREAM, StringValue, StringValue)
TALK = Method("test.Flaky", "Talk", Kind.BIDI, StringValue, StringValue)
SAFE = Method("test.Flaky", "Safe", Kind.CLIENT_STREAM, StringValue, StringValue, Idempotency.IDEMPOTENT)

CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "test.Flaky"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.01s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
POLICY = ChannelOptions(service_config=parse_service_config(CONFIG))


class Flaky:
    """Fails in its first attempts, each after so many messages (None: after the last). `attempts`: what each has got.

    `answers`: how many responses a failing attempt sends before.
    """

    __service__ = ServiceDescriptor("test.Flaky", (LOAD, TALK, SAFE))

    def __init__(self, *after, code=Code.UNAVAILABLE, answers=0, metadata=()):
        self.after = list(after)
        self.code = code
        self.answers = answers
        self.metadata = metadata
        self.attempts = []
        self.said = []

    async def take(self, requests, context, reply=None):
        got = []
        self.attempts.append(got)
        self.said.append(context.get("grpc-previous-rpc-attempts"))
        most = self.after.pop(0) if self.after else -1
        if most == 0:
            self.fail(context)
        async for request in requests:
            got.append(request.value)
            if reply is not None and (most == -1 or len(got) <= self.answers):
                yield text(request.value.upper())
            if len(got) == most:
                self.fail(context)
        if most is None:
            self.fail(context)

    def fail(self, context):
        context.set_trailing_metadata(self.metadata)
        context.abort(self.code, "not now")

    async def load(self, requests, context):
        async for _ in self.take(requests, context):
            pass
        return text(",".join(self.attempts[-1]))

    safe = load

    async def talk(self, requests, context):
        async for response in self.take(requests, context, text):
            yield response


def calling(flaky, work, options=POLICY, **given):
    """Run `work(channel)` against a service."""

    async def main():
        async with serving(implementation=flaky) as (server, _, url):
            async with Channel(url, options=options, **given) as channel:
                channel.server = server
                await work(channel)
                room = channel.connections().replay_room
                await until(lambda: room.left == channel.options.retry_buffer_total)

    asyncio.run(main())


WORDS = ["one", "two", "three", "four", "five"]


def words(count=5):
    return [text(word) for word in WORDS[:count]]


async def one_by_one(items):
    for item in items:
        await asyncio.sleep(0.002)
        yield item


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("after", [[3], [0, 1], [None], [1, None, 5]])
def test_a_client_stream_is_sent_again(after, slowly):
    flaky, info = Flaky(*after), CallInfo()

    async def work(channel):
        requests = one_by_one(words()) if slowly else words()
        assert (await channel.client_stream(LOAD, requests, info=info)).value == ",".join(WORDS)

    calling(flaky, work)
    assert flaky.attempts == [*(WORDS[:count] for count in after), WORDS]
    assert info.attempts == len(after) + 1
    assert flaky.said == [None, *(str(number) for number in range(1, len(after) + 1))]


def test_methods_that_are_idempotent_need_no_policy():
    flaky = Flaky(2)

    async def work(channel):
        assert (await channel.client_stream(SAFE, words())).value == ",".join(WORDS)

    calling(flaky, work, ChannelOptions())
    assert len(flaky.attempts) == 2


@pytest.mark.parametrize("options", [ChannelOptions(), POLICY])
def test_what_no_policy_permits_is_not_repeated(options):
    flaky = Flaky(2, code=Code.UNAVAILABLE if options is not POLICY else Code.ABORTED)

    async def work(channel):
        assert (await failure(channel.client_stream(LOAD, words()))).code is flaky.code or flaky.attempts

    calling(flaky, work, options)
    assert len(flaky.attempts) == 1


def test_attempts_end():
    flaky = Flaky(*[1] * 9)

    async def work(channel):
        assert (await failure(channel.client_stream(LOAD, words()))).code is Code.UNAVAILABLE

    calling(flaky, work)
    assert len(flaky.attempts) == 4


def test_both_directions():
    """The first attempts fail while the program goes on sending, and before it has read anything."""
    flaky = Flaky(1, 2)

    async def work(channel):
        async with channel.bidi(TALK) as call:
            for word in words(2):
                await call.send(word)
            assert (await call.receive()).value == "ONE"
            await call.send(words(3)[2])
            await call.done()
            assert [response.value async for response in call] == ["TWO", "THREE"]

    calling(flaky, work)
    assert flaky.attempts == [["one"], ["one", "two"], ["one", "two", "three"]]


def test_a_response_commits():
    flaky = Flaky(2, answers=1)

    async def work(channel):
        async with channel.bidi(TALK) as call:
            for word in words(2):
                await call.send(word)
            assert (await call.receive()).value == "ONE"
            with pytest.raises(RpcError) as caught:
                await call.receive()
            assert caught.value.code is Code.UNAVAILABLE

    calling(flaky, work)
    assert len(flaky.attempts) == 1


@pytest.mark.parametrize(
    ("options", "attempts"), [({}, 2), ({"retry_buffer": 3000}, 1), ({"retry_buffer_total": 3000}, 1)]
)
def test_more_than_the_buffer_takes_commits(options, attempts):
    flaky = Flaky(None)
    big = [text("x" * 1000) for _ in range(5)]

    async def work(channel):
        try:
            await channel.client_stream(LOAD, big)
        except RpcError as error:
            assert (error.code, attempts) == (Code.UNAVAILABLE, 1)

    calling(flaky, work, ChannelOptions(service_config=POLICY.service_config, **options))
    assert len(flaky.attempts) == attempts


def test_the_server_may_say_when_or_never():
    async def work(channel):
        error = await failure(channel.client_stream(LOAD, words()))
        assert error.code is Code.UNAVAILABLE

    never = Flaky(1, metadata=[("grpc-retry-pushback-ms", "-1")])
    calling(never, work)
    assert len(never.attempts) == 1

    async def at_once(channel):
        assert await channel.client_stream(LOAD, words(), timeout=5)

    slow = {**CONFIG["methodConfig"][0]["retryPolicy"], "initialBackoff": "100s", "maxBackoff": "100s"}
    config = {"methodConfig": [{**CONFIG["methodConfig"][0], "retryPolicy": slow}]}
    now = Flaky(1, metadata=[("grpc-retry-pushback-ms", "0")])
    calling(now, at_once, ChannelOptions(service_config=parse_service_config(config)))
    assert len(now.attempts) == 2


SLOW = {**CONFIG["methodConfig"][0]["retryPolicy"], "initialBackoff": "60s", "maxBackoff": "60s"}
SLOWLY = ChannelOptions(
    service_config=parse_service_config({"methodConfig": [{**CONFIG["methodConfig"][0], "retryPolicy": SLOW}]})
)


def test_a_deadline_before_the_next_attempt_ends_the_call():
    flaky = Flaky(1)

    async def work(channel):
        assert (await failure(channel.client_stream(LOAD, words(), timeout=5))).code is Code.UNAVAILABLE

    calling(flaky, work, SLOWLY)


def test_a_call_that_is_cancelled_between_two_attempts():
    flaky = Flaky(1)

    async def work(channel):
        async with channel.bidi(TALK) as call:
            await call.send(text("one"))
            await until(lambda: call._recovery is not None)
            reading = asyncio.ensure_future(call.receive())
            sending = asyncio.ensure_future(call.send(text("two")))
            await asyncio.sleep(0)
            call.cancel()
            assert (await failure(reading)).code is Code.CANCELLED
            await sending
            assert call.over

    calling(flaky, work, SLOWLY)
    assert len(flaky.attempts) == 1


def test_requests_that_fail_between_two_attempts_end_the_call():
    flaky = Flaky(1)

    async def requests():
        yield text("one")
        await until(lambda: flaky.attempts == [["one"]])
        await asyncio.sleep(0.02)
        raise KeyError("no more")

    async def work(channel):
        with pytest.raises(KeyError):
            await channel.client_stream(LOAD, requests())

    calling(flaky, work, SLOWLY)
    assert len(flaky.attempts) == 1


def test_a_channel_that_is_closed_between_two_attempts():
    async def main():
        async with serving(implementation=Flaky(1)) as (_, _, url):
            channel = Channel(url, options=POLICY)
            call = channel.bidi(TALK)
            await call.send(text("one"))
            await until(lambda: call._recovery is not None)
            await channel.close()
            assert (await failure(call.receive())).code is Code.CANCELLED

    asyncio.run(main())


def test_responses_are_read_while_requests_are_sent_again():
    """What is sent again does not fit into the windows unless the responses are taken meanwhile."""
    flaky = Flaky(None)
    big = "x" * 20_000

    async def work(channel):
        async with channel.bidi(TALK) as call:
            for _ in range(100):
                await call.send(text(big))
            await call.done()
            assert [len(response.value) async for response in call] == [20_000] * 100

    calling(flaky, work, ChannelOptions(service_config=POLICY.service_config, retry_buffer=4 << 20))
    assert list(map(len, flaky.attempts)) == [100, 100]


def test_what_the_server_has_refused_is_sent_again_without_a_policy(monkeypatch):
    flaky, info = Flaky(), CallInfo()

    async def work(channel):
        await channel.client_stream(LOAD, words())
        (connection,) = channel.server._connections
        refused = []

        def refuse(self, stream, head, end):
            if refused:
                original(self, stream, head, end)
            else:
                refused.append(stream)
                stream.owner = IGNORE
                connection.core.reset(stream, 7)

        original = type(connection).on_head
        monkeypatch.setattr(type(connection), "on_head", refuse)
        assert (await channel.client_stream(LOAD, words(), info=info)).value == ",".join(WORDS)

    calling(flaky, work, ChannelOptions())
    assert info.attempts == 2 and len(flaky.attempts) == 2


def test_interceptors_see_each_request_once():
    seen = []

    class Watching(Interceptor):
        def request(self, call, message):
            seen.append(message.value)
            return message

    async def work(channel):
        await channel.client_stream(LOAD, words())

    calling(Flaky(3, None), work, interceptors=[Watching()])
    assert seen == WORDS


# Beside grpcio: the same program against the same server.

CASES = {
    "early": ([3], {}, LOAD),
    "at once": ([0, 0], {}, LOAD),
    "late": ([None, 2], {}, LOAD),
    "too often": ([1] * 9, {}, LOAD),
    "another status": ([1], {"code": Code.ABORTED}, LOAD),
    "not again": ([1], {"metadata": [("grpc-retry-pushback-ms", "-1")]}, LOAD),
    "both directions": ([2], {}, TALK),
    "after a response": ([2], {"answers": 1}, TALK),
    "too much": ([None], {}, LOAD),
}
BIG = 1000


async def with_ours(url, method, requests, limit):
    options = ChannelOptions(service_config=POLICY.service_config, retry_buffer=limit)
    async with Channel(url, options=options) as channel:
        try:
            if method is LOAD:
                return [(await channel.client_stream(method, requests)).value], "OK"
            responses = []
            async with channel.bidi(method) as call:
                await call.send_all(requests)
                async for response in call:
                    responses.append(response.value)  # noqa: PERF401
            return responses, "OK"
        except RpcError as error:
            return [] if method is LOAD else responses, error.code.name


def with_grpcio(url, method, requests, limit):
    options = [("grpc.service_config", json.dumps(CONFIG)), ("grpc.per_rpc_retry_buffer_size", limit)]
    with grpc.insecure_channel(url.removeprefix("tcp://"), options=options) as channel:
        coders = {"request_serializer": StringValue.SerializeToString, "response_deserializer": StringValue.FromString}
        responses = []
        try:
            if method is LOAD:
                return [channel.stream_unary(method.path, **coders)(iter(requests)).value], "OK"
            for response in channel.stream_stream(method.path, **coders)(iter(requests)):
                responses.append(response.value)  # noqa: PERF401
            return responses, "OK"
        except grpc.RpcError as error:
            return responses, error.code().name


@pytest.mark.parametrize("case", CASES)
def test_the_same_attempts_as_with_grpcio(case):
    after, given, method = CASES[case]
    requests = [text("x" * BIG) for _ in range(8)] if case == "too much" else words()
    limit = 4000 if case == "too much" else 256 << 10

    async def main():
        ours, theirs = Flaky(*after, **given), Flaky(*after, **given)
        async with serving(implementation=ours) as (_, _, url):
            mine = await with_ours(url, method, requests, limit)
        async with serving(implementation=theirs) as (_, _, url):
            assert mine == await asyncio.to_thread(with_grpcio, url, method, requests, limit)
        assert (ours.attempts, ours.said) == (theirs.attempts, theirs.said)

    asyncio.run(main())


# The buffer itself.


def test_random_uses_of_the_buffer():
    """Whatever happens, each attempt sends a beginning of the stream, in order, and the room is given back."""
    for seed in range(300):
        rng = random.Random(seed)
        room = ReplayRoom(rng.choice([50, 10_000]))
        most = room.left
        replay = Replay(rng.choice([10, 100, 1000]), room)
        added, sent, ended = [], [], False
        for _ in range(60):
            action = rng.choice(["add", "add", "next", "next", "rewind", "end", "commit"])
            if action == "add" and not ended:
                added.append(b"%d" % len(added) * rng.randrange(1, 9))
                replay.add(added[-1])
            elif action == "next":
                payload = replay.next()
                if payload is None:
                    assert sent == added
                else:
                    sent.append(payload)
                    assert sent == added[: len(sent)]
            elif action == "end":
                ended = replay.ended = True
                assert replay.next_end() in (False, sent == added)
            elif action == "rewind" and not replay.committed:
                replay.rewind()
                sent = []
            elif action == "commit" and rng.random() < 0.2:
                replay.commit()
            assert 0 <= room.left <= most
            assert (room.left == most) or not replay.committed
        replay.commit()
        assert room.left == most
