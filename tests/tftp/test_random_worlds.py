"""Twenty of the random worlds of which `make long` runs a thousand."""

from functools import cache

import pytest
from tests.tftp.random_worlds import run, table

SEEDS = range(1, 21)
_outcome = cache(run)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_file_arrives_or_the_silence_is_told(seed):
    assert not _outcome(seed).faults


def test_worlds_are_broken_enough_to_prove_something():
    told = [_outcome(seed) for seed in SEEDS]
    assert run(1) == told[0], "the same seed, the same world"
    assert sum(outcome.counts["complete"] for outcome in told) >= 19
    assert sum(outcome.packets for outcome in told) > 4000
    assert "| wrong files, other errors, no end | 0 |" in table(told, 1.0)
