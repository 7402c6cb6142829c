"""Mounted in our own ASGI and WSGI servers: the same calls end as on our RPC server, and so does bad input."""

import asyncio
import os

import httpx
import pytest
import uvloop
from battery import CALLS, LAST, TALKS, TWO_WAYS, outcomes
from echoservice import COUNT, SAY, SLEEP, Certificates, Echo, number, serving, text, until

from catenet.http.server.forwarded import TrustedProxies
from catenet.http.server.server import make_service, serve
from catenet.http.serving import LOCAL_PEER
from catenet.net.local_peer import LocalPeer
from catenet.rpc import AsgiApp, Channel, ChannelOptions, Code, Guard, RpcError, ServerOptions, WsgiApp
from catenet.rpc.mount.peers import peer_of_environ, peer_of_scope
from catenet.rpc.policy.limits import Limit
from catenet.rpc.policy.rules import Policy

WAYS = {
    "grpc": ChannelOptions(),
    "grpc-web": ChannelOptions(protocol="grpc-web"),
    "grpc-web over HTTP/1.1": ChannelOptions(protocol="grpc-web", http1=True),
    "connect": ChannelOptions(protocol="connect"),
    "connect over HTTP/1.1 in JSON": ChannelOptions(protocol="connect", codec="json", http1=True),
}


def tcp(server):
    return server.urls[0].replace("http://", "tcp://")


@pytest.mark.parametrize("way", WAYS)
def test_calls_end_as_on_our_rpc_server(way):
    async def main():
        calls = CALLS | TWO_WAYS | LAST
        async with serving() as (_, _, url), await serve(AsgiApp([Echo()]), "http://127.0.0.1:0") as host:
            found = []
            for each in (url, tcp(host)):
                async with Channel(each, options=WAYS[way]) as channel:
                    found.append(await outcomes(channel, calls))
            assert found[0] == found[1]
            assert found[1]["says"][0] == "hello"
            assert found[1]["late"][0] is Code.DEADLINE_EXCEEDED

    asyncio.run(main())


@pytest.mark.parametrize("way", [*WAYS, "connect by GET"])
def test_a_channel_calls_below_the_path_of_its_url(way):
    async def main():
        async with await serve(AsgiApp([Echo()], prefix="/rpc"), "http://127.0.0.1:0") as host:
            options = WAYS.get(way) or ChannelOptions(protocol="connect", use_get=True)
            async with Channel(f"{host.urls[0]}/rpc", options=options) as channel:
                assert (await outcomes(channel, CALLS))["says"][0] == "hello"
            async with Channel(host.urls[0], options=options) as channel:
                with pytest.raises(RpcError) as error:
                    await channel.unary(SAY, text("hello"))
                assert error.value.code is Code.UNIMPLEMENTED

    asyncio.run(main())


@pytest.mark.parametrize("way", [way for way in WAYS if way != "grpc"])
def test_wsgi_does_what_needs_no_two_directions(way):
    async def main():
        app = WsgiApp([Echo()])
        async with serving() as (_, _, url), await serve(app, "http://127.0.0.1:0") as host:
            found = []
            for each in (url, tcp(host)):
                async with Channel(each, options=WAYS[way]) as channel:
                    found.append(await outcomes(channel, CALLS | LAST))
            assert found[0] == found[1]
            async with Channel(tcp(host), options=WAYS[way]) as channel:
                two_ways = await outcomes(channel, TALKS)
            assert two_ways["talks"][:2] == (
                Code.UNIMPLEMENTED,
                "WSGI has no streams both ways: use ASGI, or catenet.rpc.Server",
            )
        app.close()

    asyncio.run(main())


PATH = f"/{SAY.full_name}"
JSON = {"content-type": "application/json"}
STREAM = {"content-type": "application/connect+json"}
BAD = {
    "an unknown method": ("POST", "/test.Echo/None", JSON, b"{}"),
    "an unknown path": ("GET", "/", {}, b""),
    "no codec": ("POST", PATH, {"content-type": "application/nothing"}, b"{}"),
    "a form": ("POST", PATH, {"content-type": "text/plain"}, b"{}"),
    "no content type": ("POST", PATH, {}, b"{}"),
    "no POST": ("PUT", PATH, JSON, b"{}"),
    "GET of what has effects": ("GET", PATH + "?message=%22a%22&encoding=json", {}, b""),
    "HEAD": ("HEAD", PATH, {}, b""),
    "no JSON": ("POST", PATH, JSON, b"{"),
    "another message": ("POST", PATH, JSON, b"[1]"),
    "no message": ("POST", PATH, JSON, b""),
    "an unknown compression": ("POST", PATH, {**JSON, "content-encoding": "br"}, b"{}"),
    "no gzip": ("POST", PATH, {**JSON, "content-encoding": "gzip"}, b"{}"),
    "no timeout": ("POST", PATH, {**JSON, "connect-timeout-ms": "soon"}, b"{}"),
    "another version": ("POST", PATH, {**JSON, "connect-protocol-version": "2"}, b"{}"),
    "half an envelope": ("POST", f"/{COUNT.full_name}", STREAM, b"\0\0"),
    "an envelope too long": ("POST", f"/{COUNT.full_name}", STREAM, b"\0\xff\xff\xff\xff"),
    "two messages for one": ("POST", f"/{COUNT.full_name}", STREAM, b'\0\0\0\0\3"1"' * 2),
    "an escape in the path": ("POST", "/test.Echo/%53ay", JSON, b'"a"'),
    "gRPC over HTTP/1.1": ("POST", PATH, {"content-type": "application/grpc"}, b"\0\0\0\0\0"),
    "gRPC-Web and no envelope": ("POST", PATH, {"content-type": "application/grpc-web"}, b"\0"),
    "metadata that is no base64": ("POST", PATH, {**JSON, "a-bin": "?"}, b'"a"'),
}


def test_bad_requests_get_the_same_answers():
    async def main():
        wsgi = WsgiApp([Echo()])
        async with (
            serving() as (_, _, url),
            await serve(AsgiApp([Echo()]), "http://127.0.0.1:0") as asgi_host,
            await serve(wsgi, "http://127.0.0.1:0") as wsgi_host,
            httpx.AsyncClient() as client,
        ):
            for name, (method, path, headers, body) in BAD.items():
                answers = []
                for base in (url.replace("tcp", "http"), asgi_host.urls[0], wsgi_host.urls[0]):
                    answer = await client.request(method, base + path, headers=headers, content=body)
                    kept = {key: value for key, value in answer.headers.items() if key not in ("date", "server")}
                    kept.pop("content-length", None)
                    kept.pop("transfer-encoding", None)
                    answers.append((answer.status_code, kept, answer.content))
                assert answers[0] == answers[1] == answers[2], name
        wsgi.close()

    asyncio.run(main())


@pytest.mark.parametrize("way", ["grpc", "connect over HTTP/1.1 in JSON"])
def test_the_handler_hears_of_a_client_that_goes(way):
    async def main():
        echo = Echo()
        app = AsgiApp([echo])
        async with await serve(app, "http://127.0.0.1:0") as host, Channel(tcp(host), options=WAYS[way]) as channel:
            call = asyncio.ensure_future(channel.unary(SLEEP, text("19")))
            await echo.started.wait()
            call.cancel()
            await until(lambda: "cancelled" in echo.heard)
            assert echo.heard == ["on_cancel", "cancelled"]
            stream = channel.server_stream(COUNT, number(-1_000_000))
            assert (await anext(stream)).value == 0
            await stream.aclose()
            await until(lambda: app.counters.cancelled == 2)

    asyncio.run(main())


def test_a_stream_that_nobody_reads_makes_its_handler_wait():
    made = 0

    class Endless(Echo):
        async def count(self, request, context):
            nonlocal made
            while True:
                made += 1
                yield number(1 << 60)

    async def main():
        sent = []

        async def send(event):
            sent.append(event)
            await asyncio.sleep(1000 if event["type"] == "http.response.body" else 0)

        scope = scope_of(path="/test.Echo/Count", headers=[(b"content-type", b"application/connect+proto")])
        task = asyncio.ensure_future(asked(AsgiApp([Endless()]), scope, b"\0\0\0\0\0", send))
        await until(lambda: len(sent) == 2)
        before = -1
        while before != made:
            before = made
            for _ in range(20):
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert made * 15 < 256 << 10

    asyncio.run(main())


def test_a_request_that_nobody_reads_makes_its_client_wait():
    """Pieces that a handler does not take stay below the window, with the piece that exceeded it."""

    class Deaf(Echo):
        async def sum(self, requests, context):
            await asyncio.sleep(1000)

    async def main():
        given = 0
        message = b'\0\0\0\0\3"1"' * 1000

        async def receive():
            nonlocal given
            given += len(message)
            return {"type": "http.request", "body": message, "more_body": True}

        async def send(event):
            raise AssertionError(event)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/test.Echo/Sum",
            "query_string": b"",
            "http_version": "1.1",
            "headers": [(b"content-type", b"application/connect+json")],
            "client": ("192.0.2.1", 1),
        }
        task = asyncio.ensure_future(AsgiApp([Deaf()])(scope, receive, send))
        before = -1
        while given != before:
            before = given
            for _ in range(20):
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert 512 << 10 <= given <= (512 << 10) * 3  # what of it are envelopes is given back

    asyncio.run(main())


def test_who_calls_comes_from_the_tls_extension():
    seen = []

    class Who(Echo):
        async def say(self, request, context):
            seen.append(context.peer)
            return request

    async def main():
        certificates = Certificates()
        server_side = certificates.server(mutual=True)
        async with await serve(AsgiApp([Who()]), "https://127.0.0.1:0", tls=server_side) as host:
            url = host.urls[0].replace("https", "tls")
            async with Channel(url, tls=certificates.client(mutual=True)) as channel:
                await channel.unary(SAY, text("a"))
        (peer,) = seen
        assert peer.address.startswith("127.0.0.1:")
        assert peer.identity.kind == "certificate"
        assert "email:client@example" in peer.identity.principals

    asyncio.run(main())


def scope_of(**changed):
    return {
        "type": "http", "method": "POST", "path": "/test.Echo/Say", "query_string": b"", "http_version": "2",
        "headers": [(b"content-type", b"application/json")], **changed,
    }  # fmt: skip


async def asked(app, scope, body=b'"a"', send=None):
    """What an application sends for a request, or `send` takes it."""
    sent = []
    events = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return events.pop() if events else await asyncio.Event().wait()

    async def keep(event):
        sent.append(event)

    await app(scope, receive, send or keep)
    return sent


@pytest.mark.parametrize(
    "tls",
    [
        {"client_cert_chain": ["nonsense"], "client_cert_error": None},
        {"client_cert_chain": [], "client_cert_error": None},
        {"client_cert_chain": None},
        {},
    ],
)
def test_a_certificate_that_is_none_says_nothing(tls):
    seen = []

    class Who(Echo):
        async def say(self, request, context):
            seen.append(context.peer.identity.kind)
            return request

    sent = asyncio.run(asked(AsgiApp([Who()]), scope_of(extensions={"tls": tls}, client=None)))
    assert sent[0]["status"] == 200
    assert seen == ["anonymous"]


def test_a_certificate_that_the_server_could_not_verify_says_nothing():
    import trustme

    from catenet.rpc.mount.peers import peer_of_scope

    pem = trustme.CA().issue_cert("a@example").cert_chain_pems[0].bytes().decode()
    good = peer_of_scope({"extensions": {"tls": {"client_cert_chain": [pem], "client_cert_error": None}}})
    bad = peer_of_scope({"extensions": {"tls": {"client_cert_chain": [pem], "client_cert_error": "self-signed"}}})
    assert good.identity.kind == "certificate"
    assert bad.identity.kind == "anonymous"


def test_grpc_without_trailers_is_told_what_to_do():
    sent = asyncio.run(asked(AsgiApp([Echo()]), scope_of(headers=[(b"content-type", b"application/grpc")])))
    fields = dict(sent[0]["headers"])
    assert sent[0]["status"] == 200
    assert fields[b"grpc-status"] == b"12"
    assert b"call by gRPC-Web or Connect" in fields[b"grpc-message"]


def test_guards_limits_and_interceptors_are_those_of_our_server():
    async def main():
        guard = Guard(Policy(), limits=[Limit(concurrent=1)])
        options = ServerOptions(max_receive=100)
        async with await serve(AsgiApp([Echo()], guard=guard, options=options), "http://127.0.0.1:0") as host:
            async with Channel(tcp(host)) as channel:
                with pytest.raises(RpcError) as refused:
                    await channel.unary(SAY, text("a"))
                assert refused.value.code is Code.UNAUTHENTICATED

    asyncio.run(main())


def test_heads_that_come_again_are_kept_with_a_limit():
    """Whatever is in them; and ASGI lets header fields be lists, too."""
    app = AsgiApp([Echo()])

    async def main():
        for field in ((b"content-type", b"application/json"), [b"content-type", b"application/json"]):
            for _ in range(3):
                sent = await asked(app, scope_of(headers=[field]))
                assert (sent[0]["status"], sent[1]["body"]) == (200, b'"a"')
        for each in range(600):
            fields = [(b"content-type", b"application/json"), (b"a-number", b"%d" % each)]
            sent = await asked(app, scope_of(headers=fields), b'"meta:"')
            assert sent[1]["body"] == b"\"[('a-number', '%d')]\"" % each
        assert 0 < len(app._known) <= 256

    asyncio.run(main())


def test_a_client_that_waits_to_be_asked_is_not_asked_for_what_is_refused():
    asked_for = []

    async def receive():
        asked_for.append(1)
        await asyncio.sleep(1000)

    async def main():
        sent = []

        async def send(event):
            sent.append(event)

        fields = [(b"content-type", b"application/json"), (b"expect", b"100-continue")]
        await AsgiApp([Echo()])(scope_of(path="/test.Echo/None", headers=fields), receive, send)
        assert (sent[0]["status"], asked_for) == (404, [])
        task = asyncio.ensure_future(AsgiApp([Echo()], guard=Guard(Policy()))(scope_of(headers=fields), receive, send))
        await task
        assert (sent[2]["status"], asked_for) == (401, [])

    asyncio.run(main())


def test_header_fields_may_be_anything_that_is_iterated_over():
    fields = iter([(b"content-type", b"application/json")])
    sent = asyncio.run(asked(AsgiApp([Echo()]), scope_of(headers=fields)))
    assert (sent[0]["status"], sent[1]["body"]) == (200, b'"a"')


@pytest.mark.parametrize("runs", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("make", [AsgiApp, WsgiApp])
@pytest.mark.parametrize("trusted", [None, ["unix"]])
def test_who_calls_on_a_unix_socket(make, trusted, tmp_path, runs):
    """By the kernel's word, on the connection itself: where a proxy's word counts, its user is not the caller."""

    async def main():
        app = make([Echo()])
        service = make_service(app, proxies=None if trusted is None else TrustedProxies(trusted))
        async with await serve(service, f"unix:{tmp_path}/s") as host:
            for _ in range(2):
                async with Channel(host.urls[0], options=WAYS["connect"]) as channel:
                    found = [(await channel.unary(SAY, text("identity"))).value for _ in range(2)]
                    assert found == ["anonymous" if trusted else f"uid:{os.geteuid()}"] * 2
            headers = {"content-type": "application/json", "x-forwarded-for": "192.0.2.1"}
            transport = httpx.AsyncHTTPTransport(uds=f"{tmp_path}/s")
            async with httpx.AsyncClient(transport=transport) as client:
                for command, expected in (
                    ("identity", "anonymous" if trusted else f"uid:{os.geteuid()}"),
                    ("peer", "192.0.2.1:0" if trusted else "unix"),
                ):
                    answer = await client.post(f"http://h{PATH}", json=command, headers=headers)
                    assert answer.json() == expected
        if make is WsgiApp:
            app.close()

    runs(main())


def test_another_client_in_the_scope_is_nobody_the_kernel_knows():
    """A middleware that believes a proxy puts the client into the scope, and knows nothing of our extension."""
    peer = LocalPeer(1, 0, 0)
    extensions = {LOCAL_PEER: {"peer": peer}}
    assert peer_of_scope({"client": None, "extensions": extensions}).identity.name == "uid:0"
    assert peer_of_scope({"client": ("192.0.2.1", 1), "extensions": extensions}).identity.name == "anonymous"
    for wrong in ({"peer": {"uid": 0}}, {"uid": 0}, "uid:0", None):
        assert peer_of_scope({"client": None, "extensions": {LOCAL_PEER: wrong}}).identity.name == "anonymous"
    assert peer_of_environ({"REMOTE_ADDR": "192.0.2.1", LOCAL_PEER: peer}).identity.name == "anonymous"
    assert peer_of_environ({f"HTTP_{LOCAL_PEER}": peer}).identity.name == "anonymous"
