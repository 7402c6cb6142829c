import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.rpc.client.resolver import (
    ConnectionBackoff,
    HappyEyeballs,
    PickFirst,
    RoundRobin,
    Target,
    interleave,
    parse_target,
    picker_for,
)


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
        ("unix:/run/x.sock", Target("unix", unix="/run/x.sock"), "localhost"),
        ("unix:///run/x.sock", Target("unix", unix="/run/x.sock"), "localhost"),
        ("unix:x.sock", Target("unix", unix="x.sock"), "localhost"),
        ("tcp://127.0.0.1:0", Target("tcp", "127.0.0.1", 0), "127.0.0.1:0"),
    ],
)
def test_targets(text, target, authority):
    assert parse_target(text) == target
    assert parse_target(text).authority == authority


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
        ("dns://8.8.8.8/a:1", "write dns:///a:1"),
        ("unix:", "names no path"),
        ("", "names no"),
    ],
)
def test_bad_targets(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_target(text)


def test_a_server_may_listen_everywhere():
    assert parse_target("tcp://:50051", listening=True) == Target("tcp", "", 50051)


@given(st.text(max_size=30))
def test_any_text_is_a_target_or_a_value_error(text):
    try:
        parse_target(text)
    except ValueError as error:
        assert "target" in str(error)


def test_interleave():
    assert interleave(["6a", "6b", "6c", "4a"], [True, True, True, False]) == ["6a", "4a", "6b", "6c"]
    assert interleave(["4a", "6a", "4b"], [False, True, False]) == ["4a", "6a", "4b"]
    assert interleave([], []) == []


def test_attempts_are_staggered():
    eyes = HappyEyeballs(["a", "b", "c"], 10.0)
    assert eyes.next_attempt(10.0) == "a"
    assert eyes.next_attempt(10.1) is None
    assert eyes.next_deadline() == 10.25
    assert eyes.next_attempt(10.25) == "b"
    assert eyes.next_deadline() == 10.5


def test_a_failure_hurries_the_next():
    eyes = HappyEyeballs(["a", "b"], 0.0)
    assert eyes.next_attempt(0.0) == "a"
    eyes.attempt_failed(0.01)
    assert eyes.next_attempt(0.01) == "b"
    assert (eyes.next_deadline(), eyes.exhausted) == (None, False)
    eyes.attempt_failed(0.02)
    assert eyes.exhausted


def test_backoff_grows_to_its_limit_and_starts_anew():
    rng, backoff = random.Random(1), ConnectionBackoff()
    delays = [backoff.failed(rng) for _ in range(20)]
    assert 0.8 <= delays[0] <= 1.2
    assert 1.28 <= delays[1] <= 1.92
    assert all(96 <= delay <= 144 for delay in delays[11:])
    backoff.succeeded()
    assert backoff.failed(rng) <= 1.2


def test_pick_first():
    picker = PickFirst()
    picker.update(["a", "b"])
    assert (picker.pick(), picker.wanted()) == (None, ("a", "b"))
    picker.set_ready("b", True)
    picker.set_ready("a", True)
    assert (picker.pick(), picker.wanted()) == ("b", ("b",))
    picker.set_ready("b", False)
    assert picker.pick() is None
    picker.set_ready("a", True)
    picker.update(["b"])
    assert picker.pick() is None
    picker.set_ready("stranger", True)
    assert picker.pick() is None


@given(st.integers())
def test_round_robin_is_fair(seed):
    picker = RoundRobin(random.Random(seed))
    picker.update(["a", "b", "c"])
    for address in ("a", "b", "c"):
        picker.set_ready(address, True)
    picked = [picker.pick() for _ in range(9)]
    assert all(sorted(picked[start : start + 3]) == ["a", "b", "c"] for start in (0, 3, 6))
    picker.set_ready("b", False)
    assert sorted(picker.pick() for _ in range(4)) == ["a", "a", "c", "c"]
    picker.update(["c", "d"])
    assert [picker.pick() for _ in range(2)] == ["c", "c"]


def test_policies():
    assert isinstance(picker_for("round_robin", random.Random()), RoundRobin)
    assert isinstance(picker_for("pick_first", random.Random()), PickFirst)
    with pytest.raises(ValueError, match="there are pick_first"):
        picker_for("best", random.Random())
