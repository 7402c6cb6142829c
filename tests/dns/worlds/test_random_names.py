"""Twenty of the random worlds of which `make long` runs a thousand."""

from __future__ import annotations

from functools import cache

import pytest
from tests.dns.worlds.random_names import make, run, table

pytest.importorskip("cryptography")

pytestmark = pytest.mark.slow(12)

SEEDS = range(1, 21)
_outcome = cache(run)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_is_right_or_an_error_within_its_time(seed: int) -> None:
    outcome = _outcome(seed)
    assert not outcome.faults
    assert outcome.counts["right"] > 10, "most questions are answered"


def test_worlds_are_broken_enough_to_prove_something() -> None:
    told = [_outcome(seed) for seed in (1, 2)]
    assert run(1) == told[0], "the same seed, the same world"
    text = make(1).text
    for word in ("crash", "partition", "loss", 'zones."."', 'zones."com."', "zone9.net."):
        assert word in text
    assert "| wrong addresses, wrong denials, other errors | 0 |" in table(told, 1.0)
