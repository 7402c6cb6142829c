"""URLs of targets: what schemes allow, what the complaints say, and that a target's URL is read back as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.net.target import SCHEMES, Scheme, Target, parse_target

MORE = {**SCHEMES, "echo+tcp": Scheme(port=7, takes_path=True), "echo+unix": Scheme(is_path=True), "udp": Scheme()}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("echo+tcp://a", Target("echo+tcp", "a", 7)),
        ("echo+tcp://[::1]:8/x/y/", Target("echo+tcp", "::1", 8, base="/x/y")),
        ("echo+unix:@name", Target("echo+unix", unix="@name")),
        ("echo+unix:///run/s", Target("echo+unix", unix="/run/s")),
        ("udp://10.0.0.1:53", Target("udp", "10.0.0.1", 53)),
        ("unix:@abstract", Target("unix", unix="@abstract")),
    ],
)
def test_schemes_of_a_protocol(text, target):
    assert parse_target(text, schemes=MORE) == target


def test_plain_addresses_have_the_default_scheme():
    assert parse_target("a:53", schemes=MORE, default="udp") == Target("udp", "a", 53)
    assert parse_target("a:53") == Target("tcp", "a", 53)
    assert parse_target("a:53", schemes={"http": Scheme(port=80)}) == Target("http", "a", 53)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("http://a", "no scheme 'http'; known: tcp, tls, dns, unix"),
        ("tsl://a", "do you mean tls"),
        ("tcp://a:1/path", "tcp:// takes no path"),
        ("tcp://a", "names no port"),
        ("8000", "'8000' is no host; a port of this machine is localhost:8000"),
        ("tcp://[v1.a]:80", r"\[v1\.a\] is no IPv6 address"),
        ("tcp://[example.org]:80", r"\[example\.org\] is no IPv6 address"),
        ("tcp://[\udcff::]:80", "is no IPv6 address"),
        ("tcp://[::1", r"stands in brackets, \[::1\]:PORT"),
        ("unix://", "write unix:/run/service.sock"),
        ("dns://8.8.8.8/a:1", "write dns:///a:1"),
    ],
)
def test_complaints(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_target(text)


HOSTS = st.sampled_from(["a.example", "10.0.0.1", "::1", "fe80::1%eth0"])
PORTS = st.integers(0, 65535)


@given(st.sampled_from(sorted(MORE)), HOSTS, PORTS, st.sampled_from(["", "/a", "/a/b"]))
def test_the_url_of_a_target_is_read_back(scheme, host, port, base):
    rules = MORE[scheme]
    if rules.is_path:
        target = Target(scheme, unix=f"/run/{host}")
    else:
        base = base if rules.takes_path else ""
        target = Target(scheme, host, port, tls=rules.tls, resolve_all=rules.resolve_all, base=base)
    assert parse_target(target.url, schemes=MORE) == target
