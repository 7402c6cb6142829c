"""The policies as pure decisions: distribution, ejection, disruption, states."""

import random
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catenet.rpc.client.balancing.config import PolicyConfig, make_policy, policy_named
from catenet.rpc.client.balancing.outliers import FailurePercentage, OutlierDetection, Outliers, SuccessRate
from catenet.rpc.client.balancing.policy import PickFirst, RoundRobin, State
from catenet.rpc.client.balancing.ring import RingHash, RingSize
from catenet.rpc.client.balancing.stride import Stride
from catenet.rpc.client.balancing.weighted import WeightedRoundRobin, Weighting
from catenet.rpc.client.balancing.xxh64 import xxh64
from catenet.rpc.model.load_report import LoadReport

IDLE, CONNECTING, READY, FAILED = State


def ready(policy, addresses, now=0.0):
    policy.update(addresses, now)
    for address in addresses:
        policy.set_state(address, READY, now)
    return policy


# pick_first, round_robin


def test_pick_first():
    policy = PickFirst()
    policy.update(["a", "b"], 0)
    assert (policy.pick(), policy.wanted()) == (None, ("a", "b"))
    policy.set_state("b", READY, 0)
    policy.set_state("a", READY, 0)
    assert (policy.pick(), policy.wanted()) == ("b", ("b",))
    policy.set_state("b", IDLE, 0)
    assert policy.pick() is None
    policy.set_state("a", READY, 0)
    policy.update(["b"], 0)
    assert policy.pick() is None
    policy.set_state("stranger", READY, 0)
    assert policy.pick() is None


def test_pick_first_in_an_order_of_its_own():
    names = [f"a{number}" for number in range(20)]
    orders = set()
    for seed in range(5):
        policy = PickFirst(random.Random(seed))
        policy.update(names, 0)
        assert sorted(policy.wanted()) == sorted(names)
        orders.add(policy.wanted())
    assert len(orders) == 5


@given(st.integers())
def test_round_robin_is_fair(seed):
    policy = ready(RoundRobin(random.Random(seed)), ["a", "b", "c"])
    picked = [policy.pick() for _ in range(9)]
    assert all(sorted(picked[start : start + 3]) == ["a", "b", "c"] for start in (0, 3, 6))
    policy.set_state("b", IDLE, 0)
    assert sorted(policy.pick() for _ in range(4)) == ["a", "a", "c", "c"]
    policy.update(["c", "d"], 0)
    assert [policy.pick() for _ in range(2)] == ["c", "c"]


def test_the_states_of_all_together():
    """A failure is not forgotten while another attempt is made (gRPC, `connectivity-semantics-and-api.md`)."""
    policy = RoundRobin(random.Random(1))
    policy.update(["a", "b"], 0)
    assert (policy.state, policy.fails()) == (CONNECTING, False)
    policy.set_state("a", FAILED, 0)
    assert policy.state is CONNECTING
    policy.set_state("b", FAILED, 0)
    assert (policy.state, policy.fails()) == (FAILED, True)
    policy.set_state("a", CONNECTING, 0)
    policy.set_state("a", IDLE, 0)
    assert policy.state is FAILED
    policy.set_state("a", READY, 0)
    assert policy.state is READY
    policy.set_state("a", IDLE, 0)
    assert policy.state is CONNECTING


def test_policies_by_name():
    rng = random.Random(1)
    made = {
        name: type(make_policy(policy_named(name), rng, str))
        for name in ("pick_first", "round_robin", "weighted_round_robin", "ring_hash")
    }
    assert made["round_robin"] is RoundRobin and made["pick_first"] is PickFirst
    assert made["weighted_round_robin"] is WeightedRoundRobin and made["ring_hash"] is RingHash
    with pytest.raises(ValueError, match="there are pick_first"):
        policy_named("best")
    with pytest.raises(ValueError, match="needs a childPolicy"):
        policy_named("outlier_detection")
    around_first = PolicyConfig("outlier_detection", Outliers(), policy_named("pick_first"))
    assert isinstance(make_policy(around_first, rng, str), PickFirst)


# weighted_round_robin


@given(st.lists(st.floats(0.5, 4.0), min_size=2, max_size=8), st.integers(0, 1 << 40))
def test_strides_are_in_proportion_and_spread(weights, start):
    stride = Stride(weights, start)
    picks = [stride.next() for _ in range(1000)]
    counts = Counter(picks)
    for index, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(counts[index] / len(picks) - share) < 0.015
        # Spread: no stretch of picks has far too few or too many of one.
        for begin in range(0, 1000, 100):
            assert abs(picks[begin : begin + 100].count(index) - 100 * share) <= 3


def test_strides_bound_what_one_weight_may_do():
    stride = Stride([1.0] * 30 + [1e9, 0.0], 0)
    counts = Counter(stride.next() for _ in range(10_000))
    assert counts[30] < 9_000  # ten times the mean at most
    assert all(counts[index] > 0 for index in range(32))


def report(rps, utilization, eps=0.0):
    return LoadReport(cpu_utilization=utilization, rps=rps, eps=eps)


def shares(policy, picks=12_000):
    counts = Counter(policy.pick() for _ in range(picks))
    return {address: round(count / picks, 2) for address, count in counts.items()}


def test_calls_follow_the_load_that_servers_report():
    policy = ready(WeightedRoundRobin(Weighting(blackout=10, expiration=180), random.Random(1)), ["a", "b", "c"])
    assert shares(policy) == {"a": 0.33, "b": 0.33, "c": 0.33}
    for now in (1.0, 12.0):  # equal calls, and the load of a is three times that of c
        policy.call_ended("a", False, report(100, 0.9), now)
        policy.call_ended("b", False, report(100, 0.45), now)
        policy.call_ended("c", False, report(100, 0.3), now)
        policy.handle_timeout(now + 1)
        if now == 1.0:
            assert shares(policy) == {"a": 0.33, "b": 0.33, "c": 0.33}, "the first ten seconds do not count"
    assert shares(policy) == {"a": 0.17, "b": 0.33, "c": 0.5}
    policy.call_ended("c", False, report(100, 0.3, eps=30), 13.5)  # three in ten fail: as good as double its load
    policy.handle_timeout(14.5)
    assert shares(policy) == {"a": 0.22, "b": 0.44, "c": 0.33}
    policy.handle_timeout(300.0)
    assert shares(policy) == {"a": 0.33, "b": 0.33, "c": 0.33}, "nobody has said anything for three minutes"


def test_one_weight_alone_says_nothing_and_an_unknown_one_counts_as_the_mean():
    policy = ready(WeightedRoundRobin(Weighting(blackout=0), random.Random(1)), ["a", "b", "c"])
    policy.call_ended("a", False, report(100, 0.1), 1)
    policy.handle_timeout(2)
    assert shares(policy) == {"a": 0.33, "b": 0.33, "c": 0.33}
    policy.call_ended("b", False, report(100, 0.3), 3)
    policy.handle_timeout(4)
    assert shares(policy) == {"a": 0.5, "b": 0.17, "c": 0.33}
    policy.call_ended("c", False, report(0, 0.5), 5)
    policy.call_ended("c", False, report(5, 0), 5)
    policy.call_ended("c", False, None, 5)
    policy.call_ended("gone", False, report(5, 1), 5)
    policy.handle_timeout(6)
    assert shares(policy) == {"a": 0.5, "b": 0.17, "c": 0.33}


@pytest.mark.parametrize(
    "bad",
    [
        report(float("inf"), 0.5),
        report(float("nan"), 0.5),
        report(5, float("nan")),
        report(5, float("inf")),
        report(5, 1, eps=float("inf")),
        report(1e308, 5e-324),
        report(-1, 0.5),
    ],
)
def test_a_report_that_gives_no_finite_weight_does_not_count(bad):
    policy = ready(WeightedRoundRobin(Weighting(blackout=0), random.Random(1)), ["a", "b", "c"])
    policy.call_ended("a", False, report(100, 0.1), 1)
    policy.call_ended("b", False, report(100, 0.3), 1)
    policy.call_ended("c", False, bad, 1)
    policy.handle_timeout(2)
    assert shares(policy) == {"a": 0.5, "b": 0.17, "c": 0.33}


@given(st.lists(st.floats(), min_size=1, max_size=8), st.integers(0, 1 << 40))
@example([1e308, 1e308, 5.0, 5e-324], 0)
@example([5e-324, 5e-324], 0)
def test_strides_take_any_weights(weights, start):
    stride = Stride(weights, start)
    assert {stride.next() for _ in range(8)} <= set(range(len(weights)))
    assert all(1 <= weight <= 0xFFFF for weight in stride._weights)


def test_a_huge_weight_leaves_the_others_their_least_share():
    policy = ready(WeightedRoundRobin(Weighting(blackout=0), random.Random(1)), ["good", "huge"])
    policy.call_ended("good", False, report(10, 0.5), 1)
    policy.call_ended("huge", False, report(1e308, 1), 1)
    policy.handle_timeout(2)
    assert 0 < Counter(policy.pick() for _ in range(2000))["good"] < 40
    policy.set_state("huge", IDLE, 3)
    assert policy.pick() == "good"


def test_a_server_that_comes_back_has_no_weight_until_the_blackout_is_over():
    policy = ready(WeightedRoundRobin(Weighting(blackout=10), random.Random(1)), ["a", "b"])
    for now in (0.0, 11.0):
        policy.call_ended("a", False, report(90, 0.3), now)
        policy.call_ended("b", False, report(90, 0.9), now)
    policy.handle_timeout(12)
    assert shares(policy) == {"a": 0.75, "b": 0.25}
    policy.set_state("b", IDLE, 13)
    assert shares(policy) == {"a": 1.0}
    policy.set_state("b", READY, 14)
    assert shares(policy) == {"a": 0.5, "b": 0.5}
    for now in (15.0, 26.0):
        policy.call_ended("b", False, report(90, 0.9), now)
    policy.handle_timeout(27)
    assert shares(policy) == {"a": 0.75, "b": 0.25}


# ring_hash


@pytest.mark.parametrize(
    ("data", "seed", "value"),
    [  # of the specification's test vectors, and of libraries in agreement with it
        (b"", 0, 0xEF46DB3751D8E999),
        (b"a", 0, 0xD24EC4F1A98C6E5B),
        (b"abc", 0, 0x44BC2CF5AD770999),
        (b"The quick brown fox jumps over the lazy dog", 0, 0x0B242D361FDA71BC),
    ],
)
def test_xxh64(data, seed, value):
    assert xxh64(data, seed) == value


def ring(names, header=None, seed=1):
    return ready(RingHash(RingSize(key_header=header), random.Random(seed), str), names)


KEYS = [f"user {number}".encode() for number in range(3000)]


def test_keys_spread_over_the_ring():
    names = [f"10.0.0.{number}:50051" for number in range(5)]
    policy = ring(names)
    counts = Counter(policy.pick(key) for key in KEYS)
    assert all(abs(counts[name] / len(KEYS) - 0.2) < 0.06 for name in names), counts


@settings(max_examples=15)
@given(st.integers(2, 8), st.randoms(use_true_random=False))
def test_only_the_keys_of_an_address_move_when_it_goes(count, rng):
    names = [f"host{rng.randrange(1 << 20)}-{number}:1" for number in range(count)]
    policy = ring(names)
    keys = KEYS[:200]
    before = [policy.pick(key) for key in keys]
    gone = rng.choice(names)
    policy.update([name for name in names if name != gone], 0)
    moved = [(was, policy.pick(key)) for was, key in zip(before, keys, strict=True) if was != policy.pick(key)]
    # All keys of the one that is gone move, and few others: the places of the rest change with their number.
    assert sum(was == gone for was, _ in moved) == before.count(gone)
    assert len(moved) - before.count(gone) <= 0.3 * len(keys)
    policy.set_state(policy.addresses[0], FAILED, 0)
    for was, key in zip(before, keys, strict=True):
        assert policy.pick(key) != policy.addresses[0] or len(policy.addresses) == 1
        assert was in names


def test_a_failed_address_passes_its_keys_on_and_gets_them_back():
    names = [f"h{number}:1" for number in range(4)]
    policy = ring(names)
    before = [policy.pick(key) for key in KEYS]
    policy.set_state("h2:1", FAILED, 0)
    during = [policy.pick(key) for key in KEYS]
    assert all(now == was for was, now in zip(before, during, strict=True) if was != "h2:1")
    assert len({now for was, now in zip(before, during, strict=True) if was == "h2:1"}) == 3
    policy.set_state("h2:1", READY, 0)
    assert [policy.pick(key) for key in KEYS] == before


def test_the_ring_connects_lazily_and_fails_only_when_all_have_failed():
    policy = RingHash(RingSize(), random.Random(1), str)
    policy.update(["a", "b", "c"], 0)
    assert (policy.wanted(), policy.state) == ((), IDLE)
    assert policy.pick(b"key") is None and not policy.fails(b"key")
    (first,) = policy.wanted()
    assert policy.more == [first]
    policy.set_state(first, CONNECTING, 0)
    assert policy.pick(b"key") is None and len(policy.wanted()) == 1
    policy.set_state(first, FAILED, 0)
    assert policy.state is CONNECTING and len(policy.wanted()) == 2, "another one is tried though no call asks"
    second = policy.wanted()[1]
    policy.set_state(second, FAILED, 0)
    assert policy.state is FAILED and not policy.fails()
    third = policy.wanted()[2]
    policy.set_state(third, READY, 0)
    assert (policy.pick(b"key"), policy.pick()) == (third, third)
    policy.set_state(third, IDLE, 0)
    assert third not in policy.wanted(), "one that ended is connected to when a call goes there"
    policy.set_state(second, IDLE, 0)
    assert second in policy.wanted(), "one that has failed is tried until it is ready"
    for name in (first, second, third):
        policy.set_state(name, FAILED, 0)
    assert policy.pick(b"key") is None and policy.fails(b"key")


def test_calls_without_a_key_take_what_is_ready():
    policy = RingHash(RingSize(key_header="x-user"), random.Random(1), str)
    policy.update(["a", "b", "c"], 0)
    assert policy.pick() is None and len(policy.wanted()) == 1
    policy.set_state(policy.wanted()[0], CONNECTING, 0)
    assert policy.pick() is None and len(policy.wanted()) == 1, "one attempt at a time"
    policy.set_state(policy.wanted()[0], READY, 0)
    picks = [policy.pick() for _ in range(50)]
    assert set(picks) == {policy.wanted()[0]} and len(policy.wanted()) > 1


# outlier_detection


def outliers(settings, count=5, seed=1):
    names = [f"s{number}" for number in range(count)]
    policy = OutlierDetection(settings, RoundRobin(random.Random(seed)), random.Random(seed))
    return ready(policy, names), names


def play(policy, rates, now, calls=200, seed=1):
    """Let each server answer `calls` calls, of which a share fails; then let the interval end."""
    rng = random.Random(seed)
    for name, rate in rates.items():
        for _ in range(calls):
            policy.call_ended(name, rng.random() < rate, None, now)
    policy.handle_timeout(now)


def picked(policy, count=50):
    return {policy.pick() for _ in range(count)}


def test_a_server_that_fails_is_ejected_and_comes_back():
    settings = Outliers(most=50, failure_percentage=FailurePercentage(threshold=50, request_volume=50))
    policy, names = outliers(settings)
    rates = dict.fromkeys(names, 0.01) | {"s3": 0.9}
    assert policy.next_deadline() == 10.0
    play(policy, rates, 10.0)
    assert policy.ejections == ["s3"] and not policy.usable("s3")
    assert picked(policy) == set(names) - {"s3"} and set(policy.wanted()) == set(names)
    play(policy, dict.fromkeys(names, 0.0), 30.0)
    assert policy.ejections == ["s3"]
    play(policy, dict.fromkeys(names, 0.0), 40.0)  # 30 s after it was ejected
    assert policy.ejections == [] and picked(policy) == set(names)
    play(policy, rates, 50.0)  # again: 60 s this time
    for now in (60.0, 70.0, 80.0, 90.0, 100.0):
        policy.handle_timeout(now)
        assert policy.ejections == ["s3"]
    policy.handle_timeout(110.0)
    assert policy.ejections == []


def test_a_server_that_is_worse_than_the_others_is_ejected():
    settings = Outliers(most=50, success_rate=SuccessRate())
    policy, names = outliers(settings, count=8)
    play(policy, dict.fromkeys(names, 0.05) | {"s1": 0.4}, 10.0)
    assert policy.ejections == ["s1"]
    equal, names = outliers(settings, count=8)
    play(equal, dict.fromkeys(names, 0.4), 10.0, calls=1000)
    assert len(equal.ejections) <= 1, "all of them bad is nobody's fault: only chance ejects"


@pytest.mark.parametrize("algorithm", ["success", "percentage"])
def test_few_calls_and_few_servers_prove_nothing(algorithm):
    terms = (
        {"success_rate": SuccessRate(stdev_factor=500)}
        if algorithm == "success"
        else {"failure_percentage": FailurePercentage()}
    )
    bad = {"s0": 1.0}
    policy, names = outliers(Outliers(most=100, **terms))
    play(policy, dict.fromkeys(names, 0.0) | bad, 10.0, calls=40)
    assert policy.ejections == []
    policy, names = outliers(Outliers(most=100, **terms), count=4)
    play(policy, dict.fromkeys(names, 0.0) | bad, 10.0)
    assert policy.ejections == []
    policy, names = outliers(Outliers(most=100, **terms))
    play(policy, dict.fromkeys(names, 0.0) | bad, 10.0)
    assert policy.ejections == ["s0"]


@given(st.integers(0, 100), st.integers(1, 30), st.integers(0, 100))
def test_no_more_than_the_percentage_is_ejected(most, count, seed):
    terms = FailurePercentage(threshold=10, minimum_hosts=1, request_volume=10)
    policy, names = outliers(Outliers(most=most, failure_percentage=terms), count=count, seed=seed)
    play(policy, dict.fromkeys(names, 1.0), 10.0, calls=10)
    # One more is ejected while the share is below the limit (gRFC A50).
    assert len(policy.ejections) == min(count, -(-most * count // 100))


def test_enforcement_is_a_chance():
    terms = FailurePercentage(threshold=10, enforcement=30, minimum_hosts=1, request_volume=10)
    policy, names = outliers(Outliers(most=100, failure_percentage=terms), count=400)
    play(policy, dict.fromkeys(names, 1.0), 10.0, calls=10)
    assert 80 < len(policy.ejections) < 160


def test_the_state_of_an_ejected_server_is_what_it_is_when_it_comes_back():
    terms = FailurePercentage(threshold=50, minimum_hosts=1, request_volume=10)
    policy, _ = outliers(Outliers(most=100, base_time=10, failure_percentage=terms), count=2)
    play(policy, {"s0": 1.0, "s1": 0.0}, 10.0)
    policy.set_state("s0", IDLE, 11)
    policy.set_state("s0", READY, 12)
    assert picked(policy) == {"s1"} and policy.state is READY
    policy.set_state("s1", FAILED, 12)
    assert policy.pick() is None and policy.fails()
    policy.handle_timeout(20.0)
    assert picked(policy) == {"s0"}
    policy.update(["s1", "s2"], 21)
    assert policy.addresses == ("s1", "s2")


def test_without_algorithms_nothing_is_counted():
    policy, _ = outliers(Outliers())
    assert not policy.watches_calls and policy.next_deadline() is None


# All policies.

CONFIGS = [
    PolicyConfig("pick_first", shuffle=True),
    policy_named("round_robin"),
    PolicyConfig("weighted_round_robin", Weighting(blackout=0)),
    PolicyConfig("ring_hash", RingSize(least=16)),
    PolicyConfig(
        "outlier_detection",
        Outliers(
            most=60, success_rate=SuccessRate(100, 100, 2, 2), failure_percentage=FailurePercentage(50, 100, 1, 2)
        ),
        PolicyConfig("weighted_round_robin", Weighting(blackout=0)),
    ),
]
NAMES = [f"n{number}" for number in range(5)]
STEPS = st.one_of(
    st.tuples(st.just("update"), st.lists(st.sampled_from(NAMES), max_size=5)),
    st.tuples(st.just("state"), st.sampled_from(NAMES), st.sampled_from(list(State))),
    st.tuples(st.just("ended"), st.sampled_from(NAMES), st.booleans(), st.floats(0, 5)),
    st.tuples(st.just("time"), st.floats(0, 20)),
    st.tuples(st.just("pick"), st.one_of(st.none(), st.binary(max_size=3))),
)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@settings(max_examples=40)
@given(st.lists(STEPS, max_size=40), st.integers(0, 99))
def test_calls_go_only_to_what_is_ready(config, steps, seed):
    policy = make_policy(config, random.Random(seed), str)
    told, now = {}, 0.0
    for kind, *rest in [*steps, ("pick", None), ("pick", b"key")]:
        if kind == "update":
            policy.update(rest[0], now)
            told = {name: told.get(name, IDLE) for name in rest[0]}
        elif kind == "state":
            policy.set_state(*rest, now)
            if rest[0] in told:
                told[rest[0]] = rest[1]
        elif kind == "ended":
            policy.call_ended(rest[0], rest[1], report(rest[2], 0.5), now)
        elif kind == "time":
            now += rest[0]
            while (due := policy.next_deadline()) is not None and due <= now:
                policy.handle_timeout(now)
                assert policy.next_deadline() is None or policy.next_deadline() > now
        else:
            picked = policy.pick(*rest)
            usable = {name for name, state in told.items() if state is READY and policy.usable(name)}
            assert picked is None or picked in usable
            if policy.fails(*rest):
                assert picked is None
            if usable and config.name not in ("pick_first", "ring_hash"):
                assert picked is not None
        assert set(policy.wanted()) <= set(told)
        assert set(policy.addresses) == set(policy.states) == set(told)
