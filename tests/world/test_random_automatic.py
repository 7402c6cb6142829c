"""Twenty random worlds in which hosts get their addresses from networks; `make long` has more."""

import pytest

from .random_automatic import run, run_apart


@pytest.mark.parametrize("seed", range(20))
def test_in_the_end_everybody_has_what_the_networks_give(seed: int) -> None:
    outcome = run(seed)
    assert not outcome.faults
    assert outcome.addresses >= 8


@pytest.mark.parametrize("seed", range(3))
def test_hosts_may_be_asked_in_any_order(seed: int) -> None:
    assert run(seed, in_any_order=True) == run(seed)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_hosts_with_processes_of_their_own_get_the_same(seed: int) -> None:
    """Some, or all of them; in the first world links delay nothing."""
    assert not run_apart(seed).faults
