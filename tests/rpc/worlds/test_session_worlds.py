"""Calls over sessions in worlds: twenty random seeds (more in `make long`), and what one trouble does to a stream."""

import pytest
from tests.rpc.worlds.session_worlds import run_seed

pytestmark = pytest.mark.slow(10)


@pytest.mark.parametrize("seed", range(1, 21))
def test_random_worlds(seed):
    assert run_seed(seed, 100).faults == []
