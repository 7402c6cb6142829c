"""Opening handshakes, over HTTP/1.1 and 2, and what is agreed on about compression."""

import pytest

from catenet.http.message import RequestHead, ResponseHead
from catenet.http.websocket.deflate import Deflate, DeflateOptions, agree, check_agreed, offer
from catenet.http.websocket.errors import HandshakeError
from catenet.http.websocket.extensions import build_extensions, parse_extensions
from catenet.http.websocket.handshake import ClientHandshake, accept_key, is_opening, read_opening

GOOD = {
    b"upgrade": b"websocket",
    b"connection": b"keep-alive, Upgrade",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version": b"13",
}
NONCE = b"the sample nonce"


def request(method=b"GET", **changes):
    fields = {**GOOD, **{name.replace("_", "-").encode(): value for name, value in changes.items()}}
    return RequestHead(
        method, b"/chat", tuple((name, value) for name, value in fields.items() if value), b"example.org"
    )


def test_the_example_of_the_rfc():
    assert accept_key(GOOD[b"sec-websocket-key"]) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_server_answers():
    opening = read_opening(request(sec_websocket_protocol=b"chat, superchat", origin=b"http://example.org"), 1)
    assert (opening.subprotocols, opening.origin) == (("chat", "superchat"), "http://example.org")
    head, deflate = opening.accept(opening.choose(["superchat"]), DeflateOptions(), ((b"x", b"y"),))
    assert head == ResponseHead(101, (
        (b"upgrade", b"websocket"), (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), (b"sec-websocket-protocol", b"superchat"),
        (b"x", b"y"),
    ))  # fmt: skip
    assert deflate is None  # the client has not offered it


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"method": b"POST"}, 405),
        ({"upgrade": b"h2c"}, 426),
        ({"upgrade": None}, 426),
        ({"connection": b"close"}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": b"c2hvcnQ="}, 400),
        ({"sec_websocket_key": b"dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"sec_websocket_key": b"dGhlIHNhbXBs ZSBub25jZQ=="}, 400),
        ({"sec_websocket_version": b"8"}, 426),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_protocol": b"two words"}, 400),
        ({"sec_websocket_protocol": b"chat, chat"}, 400),
        ({"sec_websocket_extensions": b"permessage-deflate; ="}, 400),
        ({"transfer_encoding": b"chunked"}, 400),
    ],
)
def test_requests_that_are_refused(changes, status):
    with pytest.raises(HandshakeError) as caught:
        read_opening(request(**changes), 1)
    assert caught.value.status == status
    if "sec_websocket_version" in changes:
        assert (b"sec-websocket-version", b"13") in caught.value.fields


def test_repeated_keys():
    head = request()
    head.fields += ((b"sec-websocket-key", GOOD[b"sec-websocket-key"]),)
    with pytest.raises(HandshakeError, match="Key"):
        read_opening(head, 1)


def test_which_requests_are_meant():
    assert is_opening(request())
    assert is_opening(request(upgrade=b"h2c, WebSocket"))
    assert not is_opening(request(upgrade=None))
    assert not is_opening(request(method=b"POST"))


def test_origins():
    page = read_opening(request(origin=b"https://Example.org"), 1)
    page.check_origin(["https://example.org"])
    with pytest.raises(HandshakeError) as caught:
        page.check_origin(["https://example.com"])
    assert caught.value.status == 403
    read_opening(request(), 1).check_origin([])  # a program, not a page


def test_what_a_server_may_not_say():
    opening = read_opening(request(sec_websocket_protocol=b"chat"), 1)
    with pytest.raises(ValueError, match="'other'"):
        opening.accept("other")
    with pytest.raises(ValueError, match="belongs to the handshake"):
        opening.accept(fields=((b"sec-websocket-accept", b"x"),))


def handshakes(**options):
    return ClientHandshake(NONCE, **options)


@pytest.mark.parametrize("version", [1, 2])
def test_both_sides_agree(version):
    ours = handshakes(subprotocols=("a", "b"), origin="http://example.org", fields=((b"cookie", b"k=v"),))
    head = ours.request(b"example.org", b"/chat?x=1", version=version)
    assert is_opening(head)
    assert (head.method, head.path) == (b"GET" if version == 1 else b"CONNECT", b"/chat?x=1")
    opening = read_opening(head, version)
    answer, deflate = opening.accept("b", DeflateOptions(client_max_window_bits=10))
    assert answer.status == (101 if version == 1 else 200)
    agreement = ours.check(answer, version)
    assert agreement.subprotocol == "b"
    assert agreement.deflate == deflate == Deflate(server_max_window_bits=12, client_max_window_bits=10)


@pytest.mark.parametrize(
    ("status", "fields", "what"),
    [
        (200, {}, "answers 200"),
        (404, {}, "answers 404"),
        (101, {b"upgrade": b"h2c"}, "does not upgrade"),
        (101, {b"connection": b"close"}, "does not upgrade"),
        (101, {b"sec-websocket-accept": b"wrong"}, "another key"),
        (101, {b"sec-websocket-accept": None}, "another key"),
        (101, {b"sec-websocket-protocol": b"other"}, "subprotocol"),
        (101, {b"sec-websocket-extensions": b"x-other"}, "extensions that were not"),
        (101, {b"sec-websocket-extensions": b"permessage-deflate, permessage-deflate"}, "extensions that were not"),
        (101, {b"sec-websocket-extensions": b"permessage-deflate; x=1"}, "extensions that were not"),
        (101, {b"sec-websocket-extensions": b"permessage-deflate; client_max_window_bits"}, "extensions that were not"),
        (101, {b"sec-websocket-extensions": b";"}, "malformed"),
    ],
)
def test_answers_that_a_client_refuses(status, fields, what):
    said = {
        b"upgrade": b"websocket",
        b"connection": b"Upgrade",
        b"sec-websocket-accept": b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        **fields,
    }
    head = ResponseHead(status, tuple((name, value) for name, value in said.items() if value))
    with pytest.raises(HandshakeError, match=what) as caught:
        handshakes(subprotocols=("chat",)).check(head)
    assert caught.value.status == status


def test_what_a_client_may_not_ask():
    with pytest.raises(ValueError, match="no token"):
        handshakes(subprotocols=("two words",))
    with pytest.raises(ValueError, match="belongs to the handshake"):
        handshakes(fields=((b"host", b"x"),))


# Extensions.


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", []),
        ("a", [("a", ())]),
        ('a; b; c=1 , d;e="f"', [("a", (("b", None), ("c", "1"))), ("d", (("e", "f"),))]),
        ("A;B=C", [("a", (("b", "C"),))]),
        ("a,,b", None),
        ("a;", None),
        ("a b", None),
        ("a=1", None),
        ('a; b="two words"', None),
        ('a; b="', None),
        ("a; b=", None),
        (", ".join("abc" for _ in range(1000)), None),
    ],
)
def test_the_syntax_of_extensions(text, parsed):
    if parsed is None:
        with pytest.raises(ValueError, match="malformed"):
            parse_extensions(text)
    else:
        assert parse_extensions(text) == parsed
        assert parse_extensions(build_extensions(parsed)) == parsed


SERVER = DeflateOptions(server_max_window_bits=15, client_max_window_bits=15)


@pytest.mark.parametrize(
    ("offers", "options", "answer"),
    [
        ("permessage-deflate", SERVER, "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", SERVER, "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=9", SERVER, "permessage-deflate; client_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=8", SERVER, "permessage-deflate; server_max_window_bits=8"),
        ("permessage-deflate; server_max_window_bits=15", SERVER, "permessage-deflate; server_max_window_bits=15"),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            SERVER,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        ("permessage-deflate", DeflateOptions(), "permessage-deflate; server_max_window_bits=12"),
        (
            "permessage-deflate; client_max_window_bits",
            DeflateOptions(client_no_context_takeover=True),
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
        ),
        ("x-webkit-deflate-frame, permessage-deflate; y=1, permessage-deflate", SERVER, "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=7", SERVER, None),
        ("permessage-deflate; server_max_window_bits=16", SERVER, None),
        ("permessage-deflate; server_max_window_bits=09", SERVER, None),
        ("permessage-deflate; server_max_window_bits=+9", SERVER, None),
        ("permessage-deflate; server_max_window_bits", SERVER, None),
        ("permessage-deflate; server_no_context_takeover=1", SERVER, None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", SERVER, None),
        ("permessage-deflate; other", SERVER, None),
        ("x-other", SERVER, None),
    ],
)
def test_what_a_server_agrees_on(offers, options, answer):
    agreed = agree(parse_extensions(offers), options)
    if answer is None:
        assert agreed is None
    else:
        assert build_extensions([agreed[0]]) == answer


@pytest.mark.parametrize(
    "ours", [DeflateOptions(), DeflateOptions(True, True, 9, 10), DeflateOptions(False, True, 8, 8)]
)
@pytest.mark.parametrize("theirs", [DeflateOptions(), DeflateOptions(True, True, 10, 9), SERVER])
def test_both_sides_think_the_same(ours, theirs):
    answer, agreed = agree([offer(ours)], theirs)
    assert check_agreed(answer, ours) == agreed
    assert agreed.server_max_window_bits == min(ours.server_max_window_bits, theirs.server_max_window_bits)
    assert agreed.client_max_window_bits == min(ours.client_max_window_bits, theirs.client_max_window_bits)


def test_a_server_that_does_not_keep_to_the_offer():
    ours = DeflateOptions(server_no_context_takeover=True, server_max_window_bits=10)
    for answer in ("permessage-deflate", "permessage-deflate; server_no_context_takeover; server_max_window_bits=11"):
        assert check_agreed(parse_extensions(answer)[0], ours) is None


def test_windows_are_checked():
    with pytest.raises(ValueError, match="client_max_window_bits 16"):
        DeflateOptions(client_max_window_bits=16)
