"""What one caller may use: buckets, calls at once, bytes; in virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.net.local_peer import LocalPeer
from catenet.rpc.model.identity import NOBODY, identity_of
from catenet.rpc.policy.limits import Exceeded, Limit, Limiter, caller_key
from catenet.rpc.policy.terms import parse_terms

ALICE, BOB = (identity_of(LocalPeer(1, uid, 100)) for uid in (1000, 1001))
METHOD = "box.v1.Boxes/Open"


def enter(limiter, now, who=ALICE, method=METHOD):
    return limiter.enter(method, who, who.name, now)


def refused(limiter, now, who=ALICE, method=METHOD):
    with pytest.raises(Exceeded) as caught:
        enter(limiter, now, who, method)
    return caught.value.what, caught.value.wait


def test_a_rate_for_each_caller():
    limiter = Limiter([Limit(rate=2)])
    for _ in range(2):
        enter(limiter, 0.0).release()
    assert refused(limiter, 0.0) == ("2 calls a second", 0.5)
    enter(limiter, 0.0, BOB)
    enter(limiter, 0.5)
    assert refused(limiter, 0.5)[1] == 0.5
    enter(limiter, 100.0)
    enter(limiter, 100.0)
    assert refused(limiter, 100.0)


def test_calls_at_once():
    limiter = Limiter([Limit(concurrent=2)])
    leases = [enter(limiter, 0.0) for _ in range(2)]
    assert refused(limiter, 1.0) == ("2 calls at once", 0.0)
    leases[0].release()
    leases[0].release()
    enter(limiter, 1.0)
    assert refused(limiter, 1.0)


def test_bytes():
    limiter = Limiter([Limit(bytes=100)])
    lease = enter(limiter, 0.0)
    assert lease.counts_bytes
    lease.charge(150, 0.0)
    assert refused(limiter, 0.0) == ("100 bytes a second", 0.5)
    enter(limiter, 0.5)
    with pytest.raises(Exceeded):
        lease.charge(101, 0.5)


def test_methods_and_callers():
    limiter = Limiter([Limit("box.v1.Boxes/*", parse_terms(["uid:1000"]), rate=1)])
    enter(limiter, 0.0)
    assert refused(limiter, 0.0, method="box.v1.Boxes/Close")
    for _ in range(5):
        enter(limiter, 0.0, BOB)
        enter(limiter, 0.0, method="other.Service/M")


def test_what_is_refused_costs_nothing():
    limiter = Limiter([Limit(rate=5), Limit(concurrent=1)])
    lease = enter(limiter, 0.0)
    for _ in range(10):
        refused(limiter, 0.0)
    lease.release()
    for _ in range(4):
        enter(limiter, 0.0).release()
    assert refused(limiter, 0.0)[0] == "5 calls a second"


def test_accounts_are_bounded_and_nobody_is_freed_by_others():
    limiter = Limiter([Limit(rate=1)], most=8)
    enter(limiter, 0.0, BOB).release()
    for uid in range(100):
        try:
            enter(limiter, 0.0, identity_of(LocalPeer(1, 5000 + uid, 100))).release()
        except Exceeded:
            pass
    assert len(limiter._accounts) <= 9
    assert refused(limiter, 0.0, BOB)
    for uid in range(7):  # a second later the old accounts are as new, and make room
        enter(limiter, 2.0 + uid, identity_of(LocalPeer(1, 6000 + uid, 100))).release()
    assert len(limiter._accounts) <= 9


@pytest.mark.parametrize(
    "give", [{}, {"rate": 0}, {"rate": -1}, {"concurrent": 0}, {"bytes": 0.0}, {"rate": float("nan")}]
)
def test_limits_that_are_none(give):
    with pytest.raises(ValueError, match="limit"):
        Limit(**give)


def test_clocks_that_go_back():
    limiter = Limiter([Limit(rate=1)])
    enter(limiter, 10.0)
    assert refused(limiter, 5.0)


@given(st.lists(st.floats(0, 3), max_size=40), st.integers(1, 5))
def test_never_more_than_rate_and_burst(pauses, rate):
    limiter, now, passed = Limiter([Limit(rate=rate, burst=rate)]), 0.0, 0
    for pause in pauses:
        now += pause
        try:
            enter(limiter, now)
            passed += 1
        except Exceeded:
            pass
    assert passed <= rate + rate * now + 1e-6


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8:1:2:3::4]:80", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::4]:9", "2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:80", "fe80::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_callers_without_a_name(address, key):
    assert caller_key(NOBODY, address) == key
    assert caller_key(ALICE, address) == "uid:1000"
