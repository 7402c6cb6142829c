"""Server and channel with certificates from the Workload API: rotation, loss, attacks of other trust domains."""

import asyncio
import contextlib
import ssl

import pytest
from agent import Agent, Domain, serving
from echoservice import CHAT, SAY, Echo, failure, text, until

from catenet.net.backoff import ConnectionBackoff
from catenet.net.tls_source import load_pair
from catenet.rpc import Channel, Code, RpcError, Server
from catenet.rpc.model.wellknown import WORKLOAD_API
from catenet.rpc.spiffe import NoIdentity, Svid, WorkloadIdentity, find_endpoint
from catenet.rpc.spiffe.material import _certificates

HOME = Domain("home.example")
AWAY = Domain("away.example")


class Who(Echo):
    """Says who calls, and with which certificate."""

    async def say(self, request, context):
        certificate = context.peer.identity.certificate
        return text(f"{certificate.spiffe} {certificate.fingerprint}")


def identity_at(place, **given):
    return WorkloadIdentity(f"unix://{place}", backoff=ConnectionBackoff(initial=0.01, maximum=0.01), **given)


@contextlib.asynccontextmanager
async def given(tmp_path, path="/server", domain=HOME, **terms):
    """An agent for one workload, and what the workload knows of itself."""
    place = tmp_path / f"agent{path.replace('/', '-')}.sock"
    agent = Agent()
    agent.give(domain, path, **terms)
    server = await serving(agent, place)
    async with identity_at(place) as identity:
        yield agent, identity
    await server.close()


@contextlib.asynccontextmanager
async def between(tmp_path, server_terms=None, client_terms=None, callers=None, servers=None):
    """A server and a channel, each with an identity of its own."""
    async with given(tmp_path, "/server", **server_terms or {}) as (far_agent, far):
        async with given(tmp_path, "/client", **client_terms or {}) as (near_agent, near):
            async with Server([Who()]) as server:
                url = (await server.listen("tls://127.0.0.1:0", tls=far.server(callers))).url
                async with Channel(url, tls=near.client(servers)) as channel:
                    yield channel, (far_agent, far), (near_agent, near)


async def said(channel):
    return (await channel.unary(SAY, text(""))).value.split()


def test_both_sides_have_their_ids(tmp_path):
    async def main():
        async with between(tmp_path, client_terms={"through": True}) as (channel, (_, far), (_, near)):
            assert (await said(channel))[0] == "spiffe://home.example/client" == near.svid.spiffe_id
            assert far.svid.expires > 0
            assert "key" not in repr(far.svid)

    asyncio.run(main())


@pytest.mark.parametrize("side", ["callers", "servers"])
def test_who_is_not_named_is_not_let_in(tmp_path, side):
    async def main():
        async with between(tmp_path, **{side: ["spiffe://home.example/other"]}) as (channel, _, _):
            error = await failure(channel.unary(SAY, text("")))
            assert error.code is Code.UNAVAILABLE
            if side == "servers":
                assert "spiffe://home.example/server is not who may be there" in error.message
        other = tmp_path / "right"
        other.mkdir()
        right = {"callers": "spiffe://home.example/client", "servers": "spiffe://home.example/server"}
        async with between(other, **{side: lambda found: found == right[side]}) as (channel, _, _):
            await said(channel)
        for text_of_many in (right[side], right[side] + "s"):
            last = tmp_path / text_of_many.rpartition("/")[2]
            last.mkdir()
            async with between(last, **{side: text_of_many}) as (channel, _, _):
                if text_of_many == right[side]:
                    await said(channel)
                else:
                    assert (await failure(channel.unary(SAY, text("")))).code is Code.UNAVAILABLE

    asyncio.run(main())


def test_rotation_under_live_streams_loses_no_call(tmp_path):
    """SVIDs change twenty times, the authority among them; one stream lives through all, others begin meanwhile."""

    async def main():
        domain = Domain("turning.example")
        terms = {"domain": domain}
        fingerprints = set()
        async with between(tmp_path, terms, terms) as (channel, (far_agent, far), (near_agent, near)):
            async with channel.bidi(CHAT) as chat:
                for turn in range(20):
                    await chat.send(text("a"))
                    if turn % 5 == 4:
                        domain.rotate()
                    before = far.updates, near.updates
                    far_agent.give(domain, "/server")
                    near_agent.give(domain, "/client")
                    calls = [asyncio.ensure_future(channel.unary(SAY, text(""))) for _ in range(5)]
                    await until(lambda before=before: far.updates > before[0] and near.updates > before[1])
                    assert (await chat.receive()).value == "A"
                    await asyncio.gather(*calls)
                    async with Channel(channel.target.url, tls=near.client()) as another:
                        found = (await said(another))[1]
                    assert found not in fingerprints
                    fingerprints.add(found)
                await chat.done()
                assert await chat.receive() is None
        assert len(fingerprints) == 20

    asyncio.run(main())


def test_another_trust_domain_is_trusted_for_its_own_names_alone(tmp_path):
    async def main():
        async with between(
            tmp_path, {"federated": [AWAY]}, {"domain": AWAY, "federated": [HOME]}, lambda _: True, lambda _: True
        ) as (channel, _, (near_agent, near)):
            assert (await said(channel))[0] == "spiffe://away.example/client"
            # The other domain's authority gives out a name of ours.
            forged = AWAY.issue("spiffe://home.example/admin", through=True)
            context = near.client(lambda _: True)()
            thief = Svid("spiffe://home.example/admin", (_certificates(forged[0], "")), forged[1])
            load_pair(context, thief.key_pem(), thief.chain_pem())
            async with Channel(channel.target.url, tls=context) as stolen:
                assert (await failure(stolen.unary(SAY, text("")))).code is Code.UNAVAILABLE
            assert near.updates == 1 and near_agent.asked == 1

    asyncio.run(main())


def test_other_domains_are_strangers_unless_named(tmp_path):
    async def main():
        async with between(tmp_path, {"federated": [AWAY]}, {"domain": AWAY, "federated": [HOME]}) as (channel, _, _):
            error = await failure(channel.unary(SAY, text("")))
            assert "spiffe://home.example/server is of another trust domain" in error.message

    asyncio.run(main())


def test_a_server_of_the_web_is_none_of_ours(tmp_path):
    import trustme

    async def main():
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        async with Server([Echo()]) as server, given(tmp_path) as (_, identity):
            url = (await server.listen("tls://127.0.0.1:0", tls=context)).url
            async with Channel(url, tls=identity.client()) as channel:
                assert "unable to get local issuer certificate" in (await failure(channel.unary(SAY, text("")))).message

    asyncio.run(main())


def test_an_agent_that_goes_and_comes_back(tmp_path):
    async def main():
        place, agent = tmp_path / "agent.sock", Agent()
        agent.give(HOME, "/server")
        server = await serving(agent, place)
        async with identity_at(place) as identity:
            first = identity.svid
            agent.end()
            await until(lambda: agent.asked >= 2 and identity.updates >= 2)
            await server.close()
            assert identity.svid == first
            agent.give(HOME, "/server")
            server = await serving(agent, place)
            await until(lambda: identity.svid != first)
            assert identity.svid != first
        await server.close()

    asyncio.run(main())


def test_an_identity_that_is_taken_back_is_used_no_more(tmp_path):
    async def main():
        async with between(tmp_path) as (channel, (agent, far), (_, near)):
            await said(channel)
            agent.refuse(Code.PERMISSION_DENIED)
            await until(lambda: far._material is None)
            with pytest.raises(NoIdentity, match="no identity"):
                _ = far.svid
            async with Channel(channel.target.url, tls=near.client()) as another:
                assert (await failure(another.unary(SAY, text("")))).code is Code.UNAVAILABLE
                agent.give(HOME, "/server")
                await until(lambda: far._material is not None)
                await another.unary(SAY, text(""), wait_for_ready=True)

    asyncio.run(main())


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED])
def test_what_is_no_use_to_try_again(tmp_path, code):
    async def main():
        agent = Agent()
        agent.refuse(code)
        server = await serving(agent, tmp_path / "agent.sock")
        identity = identity_at(tmp_path / "agent.sock")
        with pytest.raises(RpcError) as error:
            await identity.start()
        assert error.value.code is code
        assert agent.asked == 1
        await identity.close()
        await server.close()

    asyncio.run(main())


def test_the_security_header_is_asked_for(tmp_path):
    """Of the agent of these tests, which is to be as strict as the real one."""

    async def main():
        server = await serving(Agent(), tmp_path / "agent.sock")
        async with Channel(f"unix:{tmp_path}/agent.sock") as channel:
            method = WORKLOAD_API.methods[0]
            with pytest.raises(RpcError) as error:
                await anext(channel.server_stream(method, method.request()))
            assert error.value.code is Code.INVALID_ARGUMENT
        await server.close()

    asyncio.run(main())


def bad_answers():
    """Answers that cannot be used, by what is wrong with them."""
    made = WORKLOAD_API.methods[0].response
    spiffe_id = HOME.id + "/server"
    chain, key = HOME.issue(spiffe_id)

    def answer(**changed):
        fields = {"spiffe_id": spiffe_id, "x509_svid": chain, "x509_svid_key": key, "bundle": HOME.bundle, **changed}
        found = made()
        found.svids.add(**fields)
        return found

    foreign = answer()
    foreign.federated_bundles["spiffe://away.example"] = b"\x30\x03abc"
    nowhere = answer()
    nowhere.federated_bundles["spiffe://away.example/path"] = AWAY.bundle
    return {
        "nothing": made(),
        "no key": answer(x509_svid_key=b""),
        "another key": answer(x509_svid_key=HOME.issue(spiffe_id)[1]),
        "a key that is none": answer(x509_svid_key=b"\x30\x03abc"),
        "no certificate": answer(x509_svid=b""),
        "half a certificate": answer(x509_svid=chain[:-1]),
        "more than certificates": answer(x509_svid=chain + b"\0"),
        "no certificate at all": answer(x509_svid=b"certificate"),
        "another name": answer(spiffe_id=HOME.id + "/other"),
        "no id": answer(spiffe_id=""),
        "an authority": answer(x509_svid=HOME.bundle),
        "no bundle": answer(bundle=b""),
        "a bundle that is none": answer(bundle=b"\x30\x84\xff\xff\xff\xff"),
        "a length without end": answer(bundle=b"\x30\x80\0\0"),
        "too many": answer(bundle=b"\x30\0" * 5000),
        "a foreign bundle that is none": foreign,
        "a bundle of no trust domain": nowhere,
    }


def test_bad_answers_are_dropped_and_what_was_before_stays(tmp_path, caplog):
    async def main():
        async with given(tmp_path) as (agent, identity):
            before = identity.material
            for name, answer in bad_answers().items():
                caplog.clear()
                agent.say(answer)
                await until(lambda: "is dropped, what was before stays" in caplog.text)
                assert identity.material is before, name
            agent.give(HOME, "/server")
            await identity.changed()
            assert identity.material is not before

    asyncio.run(main())


def test_one_of_several_by_its_hint(tmp_path):
    async def main():
        agent = Agent()
        inner, outer = HOME.id + "/inner", HOME.id + "/outer"
        agent.set((HOME, inner, *HOME.issue(inner)), (HOME, outer, *HOME.issue(outer), "outside"))
        server = await serving(agent, tmp_path / "agent.sock")
        async with identity_at(tmp_path / "agent.sock") as first:
            assert first.svid.spiffe_id == inner
        async with identity_at(tmp_path / "agent.sock", hint="outside") as second:
            assert second.svid.spiffe_id == outer
        missing = identity_at(tmp_path / "agent.sock", hint="none")
        starting = asyncio.ensure_future(missing.start())
        await until(lambda: "there is no SVID with the hint 'none'" in missing._why)
        with pytest.raises(TimeoutError, match="there is no SVID with the hint 'none'"):
            await missing.start(0)
        starting.cancel()
        await missing.close()
        await server.close()

    asyncio.run(main())


def test_trust_alone_for_a_client_without_certificate(tmp_path):
    async def main():
        async with given(tmp_path) as (agent, far):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            load_pair(context, far.svid.key_pem(), far.svid.chain_pem())
            async with Server([Echo()]) as server:
                url = (await server.listen("tls://127.0.0.1:0", tls=context)).url
                async with identity_at(tmp_path / "agent-server.sock", trust_only=True) as near:
                    async with Channel(url, tls=near.client([far.svid.spiffe_id])) as channel:
                        assert (await channel.unary(SAY, text("hello"))).value == "hello"
                    agent.give(HOME, "/server", federated=[AWAY])
                    await near.changed()
                    assert sorted(near.material.bundles) == [AWAY.id, HOME.id]

    asyncio.run(main())


def test_where_the_agent_is():
    assert find_endpoint("unix:///run/a%20b.sock") == "unix:/run/a b.sock"
    assert find_endpoint("tcp://127.0.0.1:8000") == "tcp://127.0.0.1:8000"
    assert find_endpoint("tcp://[::1]:8000") == "tcp://[::1]:8000"
    assert find_endpoint(None, {"SPIFFE_ENDPOINT_SOCKET": "unix:///run/x"}) == "unix:/run/x"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not set"),
        ("/run/x", "unix:///path or tcp://address:port"),
        ("unix://run/x", "unix:///an/absolute/path"),
        ("unix:x", "unix:///an/absolute/path"),
        ("unix:///x?y", "nothing else"),
        ("tcp://localhost:1", "with a number as address"),
        ("tcp://127.0.0.1", "tcp://ADDRESS:PORT"),
        ("tcp://127.0.0.1:99999", "Port out of range"),
        ("tcp://127.0.0.1:1/x", "tcp://ADDRESS:PORT"),
        ("tcp://u@127.0.0.1:1", "nothing else"),
        ("http://127.0.0.1:1", "unix:///path or tcp://address:port"),
    ],
)
def test_where_no_agent_can_be(text, why):
    with pytest.raises(ValueError, match=why):
        find_endpoint(text, {})


def odd(certificate):
    """The same certificate of X.509 version 23, which `cryptography` refuses with no ValueError."""
    at = certificate.index(b"\xa0\x03\x02\x01\x02")
    return certificate[: at + 4] + b"\x17" + certificate[at + 5 :]


@pytest.mark.parametrize("first", [True, False])
def test_an_odd_certificate_costs_its_answer_and_no_more(tmp_path, first, caplog):
    async def main():
        place = tmp_path / "agent.sock"
        agent = Agent()
        spiffe_id = f"{HOME.id}/server"
        chain, key = HOME.issue(spiffe_id)
        agent.set((HOME, spiffe_id, chain if first else odd(chain), key))
        server = await serving(agent, place)
        identity = identity_at(place)
        starting = asyncio.ensure_future(identity.start(60))
        if first:
            await starting
            agent.set((HOME, spiffe_id, odd(chain), key))
        await until(lambda: "cannot be used" in caplog.text)
        agent.set((HOME, spiffe_id, chain, key))
        await starting
        await until(lambda: identity.updates == 1 + first)
        assert agent.asked == 1, "the stream has gone on"
        await identity.close()
        await server.close()

    asyncio.run(main())


def test_whoever_is_told_may_raise(tmp_path, caplog):
    async def main():
        place = tmp_path / "agent.sock"
        agent = Agent()
        agent.give(HOME, "/server")
        server = await serving(agent, place)

        def told(_):
            raise LookupError("of the application")

        identity = identity_at(place, updated=told)
        await identity.start(60)
        await until(lambda: identity.updates > 2)
        await identity.close()
        await server.close()

    asyncio.run(main())
    assert caplog.text.count("an answer has raised what nobody expected") == 1


def test_who_closes_frees_those_who_wait(tmp_path):
    async def main():
        identity = identity_at(tmp_path / "nobody.sock")
        starting = asyncio.ensure_future(identity.start())
        await asyncio.sleep(0)
        await identity.close()
        with pytest.raises(NoIdentity, match="nobody listens"):
            await starting

    asyncio.run(main())
