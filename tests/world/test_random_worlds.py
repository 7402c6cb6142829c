"""Random worlds carry the same packets whichever ways these take through stacks and links."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from tests.world.random_worlds import told

SEEDS = range(1, 9)


@cache
def usual(seed: int) -> dict[str, Any]:
    return told(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_fast_paths_change_nothing(seed: int) -> None:
    assert told(seed, short=False) == usual(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_in_order_queues_change_nothing(seed: int) -> None:
    assert told(seed, in_order=False) == usual(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_hosts_may_be_asked_in_any_order(seed: int) -> None:
    assert told(seed, in_any_order=True) == usual(seed)


def test_random_worlds_carry_and_lose_packets() -> None:
    """They move thousands of packets, lose some, and most programs get to their end."""
    worlds = [usual(seed) for seed in SEEDS]
    assert sum(world["packets"] for world in worlds) > 4000
    counts = [host for world in worlds for host in world["counters"].values()]
    assert sum(host["retransmitted"] for host in counts) > 0
    assert sum(not line.endswith("Error") for world in worlds for line in world["lines"]) > 50
