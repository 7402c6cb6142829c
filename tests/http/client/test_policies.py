"""Policies at work: redirects, cookies, credentials, repetitions, the cache, HSTS, hooks; beside httpx and requests."""

import asyncio
import hashlib
import os
import re

import httpx
import pytest
import requests
import requests.auth
from scripted import Scripted, in_background, read_head, reply, replying

from catenet.http.client.client import Client
from catenet.http.client.errors import ConnectionLost, RedirectFailed, RequestError
from catenet.http.policy.auth import Bearer, Digest
from catenet.http.policy.cache.store import MemoryStore, SqliteStore
from catenet.http.policy.cookies import CookieJar
from catenet.http.policy.retry import RetryPolicy


def played(work, *responses, **options):
    """Run `work(client, url)` against a server that answers so; return what came, and what `work` returned."""
    seen = []

    async def main():
        async with Scripted(replying(*responses, seen=seen)) as server, Client(**options) as client:
            return await work(client, server.url)

    return seen, asyncio.run(main())


def routed(routes):
    """Answers by path."""

    def respond(first, fields, body):
        response = routes[first.split()[1]]
        return response(first, fields, body) if callable(response) else response

    return respond


# Redirects, beside others.

REDIRECTS = {f"/{status}": reply(b"", f"{status} X", location="/end") for status in (301, 302, 303, 307, 308)}
REDIRECTS["/end"] = lambda first, fields, body: reply(f"{first.split()[0]} {body.decode()}".encode())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_redirects_change_methods_as_others_do(status, method):
    content = b"body" if method in ("POST", "PUT") else None
    with in_background(replying(routed(REDIRECTS))) as server:
        url = f"{server.url}/{status}"
        theirs = [
            httpx.request(method, url, content=content, follow_redirects=True, trust_env=False).text,
            requests.request(method, url, data=content).text,
        ]

        async def ours():
            async with Client() as client:
                response = await client.request(method, url, content=content)
                return response.text, [one.status for one in response.history], response.url.path

        text, history, path = asyncio.run(ours())
    if method == "PUT" and status in (301, 302):  # httpx and requests repeat a PUT as a GET after 302 only
        assert text == "PUT body"
    else:
        assert {text} == set(theirs)
    assert history == [status] and path == "/end"


def test_credentials_stay_with_their_server():
    async def main():
        far_seen, near_seen = [], []
        async with Scripted(replying(reply(b"far"), seen=far_seen)) as far:
            away = reply(b"", "302 Found", location=far.url.replace("localhost", "127.0.0.1") + "/x")
            async with Scripted(replying(away, seen=near_seen)) as near:
                async with Client(auth=("u", "p"), headers={"X": "kept"}) as client:
                    await client.get(near.url, headers={"Cookie": "a=b"})
        return near_seen[0][1], far_seen[0][1]

    near, far = asyncio.run(main())
    assert near["authorization"].startswith("Basic ") and near["cookie"] == "a=b"
    assert "authorization" not in far and "cookie" not in far and far["x"] == "kept"


def test_redirects_that_do_not_end():
    with pytest.raises(RedirectFailed, match=r"more than 20 redirects|circle"):
        played(lambda client, url: client.get(url), reply(b"", "302 Found", location="/again"))
    with pytest.raises(RedirectFailed, match="more than 2 redirects"):
        played(lambda client, url: client.get(url), reply(b"", "302 Found", location="/again"), max_redirects=2)


def test_redirects_to_what_is_no_web():
    with pytest.raises(RedirectFailed, match="no scheme 'file' here"):
        played(lambda client, url: client.get(url), reply(b"", "302 Found", location="file:///etc/passwd"))


def test_redirects_are_returned_when_they_are_not_followed():
    seen, response = played(
        lambda client, url: client.get(url, follow_redirects=False), reply(b"there", "302 Found", location="/b")
    )
    assert len(seen) == 1 and response.is_redirect and response.content == b"there"


def test_a_redirect_that_needs_a_body_that_is_gone():
    with pytest.raises(RedirectFailed, match="needs the body again"):
        played(lambda client, url: client.post(url, content=iter([b"x"])), reply(b"", "307 Temporary", location="/b"))


# Cookies.


def test_cookies_come_back():
    async def work(client, url):
        await client.get(url + "/a")
        await client.get(url + "/b", cookies={"own": "1"})
        await client.get(url + "/b")
        return [(cookie.name, cookie.value) for cookie in client.cookies]

    first = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: s=1; Path=/; HttpOnly\r\nSet-Cookie: t=2; Path=/z\r\n\r\n"
    )
    seen, jar = played(work, first, reply(b"ok"))
    assert [fields.get("cookie") for _, fields, _ in seen] == [None, "own=1; s=1", "s=1"]
    assert jar == [("s", "1"), ("t", "2")]


def test_a_cookie_of_a_redirect_is_there_at_its_end():
    seen, _ = played(
        lambda client, url: client.get(url),
        reply(b"", "302 Found", location="/in", set_cookie="session=7"),
        reply(b"ok"),
        cookies=CookieJar(),
    )
    assert seen[1][1]["cookie"] == "session=7"


# Credentials.


def digest_server(algorithm, qop="auth"):
    """Checks a digest by itself (RFC 7616); the password is `secret`."""
    name = {"MD5": "md5", "SHA-256": "sha256"}[algorithm]

    def hashed(text):
        return hashlib.new(name, text.encode()).hexdigest()

    def respond(first, fields, body):
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', fields.get("authorization", "")))
        method, target, _ = first.split()
        if given:
            a1, a2 = hashed("user:here:secret"), hashed(f"{method}:{target}")
            middle = ":".join((given["nonce"], given["nc"], given["cnonce"], given["qop"]))
            if given["response"] == hashed(f"{a1}:{middle}:{a2}") and given["uri"] == target:
                return reply(f"{given['nc']} welcome".encode())
        challenge = f'Digest realm="here", nonce="n1", qop="{qop}", algorithm={algorithm}'
        return reply(b"who?", "401 Unauthorized", www_authenticate=challenge)

    return respond


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_digest_as_httpx_and_requests_do_it(algorithm):
    async def ours(url):
        async with Client(auth=Digest("user", "secret", os.urandom)) as client:
            return [(await client.get(url + "/a?b=c")).text for _ in range(2)]

    with in_background(replying(digest_server(algorithm))) as server:
        url = server.url + "/a?b=c"
        assert httpx.get(url, auth=httpx.DigestAuth("user", "secret"), trust_env=False).text == "00000001 welcome"
        assert requests.get(url, auth=requests.auth.HTTPDigestAuth("user", "secret")).text == "00000001 welcome"
        assert asyncio.run(ours(server.url)) == ["00000001 welcome", "00000002 welcome"], "the nonce serves again"


def test_a_wrong_password_ends_after_one_answer():
    seen, response = played(
        lambda client, url: client.get(url, auth=Digest("user", "wrong", os.urandom)), digest_server("SHA-256")
    )
    assert response.status == 401 and len(seen) == 2


def test_basic_and_bearer(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login n password r\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async def work(client, url):
        await client.get(url, auth=("u", "p"))
        await client.get(url.replace("//", "//v:w@"))
        await client.get(url, auth=Bearer("token"))
        await client.get(url)
        await client.get(url, auth=None)

    seen, _ = played(work, reply())
    pairs = [fields.get("authorization") for _, fields, _ in seen]
    assert pairs == ["Basic dTpw", "Basic djp3", "Bearer token", "Basic bjpy", None]
    assert all("@" not in fields["host"] for _, fields, _ in seen)


# Repetitions.


def test_retries_by_status():
    async def work(client, url):
        return await client.get(url)

    busy = reply(b"", "503 Service Unavailable", retry_after="0")
    seen, response = played(work, busy, busy, reply(b"ok"), retry=3)
    assert len(seen) == 3 and response.content == b"ok"
    seen, response = played(lambda client, url: client.post(url), busy, reply(b"ok"), retry=3)
    assert len(seen) == 1 and response.status == 503, "a POST may have had its effect"
    seen, response = played(work, reply(b"", "503 X", retry_after="3600"), retry=3)
    assert len(seen) == 1 and response.status == 503, "an hour is no"


def test_retries_after_a_break():
    count = []

    async def handle(reader, writer):
        count.append(1)
        await read_head(reader)
        if len(count) > 2:
            writer.write(reply(b"ok"))

    async def main(**options):
        count.clear()
        async with Scripted(handle) as server, Client(**options) as client:
            return (await client.get(server.url)).content

    quick = RetryPolicy(attempts=3, first=0.001)
    assert asyncio.run(main(retry=quick)) == b"ok" and len(count) == 3
    with pytest.raises(ConnectionLost):
        asyncio.run(main())
    assert len(count) == 1


def test_a_budget_bounds_retries():
    async def work(client, url):
        return [(await client.get(url)).status for _ in range(30)]

    seen, statuses = played(work, reply(b"", "503 X", retry_after="0"), retry=3)
    assert statuses == [503] * 30 and 30 < len(seen) < 50, "an outage is not multiplied"


# The cache.


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_cache(kind, tmp_path):
    store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "cache.db")

    async def work(client, url):
        first = await client.get(url + "/a")
        second = await client.get(url + "/a")
        third = await client.get(url + "/a", headers={"Cache-Control": "no-cache"})
        async with client.stream("GET", url + "/a") as streamed:
            body = await streamed.read()
        await client.post(url + "/a")
        await client.get(url + "/a")
        only = await client.get(url + "/none", headers={"Cache-Control": "only-if-cached"})
        return [first.from_cache, second.from_cache, third.from_cache, body, only.status, second.content]

    def respond(first, fields, body):
        if fields.get("if-none-match") == '"v1"':
            return b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nCache-Control: max-age=60\r\n\r\n'
        return reply(b"cached", cache_control="max-age=60", etag='"v1"')

    seen, results = played(work, respond, cache=store)
    assert results == [False, True, True, b"cached", 504, b"cached"]
    lines = [first.split()[0] for first, _, _ in seen]
    assert lines == ["GET", "GET", "POST", "GET"] and seen[1][1]["if-none-match"] == '"v1"'
    store.close()


def test_an_encoded_response_is_kept_decoded():
    import gzip

    async def work(client, url):
        return [(await client.get(url)).text for _ in range(2)]

    response = reply(gzip.compress(b"text"), content_encoding="gzip", cache_control="max-age=60")
    seen, texts = played(work, response, cache=MemoryStore())
    assert texts == ["text", "text"] and len(seen) == 1


def test_stale_while_revalidate_and_stale_if_error():
    async def work(client, url):
        await client.get(url)
        second = await client.get(url)
        await asyncio.gather(*client._background)
        return second.from_cache

    stale = reply(b"old", cache_control="max-age=0, stale-while-revalidate=60", etag='"1"')
    seen, cached = played(work, stale, cache=MemoryStore())
    assert cached and len(seen) == 2

    async def failing(client, url):
        return [(await client.get(url)).content for _ in range(2)]

    good = reply(b"good", cache_control="max-age=0, stale-if-error=60", etag='"1"')
    _, bodies = played(failing, good, reply(b"", "500 Broken"), cache=MemoryStore())
    assert bodies == [b"good", b"good"]


# HSTS, hooks.


def test_hsts(authority):
    async def main():
        strict = reply(b"ok", strict_transport_security="max-age=60")
        async with Scripted(replying(strict), tls=authority.server) as server:
            async with Client(ca=authority.ca) as client:
                await client.get(server.url)
                response = await client.get(server.url.replace("https", "http"))
                return response.url.scheme, len(client.settings.hsts)

    assert asyncio.run(main()) == ("https", 1)


def test_hooks_see_every_request_and_response():
    log = []

    async def on_request(request):
        log.append(("request", request.url.path))
        request.headers["X-Hook"] = "1"

    def on_response(response):
        log.append(("response", response.status))

    seen, _ = played(
        lambda client, url: client.get(url + "/a"),
        reply(b"", "302 Found", location="/b"),
        reply(b"ok"),
        on_request=[on_request],
        on_response=[on_response],
    )
    assert log == [("request", "/a"), ("response", 302), ("request", "/b"), ("response", 200)]
    assert all(fields["x-hook"] == "1" for _, fields, _ in seen)


def test_a_hook_that_fails_fails_its_call():
    def refuse(request):
        raise RequestError("not today")

    with pytest.raises(RequestError, match="not today"):
        played(lambda client, url: client.get(url), reply(), on_request=[refuse])


def test_interim_responses_are_told_of_as_they_come():
    async def main(hook):
        async def handle(reader, writer):
            await read_head(reader)
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            await heard.wait()
            writer.write(reply(b"ok"))

        heard = asyncio.Event()
        async with Scripted(handle) as server, Client(on_interim=lambda *said: hook(heard, *said)) as client:
            return (await client.get(server.url)).content

    log = []

    def listen(heard, status, fields):
        log.append((status, fields["link"]))
        heard.set()

    assert asyncio.run(main(listen)) == b"ok" and log == [(103, "</a>")]

    def fail(*_):
        raise RuntimeError("the program's own")

    with pytest.raises(RuntimeError, match="own"):
        asyncio.run(main(fail))
