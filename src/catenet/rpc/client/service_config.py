"""What a service asks of its clients: timeouts, retries with backoff and budget, hedging. Values and pure decisions.

Sources: gRPC `service_config.md` and its proto, gRFC A6 (client retries). The clock is the driver's: decisions are
delays in seconds; randomness is handed in.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catenet.rpc.client.balancing.config import PolicyConfig, read_balancing
from catenet.rpc.client.config_node import Node
from catenet.rpc.model.method import Idempotency, Method
from catenet.rpc.model.status import Code

__all__ = [
    "IDEMPOTENT_RETRY",
    "Hedging",
    "HedgingPolicy",
    "MethodConfig",
    "RetryBudget",
    "RetryPolicy",
    "Retrying",
    "ServiceConfig",
    "Throttling",
    "parse_pushback",
    "parse_service_config",
]

MOST_ATTEMPTS = 5
"""More attempts than this are not made, whatever a service config says (gRFC A6)."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When one attempt has failed with one of `codes`, make another, up to `max_attempts` in all."""

    max_attempts: int
    initial_backoff: float
    max_backoff: float
    multiplier: float
    codes: frozenset[Code]


@dataclass(frozen=True, slots=True)
class HedgingPolicy:
    """Make the next attempt when `delay` seconds have passed without an answer; the first answer wins.

    A status in `codes` is not fatal: the next attempt starts at once. Any other status ends the call.
    """

    max_attempts: int
    delay: float
    codes: frozenset[Code]


@dataclass(frozen=True, slots=True)
class Throttling:
    """The budget of retries of one channel: no retry while no more than half of the tokens are left."""

    max_tokens: float
    token_ratio: float


@dataclass(frozen=True, slots=True)
class MethodConfig:
    """What holds for some methods. None: the caller decides. Times in seconds, sizes in bytes."""

    wait_for_ready: bool | None = None
    timeout: float | None = None
    max_request_bytes: int | None = None
    max_response_bytes: int | None = None
    retry: RetryPolicy | None = None
    hedging: HedgingPolicy | None = None


IDEMPOTENT_RETRY = RetryPolicy(4, 0.1, 2.0, 2.0, frozenset({Code.UNAVAILABLE}))
"""For methods that the IDL marks as idempotent, where no service config says otherwise. Others are never repeated."""

_PLAIN = MethodConfig()
_IDEMPOTENT = MethodConfig(retry=IDEMPOTENT_RETRY)


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A parsed service config. `methods` maps `/service/method`, `/service/` and `""` (all) to their config."""

    methods: Mapping[str, MethodConfig] = field(default_factory=dict)
    throttling: Throttling | None = None
    load_balancing: PolicyConfig | None = None
    health_service: str | None = None

    def for_method(self, method: Method[Any, Any]) -> MethodConfig:
        """Return the config of a method: its own, its service's, the default, or that of its idempotency level."""
        for key in (method.path, f"/{method.service}/", ""):
            config = self.methods.get(key)
            if config is not None:
                return config
        return _PLAIN if method.idempotency is Idempotency.UNKNOWN else _IDEMPOTENT


class RetryBudget:
    """The tokens of a channel. Failures that could be retried cost one, successes earn a fraction back."""

    __slots__ = ("_limit", "_ratio", "_tokens")

    def __init__(self, throttling: Throttling | None) -> None:
        self._limit = throttling.max_tokens if throttling else 0.0
        self._ratio = throttling.token_ratio if throttling else 0.0
        self._tokens = self._limit

    def succeeded(self) -> None:
        """Count an attempt that ended with a status that is not worth a retry."""
        self._tokens = min(self._tokens + self._ratio, self._limit)

    def failed(self) -> None:
        """Count an attempt that failed and could be retried, or that the server asked not to be retried."""
        self._tokens = max(self._tokens - 1, 0.0)

    @property
    def allows(self) -> bool:
        """Whether a retry or hedge may be sent now; always without throttling."""
        return not self._limit or self._tokens > self._limit / 2


def parse_pushback(value: str | None) -> float | None:
    """Return `grpc-retry-pushback-ms` in seconds; negative if the server wants no retry, None if it says nothing."""
    if value is None:
        return None
    return int(value) / 1000 if re.fullmatch(r"[0-9]{1,9}", value) else -1.0


class Retrying:
    """The attempts of one call under a retry policy (or none: then only refused attempts are made again).

    The driver makes an attempt, and asks `next_delay` when it has failed before a response began; once a response
    has begun the call is committed and must not ask.
    """

    __slots__ = ("_backoffs", "_budget", "_policy", "_refused", "attempts")

    def __init__(self, policy: RetryPolicy | None, budget: RetryBudget) -> None:
        self._policy = policy
        self._budget = budget
        self._backoffs = 0
        self._refused = 0
        self.attempts = 1
        """How many have been made or decided, for `grpc-previous-rpc-attempts` one less."""

    def next_delay(
        self, code: Code, rng: random.Random, pushback: float | None = None, refused: bool = False
    ) -> float | None:
        """Return the seconds until the next attempt, or None if the failure is the call's result.

        `refused` says that the server certainly did not process the attempt (REFUSED_STREAM, or a stream beyond
        GOAWAY's last): it is made again at once, one time, whatever the policy (gRFC A6, "Transparent Retries").
        """
        if refused and self._refused == 0:
            self._refused = 1
            return 0.0
        policy = self._policy
        unwanted = pushback is not None and pushback < 0
        if policy is None:
            return None
        if code not in policy.codes:
            if unwanted:
                self._budget.failed()
            return None
        self._budget.failed()
        if unwanted or self.attempts >= policy.max_attempts or not self._budget.allows:
            return None
        self.attempts += 1
        if pushback is not None:
            self._backoffs = 0
            return pushback
        delay: float = min(policy.initial_backoff * policy.multiplier**self._backoffs, policy.max_backoff)
        self._backoffs += 1
        return delay * rng.uniform(0.8, 1.2)

    def succeeded(self) -> None:
        """The call has ended well, or with a status that no retry would change."""
        self._budget.succeeded()


class Hedging:
    """The attempts of one call under a hedging policy: when to send the next, and whether a failure is final."""

    __slots__ = ("_budget", "_due", "_policy", "_running", "attempts")

    def __init__(self, policy: HedgingPolicy, budget: RetryBudget, now: float) -> None:
        self._policy = policy
        self._budget = budget
        self._due: float | None = now
        self._running = 0
        self.attempts = 0

    def next_deadline(self) -> float | None:
        """Return when the next attempt is due; None if there will be none."""
        return self._due if self.attempts < self._policy.max_attempts else None

    def start_attempt(self, now: float) -> bool:
        """Return whether an attempt is to be sent now, and count it."""
        due = self.next_deadline()
        if due is None or now < due:
            return False
        if self.attempts and not self._budget.allows:
            self._due = None
            return False
        self.attempts += 1
        self._running += 1
        self._due = now + self._policy.delay
        return True

    def attempt_failed(self, code: Code, now: float, pushback: float | None = None) -> bool:
        """Return whether this failure is the call's result; the driver then cancels the other attempts."""
        self._running -= 1
        if code not in self._policy.codes:
            if pushback is not None and pushback < 0:
                self._budget.failed()
            return True
        self._budget.failed()
        if pushback is not None and pushback < 0:
            self._due = None
        elif self._due is not None:
            self._due = now + pushback if pushback is not None else now
        if not self._budget.allows:
            self._due = None
        return self._running == 0 and self.next_deadline() is None

    def succeeded(self) -> None:
        """One attempt has won."""
        self._budget.succeeded()


def parse_service_config(source: str | Mapping[str, Any]) -> ServiceConfig:
    """Return the config in JSON text or in the value of such a text; raise `ValueError` that names the place."""
    if isinstance(source, str):
        try:
            value = json.loads(source)
        except ValueError as error:
            raise ValueError(f"service config: not JSON: {error}") from None
    else:
        value = source
    root = Node(value, "service config")
    methods: dict[str, MethodConfig] = {}
    for entry in root.items("methodConfig"):
        config = _method_config(entry)
        for name in entry.items("name"):
            service, method = name.text("service", ""), name.text("method", "")
            if method and not service:
                raise name.wrong("a method needs its service")
            key = f"/{service}/{method}" if service else ""
            if key in methods:
                raise name.wrong("this name has a config already")
            methods[key] = config
    throttling = None
    if tokens := root.child("retryThrottling"):
        throttling = Throttling(tokens.number("maxTokens", 0.001, 1000), tokens.number("tokenRatio", 0.001))
    health = root.child("healthCheckConfig")
    return ServiceConfig(methods, throttling, read_balancing(root), health.text("serviceName", "") if health else None)


def _method_config(node: Node) -> MethodConfig:
    retry, hedging = node.child("retryPolicy"), node.child("hedgingPolicy")
    if retry and hedging:
        raise node.wrong("retryPolicy and hedgingPolicy exclude each other")
    return MethodConfig(
        wait_for_ready=node.flag("waitForReady"),
        timeout=node.optional("timeout", node.duration),
        max_request_bytes=node.optional("maxRequestMessageBytes", node.count),
        max_response_bytes=node.optional("maxResponseMessageBytes", node.count),
        retry=_retry_policy(retry) if retry else None,
        hedging=_hedging_policy(hedging) if hedging else None,
    )


def _retry_policy(node: Node) -> RetryPolicy:
    codes = node.codes("retryableStatusCodes")
    if not codes:
        raise node.wrong("retryableStatusCodes: at least one")
    return RetryPolicy(
        _attempts(node),
        node.duration("initialBackoff", positive=True),
        node.duration("maxBackoff", positive=True),
        node.number("backoffMultiplier", 1e-9),
        codes,
    )


def _hedging_policy(node: Node) -> HedgingPolicy:
    delay = node.optional("hedgingDelay", node.duration)
    return HedgingPolicy(_attempts(node), delay or 0.0, node.codes("nonFatalStatusCodes"))


def _attempts(node: Node) -> int:
    attempts = node.count("maxAttempts")
    if attempts < 2:
        raise node.wrong("maxAttempts: at least 2")
    return min(attempts, MOST_ATTEMPTS)
