import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.rpc.client.balancing.config import policy_named
from catenet.rpc.client.balancing.outliers import FailurePercentage, Outliers, SuccessRate
from catenet.rpc.client.balancing.ring import RingSize
from catenet.rpc.client.balancing.weighted import Weighting
from catenet.rpc.client.service_config import (
    IDEMPOTENT_RETRY,
    Hedging,
    HedgingPolicy,
    RetryBudget,
    Retrying,
    RetryPolicy,
    ServiceConfig,
    Throttling,
    parse_pushback,
    parse_service_config,
)
from catenet.rpc.model.method import Idempotency, Kind, Method
from catenet.rpc.model.status import Code

RNG = random.Random(5)
POLICY = RetryPolicy(4, 0.1, 1.0, 2.0, frozenset({Code.UNAVAILABLE}))
FREE = RetryBudget(None)


def method(name="Get", service="s.S", level=Idempotency.UNKNOWN):
    return Method(service, name, Kind.UNARY, bytes, bytes, level)


FULL = {
    "loadBalancingConfig": [{"xds": {}}, {"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "s.S", "method": "Get"}, {"service": "t.T"}],
            "timeout": "1.5s",
            "waitForReady": True,
            "maxRequestMessageBytes": "100",
            "maxResponseMessageBytes": 200,
            "retryPolicy": {
                "maxAttempts": 9,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "aborted", 8],
            },
        },
        {
            "name": [{}],
            "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.5s", "nonFatalStatusCodes": ["INTERNAL"]},
        },
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    "healthCheckConfig": {"serviceName": "s.S"},
}


def test_everything_is_read():
    config = parse_service_config(json.dumps(FULL))
    assert (config.load_balancing, config.health_service) == (policy_named("round_robin"), "s.S")
    assert config.throttling == Throttling(10, 0.1)
    own = config.for_method(method())
    assert (own.timeout, own.wait_for_ready, own.max_request_bytes, own.max_response_bytes) == (1.5, True, 100, 200)
    codes = frozenset({Code.UNAVAILABLE, Code.ABORTED, Code.RESOURCE_EXHAUSTED})
    assert own.retry == RetryPolicy(5, 0.1, 1.0, 2.0, codes)
    assert config.for_method(method("Any", "t.T")) is own
    assert config.for_method(method("Other")).hedging == HedgingPolicy(3, 0.5, frozenset({Code.INTERNAL}))


def balancing(*entries):
    return parse_service_config({"loadBalancingConfig": list(entries)}).load_balancing


def test_load_balancing_is_read():
    assert parse_service_config({}).load_balancing is None
    assert parse_service_config({"loadBalancingPolicy": "ROUND_ROBIN"}).load_balancing == policy_named("round_robin")
    assert balancing({"pick_first": {"shuffleAddressList": True}}).shuffle
    assert balancing({"weighted_round_robin": {"blackoutPeriod": "1.5s", "weightUpdatePeriod": "0.001s"}}).settings == (
        Weighting(blackout=1.5, update=0.1)
    )
    assert balancing({"weighted_round_robin": {"errorUtilizationPenalty": 0.5}}).settings.error_penalty == 0.5
    ring = balancing({"ring_hash_experimental": {"minRingSize": "100", "requestHashHeader": "X-User"}})
    assert (ring.name, ring.settings) == ("ring_hash", RingSize(100, 4096, "x-user"))
    around = balancing(
        {
            "outlier_detection": {
                "interval": "1s",
                "baseEjectionTime": "2s",
                "maxEjectionTime": "3s",
                "maxEjectionPercent": 40,
                "successRateEjection": {"stdevFactor": 1000},
                "failurePercentageEjection": {"threshold": 5, "enforcementPercentage": 50},
                "childPolicy": [{"unknown": {}}, {"round_robin": {}}],
            }
        }
    )
    assert around.child == policy_named("round_robin")
    expected = Outliers(
        1.0, 2.0, 3.0, 40, SuccessRate(stdev_factor=1000), FailurePercentage(threshold=5, enforcement=50)
    )
    assert around.settings == expected


def test_only_idempotent_methods_are_repeated_by_default():
    config = ServiceConfig()
    assert config.for_method(method()).retry is None
    assert config.for_method(method(level=Idempotency.IDEMPOTENT)).retry == IDEMPOTENT_RETRY
    assert config.for_method(method(level=Idempotency.NO_SIDE_EFFECTS)).retry == IDEMPOTENT_RETRY


def retry_policy(**changes):
    policy = {**FULL["methodConfig"][0]["retryPolicy"], **changes}
    return {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ({"methodConfig": {}}, "methodConfig: must be a list"),
        ({"methodConfig": [3]}, r"methodConfig\[0\]: must be a JSON object"),
        ({"methodConfig": [{"name": [{"method": "x"}]}]}, r"methodConfig\[0\]\.name\[0\]: a method needs"),
        ({"methodConfig": [{"name": [{}, {}]}]}, r"name\[1\]: this name"),
        ({"methodConfig": [{"name": [{}], "timeout": "1"}]}, "timeout: must be seconds"),
        ({"methodConfig": [{"name": [{}], "waitForReady": 1}]}, "waitForReady"),
        ({"methodConfig": [{"name": [{}], "maxRequestMessageBytes": -1}]}, "maxRequestMessageBytes"),
        ({"methodConfig": [{"name": [{}], "retryPolicy": {}, "hedgingPolicy": {}}]}, "exclude"),
        (retry_policy(maxAttempts=1), r"retryPolicy: maxAttempts"),
        (retry_policy(maxAttempts=True), "maxAttempts"),
        (retry_policy(initialBackoff="0s"), "initialBackoff: must be more"),
        (retry_policy(backoffMultiplier=0), "backoffMultiplier"),
        (retry_policy(retryableStatusCodes=[]), "retryableStatusCodes: at least one"),
        (retry_policy(retryableStatusCodes=["NOPE"]), "'NOPE' is no status code"),
        (retry_policy(retryableStatusCodes=[17]), "17 is no status code"),
        ({"retryThrottling": {"maxTokens": 2000, "tokenRatio": 1}}, "retryThrottling: maxTokens"),
        ({"loadBalancingConfig": [{"xds_wrr": {}}, {"other": {}}]}, "none of xds_wrr, other is known; there are pick"),
        ({"loadBalancingConfig": [{"a": {}, "b": {}}]}, r"loadBalancingConfig\[0\]: must have one name"),
        ({"loadBalancingConfig": [{"round_robin": None}]}, r"\[0\]: round_robin: must be a JSON object"),
        ({"loadBalancingConfig": [{"outlier_detection": {}}]}, r"\[0\]\.outlier_detection: childPolicy: must name"),
        ({"loadBalancingConfig": [{"ring_hash": {"minRingSize": 9, "maxRingSize": 8}}]}, "minRingSize: 9 is more"),
        ({"loadBalancingConfig": [{"ring_hash": {"maxRingSize": 0}}]}, "maxRingSize: must be from 1"),
        ({"loadBalancingConfig": [{"ring_hash": {"requestHashHeader": "x-bin"}}]}, "does not end with -bin"),
        ({"loadBalancingConfig": [{"weighted_round_robin": {"enableOobLoadReport": True}}]}, "trailers of calls only"),
    ],
)
def test_mistakes_name_their_place(config, place):
    with pytest.raises(ValueError, match=place):
        parse_service_config(config)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["methodConfig", "name", "retryPolicy", "timeout", "maxAttempts", "retryThrottling", "service"]
                ),
                inner,
            )
        ),
    )
)
def test_any_value_gives_a_config_or_a_value_error(value):
    try:
        parse_service_config(value if isinstance(value, dict) else {"methodConfig": value})
    except ValueError as error:
        assert str(error).startswith("service config")


def test_retries_back_off_and_end():
    call = Retrying(POLICY, FREE)
    delays = [call.next_delay(Code.UNAVAILABLE, RNG) for _ in range(4)]
    for delay, expected in zip(delays, [0.1, 0.2, 0.4], strict=False):
        assert 0.8 * expected <= delay <= 1.2 * expected
    assert delays[3] is None
    assert call.attempts == 4


def test_backoff_has_a_limit():
    call = Retrying(RetryPolicy(5, 0.6, 1.0, 10.0, POLICY.codes), FREE)
    assert call.next_delay(Code.UNAVAILABLE, RNG) <= 0.72
    assert call.next_delay(Code.UNAVAILABLE, RNG) <= 1.2


def test_other_codes_are_final():
    assert Retrying(POLICY, FREE).next_delay(Code.INTERNAL, RNG) is None
    assert Retrying(None, FREE).next_delay(Code.UNAVAILABLE, RNG) is None


def test_a_refused_attempt_is_made_again_once_whatever_the_policy():
    call = Retrying(None, FREE)
    assert call.next_delay(Code.UNAVAILABLE, RNG, refused=True) == 0.0
    assert call.next_delay(Code.UNAVAILABLE, RNG, refused=True) is None
    call = Retrying(POLICY, FREE)
    assert call.next_delay(Code.UNAVAILABLE, RNG, refused=True) == 0.0
    assert call.attempts == 1
    assert call.next_delay(Code.UNAVAILABLE, RNG, refused=True) > 0


def test_pushback():
    assert [parse_pushback(text) for text in (None, "1500", "0", "-1", "x", "1.5", "")] == [
        None,
        1.5,
        0,
        -1,
        -1,
        -1,
        -1,
    ]
    call = Retrying(POLICY, FREE)
    assert call.next_delay(Code.UNAVAILABLE, RNG) <= 0.12
    assert call.next_delay(Code.UNAVAILABLE, RNG, pushback=3.0) == 3.0
    assert call.next_delay(Code.UNAVAILABLE, RNG) <= 0.12, "pushback starts the backoff anew"
    assert Retrying(POLICY, FREE).next_delay(Code.UNAVAILABLE, RNG, pushback=-1.0) is None


def test_the_budget_runs_out_and_fills_again():
    budget = RetryBudget(Throttling(4, 0.5))
    assert Retrying(POLICY, budget).next_delay(Code.UNAVAILABLE, RNG) is not None
    assert Retrying(POLICY, budget).next_delay(Code.UNAVAILABLE, RNG) is None, "half of the tokens are gone"
    for _ in range(2):
        Retrying(POLICY, budget).succeeded()
    assert budget.allows
    assert Retrying(POLICY, budget).next_delay(Code.INTERNAL, RNG) is None
    assert budget.allows, "a failure nobody would retry costs nothing"
    Retrying(POLICY, budget).next_delay(Code.INTERNAL, RNG, pushback=-1.0)
    assert not budget.allows, "the server asked for less"


HEDGE = HedgingPolicy(3, 0.5, frozenset({Code.UNAVAILABLE}))


def test_hedges_start_one_after_another():
    call = Hedging(HEDGE, FREE, 10.0)
    assert call.start_attempt(10.0)
    assert not call.start_attempt(10.4)
    assert call.next_deadline() == 10.5
    assert call.start_attempt(10.5)
    assert call.start_attempt(11.0)
    assert call.next_deadline() is None
    assert not call.start_attempt(12.0)


def test_a_failure_that_is_not_fatal_starts_the_next():
    call = Hedging(HEDGE, FREE, 0.0)
    assert call.start_attempt(0.0)
    assert call.attempt_failed(Code.UNAVAILABLE, 0.1) is False
    assert call.start_attempt(0.1)
    assert call.attempt_failed(Code.UNAVAILABLE, 0.2, pushback=2.0) is False
    assert call.next_deadline() == 2.2
    assert call.start_attempt(2.2)
    assert call.attempt_failed(Code.UNAVAILABLE, 2.3) is True, "nothing runs, nothing is left"


def test_a_fatal_failure_ends_the_call():
    call = Hedging(HEDGE, FREE, 0.0)
    call.start_attempt(0.0)
    call.start_attempt(0.5)
    assert call.attempt_failed(Code.INTERNAL, 0.6) is True


def test_the_last_running_attempt_decides():
    call = Hedging(HEDGE, FREE, 0.0)
    for now in (0.0, 0.5, 1.0):
        call.start_attempt(now)
    assert call.attempt_failed(Code.UNAVAILABLE, 1.1) is False
    assert call.attempt_failed(Code.UNAVAILABLE, 1.2) is False
    assert call.attempt_failed(Code.UNAVAILABLE, 1.3) is True


def test_no_more_hedges_when_the_server_or_the_budget_says_so():
    call = Hedging(HEDGE, FREE, 0.0)
    call.start_attempt(0.0)
    call.start_attempt(0.5)
    assert call.attempt_failed(Code.UNAVAILABLE, 0.6, pushback=-1.0) is False
    assert call.next_deadline() is None
    broke = RetryBudget(Throttling(1, 0.1))
    broke.failed()
    call = Hedging(HEDGE, broke, 0.0)
    assert call.start_attempt(0.0), "the first attempt is no hedge"
    assert not call.start_attempt(0.5)
    assert call.next_deadline() is None
