"""Routes, choice among servers, fields: the parts of a gateway that are pure."""

import re

import pytest

from catenet.http.gateway.fields import forwarded, request_fields, response_fields, via_of
from catenet.http.gateway.routes import RouteError, is_ambiguous, parse_route, route_of, sort_routes
from catenet.http.message import RequestHead, ResponseHead

ORIGIN = forwarded(("192.0.2.1", 5), "https", b"shop.example:8443", 8443)


@pytest.mark.parametrize(
    ("route", "path", "target"),
    [
        ("/api=http://a:1", b"/api/x?q=/", b"/api/x?q=/"),
        ("/api=http://a:1/", b"/api/x?q", b"/x?q"),
        ("/api=http://a:1/", b"/api", b"/"),
        ("/api=http://a:1/", b"/api?q", b"/?q"),
        ("/api/=http://a:1/v2", b"/api/x", b"/v2/x"),
        ("/api=http://a:1/v2/", b"/api", b"/v2/"),
        ("/=http://a:1", b"/x", b"/x"),
        ("/=http://a:1/base", b"/x", b"/base/x"),
        ("/=unix:/run/a", b"/x", b"/x"),
    ],
)
def test_targets(route, path, target):
    parsed = parse_route(route)
    assert parsed.target(path, parsed.upstreams[0]) == target


def test_the_longest_prefix_answers_at_the_end_of_a_segment():
    routes = sort_routes(map(parse_route, ["/=http://a:1", "/api=http://b:1", "/api/v2=http://c:1"]))
    found = {
        path: route_of(routes, path).prefix for path in (b"/", b"/apis", b"/api", b"/api/", b"/api/v2", b"/api/v2x")
    }
    assert found == {
        b"/": b"", b"/apis": b"", b"/api": b"/api", b"/api/": b"/api", b"/api/v2": b"/api/v2", b"/api/v2x": b"/api"
    }  # fmt: skip
    assert route_of(routes[:1], b"/other") is None and route_of(routes, b"*").prefix == b""
    assert routes[2].target(b"*", routes[2].upstreams[0]) == b"*"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no route; write for example /api=http://127.0.0.1:8000"),
        ("api=http://a:1", "is no route"),
        ("/api=", "is no route"),
        ("/a b=http://a:1", "is no path"),
        ("/a/../b=http://a:1", "dots or escapes"),
        ("/api=htp://a:1", "no scheme 'htp'; do you mean http?"),
        ("/api=http://a:1,http://b:x", "'x' is no port"),
        ("/api=http://a:1/b?c", "is no path"),
    ],
)
def test_what_is_no_route(text, complaint):
    with pytest.raises(RouteError, match=re.escape(complaint)):
        parse_route(text)


def test_one_prefix_has_one_route():
    with pytest.raises(RouteError, match="two routes for /a: give one several URLs"):
        sort_routes([parse_route("/a=http://a:1"), parse_route("/a/=http://b:1")])


def test_who_has_least_to_do_is_asked_and_who_failed_is_left_alone_for_a_while():
    route = parse_route("/=http://a:1,http://b:1,http://c:1")
    a, b, c = route.upstreams
    assert {route.pick(0.0) for _ in range(3)} == {a, b, c}
    a.running, b.running, c.running = 2, 1, 2
    assert route.pick(0.0) is b
    assert route.pick(0.0, (b,)) in (a, c)
    b.failed(10.0)
    assert (b.until, route.pick(10.5) in (a, c), route.pick(11.0) is b) == (11.0, True, True)
    for _ in range(10):
        b.failed(20.0)
    assert b.until == 50.0
    a.failed(20.0)
    c.failed(20.0)
    assert route.pick(20.5) in (a, c), "all have failed: that which may be back first"
    b.answered()
    assert route.pick(20.5) is b
    assert route.pick(0.0, (a, b, c)) is None


@pytest.mark.parametrize(
    "path",
    [
        b"/a/../b",
        b"/a/%2e%2e/b",
        b"/a/.",
        b"/a/..",
        b"/a/%2E./b",
        b"/a%2fb",
        b"/a%5cb",
        b"/a\\b",
        b"/a/..;/b",
        b"/a/..%3B/b",
        b"/%00",
    ],
)
def test_paths_that_servers_read_in_two_ways(path):
    assert is_ambiguous(path)


@pytest.mark.parametrize("path", [b"/a/.b", b"/a/..b", b"/...", b"/a.b/c..", b"/a/%20b", b"/"])
def test_paths_that_they_do_not(path):
    assert not is_ambiguous(path)


def test_what_is_about_one_connection_ends_there():
    head = RequestHead(
        b"GET",
        b"/",
        (
            (b"host", b"shop.example"),
            (b"connection", b"keep-alive, X-Secret ,Cookie, close"),
            (b"keep-alive", b"timeout=5"),
            (b"x-secret", b"1"),
            (b"cookie", b"a=b"),
            (b"te", b"gzip, trailers"),
            (b"upgrade", b"h2c"),
            (b"http2-settings", b"AAMAAABk"),
            (b"proxy-authorization", b"Basic x"),
            (b"transfer-encoding", b"chunked"),
            (b"expect", b"100-continue"),
            (b"accept", b"*/*"),
            (b"via", b"1.0 other"),
        ),
    )
    assert request_fields(head, (), b"1.1 me", trusted=False) == (
        (b"cookie", b"a=b"),
        (b"accept", b"*/*"),
        (b"te", b"trailers"),
        (b"via", b"1.0 other, 1.1 me"),
    )
    response = ResponseHead(
        200, ((b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"1"), (b"etag", b'"1"'))
    )
    assert response_fields(response, b"2 me") == ((b"etag", b'"1"'), (b"via", b"2 me"))


def test_a_cookie_in_pieces_is_one():
    """RFC 9113 section 8.2.3: servers of HTTP/1.1 take one of several for all."""
    pieces = ((b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2"))
    fields = request_fields(RequestHead(b"GET", b"/", pieces), (), b"2 me", trusted=False)
    assert fields == ((b"accept", b"*/*"), (b"via", b"2 me"), (b"cookie", b"a=1; b=2"))


FORGED = (
    (b"x-forwarded-for", b"10.0.0.1"),
    (b"x_forwarded_for", b"10.0.0.2"),
    (b"forwarded", b"for=10.0.0.1"),
    (b"x-forwarded-proto", b"ftp"),
    (b"x-real-ip", b"10.0.0.1"),
)


def test_what_a_client_says_of_itself_does_not_count():
    head = RequestHead(b"GET", b"/", (*FORGED, (b"connection", b"x-forwarded-for, forwarded")))
    assert request_fields(head, ORIGIN, b"1.1 me", trusted=False) == (
        (b"forwarded", b'for=192.0.2.1;proto=https;host="shop.example:8443"'),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-forwarded-host", b"shop.example:8443"),
        (b"x-forwarded-port", b"8443"),
        (b"via", b"1.1 me"),
    )


def test_a_proxy_in_front_that_is_trusted():
    head = RequestHead(b"GET", b"/", FORGED)
    fields = dict(request_fields(head, ORIGIN, b"1.1 me", trusted=True))
    assert fields[b"x-forwarded-for"] == b"10.0.0.1, 192.0.2.1"
    assert fields[b"forwarded"].startswith(b"for=10.0.0.1, for=192.0.2.1;")
    assert fields[b"x-forwarded-proto"] == b"ftp"
    assert b"x_forwarded_for" not in fields


def test_addresses_in_forwarded():
    assert forwarded(("2001:db8::1", 5), "http", b"x", None)[0] == (
        b"forwarded",
        b'for="[2001:db8::1]";proto=http;host=x',
    )
    assert forwarded(None, "http", b"", None) == (
        (b"forwarded", b"for=unknown;proto=http"),
        (b"x-forwarded-proto", b"http"),
    )
    assert via_of(((b"via", b"1.0 a, 1.1 b (comment)"), (b"via", b"2 c"), (b"via", b"x"))) == [b"a", b"b", b"c"]
