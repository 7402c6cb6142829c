import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.http.target import authority as http_authority
from catenet.net.target import Target
from catenet.rpc.model.target import parse_target


@pytest.mark.parametrize(
    ("text", "target", "authority"),
    [
        ("tcp://10.0.0.1:50051", Target("tcp", "10.0.0.1", 50051), "10.0.0.1:50051"),
        ("tcp://[2001:db8::1]:5", Target("tcp", "2001:db8::1", 5), "[2001:db8::1]:5"),
        ("localhost:80", Target("tcp", "localhost", 80), "localhost"),
        ("[::1]:81", Target("tcp", "::1", 81), "[::1]:81"),
        ("tls://a.example", Target("tls", "a.example", 443, tls=True), "a.example"),
        ("tls://a.example:8443", Target("tls", "a.example", 8443, tls=True), "a.example:8443"),
        ("https://a.example/api/v1/", Target("https", "a.example", 443, tls=True, base="/api/v1"), "a.example"),
        ("http://[::1]", Target("http", "::1", 80), "[::1]"),
        ("http://a:8080/", Target("http", "a", 8080), "a:8080"),
        ("dns:///a.example:50051", Target("dns", "a.example", 50051, resolve_all=True), "a.example:50051"),
        ("dns:a.example:50051", Target("dns", "a.example", 50051, resolve_all=True), "a.example:50051"),
        ("dns:50051", Target("tcp", "dns", 50051), "dns:50051"),
        ("unix:/run/x.sock", Target("unix", unix="/run/x.sock"), "localhost"),
        ("unix:///run/x.sock", Target("unix", unix="/run/x.sock"), "localhost"),
        ("unix:x.sock", Target("unix", unix="x.sock"), "localhost"),
        ("tcp://127.0.0.1:0", Target("tcp", "127.0.0.1", 0), "127.0.0.1:0"),
    ],
)
def test_targets(text, target, authority):
    assert parse_target(text) == target
    assert http_authority(target) == authority


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tpc://a:1", "do you mean tcp"),
        ("gopher://a:1", "known: tcp, tls"),
        ("tcp://a", "names no port"),
        ("a", "names no port"),
        ("tcp://a:http", "'http' is no port"),
        ("tcp://a:65536", "is no port"),
        ("tcp://a:²", "is no port"),
        ("tcp://:80", "names no host"),
        ("tcp://::1:80", "brackets"),
        ("tcp://a:1/path", "takes no path"),
        ("dns://8.8.8.8/a", "names no port"),
        ("dns://8.8.8.8/x/a:1", "dns://SERVER/NAME:PORT"),
        ("ipv4:", "write ipv4:ADDRESS:PORT"),
        ("ipv4://1.2.3.4:1", "write ipv4:ADDRESS:PORT"),
        ("ipv4:1.2.3.4:1,", "'' is no IPv4 address"),
        ("ipv4:a.example:1", "'a.example:1' is no IPv4 address and port"),
        ("ipv4:[::1]:1", "is no IPv4 address"),
        ("ipv4:1.2.3.4:99999", "'99999' is no port"),
        ("ipv6:[::1]:1,1.2.3.4:1", "is no IPv6 address"),
        ("unix:", "names no path"),
        ("ipv6:[::1:80", r"'\[::1:80' is no IPv6 address and port"),
        ("ipv6:::1]:80", "is no IPv6 address and port"),
        ("", "names no"),
    ],
)
def test_bad_targets(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("ipv4:10.0.0.1:1,10.0.0.2:2,10.0.0.3", [("10.0.0.1", 1, ""), ("10.0.0.2", 2, ""), ("10.0.0.3", 443, "")]),
        ("ipv6:[::1]:1,[2001:db8::1]:2,::1", [("::1", 1, ""), ("2001:db8::1", 2, ""), ("::1", 443, "")]),
        ("ipv6:[fe80::1%lo]:1", [("fe80::1%lo", 1, "")]),
        ("unix:/a.sock,unix:/b,c.sock", [("", 0, "/a.sock"), ("", 0, "/b,c.sock")]),
    ],
)
def test_lists(text, ends):
    target = parse_target(text)
    assert [(one.host, one.port, one.unix) for one in (target, *target.alternatives)] == ends
    assert target.resolve_all


def test_a_name_server_of_ones_own():
    target = parse_target("dns://[2001:db8::53]:5353/a.example:50051")
    assert (target.server, target.host, target.port) == ("[2001:db8::53]:5353", "a.example", 50051)
    assert parse_target(target.url) == target
    with pytest.raises(ValueError, match="not supported"):
        parse_target("dns://1.1.1.1/a:1", listening=True)


def test_a_server_may_listen_everywhere():
    assert parse_target("tcp://:50051", listening=True) == Target("tcp", "", 50051)


@given(st.text(max_size=30))
def test_any_text_is_a_target_or_a_value_error(text):
    try:
        parse_target(text)
    except ValueError as error:
        assert "target" in str(error)
