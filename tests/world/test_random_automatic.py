"""Twenty random worlds in which hosts get their addresses from networks; `make long` has more."""

import pytest

from .random_automatic import run


@pytest.mark.parametrize("seed", range(20))
def test_in_the_end_everybody_has_what_the_networks_give(seed: int) -> None:
    outcome = run(seed)
    assert not outcome.faults
    assert outcome.addresses >= 8


@pytest.mark.parametrize("seed", range(3))
def test_hosts_may_be_asked_in_any_order(seed: int) -> None:
    assert run(seed, in_any_order=True) == run(seed)
