"""The handshakes with proxies, byte by byte and cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.http.client.proxy.handshake import Refused
from catenet.http.client.proxy.socks import Socks4, Socks5
from catenet.http.client.proxy.tunnel import Connect


def play(core, *answers):
    """Answer each message of the client in turn; return what it said, and what followed the handshake."""
    said, rest = [core.transmit()], b""
    for answer in answers:
        rest += core.receive(answer)
        if out := core.transmit():
            said.append(out)
    return said, rest


BOUND = b"\x05\x00\x00\x01\0\0\0\0\0\0"


def test_socks5_with_a_name():
    core = Socks5("example.org", 443)
    said, rest = play(core, b"\x05\x00", BOUND + b"server's")
    assert said == [b"\x05\x01\x00", b"\x05\x01\x00\x03\x0bexample.org\x01\xbb"]
    assert core.done and rest == b"server's"


@pytest.mark.parametrize(
    ("host", "encoded"),
    [("192.0.2.1", b"\x01\xc0\0\x02\x01"), ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + b"\0" * 11 + b"\x01")],
)
def test_socks5_with_an_address(host, encoded):
    said, _ = play(Socks5(host, 80), b"\x05\x00", BOUND)
    assert said[1] == b"\x05\x01\x00" + encoded + b"\0\x50"


def test_socks5_with_a_password():
    said, _ = play(Socks5("h", 80, "user", "pass"), b"\x05\x02", b"\x01\x00", BOUND)
    assert said == [b"\x05\x02\x00\x02", b"\x01\x04user\x04pass", b"\x05\x01\x00\x03\x01h\0\x50"]
    said, _ = play(Socks5("h", 80, "user", "pass"), b"\x05\x00", BOUND)
    assert len(said) == 2, "the proxy wants none"


@pytest.mark.parametrize("reply", [b"\x05\x00\x00\x03\x04name\0\x50", b"\x05\x00\x00\x04" + b"\0" * 18])
def test_socks5_replies_with_any_address(reply):
    core = Socks5("h", 80)
    assert play(core, b"\x05\x00", reply + b"x")[1] == b"x" and core.done


@settings(deadline=None)
@given(st.lists(st.integers(1, 16), max_size=6))
def test_socks5_cut_anywhere(cuts):
    core = Socks5("h", 80, "u", "p")
    data = b"\x05\x02" + b"\x01\x00" + BOUND + b"rest"
    places = sorted({0, len(data), *[cut for cut in cuts if cut < len(data)]})
    rest = b""
    for start, stop in pairwise(places):
        rest += data[start:stop] if core.done else core.receive(data[start:stop])
    assert core.done and rest == b"rest"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([b"HTTP/1.1 400 Bad"], "does not speak SOCKS5"),
        ([b"\x05\xff"], "wants a user name"),
        ([b"\x05\x02"], "which was not offered"),
        ([b"\x05\x00", b"\x05\x05"], "connection refused"),
        ([b"\x05\x00", b"\x05\x63"], "reply 99"),
        ([b"\x05\x00", b"\x05\x00\x00\x09\x00"], "unknown type 9"),
        ([b"\x05\x00", b"\x04\x00"], "does not speak SOCKS5"),
        ([b"\x05\x00", b""], "closed the connection"),
    ],
)
def test_socks5_refused(answers, message):
    with pytest.raises(Refused, match=message):
        play(Socks5("h", 80), *answers)


def test_socks5_with_a_wrong_password():
    with pytest.raises(Refused, match="does not accept user name"):
        play(Socks5("h", 80, "u", "p"), b"\x05\x02", b"\x01\x01")
    with pytest.raises(Refused, match="other credentials"):
        play(Socks5("h", 80, "u", "p"), b"\x05\xff")


def test_socks4():
    said, rest = play(Socks4("192.0.2.1", 80, "me"), b"\0\x5a\0\0\0\0\0\0rest")
    assert said == [b"\x04\x01\0\x50\xc0\0\x02\x01me\0"] and rest == b"rest"
    assert play(Socks4("example.org", 80), b"\0\x5a\0\0\0\0\0\0")[0] == [b"\x04\x01\0\x50\0\0\0\x01\0example.org\0"]
    with pytest.raises(Refused, match="rejected"):
        play(Socks4("192.0.2.1", 80), b"\0\x5b\0\0\0\0\0\0")
    with pytest.raises(Refused, match="does not speak SOCKS4"):
        play(Socks4("192.0.2.1", 80), b"\x05")
    assert play(Socks4("192.0.2.1", 80), b"\0\x5a\0")[1] == b""


def test_what_cannot_be_said():
    with pytest.raises(ValueError, match="at most 255"):
        Socks5("x" * 256, 80)
    with pytest.raises(ValueError, match="at most 255"):
        Socks5("h", 80, "u" * 256, "")
    with pytest.raises(ValueError, match="no IPv6"):
        Socks4("::1", 80)
    with pytest.raises(ValueError, match="zero byte"):
        Socks4("h", 80, "a\0b")


def test_connect():
    core = Connect("example.org:443", ((b"proxy-authorization", b"Basic x"),))
    said, rest = play(
        core, b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 Connection", b" established\r\nA: b\r\n\r\n\x16\x03"
    )
    assert said == [
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\nproxy-authorization: Basic x\r\n\r\n"
    ]
    assert core.done and rest == b"\x16\x03"


@pytest.mark.parametrize(
    ("answer", "message", "status"),
    [
        (b"HTTP/1.1 407 Proxy Authentication \x9b31mRequired\r\n\r\n", r"refuses: 407 Proxy Authentication \\x9b", 407),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "refuses: 502", 502),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "does not answer CONNECT", 101),
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP", None),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "too long", None),
        (b"HTTP/1.1 103 H\r\n\r\n" * 30, "does not answer CONNECT", 103),
        (b"", "closed", None),
    ],
)
def test_connect_refused(answer, message, status):
    with pytest.raises(Refused, match=message) as raised:
        play(Connect("h:443"), answer)
    assert raised.value.status == status and "\x9b" not in str(raised.value)
