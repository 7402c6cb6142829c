"""Twenty of the random worlds of which `make long` runs five hundred."""

from functools import cache

import pytest
from tests.cli.transfer.random_worlds import run, table

SEEDS = range(1, 21)
_outcome = cache(run)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_is_right_or_not_there(seed):
    outcome = _outcome(seed)
    assert not outcome.faults


def test_worlds_are_broken_enough_to_prove_something():
    told = [_outcome(seed) for seed in SEEDS]
    assert run(1) == told[0], "the same seed, the same world"
    assert sum(outcome.counts["errors"] for outcome in told) >= 3
    assert sum(outcome.counts["complete"] for outcome in told) >= 18
    assert "| wrong files, other errors, calls over their time | 0 |" in table(told, 1.0)
