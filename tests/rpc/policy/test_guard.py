"""Calls through a guard: who gets in, what the others learn, when it is decided; on every wire and kind."""

import asyncio
import json
import os

import pytest
from echoservice import BLOB, CHAT, COUNT, NAME, SAY, SLEEP, SUM, Echo, failure, number, serving, text, until
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo

from catenet.rpc import Channel, ChannelOptions, Code, Guard, RpcError
from catenet.rpc.policy.audit import Audit
from catenet.rpc.policy.explain import replay
from catenet.rpc.policy.limits import Limit
from catenet.rpc.policy.objects import Owners
from catenet.rpc.policy.rules import Policy, allowed
from catenet.rpc.services.health import Health
from catenet.rpc.services.reflection import reflection_services
from catenet.world import World

WIRES = {
    "grpc": ChannelOptions(),
    "grpc-web/1.1": ChannelOptions(protocol="grpc-web", http1=True),
    "connect/1.1": ChannelOptions(protocol="connect", codec="json", http1=True),
    "connect/2": ChannelOptions(protocol="connect"),
}
ME = f"uid:{os.geteuid()}"


class Owned(Echo):
    """An echo whose texts belong to somebody; what it is asked is kept."""

    def __init__(self):
        super().__init__()
        self.owners = {"mine": ME, "theirs": "uid:4242"}
        self.asked = []

    async def chat(self, requests, context):
        self.heard.append("chat")
        try:
            async for request in requests:
                yield text(request.value.upper())
        except RpcError:
            yield text("went on")

    def owner_of(self, name):
        self.asked.append(name)
        return self.owners.get(name)


class Slow(Owned):
    async def owner_of(self, name):
        await asyncio.sleep(0)
        return super().owner_of(name)


def policy_of(*rules, **fields):
    policy = Policy()
    for method, *who in rules:
        policy.allow(method, *who, **fields)
    return policy


def guarded(test, policy=None, service=None, wire="grpc", path=None, records=None, **more):
    """Run a test with a channel to a service behind a guard; `records` takes what the audit log gets."""

    async def main():
        audit = None if records is None else Audit(lambda line: records.append(json.loads(line)), requests=True)
        guard = Guard(policy, audit=audit, **more)
        implementation = service or Owned()
        async with serving(f"unix:{path}/s" if path else "tcp://127.0.0.1:0", implementation, guard=guard) as (
            server,
            _,
            url,
        ):
            async with Channel(url, options=WIRES[wire]) as channel:
                channel.server = server
                await test(channel, implementation)

    asyncio.run(main())


def info(error):
    return error.detail(ErrorInfo)


@pytest.mark.parametrize("wire", WIRES)
def test_whom_a_rule_names_gets_in_and_others_do_not(wire, tmp_path):
    async def test(channel, echo):
        assert (await channel.unary(SAY, text("a"))).value == "a"
        assert [one.value async for one in channel.server_stream(COUNT, number(2))] == [0, 1]
        error = await failure(channel.unary(BLOB, BLOB.request(value=b"x")))
        assert (error.code, error.message) == (Code.PERMISSION_DENIED, "the caller may not do this")
        assert (info(error).reason, info(error).domain) == ("POLICY_DENIED", "catenet")
        assert len(error.details) == 1
        error = await failure(channel.client_stream(SUM, map(number, range(3))))
        assert error.code is Code.PERMISSION_DENIED

    guarded(test, policy_of((f"{NAME}/Say", ME), (f"{NAME}/Count", ME), ("*", "uid:4242")), wire=wire, path=tmp_path)


@pytest.mark.parametrize("wire", WIRES)
def test_of_whom_nothing_is_known_is_told_so(wire):
    async def test(channel, echo):
        error = await failure(channel.unary(SAY, text("a")))
        assert error.code is Code.UNAUTHENTICATED
        assert info(error).reason == "CREDENTIALS_MISSING"
        assert echo.heard == []

    guarded(test, policy_of(("*", "authenticated")), wire=wire)


def test_a_refused_head_is_answered_before_the_message_comes(tmp_path):
    """Its message is no message at all, and nobody notices."""

    async def test(channel, echo):
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/s")
        writer.write(
            f"POST /{NAME}/Blob HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\n"
            "connect-protocol-version: 1\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 "), "and no 100 Continue before"
        writer.close()
        assert channel.server.assembling == 0

    guarded(test, policy_of((f"{NAME}/Say", ME)), path=tmp_path)


@pytest.mark.parametrize("service", [Owned, Slow])
@pytest.mark.parametrize("wire", WIRES)
def test_objects(wire, service, tmp_path):
    async def test(channel, echo):
        assert (await channel.unary(SAY, text("mine"))).value == "mine"
        told = set()
        for name in ("theirs", "nobody's", ""):
            error = await failure(channel.unary(SAY, text(name)))
            told.add((error.code, error.message, str(error.details)))
        assert len(told) == 1, "whether there is such an object is not told"
        assert echo.asked == ["mine", "theirs", "nobody's", ""]
        assert echo.heard == ["say"]

    guarded(test, policy_of((f"{NAME}/Say", "owner"), object="value"), service(), wire, tmp_path)


def test_an_anonymous_caller_s_message_is_not_even_decoded():
    async def test(channel, echo):
        assert (await failure(channel.unary(SAY, text("mine")))).code is Code.UNAUTHENTICATED
        assert echo.asked == []

    guarded(test, policy_of((f"{NAME}/Say", "owner"), object="value"))


@pytest.mark.parametrize("service", [Owned, Slow])
@pytest.mark.parametrize("wire", ["grpc", "connect/2"])
def test_each_message_of_a_stream(wire, service, tmp_path):
    async def test(channel, echo):
        async with channel.bidi(CHAT) as call:
            for _ in range(3):
                await call.send(text("mine"))
                assert (await call.receive()).value == "MINE"
            await call.send(text("theirs"))
            with pytest.raises(RpcError) as caught:
                await call.receive()
            assert caught.value.code is Code.PERMISSION_DENIED, "though the handler goes on"
        assert echo.asked == ["mine"] * 3 + ["theirs"]

    guarded(test, policy_of((f"{NAME}/Chat", "owner"), object="value"), service(), wire, tmp_path)


def test_nothing_of_a_stream_begins_before_its_first_message_is_allowed(tmp_path):
    async def test(channel, echo):
        async with channel.bidi(CHAT) as call:
            await call.send(text("theirs"))
            assert (await failure(call.receive())).code is Code.PERMISSION_DENIED
        async with channel.bidi(CHAT) as call:
            await call.done()
            assert (await failure(call.receive())).code is Code.PERMISSION_DENIED
        assert echo.heard == []
        async with channel.bidi(CHAT) as call:
            await call.send(text("mine"))
            await call.done()
            assert (await call.receive()).value == "MINE"
            assert await call.receive() is None

    guarded(test, policy_of((f"{NAME}/Chat", "owner"), object="value"), path=tmp_path)


def test_a_thread_s_stream(tmp_path):
    class Plain(Owned):
        def chat(self, requests, context):
            for request in requests:
                yield text(request.value + "!")

    async def test(channel, echo):
        async with channel.bidi(CHAT) as call:
            await call.send(text("mine"))
            assert (await call.receive()).value == "mine!"
            await call.send(text("theirs"))
            assert (await failure(call.receive())).code is Code.PERMISSION_DENIED

    guarded(test, policy_of((f"{NAME}/Chat", "owner"), object="value"), Plain(), path=tmp_path)


def test_interceptors_see_what_was_allowed_not_more(tmp_path):
    """The guard looks at what the handler gets, so no interceptor can change an object behind its back."""
    from catenet.rpc import Interceptor

    class Renaming(Interceptor):
        def request(self, call, message):
            return text("theirs")

    async def main():
        guard = Guard(policy_of((f"{NAME}/Say", "owner"), object="value"))
        echo = Owned()
        async with serving(f"unix:{tmp_path}/s", echo, guard=guard, interceptors=[Renaming()]) as (_, _, url):
            async with Channel(url) as channel:
                assert (await failure(channel.unary(SAY, text("mine")))).code is Code.PERMISSION_DENIED
        assert echo.asked == ["theirs"]

    asyncio.run(main())


def test_functions_and_their_failures(tmp_path, caplog):
    policy = Policy()

    @policy.allow_if(SAY)
    async def short(identity, request):
        await asyncio.sleep(0)
        if request.value == "broken":
            raise KeyError("secret")
        if request.value == "odd":
            raise RpcError(Code.FAILED_PRECONDITION, "not now")
        return len(request.value) < 5

    @policy.deny_if(COUNT)
    def broken(identity):
        raise ValueError("secret")

    policy.allow(COUNT, "anyone")

    async def test(channel, echo):
        assert (await channel.unary(SAY, text("abc"))).value == "abc"
        assert (await failure(channel.unary(SAY, text("abcdef")))).code is Code.PERMISSION_DENIED
        error = await failure(channel.unary(SAY, text("broken")))
        assert (error.code, error.message) == (Code.INTERNAL, "the policy cannot decide")
        assert (await failure(channel.unary(SAY, text("odd")))).message == "not now"
        with pytest.raises(RpcError) as caught:
            _ = [one async for one in channel.server_stream(COUNT, number(2))]
        assert caught.value.code is Code.INTERNAL
        assert "secret" not in str(caught.value) + str(error)

    guarded(test, policy, path=tmp_path)
    assert "secret" in caplog.text


def test_decorated_handlers(tmp_path):
    class Decorated(Owned):
        @allowed("owner", object="value")
        @allowed("uid:4242")
        async def say(self, request, context):
            return await Echo.say(self, request, context)

    async def test(channel, echo):
        assert (await channel.unary(SAY, text("mine"))).value == "mine"
        assert (await failure(channel.unary(SAY, text("theirs")))).code is Code.PERMISSION_DENIED

    guarded(test, Policy(), Decorated(), path=tmp_path)


def test_health_is_exempt_and_reflection_is_not(tmp_path):
    async def main():
        health = Health()
        echo = Echo()
        async with serving(f"unix:{tmp_path}/s", echo, guard=Guard(Policy())) as (server, _, url):
            server.add(health)
            for service in reflection_services(server.services):
                server.add(service)
            async with Channel(url) as channel:
                check = next(method for method in health.__service__.methods if method.name == "Check")
                assert (await channel.unary(check, check.request())).status == 1
                listing = service.__service__.methods[0]
                async with channel.bidi(listing) as call:
                    assert (await failure(call.receive())).code is Code.PERMISSION_DENIED

    asyncio.run(main())


@pytest.mark.parametrize(
    ("field", "service", "hint"),
    [("vlaue", Owned(), "did you mean 'value'"), ("value", Echo(), "has no method owner_of")],
)
def test_rules_that_cannot_be(field, service, hint):
    with pytest.raises(ValueError, match=hint):
        guarded(None, policy_of((f"{NAME}/Say", "owner"), object=field), service)


@pytest.mark.parametrize("wire", WIRES)
def test_a_rate(wire):
    async def test(channel, echo):
        for _ in range(3):
            await channel.unary(SAY, text("a"))
        error = await failure(channel.unary(SAY, text("a")))
        assert (error.code, error.message) == (Code.RESOURCE_EXHAUSTED, "over the caller's limit of 3 calls a second")
        assert info(error).reason == "LIMIT_EXCEEDED"
        assert error.detail(RetryInfo).retry_delay.nanos == 333333333
        assert error.detail(QuotaFailure).violations[0].subject == "caller"

    guarded(test, limits=[Limit(rate=3)], wire=wire, monotonic=lambda: 5.0)


def test_calls_at_once_end_with_their_handlers(tmp_path):
    async def test(channel, echo):
        running = asyncio.create_task(channel.unary(SLEEP, text("20")))
        await echo.started.wait()
        assert (await failure(channel.unary(SAY, text("a")))).code is Code.RESOURCE_EXHAUSTED
        running.cancel()
        await until(lambda: "cancelled" in echo.heard)
        for command in ("a", "raise:", "fail:NOT_FOUND", "later", "meta"):  # one after another, however each ends
            try:
                await channel.unary(SAY, text(command))
            except RpcError as error:
                assert error.code is not Code.RESOURCE_EXHAUSTED
        assert (await failure(channel.unary(SLEEP, text("20"), timeout=0.02))).code is Code.DEADLINE_EXCEEDED
        await until(lambda: echo.heard.count("cancelled") == 2)
        async with channel.bidi(CHAT) as call:
            await call.send(text("x"))
            assert (await call.receive()).value == "X"
            assert (await failure(channel.unary(SAY, text("a")))).code is Code.RESOURCE_EXHAUSTED
            call.cancel()
        while True:
            try:
                await channel.unary(SAY, text("a"))
                return
            except RpcError:  # the cancellation is on its way
                await asyncio.sleep(0.005)

    guarded(test, limits=[Limit(concurrent=1)], path=tmp_path)


def test_bytes_both_ways(tmp_path):
    async def test(channel, echo):
        now[0] = 0.0
        await channel.unary(BLOB, BLOB.request(value=b"x" * 600))
        assert (
            await failure(channel.unary(SAY, text("a")))
        ).message == "over the caller's limit of 1000 bytes a second"
        now[0] = 10.0
        assert (await failure(channel.unary(BLOB, BLOB.request(value=b"x" * 5000)))).code is Code.RESOURCE_EXHAUSTED
        now[0] = 20.0
        with pytest.raises(RpcError) as caught:
            async for _ in channel.server_stream(COUNT, number(100_000)):
                pass
        assert caught.value.code is Code.RESOURCE_EXHAUSTED

    now = [0.0]
    guarded(test, limits=[Limit(bytes=1000)], path=tmp_path, monotonic=lambda: now[0])


def test_the_audit_log(tmp_path):
    records = []

    async def test(channel, echo):
        await channel.unary(SAY, text("mine"))
        await failure(channel.unary(SAY, text("theirs")))
        await failure(channel.unary(BLOB, BLOB.request(value=b"x")))
        assert [one.value async for one in channel.server_stream(COUNT, number(3))] == [0, 1, 2]
        await until(lambda: len(records) == 8)

    policy = policy_of((f"{NAME}/Say", "owner"), object="value")
    policy.allow(COUNT, ME)
    guarded(test, policy, path=tmp_path, records=records, clock=lambda: 1e9)
    decisions = [record for record in records if record["event"] == "decision"]
    assert [(one["method"], one["allowed"], one["stage"], one["rule"]) for one in decisions] == [
        (f"{NAME}/Say", True, "request", "policy, rule 1"),
        (f"{NAME}/Say", False, "request", "policy, no rule"),
        (f"{NAME}/Blob", False, "head", "policy, no rule"),
        (f"{NAME}/Count", True, "head", "policy, rule 2"),
    ]
    assert decisions[0]["objects"] == {"value": [["mine", ME]]}
    assert decisions[1]["objects"] == {"value": [["theirs", "uid:4242"]]}
    assert json.loads(decisions[0]["request"]) == "mine"
    assert decisions[0]["caller"]["local"][1] == os.geteuid()
    assert (decisions[0]["time"], decisions[0]["protocol"], decisions[0]["peer"]) == (1e9, "grpc", "unix")
    ends = {record["call"]: record for record in records if record["event"] == "end"}
    assert [ends[one["call"]]["status"] for one in decisions] == ["OK", "PERMISSION_DENIED", "PERMISSION_DENIED", "OK"]
    assert ends[4]["received"] > 0
    assert ends[4]["sent"] == 4

    lines = [json.dumps(record) for record in records]
    assert [found.changed for found in replay(policy, lines)] == [False] * 4
    newer = policy_of((f"{NAME}/Say", "uid:4242"), (COUNT, ME), (BLOB, ME))
    assert [found.changed for found in replay(newer, lines)] == [True, False, True, False]
    functions = Policy()
    functions.allow_if("*")(lambda identity, request: True)
    assert [found.decision for found in replay(functions, lines)] == [None] * 4


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"event": "decision"}',
        "[" * 5000,
        '{"event":"decision","rule":"a","caller":5,"method":"a","allowed":true}',
    ],
)
def test_what_is_no_audit_log(line):
    with pytest.raises(ValueError, match="line 1"):
        list(replay(Policy(), [line]))


def test_what_cannot_be_recorded_does_not_happen(tmp_path, caplog):
    async def main():
        def full(line):
            raise OSError(28, "No space left on device")

        echo = Echo()
        async with serving(f"unix:{tmp_path}/s", echo, guard=Guard(policy_of(("*", "anyone")), audit=Audit(full))) as (
            _,
            _,
            url,
        ):
            async with Channel(url) as channel:
                error = await failure(channel.unary(SAY, text("a"), wait_for_ready=False))
        assert (error.code, info(error).reason) == (Code.UNAVAILABLE, "AUDIT_FAILED")
        assert echo.heard == []

    asyncio.run(main())
    assert "No space left" in caplog.text


def test_a_file_for_its_owner_alone(tmp_path):
    path = tmp_path / "audit"
    audit = Audit.open(path)
    audit.record("decision", {"object": "a\nb\x1b[31m\u2028"})
    assert path.stat().st_mode & 0o777 == 0o600
    (line,) = path.read_bytes().splitlines()
    assert json.loads(line)["object"] == "a\nb\x1b[31m\u2028"
    assert line.isascii()
    (tmp_path / "link").symlink_to(path)
    for wrong in (tmp_path / "link", tmp_path / "no" / "such"):
        with pytest.raises(OSError):
            Audit.open(wrong)


def test_a_dry_run(tmp_path):
    records = []

    async def test(channel, echo):
        assert (await channel.unary(SAY, text("theirs"))).value == "theirs"
        await channel.unary(BLOB, BLOB.request(value=b"x"))
        async with channel.bidi(CHAT) as call:
            await call.send(text("theirs"))
            assert (await call.receive()).value == "THEIRS"
            await call.done()
            assert await call.receive() is None
        await until(lambda: len(records) == 8)

    policy = policy_of((f"{NAME}/Say", "owner"), (f"{NAME}/Chat", "owner"), object="value")
    guarded(test, policy, path=tmp_path, records=records, enforce=False, limits=[Limit(rate=1)], monotonic=lambda: 1.0)
    decisions = [record for record in records if record["event"] == "decision"]
    assert {(one["allowed"], one["enforced"]) for one in decisions} == {(False, False)}
    assert sum(one["rule"].startswith("limit") for one in decisions) == 2


def test_secrets_are_left_out_of_records():
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    from catenet.rpc.policy.audit import request_record

    file = descriptor_pb2.FileDescriptorProto(name="secret_test.proto", package="secret.test", syntax="proto3")
    inner = file.message_type.add(name="Login")
    inner.field.add(name="user", number=1, type=9, label=1)
    inner.field.add(name="password", number=2, type=9, label=1).options.debug_redact = True
    outer = file.message_type.add(name="Logins")
    outer.field.add(name="one", number=1, type=11, type_name=".secret.test.Login", label=1)
    outer.field.add(name="many", number=2, type=11, type_name=".secret.test.Login", label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    login, logins = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"secret.test.{name}"))
        for name in ("Login", "Logins")
    )
    one = login(user="u", password="hidden")
    request = logins(one=one, many=[one, one])
    assert "hidden" not in request_record(request)
    assert request.one.password == "hidden", "the request itself keeps it"


def test_owners_of_containers(tmp_path):
    class Boxes(Echo):
        def __init__(self):
            super().__init__()
            self.boxes = Owners(most=2)
            self.owner_of = self.boxes.owner_of

        @allowed("authenticated")
        async def flaky(self, request, context):
            self.boxes.add(request.value, context.peer.identity)
            return request

        @allowed("owner", object="value")
        async def say(self, request, context):
            self.boxes.remove(request.value)
            return request

    from echoservice import FLAKY

    async def test(channel, boxes):
        await channel.unary(FLAKY, text("a"))
        assert (await failure(channel.unary(FLAKY, text("a")))).code is Code.ALREADY_EXISTS
        await channel.unary(SAY, text("a"))
        assert (await failure(channel.unary(SAY, text("a")))).code is Code.PERMISSION_DENIED

    guarded(test, Policy(), Boxes(), path=tmp_path)


def test_in_a_world(tmp_path):
    """Two users of one daemon, in virtual time: each may touch what is its own."""
    path, told = f"unix:{tmp_path}/s", {}

    async def server():
        echo = Owned()
        echo.owners = {"a": "uid:1000", "b": "uid:1001"}
        async with serving(path, echo, guard=Guard(policy_of((f"{NAME}/Say", "owner"), object="value"))):
            await asyncio.sleep(30)

    async def call(uid):
        os.setresuid(uid, uid, uid)
        async with Channel(path) as channel:
            for name in "ab":
                try:
                    told[uid, name] = (await channel.unary(SAY, text(name))).value
                except RpcError as error:
                    told[uid, name] = error.code.name

    with World(1) as world:
        host = world.host("daemon")
        host.run(lambda: asyncio.run(server()), daemon=True)
        for uid in (1000, 1001):
            host.run(lambda uid=uid: asyncio.run(call(uid)), start=0.1)
        world.run(60)
    denied = "PERMISSION_DENIED"
    assert told == {(1000, "a"): "a", (1000, "b"): denied, (1001, "a"): denied, (1001, "b"): "b"}
