"""The kernel is the oracle: the same small programs there and on a simulated host, the same results."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.posix import (
    argument_scenarios,
    bind_scenarios,
    class_scenarios,
    close_scenarios,
    cork_scenarios,
    local_file_scenarios,
    local_scenarios,
    mode_scenarios,
    name_scenarios,
    raw_scenarios,
    tcp_scenarios,
    urgent_scenarios,
    waking_scenarios,
)
from tests.posix.scenarios import SCENARIOS

from catenet.world import World

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs Linux for a reference"), pytest.mark.slow(100)]


# They add theirs.
assert argument_scenarios and bind_scenarios and local_scenarios and mode_scenarios and name_scenarios
assert local_file_scenarios and class_scenarios and close_scenarios and cork_scenarios and raw_scenarios
assert tcp_scenarios and urgent_scenarios and waking_scenarios


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_ends_as_on_the_kernel(name: str, version: int) -> None:
    scenario = SCENARIOS[name]
    expected = scenario(version)
    got: list[Any] = []
    with World() as world:
        world.host("host").run(lambda: got.append(scenario(version)))
        world.run(100)
    assert got == [expected]
