"""What is known of servers: who is asked next, how long is waited, what is remembered."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from catenet.dns.resolver.servers import Servers
from catenet.wire.address import parse_address
from catenet.wire.dns.stub import Server

ONE, TWO, THREE = (Server(parse_address(text)) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::3"))


def choices(servers: Servers, candidates: list[Server], now: float = 0.0, times: int = 300) -> Counter[Server | None]:
    return Counter(servers.choose([(one, 0) for one in candidates], now) for _ in range(times))


def test_those_about_as_quick_as_the_best_share_the_questions() -> None:
    servers = Servers(random.Random(1))
    servers.state(ONE, 0).answered(0.01)
    servers.state(TWO, 0).answered(0.02)
    servers.state(THREE, 0).answered(0.9)
    found = choices(servers, [ONE, TWO, THREE])
    assert min(found[ONE], found[TWO]) > 100
    assert found[THREE] == 0


def test_who_was_never_asked_gets_a_turn() -> None:
    servers = Servers(random.Random(1))
    servers.state(ONE, 0).answered(0.01)
    assert choices(servers, [ONE, TWO])[TWO] > 100


def test_waits_follow_round_trips_and_double_with_silence() -> None:
    """RFC 6298 2."""
    state = Servers(random.Random(1)).state(ONE, 0)
    assert state.timeout == pytest.approx(0.376)
    state.answered(0.1)
    assert state.timeout == pytest.approx(0.1 + 4 * 0.05)
    for _ in range(50):
        state.answered(0.1)
    assert state.timeout == pytest.approx(0.1, abs=0.01)
    for expected in (0.2, 0.4, 0.8):
        state.timed_out(state.timeout)
        assert state.timeout == pytest.approx(expected, abs=0.05)
    state.timed_out(0.1)  # of a question that began before: it says nothing new
    assert state.timeout == pytest.approx(0.8, abs=0.05)


def test_a_server_that_is_down_is_probed_with_one_question_at_a_time() -> None:
    servers = Servers(random.Random(1))
    state = servers.state(ONE, 0)
    while not state.is_down:
        state.timed_out(state.timeout)
    assert servers.choose([(ONE, 0)], 0) == ONE
    assert servers.choose([(ONE, 0)], 1) is None
    assert servers.choose([(ONE, 0)], 6) == ONE
    state.answered(0.02)
    assert not state.is_down
    assert choices(servers, [ONE], 6)[ONE] == 300


def test_what_is_slow_or_lame_gets_another_chance() -> None:
    servers = Servers(random.Random(1), memory=900)
    servers.state(ONE, 0).answered(3.0)
    servers.mark_lame(ONE, b"\1z\0", 0)
    servers.state(ONE, 0).cookie = b"kept"
    assert servers.state(ONE, 899).is_lame(b"\1z\0", 899)
    state = servers.state(ONE, 901)
    assert not state.is_lame(b"\1z\0", 901)
    assert (state.smoothed, state.cookie) == (None, b"kept")


def test_memory_is_bounded() -> None:
    servers = Servers(random.Random(1), most=100)
    for number in range(1000):
        server = Server(number.to_bytes(4, "big"))
        for zone in range(100):
            servers.mark_lame(server, b"%d" % zone, 0)
    assert len(servers) == 100
    assert len(servers.state(Server((999).to_bytes(4, "big")), 0).lame) <= 64
    assert len(list(servers.dump(lambda server: server.address.hex()))) == 100
