"""`context.peer.identity` on every transport and wire, and what becomes of calls whose token is not right."""

import asyncio
import os
import ssl

import pytest
import trustme
from echoservice import BLOB, CHAT, COUNT, SAY, SUM, Certificates, Echo, failure, number, serving, text, until
from issuing import AUDIENCE, ISSUER, ec_key, jwk, jwks, token

import catenet.http
from catenet.rpc import Channel, ChannelOptions, Code, RpcError
from catenet.rpc.identity.keys import FetchedKeys, KeyCache, Keys
from catenet.rpc.identity.tokens import Issuer, Tokens
from catenet.rpc.model.identity import NOBODY
from catenet.rpc.policy.guard import Guard
from catenet.world import World

WIRES = {
    "grpc": ChannelOptions(),
    "grpc-web/1.1": ChannelOptions(protocol="grpc-web", http1=True),
    "connect/1.1": ChannelOptions(protocol="connect", codec="json", http1=True),
    "connect/2": ChannelOptions(protocol="connect"),
}
ES = {"alg": "ES256", "kid": "e"}
ALICE = f"token:{ISSUER}#alice"
LASTING = {"exp": 4e9, "iat": 1e9}


class Who(Echo):
    """Answers with what is known of the caller; `seen` keeps the identities."""

    def __init__(self):
        super().__init__()
        self.seen = []

    async def say(self, request, context):
        self.seen.append(context.peer.identity)
        return text(context.peer.identity.name)

    async def chat(self, requests, context):
        self.seen.append(context.peer.identity)
        async for request in requests:
            yield text(f"{context.peer.identity.name} {request.value}")


def guard(keys=None, **more):
    return Guard(tokens=Tokens([Issuer(ISSUER, AUDIENCE, keys or Keys(jwks(jwk(ec_key(), "e"))), **more)]))


def bearer(key=None, header=ES, **claims):
    return [("authorization", "Bearer " + token(key or ec_key(), header, **{**LASTING, **claims}))]


@pytest.fixture(scope="module")
def certificates():
    return Certificates()


@pytest.mark.parametrize("wire", WIRES)
def test_on_a_unix_socket(run, tmp_path, wire):
    async def main():
        async with serving(f"unix:{tmp_path}/s", Who()) as (_, who, url), Channel(url, options=WIRES[wire]) as channel:
            assert (await channel.unary(SAY, text(""))).value == f"uid:{os.geteuid()}"
            (identity,) = who.seen
            assert identity.kind == "unix"
            assert identity.authenticated
            assert identity.local.pid == os.getpid()
            assert {f"uid:{os.geteuid()}", f"gid:{os.getegid()}", "authenticated"} <= identity.principals
            assert identity.verified[0].startswith("kernel")
            assert identity.local.process.running() in (True, None)

    run(main())


@pytest.mark.parametrize("wire", WIRES)
def test_over_tls(run, certificates, wire):
    async def main():
        tls = certificates.server(mutual=True)
        client = certificates.client()
        uri = "spiffe://example.org/client"
        authority = certificates.authority
        leaf = authority.issue_cert("client@example.org", "client.example.org")
        leaf.configure_cert(client)
        async with serving("tls://127.0.0.1:0", Who(), tls) as (_, who, url):
            async with Channel(url, options=WIRES[wire], tls=client) as channel:
                await channel.unary(SAY, text(""))
        (identity,) = who.seen
        assert identity.kind == "certificate"
        assert {"dns:client.example.org", "email:client@example.org"} < identity.principals
        assert identity.certificate.spiffe is None, uri

    run(main())


def test_a_certificate_that_nobody_verified_says_nothing(certificates):
    """A server that asks for none, and a client that offers one of its own making."""

    async def main():
        client = certificates.client()
        trustme.CA().issue_cert("root@example.org").configure_cert(client)
        async with serving("tls://127.0.0.1:0", Who(), certificates.server()) as (_, who, url):
            async with Channel(url, tls=client) as channel:
                assert (await channel.unary(SAY, text(""))).value == "anonymous"
        assert who.seen == [NOBODY]
        strict = certificates.server(mutual=True)
        strict.verify_mode = ssl.CERT_OPTIONAL
        async with serving("tls://127.0.0.1:0", Who(), strict) as (_, who, url), Channel(url, tls=client) as channel:
            assert (await failure(channel.unary(SAY, text("")))).code is Code.UNAVAILABLE
        assert who.seen == []

    asyncio.run(main())


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "tcp://[::1]:0"])
def test_over_tcp_nothing_is_known(url):
    async def main():
        async with serving(url, Who()) as (_, who, target), Channel(target) as channel:
            assert (await channel.unary(SAY, text(""))).value == "anonymous"
            assert who.seen == [NOBODY]

    asyncio.run(main())


@pytest.mark.parametrize("wire", WIRES)
def test_tokens(run, wire):
    async def main():
        async with serving(implementation=Who(), guard=guard()) as (_, who, url):
            async with Channel(url, options=WIRES[wire]) as channel:
                for _ in range(2):
                    assert (await channel.unary(SAY, text(""), metadata=bearer())).value == ALICE
                assert (await channel.unary(SAY, text(""))).value == "anonymous"
                assert {ALICE, f"iss:{ISSUER}", "scope:read", "authenticated"} == who.seen[0].principals - {
                    "scope:write"
                }
                for wrong in (bearer(aud="x"), bearer(ec_key("evil")), [("authorization", "Basic YTpi")],
                              bearer() * 2, [("authorization", "Bearer")]):  # fmt: skip
                    error = await failure(channel.unary(SAY, text(""), metadata=wrong))
                    assert (error.code, error.message) == (Code.UNAUTHENTICATED, "the token is not accepted")
                    assert len(error.details) == 1
                answers = [one.value async for one in channel.server_stream(COUNT, number(3), metadata=bearer())]
                assert answers == [0, 1, 2]
                total = await channel.client_stream(SUM, map(number, range(4)), metadata=bearer())
                assert total.value == 6
                with pytest.raises(RpcError) as refused:
                    await channel.client_stream(SUM, map(number, range(4)), metadata=bearer(exp=1e9))
                assert refused.value.code is Code.UNAUTHENTICATED

    run(main())


def test_the_kernel_s_word_and_a_token_at_once(tmp_path):
    async def main():
        async with serving(f"unix:{tmp_path}/s", Who(), guard=guard()) as (_, who, url), Channel(url) as channel:
            async with channel.bidi(CHAT, metadata=bearer()) as call:
                await call.send(text("a"))
                assert (await call.receive()).value == f"{ALICE} a"
                await call.done()
            (identity,) = who.seen
            assert identity.kind == "token"
            assert {ALICE, f"uid:{os.geteuid()}"} < identity.principals
            assert len(identity.verified) == 2
            await channel.unary(SAY, text(""))
            assert who.seen[1].name == f"uid:{os.geteuid()}", "the next call on the connection is not the token's"

    asyncio.run(main())


class Issuing:
    """An issuer's HTTP server; `keys` is what it answers, `asked` how often."""

    def __init__(self):
        self.keys, self.asked, self.answers = jwks(jwk(ec_key(), "e")), 0, asyncio.Event()
        self.answers.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        self.asked += 1
        await self.answers.wait()
        await send({"type": "http.response.start", "status": 200 if self.keys else 503, "headers": []})
        await send({"type": "http.response.body", "body": self.keys.encode()})


def fetching(test):
    """Run a test with an issuer, a channel to a service, and the service."""

    async def main():
        issuer = Issuing()
        server = await catenet.http.serve(issuer, "http://127.0.0.1:0")
        keys = FetchedKeys(server.urls[0] + "/keys", cache=KeyCache(min_interval=3600))
        async with serving(implementation=Who(), guard=guard(keys)) as (rpc, who, url), Channel(url) as channel:
            channel.server = rpc
            await test(issuer, channel, who, keys)
        await server.close()

    asyncio.run(main())


def test_keys_are_fetched_once_for_all_that_wait():
    async def test(issuer, channel, who, keys):
        issuer.answers.clear()
        calls = [asyncio.create_task(channel.unary(SAY, text(""), metadata=bearer(jti=n))) for n in range(5)]
        calls.append(asyncio.create_task(channel.client_stream(SUM, map(number, range(1000)), metadata=bearer())))
        await until(lambda: issuer.asked)
        assert who.seen == []
        issuer.answers.set()
        assert [answer.value for answer in await asyncio.gather(*calls)] == [ALICE] * 5 + [499500]
        assert issuer.asked == 1

    fetching(test)


def test_names_of_keys_that_do_not_exist_are_looked_for_once():
    async def test(issuer, channel, who, keys):
        for made_up in range(20):
            wrong = bearer(header={"alg": "ES256", "kid": f"k{made_up}"})
            assert (await failure(channel.unary(SAY, text(""), metadata=wrong))).code is Code.UNAUTHENTICATED
        assert issuer.asked == 1
        assert (await channel.unary(SAY, text(""), metadata=bearer())).value == ALICE

    fetching(test)


def test_a_policy_that_is_read_again_has_the_keys_that_were_fetched_until_they_are_fetched_again():
    """The issuer may be away when it is read: who has a token of it does not suffer for that."""

    async def test(issuer, channel, who, keys):
        assert (await channel.unary(SAY, text(""), metadata=bearer())).value == ALICE
        issuer.keys = ""
        second = guard(FetchedKeys(keys._url))
        channel.server.replace_guard(second)
        assert (await channel.unary(SAY, text(""), metadata=bearer())).value == ALICE
        await until(lambda: issuer.asked == 2)
        assert (await channel.unary(SAY, text(""), metadata=bearer(jti=1))).value == ALICE
        issuer.keys = jwks(jwk(ec_key("new"), "n"))
        third = guard(FetchedKeys(keys._url))
        channel.server.replace_guard(third)
        assert (await channel.unary(SAY, text(""), metadata=bearer(jti=2))).value == ALICE
        await until(lambda: issuer.asked == 3)
        new = bearer(ec_key("new"), {"alg": "ES256", "kid": "n"})
        assert (await channel.unary(SAY, text(""), metadata=new)).value == ALICE
        assert (await failure(channel.unary(SAY, text(""), metadata=bearer(jti=3)))).code is Code.UNAUTHENTICATED

    fetching(test)


def test_a_new_key_is_found_and_an_old_one_forgotten():
    async def test(issuer, channel, who, keys):
        assert (await channel.unary(SAY, text(""), metadata=bearer())).value == ALICE
        issuer.keys = jwks(jwk(ec_key("new"), "n"))
        keys._cache._tried = None  # an hour has passed
        new = bearer(ec_key("new"), {"alg": "ES256", "kid": "n"})
        assert (await channel.unary(SAY, text(""), metadata=new)).value == ALICE
        assert (await failure(channel.unary(SAY, text(""), metadata=bearer()))).code is Code.UNAUTHENTICATED
        assert issuer.asked == 2

    fetching(test)


def test_an_issuer_that_does_not_answer_lets_nobody_in(caplog):
    async def test(issuer, channel, who, keys):
        issuer.keys = ""
        assert (await failure(channel.unary(SAY, text(""), metadata=bearer()))).code is Code.UNAUTHENTICATED
        assert who.seen == []

    fetching(test)
    assert "not fetched: status 503" in caplog.text


def test_callers_that_go_while_keys_are_fetched():
    async def test(issuer, channel, who, keys):
        issuer.answers.clear()
        error = await failure(channel.unary(SAY, text(""), metadata=bearer(), timeout=0.05))
        assert error.code is Code.DEADLINE_EXCEEDED
        call = asyncio.create_task(channel.unary(BLOB, BLOB.request(value=b"x" * 100_000), metadata=bearer()))
        await until(lambda: issuer.asked)
        call.cancel()
        issuer.answers.set()
        assert (await channel.unary(SAY, text(""), metadata=bearer())).value == ALICE
        assert len(who.seen) == 1

    fetching(test)


def test_a_large_request_waits_within_its_window():
    async def test(issuer, channel, who, keys):
        issuer.answers.clear()
        call = asyncio.create_task(channel.unary(BLOB, BLOB.request(value=b"x" * 3_000_000), metadata=bearer()))
        await until(lambda: issuer.asked)
        issuer.answers.set()
        assert len((await call).value) == 3_000_000

    fetching(test)


def test_in_a_world(tmp_path):
    """Who connects is noted when it connects: a program that changes its user afterwards keeps its name."""
    path, seen = f"unix:{tmp_path}/s", []

    async def server():
        async with serving(path, Who()) as (_, who, _url):
            await until(lambda: len(who.seen) == 2)
            seen.extend(who.seen)

    async def call(uid):
        os.setgroups([7, 9])
        os.setresgid(50, 50, 50)
        os.setresuid(uid, uid, uid)
        async with Channel(path) as channel:
            return (await channel.unary(SAY, text(""))).value

    with World(1) as world:
        host = world.host("daemon")
        host.run(lambda: asyncio.run(server()))
        for uid in (1000, 1001):
            host.run(lambda uid=uid: asyncio.run(call(uid)), start=0.1 + uid / 1e4)
        world.run(60)
    assert [identity.name for identity in seen] == ["uid:1000", "uid:1001"]
    assert seen[0].local.groups == (7, 9)
    assert seen[0].local.gid == 50
