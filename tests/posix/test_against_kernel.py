"""The kernel is the oracle: the same small programs there and on a simulated host, the same results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from catenet.world import World

sys.path.insert(0, str(Path(__file__).parent))
import argument_scenarios
import bind_scenarios
import close_scenarios
import local_scenarios
import mode_scenarios
import name_scenarios
import tcp_scenarios
import urgent_scenarios
import waking_scenarios
from scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux for a reference")


# They add theirs.
assert argument_scenarios and bind_scenarios and local_scenarios and mode_scenarios and name_scenarios
assert close_scenarios and tcp_scenarios and urgent_scenarios and waking_scenarios


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_as_the_kernel(name: str, version: int) -> None:
    scenario = SCENARIOS[name]
    expected = scenario(version)
    got: list[Any] = []
    with World() as world:
        world.host("host").run(lambda: got.append(scenario(version)))
        world.run(100)
    assert got == [expected]
