"""Requests that are planned ahead are the same requests: beside those that are made in full, for any URL."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted, reply, replying

from catenet.http.client.client import Client
from catenet.http.h1.prepare import build, prepare_request
from catenet.http.url import UrlError

HOST = "http://example.org:8080"


def planned(client, method, url):
    """The head of a planned request, and its bytes."""
    plan = client._plans.find((method, url)) or client._plans.make(method, url)
    return plan.head, build(plan.head.h1 or prepare_request(plan.head), ())


@settings(deadline=None)
@given(st.text("ab/.%2F?#@ü &=:é\\~", max_size=12), st.sampled_from(["GET", "HEAD", "POST"]))
def test_another_path_of_a_known_server(text, method):
    url = f"{HOST}/{text}"
    client, fresh = Client(), Client()
    planned(client, method, f"{HOST}/first?x=1")  # the site is known now, and its head has been written
    try:
        expected = planned(fresh, method, url)
    except UrlError:
        with pytest.raises(UrlError):
            planned(client, method, url)
        return
    assert planned(client, method, url) == expected
    assert client._plans.make(method, url).request.url == fresh.build(method, url).url


@pytest.mark.parametrize("url", [HOST, HOST + "?a", HOST + "/?a=%20", "https://example.org/"])
def test_short_ones(url):
    client, fresh = Client(), Client()
    planned(client, "GET", url + "")
    assert planned(client, "GET", url) == planned(fresh, "GET", url)


def test_what_all_requests_have_goes_along():
    client = Client(params={"key": "1"})
    for path in ("/a", "/b"):
        assert planned(client, "GET", HOST + path)[0].path == f"{path}?key=1".encode()


def test_passwords_are_in_no_plan():
    client = Client()
    client._plans.make("GET", "http://u:p@example.org/")
    assert client._plans.find(("GET", "http://u:p@example.org/")) is None


def test_plans_have_a_limit():
    client = Client()
    for number in range(9000):
        client._plans.make("GET", f"{HOST}/{number}")
    for number in range(2000):
        client._plans.make("GET", f"http://h{number}.example/")
    assert len(client._plans._known) <= 4096 and len(client._plans._sites) <= 1024


def test_a_response_knows_its_request_and_url():
    async def main():
        async with Scripted(replying(reply(b"ok"))) as server, Client() as client:
            return [await client.get(f"{server.url}/{number}?a=b") for number in range(3)]

    for number, response in enumerate(asyncio.run(main())):
        assert response.url.target == f"/{number}?a=b" and response.request.url == response.url
        assert response.request.headers["user-agent"].startswith("catenet/")
