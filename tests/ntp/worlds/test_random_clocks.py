"""Random worlds in which one of four servers lies (`random_clocks.py`); `make long` runs hundreds of them."""

from __future__ import annotations

import pytest
from tests.ntp.worlds.random_clocks import LIARS, make, run, table

SEEDS = range(1, 21)
LASTS = 1400.0
"""Seconds of each world, of which 20 minutes are for converging; `make long` has 80 minutes."""


@pytest.mark.parametrize("seed", SEEDS)
def test_the_clock_is_within_half_of_the_asymmetry_and_a_millisecond(seed: int) -> None:
    """After 20 minutes, also while no server is reached, whatever the liar does."""
    outcome = run(seed, LASTS)
    assert outcome.faults == []
    assert outcome.steps <= 2


def test_a_seed_is_one_world() -> None:
    """The same seed gives the same world, and every liar has its seeds."""
    outcome = run(3, 300.0)
    assert outcome == run(3, 300.0)
    assert {make(seed).liar for seed in SEEDS} == set(LIARS)
    assert "liar" in table([outcome], 1.0)
