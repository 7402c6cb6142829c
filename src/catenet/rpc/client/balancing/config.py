"""Load balancing policies as a service config names them, and the making of them.

Sources: gRPC `load_balancing_config.proto`, gRFC A50, A58, A62, A76. The first policy of the list that is known counts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catenet.rpc.client.balancing.outliers import FailurePercentage, OutlierDetection, Outliers, SuccessRate
from catenet.rpc.client.balancing.policy import A, PickFirst, Policy, RoundRobin
from catenet.rpc.client.balancing.ring import RingHash, RingSize
from catenet.rpc.client.balancing.weighted import WeightedRoundRobin, Weighting

if TYPE_CHECKING:
    from catenet.rpc.client.config_node import Node

__all__ = ["PolicyConfig", "make_policy", "policy_named", "read_balancing"]

_MOST_PLACES = 8 << 20
_LONGEST = 315_576_000_000.0


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """A policy with its settings: `Weighting`, `RingSize` or `Outliers` (with the policy around which it stands).

    `shuffle`: `pick_first` tries the addresses in an order of its own, so that clients spread (gRFC A62).
    """

    name: str
    settings: Weighting | RingSize | Outliers | None = None
    child: PolicyConfig | None = None
    shuffle: bool = False


def _pick_first(node: Node) -> PolicyConfig:
    return PolicyConfig("pick_first", shuffle=bool(node.flag("shuffleAddressList")))


def _round_robin(_: Node) -> PolicyConfig:
    return PolicyConfig("round_robin")


def _weighted(node: Node) -> PolicyConfig:
    if node.flag("enableOobLoadReport"):
        raise node.wrong("enableOobLoadReport: load reports come with the trailers of calls only")
    usual = Weighting()
    penalty = node.optional("errorUtilizationPenalty", lambda name: node.number(name, 0.0))
    settings = Weighting(
        blackout=_seconds(node, "blackoutPeriod", usual.blackout),
        expiration=_seconds(node, "weightExpirationPeriod", usual.expiration),
        update=max(_seconds(node, "weightUpdatePeriod", usual.update), 0.1),
        error_penalty=usual.error_penalty if penalty is None else penalty,
    )
    return PolicyConfig("weighted_round_robin", settings)


def _ring(node: Node) -> PolicyConfig:
    usual = RingSize()
    least = _count(node, "minRingSize", usual.least, 1, _MOST_PLACES)
    most = _count(node, "maxRingSize", max(usual.most, least), 1, _MOST_PLACES)
    if least > most:
        raise node.wrong(f"minRingSize: {least} is more than maxRingSize, {most}")
    header = node.text("requestHashHeader", "").lower()
    if header.endswith("-bin"):
        raise node.wrong("requestHashHeader: a name that does not end with -bin")
    return PolicyConfig("ring_hash", RingSize(min(least, usual.most), min(most, usual.most), header or None))


def _outliers(node: Node) -> PolicyConfig:
    usual = Outliers()
    child = _first_known(node, "childPolicy")
    if child is None:
        raise node.wrong("childPolicy: must name a policy")
    rate, percentage = node.child("successRateEjection"), node.child("failurePercentageEjection")
    settings = Outliers(
        interval=max(_seconds(node, "interval", usual.interval), 0.001),
        base_time=_seconds(node, "baseEjectionTime", usual.base_time),
        longest=_seconds(node, "maxEjectionTime", usual.longest),
        most=_count(node, "maxEjectionPercent", usual.most, 0, 100),
        success_rate=None if rate is None else _success_rate(rate),
        failure_percentage=None if percentage is None else _failure_percentage(percentage),
    )
    return PolicyConfig("outlier_detection", settings, child)


def _success_rate(node: Node) -> SuccessRate:
    usual = SuccessRate()
    return SuccessRate(
        _count(node, "stdevFactor", usual.stdev_factor),
        _count(node, "enforcementPercentage", usual.enforcement, 0, 100),
        _count(node, "minimumHosts", usual.minimum_hosts),
        _count(node, "requestVolume", usual.request_volume),
    )


def _failure_percentage(node: Node) -> FailurePercentage:
    usual = FailurePercentage()
    return FailurePercentage(
        _count(node, "threshold", usual.threshold, 0, 100),
        _count(node, "enforcementPercentage", usual.enforcement, 0, 100),
        _count(node, "minimumHosts", usual.minimum_hosts),
        _count(node, "requestVolume", usual.request_volume),
    )


_READERS: Mapping[str, Callable[[Node], PolicyConfig]] = {
    "pick_first": _pick_first,
    "round_robin": _round_robin,
    "weighted_round_robin": _weighted,
    "ring_hash": _ring,
    "ring_hash_experimental": _ring,
    "outlier_detection": _outliers,
    "outlier_detection_experimental": _outliers,
}

POLICIES = ("pick_first", "round_robin", "weighted_round_robin", "ring_hash", "outlier_detection")
"""The names of all policies; `outlier_detection` needs another one within, and so a config."""

_SIMPLE: Mapping[str, PolicyConfig] = {
    "pick_first": PolicyConfig("pick_first"),
    "round_robin": PolicyConfig("round_robin"),
    "weighted_round_robin": PolicyConfig("weighted_round_robin", Weighting()),
    "ring_hash": PolicyConfig("ring_hash", RingSize()),
    "ring_hash_experimental": PolicyConfig("ring_hash", RingSize()),
}


def read_balancing(root: Node) -> PolicyConfig | None:
    """Return the policy of a service config; None if it names none. Raises `ValueError` that names the place."""
    config = _first_known(root, "loadBalancingConfig")
    if config is not None:
        return config
    name = root.text("loadBalancingPolicy", "").lower()
    return _SIMPLE.get(name)


def _first_known(node: Node, name: str) -> PolicyConfig | None:
    entries = node.items(name)
    for entry in entries:
        if len(entry.value) != 1:
            raise entry.wrong("must have one name, that of a policy")
        (policy,) = entry.value
        reader = _READERS.get(policy)
        if reader is not None:
            settings = entry.child(policy)
            if settings is None:
                raise entry.wrong(f"{policy}: must be a JSON object")
            return reader(settings)
    if entries:
        names = ", ".join(str(policy) for entry in entries for policy in entry.value)
        raise node.wrong(f"{name}: none of {names} is known; there are {', '.join(POLICIES)}")
    return None


def _seconds(node: Node, name: str, usual: float) -> float:
    value = node.optional(name, node.duration)
    return usual if value is None else min(float(value), _LONGEST)


def _count(node: Node, name: str, usual: int, least: int = 0, most: int = 1 << 32) -> int:
    value = node.optional(name, node.count)
    if value is None:
        return usual
    if not least <= value <= most:
        raise node.wrong(f"{name}: must be from {least} to {most}")
    return int(value)


def policy_named(name: str) -> PolicyConfig:
    """Return a policy with its usual settings. Raises `ValueError` for a name that is none."""
    config = _SIMPLE.get(name)
    if config is not None:
        return config
    if name.startswith("outlier_detection"):
        raise ValueError(f"load balancing policy {name!r}: needs a childPolicy, which a service config gives")
    raise ValueError(f"load balancing policy {name!r}: there are {', '.join(POLICIES)}")


def make_policy(config: PolicyConfig, rng: random.Random, name_of: Callable[[A], str]) -> Policy[A]:
    """Make a policy. `name_of` says what an address is called, which a ring of hashes is made of."""
    settings = config.settings
    if isinstance(settings, Weighting):
        return WeightedRoundRobin(settings, rng)
    if isinstance(settings, RingSize):
        return RingHash(settings, rng, name_of)
    if isinstance(settings, Outliers) and config.child is not None:
        child = make_policy(config.child, rng, name_of)
        # pick_first stays with its one connection, ejected or not (gRFC A61).
        return child if child.races else OutlierDetection(settings, child, rng)
    return PickFirst(rng if config.shuffle else None) if config.name == "pick_first" else RoundRobin(rng)
