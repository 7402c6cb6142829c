"""What pages of other sites may do: nothing by default, and what the application around the services allows."""

import asyncio
import contextlib
import json

import httpx
import pytest
from echoservice import NAME, SAY, Echo, text

from catenet.http.server.server import serve
from catenet.rpc import AsgiApp, Channel, ChannelOptions, Idempotency, Kind, Method, Server, ServiceDescriptor
from catenet.rpc.server.cors import Cors

SAFE = Method(NAME, "Safe", Kind.UNARY, SAY.request, SAY.response, Idempotency.NO_SIDE_EFFECTS)
OTHER = "http://other.example"

WITHOUT_ASKING = {
    "nothing": {},
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "a form with files": {"content-type": "multipart/form-data; boundary=x"},
    "text": {"content-type": "text/plain"},
    "text that speaks of JSON": {"content-type": "text/plain; application/json"},
    "text in another charset": {"content-type": "text/plain;charset=application/json"},
}
"""Content types that a page may send to another site without a preflight (Fetch, "CORS-safelisted request-header")."""


class Asked(Echo):
    """Counts the calls that have come to a handler."""

    __service__ = ServiceDescriptor(NAME, (SAY, SAFE))

    async def safe(self, request, context):
        self.heard.append("safe")
        return text("safe")


@contextlib.asynccontextmanager
async def hosts():
    """Our own server and a mounted one, and what their handlers have heard."""
    echo = Asked()
    async with Server([echo]) as server, await serve(AsgiApp([echo]), "http://127.0.0.1:0") as mounted:
        yield [(await server.listen("tcp://127.0.0.1:0")).url.replace("tcp", "http"), mounted.urls[0]], echo


@pytest.mark.parametrize("kind", WITHOUT_ASKING)
def test_what_pages_send_without_asking_is_no_call(kind):
    async def main():
        async with hosts() as (urls, echo), httpx.AsyncClient(headers={"origin": OTHER}) as client:
            for url in urls:
                for body in (b'"hello"', b"\n\5hello", b"\0\0\0\0\7\n\5hello"):
                    answer = await client.post(f"{url}/{SAY.full_name}", headers=WITHOUT_ASKING[kind], content=body)
                    assert answer.status_code == 415
                    assert not [name for name in answer.headers if name.startswith("access-control-")]
            assert echo.heard == []

    asyncio.run(main())


def test_who_asks_first_is_refused():
    async def main():
        async with hosts() as (urls, echo), httpx.AsyncClient(headers={"origin": OTHER}) as client:
            asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
            for url in urls:
                answer = await client.options(f"{url}/{SAY.full_name}", headers=asked)
                assert answer.status_code == 405
                assert not [name for name in answer.headers if name.startswith("access-control-")]
            assert echo.heard == []

    asyncio.run(main())


def test_what_has_no_side_effects_is_done_and_its_answer_kept_from_the_page():
    async def main():
        async with hosts() as (urls, echo), httpx.AsyncClient(headers={"origin": OTHER}) as client:
            for url in urls:
                query = "encoding=json&message=%22a%22"
                answer = await client.get(f"{url}/{SAFE.full_name}?{query}")
                assert answer.status_code == 200 and "access-control-allow-origin" not in answer.headers
                assert (await client.get(f"{url}/{SAY.full_name}?{query}")).status_code == 405
            assert echo.heard == ["safe", "safe"]

    asyncio.run(main())


def shop(origins):
    """Services within an application that lets pages of some sites call."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.routing import Mount

    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["content-type", "connect-protocol-version", "connect-timeout-ms", "x-grpc-web", "grpc-timeout"],
        expose_headers=["grpc-status", "grpc-message", "grpc-status-details-bin"],
    )
    return Starlette(routes=[Mount("/", app=AsgiApp([Echo()]))], middleware=[cors])


def test_the_cors_of_an_application_holds_for_the_services():
    async def main():
        async with await serve(shop([OTHER]), "http://127.0.0.1:0") as host:
            async with httpx.AsyncClient(base_url=host.urls[0]) as client:
                asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
                path = f"/{SAY.full_name}"
                preflight = await client.options(path, headers={"origin": OTHER, **asked})
                assert preflight.headers["access-control-allow-origin"] == OTHER
                said = await client.post(path, json="hello", headers={"origin": OTHER})
                assert (said.json(), said.headers["access-control-allow-origin"]) == ("hello", OTHER)
                stranger = await client.options(path, headers={"origin": "http://evil.example", **asked})
                assert stranger.status_code == 400
            async with Channel(
                host.urls[0].replace("http", "tcp"), options=ChannelOptions(protocol="grpc-web")
            ) as channel:
                assert (await channel.unary(SAY, text("hello"))).value == "hello"

    asyncio.run(main())


@pytest.mark.parametrize("origins", [[OTHER], ["*"], ["https://more.example:8443", OTHER.upper()]])
def test_the_cors_of_a_server(origins):
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-own"}
    path = f"/{SAY.full_name}"
    named = "*" if origins == ["*"] else OTHER

    async def main():
        async with Server([Asked()], cors=Cors(origins), browser_hosts=["shop.example"]) as server:
            url = (await server.listen("tcp://127.0.0.1:0")).url
            async with httpx.AsyncClient(base_url=url.replace("tcp", "http")) as client:
                preflight = await client.options(path, headers={"origin": OTHER, **asked})
                assert preflight.status_code == 204 and not preflight.content
                assert preflight.headers["access-control-allow-origin"] == named
                assert preflight.headers["access-control-allow-headers"] == "content-type,x-own"
                for said in ("hello", "fail:NOT_FOUND"):
                    answer = await client.post(path, json=said, headers={"origin": OTHER})
                    assert answer.status_code == (200 if said == "hello" else 404)
                    assert answer.headers["access-control-allow-origin"] == named
                    assert answer.headers["access-control-expose-headers"] == "*"
                    assert answer.headers.get("vary") == (None if named == "*" else "origin")
                strange = {"origin": "http://evil.example"}
                refused = await client.options(path, headers={**strange, **asked})
                if named == "*":
                    assert refused.status_code == 204
                else:
                    assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers
                    assert (await client.post(path, json="hello", headers=strange)).status_code == 403
                assert (await client.post(path, json="hello")).json() == "hello"  # no browser
            for options in (ChannelOptions(protocol="grpc-web"), ChannelOptions()):
                async with Channel(url, options=options) as channel:
                    own = [("origin", OTHER)] if options.protocol != "grpc" else []
                    assert (await channel.unary(SAY, text("hello"), metadata=own)).value == "hello"

    asyncio.run(main())


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "ftp://x", "", "null", "https://"])
def test_what_is_no_origin(origin):
    with pytest.raises(ValueError, match=r"is no origin; write https://shop\.example"):
        Cors([origin])


SCRIPT = """
const json = {"content-type": "application/json"};
const tries = {
  json: [url, {method: "POST", headers: json, body: '"a"'}],
  "json, without reading": [url, {method: "POST", mode: "no-cors", headers: json, body: '"a"'}],
  "a typeless blob": [url, {method: "POST", mode: "no-cors", body: new Blob(['"a"'])}],
  "a typed blob": [url, {method: "POST", mode: "no-cors", body: new Blob(['"a"'], {type: "application/json"})}],
  text: [url, {method: "POST", mode: "no-cors", body: '"a"'}],
  form: [url, {method: "POST", mode: "no-cors", body: new URLSearchParams({a: "b"})}],
  "grpc-web": [url, {method: "POST", headers: {"content-type": "application/grpc-web", "x-grpc-web": "1"}, body: "x"}],
  get: [safe + "?encoding=json&message=%22a%22", {}],
  "get, without reading": [safe + "?encoding=json&message=%22a%22", {mode: "no-cors"}],
};
window.found = {};
(async () => {
  for (const [name, [where, how]] of Object.entries(tries)) {
    try {
      const answer = await fetch(where, how);
      found[name] = `${answer.type} ${answer.status} ${await answer.text()}`;
    } catch (error) { found[name] = "refused"; }
  }
  found.beacon = navigator.sendBeacon(url, new Blob(['"a"'], {type: "application/json"}));
  await fetch("/done").catch(() => 0);
  window.finished = true;
})();
"""


@pytest.mark.peer("chromium")
@pytest.mark.slow(15)
@pytest.mark.parametrize("allowed", ["", "application", "server"])
def test_pages_of_other_sites_in_chromium(allowed):
    """Two ports are two sites to a browser; what is refused here, it refuses after having looked at our answers."""
    from tests.http.browser import driven

    echo = Asked()

    async def page(scope, receive, send):
        body = b"<!doctype html><title>other</title>"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": body})

    def drive(origin, target):
        with driven(f"{origin}/") as one:
            one.wait_for("document.title === 'other' && document.readyState === 'complete'")
            names = f"const url = '{target}/{SAY.full_name}', safe = '{target}/{SAFE.full_name}';"
            one.value(f"(() => {{ {names} {SCRIPT} }})()")
            one.wait_for("window.finished")
            return json.loads(one.value("JSON.stringify(window.found)"))

    async def main():
        async with await serve(page, "http://127.0.0.1:0", interface="asgi") as other:
            origin = other.urls[0]
            app = AsgiApp([echo])
            if allowed == "server":
                async with Server([echo], cors=Cors([origin])) as server:
                    url = (await server.listen("tcp://127.0.0.1:0")).url
                    return await asyncio.to_thread(drive, origin, url.replace("tcp", "http"))
            if allowed:
                from starlette.middleware.cors import CORSMiddleware

                app = CORSMiddleware(
                    app,
                    allow_origins=[origin],
                    allow_methods=["GET", "POST"],
                    allow_headers=["content-type", "x-grpc-web"],
                )
            async with await serve(app, "http://127.0.0.1:0", interface="asgi") as target:
                return await asyncio.to_thread(drive, origin, target.urls[0])

    found = asyncio.run(main())
    if allowed:
        assert found["json"] == 'cors 200 "a"'
        assert found["get"] == 'cors 200 "safe"'
        return
    readable = {name: said for name, said in found.items() if name != "beacon" and said not in ("refused", "opaque 0 ")}
    assert readable == {}
    assert echo.heard == ["safe", "safe"]  # both GETs, whose answers no page has seen
